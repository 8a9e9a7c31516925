"""
---
title: From a file to a page
summary: One source on its own, parsed, rendered and highlighted, with all that other pages may point at.
---

# From a file to a page

Everything here depends on one file alone, never on its neighbours. That is why it can run in any process,
in any order, and be kept in the [cache](cache.py) for as long as the file stays as it is.
What depends on the neighbours, the links above all, waits until [all pages are known](site.py).
"""

import ast
import json
import os
import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from sidebyside import highlight, notebook, prose, search, source
from sidebyside.discover import MAXIMUM_BYTES, Source, module_name
from sidebyside.model import Diagnostic, Document, Heading, Link, Prose, Section

# An identifier that [highlighting](highlight.py) could resolve
REFERENCE = re.compile(r'<span class="([^"]*)" data-ref="([^"]*)">([^<]*)</span>')

# Front matter is for a few words. Aliases in YAML can blow up a few lines into gigabytes.
MAXIMUM_FRONT_MATTER = 100_000


@dataclass(frozen=True)
class Definition:
    """
    ## A class or function that a page defines

    * `kind` is what Sphinx calls it
    * `signature` is what stands before the colon, on one line
    * `sentence` is the first sentence of its prose
    """

    name: str
    section: int
    kind: Literal["class", "function", "method"]
    signature: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class Page:
    """
    ## A page, as the other pages see it

    * `path` is the source, `url` the page, both relative and not quoted
    * `module` is the dotted name under which the source is imported, empty for Markdown
    * `anchors` are the `id`s in the prose, those of headings included
    * `aliases` are names that the module imports at its top, with what they stand for
    * `references` are the dotted names that identifiers in the code resolve to
    * `code_lines` are the ranges of lines that have an anchor
    """

    path: str
    url: str
    module: str = ""
    title: str = ""
    summary: str = ""
    front_matter: dict[str, Any] = field(default_factory=dict)
    n_sections: int = 0
    headings: tuple[Heading, ...] = ()
    anchors: frozenset[str] = frozenset()
    definitions: tuple[Definition, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    references: tuple[str, ...] = ()
    code_lines: tuple[tuple[int, int], ...] = ()
    math_characters: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def is_python(self) -> bool:
        return self.path.endswith(".py")

    def has_anchor(self, anchor: str) -> bool:
        """
        ### Whether `#anchor` leads somewhere on this page
        """
        if anchor in self.anchors or any(definition.name == anchor for definition in self.definitions):
            return True
        if match := re.fullmatch(r"section-(\d{1,9})", anchor):
            return int(match[1]) < self.n_sections and anchor == f"section-{int(match[1])}"
        if match := re.fullmatch(r"L(\d{1,9})", anchor):
            line = int(match[1])
            return anchor == f"L{line}" and any(first <= line <= last for first, last in self.code_lines)
        return False


@dataclass(frozen=True)
class Body:
    """
    ## The part of a page that only its own HTML needs

    Kept apart from `Page`, because a site of thousands of pages holds all of those in memory, and of these one
    at a time.
    """

    sections: list[dict[str, Any]]
    example: str | None = None


@dataclass(frozen=True)
class Rendered:
    """
    ## All that comes from one file
    """

    page: Page
    body: Body
    search: list[str]
    notebook: list[str]

    def to_lines(self) -> list[str]:
        """
        ### For the cache: one line of JSON each, so that a reader takes only what it needs
        """
        from sidebyside.cache import to_json

        page = {item.name: getattr(self.page, item.name) for item in fields(self.page)}
        page["anchors"] = sorted(self.page.anchors)
        for name in ("headings", "definitions", "links", "diagnostics"):
            page[name] = [_values(item) for item in page[name]]
        body = {"sections": self.body.sections, "example": self.body.example}
        return [to_json(page), to_json(body), to_json(self.search), to_json(self.notebook)]


def page_from_json(line: str) -> Page:
    """
    ## Read back a page from the cache
    """
    data = json.loads(line)
    data["headings"] = tuple(Heading(*values) for values in data["headings"])
    data["definitions"] = tuple(Definition(*values) for values in data["definitions"])
    data["links"] = tuple(Link(*values) for values in data["links"])
    data["diagnostics"] = tuple(Diagnostic(*values) for values in data["diagnostics"])
    data["anchors"] = frozenset(data["anchors"])
    data["references"] = tuple(data["references"])
    data["code_lines"] = tuple((first, last) for first, last in data["code_lines"])
    return Page(**data)


def read_file(item: Source) -> tuple[bytes, Diagnostic | None]:
    """
    ## Bytes of a source

    A file that cannot be read is an empty page with a diagnostic.
    """
    try:
        if os.path.getsize(item.file) > MAXIMUM_BYTES:
            return b"", Diagnostic(item.path, 1, f"larger than {MAXIMUM_BYTES // 1_000_000} MB; passed over")
        with open(item.file, "rb") as stream:
            return stream.read(), None
    except OSError as error:
        return b"", Diagnostic(item.path, 1, f"cannot be read: {error.strerror}")


def render_page(data: bytes, path: str, url: str, package: str) -> Rendered:
    """
    ## Render one source

    * `data` are the bytes of the file, `path` and `url` name the source and the page
    * `package` is the dotted name of the source folder where that is a package, and empty otherwise
    """
    document = source.parse(data, path)
    front_matter, problems = _plain_front_matter(document)
    prose_of = _render_prose(document)
    code_of = highlight.render(document, package) if document.is_python else {}
    definitions = _definitions(document, prose_of)
    headings = tuple(heading for rendered in prose_of for heading in rendered.headings)
    title = _text(front_matter.get("title")) or (headings[0].text if headings else "") or _name(path)
    example = _text(front_matter.get("example"), keep_lines=True)
    page = Page(
        path=path,
        url=url,
        module=module_name(path, package) if document.is_python else "",
        title=title,
        summary=_text(front_matter.get("summary")) or _first_sentence(_introduction(document, prose_of)),
        front_matter=front_matter,
        n_sections=len(document.sections),
        headings=headings,
        anchors=frozenset(
            anchor for rendered in prose_of for anchor in (*rendered.anchors, *(h.anchor for h in rendered.headings))
        ),
        definitions=definitions,
        aliases=_aliases(document, package),
        links=tuple(link for rendered in prose_of for link in rendered.links),
        references=tuple(sorted({match[2] for code in code_of.values() for match in REFERENCE.finditer(code)})),
        code_lines=tuple(
            (section.code_line, section.code_line + section.code.count("\n"))
            for section in document.sections
            if section.code
        ),
        math_characters="".join(sorted(frozenset().union(*(rendered.math_characters for rendered in prose_of)))),
        diagnostics=tuple(
            sorted({*document.diagnostics, *problems, *(d for rendered in prose_of for d in rendered.diagnostics)})
        ),
    )
    body = Body(
        [_section(section, prose_of[n], code_of.get(n, "")) for n, section in enumerate(document.sections)],
        _highlighted_example(example, path) if example else None,
    )
    return Rendered(
        page,
        body,
        search.entries(document, prose_of),
        _notebook(document, package, example),
    )


def _notebook(document: Document, package: str, example: str) -> list[str]:
    if not document.is_python or not document.sections:
        return []
    return notebook.cells(document, source.syntax_tree(document.text), package, example)


def _render_prose(document: Document) -> list[Prose]:
    """
    ### Prose of all sections

    The anchors that the page contract gives out are taken before any heading asks for one.
    """
    taken = {f"section-{section.number}" for section in document.sections}
    taken.update(name for section in document.sections for name in section.definitions)
    return [prose.render(section, document.path, taken) for section in document.sections]


def _section(section: Section, rendered: Prose, code: str) -> dict[str, Any]:
    """
    ### What a template gets of a section
    """
    last_code_line = section.code_line + section.code.count("\n") if section.code else 0
    lines = [line for line in (*section.prose_lines, section.code_line, last_code_line) if line]
    return {
        "number": section.number,
        "anchor": f"section-{section.number}",
        "docs": rendered.html,
        "code": code,
        "definitions": list(section.definitions),
        "level": rendered.headings[0].level if rendered.headings else 0,
        "first_line": min(lines, default=0),
        "last_line": max(lines, default=0),
    }


def _highlighted_example(example: str, path: str) -> str:
    """
    ### The example of the front matter, highlighted as a fenced block of prose is
    """
    fence = "`" * (3 + max((len(run) for run in re.findall(r"`+", example)), default=0))
    lines = f"{fence}python\n{example}\n{fence}"
    section = Section(0, prose=lines, prose_lines=(1,) * (lines.count("\n") + 1))
    return prose.render(section, path, set()).html


def _definitions(document: Document, prose_of: list[Prose]) -> tuple[Definition, ...]:
    """
    ### Classes and functions of a module

    A name that is defined twice (a property and its setter, two branches of an `if`) leads to the first.
    """
    nodes = _definition_nodes(document)
    definitions: dict[str, Definition] = {}
    for section in document.sections:
        for name in section.definitions:
            if name in definitions or name not in nodes:
                continue
            node = nodes[name]
            kind = _kind(name, node, nodes)
            sentence = _first_sentence(prose_of[section.number])
            definitions[name] = Definition(name, section.number, kind, _signature(node), sentence)
    return tuple(definitions.values())


DefinitionNode = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _definition_nodes(document: Document) -> dict[str, DefinitionNode]:
    """
    ### Syntax tree of each definition, by its dotted name
    """
    if not document.is_python or not any(section.definitions for section in document.sections):
        return {}
    nodes: dict[str, DefinitionNode] = {}
    pending: list[tuple[str, ast.AST]] = [("", source.syntax_tree(document.text))]
    while pending:
        prefix, parent = pending.pop()
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, DefinitionNode):
                nodes.setdefault(prefix + node.name, node)
                pending.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                pending.append((prefix, node))
    return nodes


