"""
# What passes from one part to the next

A source file becomes a *document*: its front matter and its sections, still text.
A document becomes a *page*: the same sections, now HTML, with everything other pages
may want to point at. Both are plain data, so that they pickle into the cache
and cross from one process to another.
"""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, order=True)
class Diagnostic:
    """
    ## Diagnostic

    Something an author should know, and where. It prints the way compilers do,
    so that editors turn it into a link.
    """

    path: str
    line: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.severity}: {self.message}"


@dataclass(frozen=True)
class Section:
    """
    ## Section of a document

    * `prose` is Markdown, dedented
    * `prose_lines` holds, for each line of `prose`, the number of the line of the file that it came from
    * `code` is the code letter for letter, without the blank lines at its ends
    * `code_line` is the number in the file of the first line of `code`, 0 where there is none
    * `definitions` are the dotted names of the classes and functions whose signature stands in `code`,
       for example `ConvMixerLayer.forward`
    """

    number: int
    prose: str = ""
    prose_lines: tuple[int, ...] = ()
    code: str = ""
    code_line: int = 0
    definitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """
    ## Document

    * `path` is relative to the source folder, with forward slashes
    * `text` is the decoded file with its line ends made `\\n`
    * `front_matter` is what the YAML at the top says
    """

    path: str
    text: str
    front_matter: dict[str, Any] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")


@dataclass(frozen=True)
class Heading:
    """
    ## Heading

    * `level` is 1 to 6, `text` is plain text, `anchor` is unique in the page
    """

    level: int
    text: str
    anchor: str
    section: int


@dataclass(frozen=True)
class Link:
    """
    ## Link or image in the prose, as its author wrote it
    """

    target: str
    line: int
    is_image: bool = False


@dataclass(frozen=True)
class Prose:
    """
    ## Rendered prose of a section

    * `html` is sanitized; its links are still what the author wrote, and `site.py` makes them reach
    * `anchors` are the `id`s an author put into it by hand
    * `text` is the plain text, for search and summaries
    * `math_characters` are the characters that the math font must hold
    """

    html: str = ""
    headings: tuple[Heading, ...] = ()
    anchors: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    text: str = ""
    math_characters: frozenset[str] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()