def _kind(name: str, node: DefinitionNode, nodes: dict[str, DefinitionNode]) -> Literal["class", "function", "method"]:
    if isinstance(node, ast.ClassDef):
        return "class"
    owner = nodes.get(name.rpartition(".")[0])
    return "method" if isinstance(owner, ast.ClassDef) else "function"


def _signature(node: DefinitionNode) -> str:
    """
    ### A signature on one line
    """
    try:
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(item) for item in (*node.bases, *node.keywords))
            return f"class {node.name}({bases})" if bases else f"class {node.name}"
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
        return f"{start} {node.name}({ast.unparse(node.args)}){returns}"
    except RecursionError:
        return node.name


def _aliases(document: Document, package: str) -> dict[str, str]:
    """
    ### Names that a package's `__init__.py` passes on

    `from .depth_wise import DepthWiseConv2d` makes `package.DepthWiseConv2d` another name of the class.
    """
    if not document.is_python or not document.sections:
        return {}
    here = module_name(document.path, package).split(".")
    if not document.path.endswith("__init__.py"):
        here.pop()
    aliases = {}
    for node in source.syntax_tree(document.text).body:
        if not isinstance(node, ast.ImportFrom) or node.level > len(here) + 1:
            continue
        base = here[: len(here) - node.level + 1] if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            if alias.name != "*" and origin:
                aliases[alias.asname or alias.name] = f"{origin}.{alias.name}"
    return aliases


def _plain_front_matter(document: Document) -> tuple[dict[str, Any], list[Diagnostic]]:
    """
    ### Front matter as plain JSON

    YAML knows dates, sets and aliases that refer to each other. A template gets text, numbers, lists and mappings.
    """
    pieces: list[str] = []
    size = 0
    try:
        for piece in json.JSONEncoder(default=str).iterencode(document.front_matter):
            pieces.append(piece)
            size += len(piece)
            if size > MAXIMUM_FRONT_MATTER:
                raise ValueError(f"holds more than {MAXIMUM_FRONT_MATTER} characters")
        return json.loads("".join(pieces)), []
    except (ValueError, TypeError, RecursionError) as error:
        return {}, [Diagnostic(document.path, 1, f"front matter is left out: {error}")]


def _text(value: Any, keep_lines: bool = False) -> str:
    if not isinstance(value, str | int | float):
        return ""
    return str(value).strip() if keep_lines else " ".join(str(value).split())


def _name(path: str) -> str:
    """
    ### Title of a page that has none: the file's name, or the folder's
    """
    folder, _, name = path.rpartition("/")
    stem = name.rpartition(".")[0]
    return folder.rpartition("/")[2] or stem if stem == "__init__" else stem


def _introduction(document: Document, prose_of: list[Prose]) -> Prose:
    """
    ### What a page says first about its subject

    Above the docstring of a module there may be a note on its licence. It introduces nothing.
    """
    body = source.syntax_tree(document.text).body if document.is_python and document.sections else []
    if body and isinstance(docstring := body[0], ast.Expr):
        lines = range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1)
        found = (section.number for section in document.sections if set(section.prose_lines) & set(lines))
        return prose_of[next(found, 0)]
    return prose_of[0] if prose_of else Prose()


def _first_sentence(rendered: Prose) -> str:
    """
    ### First sentence of some prose, headings aside
    """
    headings = {heading.text for heading in rendered.headings}
    for line in rendered.text.split("\n"):
        line = " ".join(line.split())
        if line and line not in headings:
            return re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0][:300]
    return ""


def _values(item: Any) -> list[Any]:
    return [getattr(item, each.name) for each in fields(item)]
