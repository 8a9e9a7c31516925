"""
---
summary: How a Python or Markdown file is taken apart into sections of prose and code
---
# From a source file to sections

An annotated file is an ordinary Python module. Its docstrings and the comments that have a line to
themselves are *prose*, the rest is *code*. This module finds out which line is which, and where a
[section](model.py) begins. It loses nothing: each line is blank, or prose of one section, or code of one section.

Python itself says what is a string, a comment or a definition. We ask its tokenizer and its syntax tree,
so that a `#` inside a string stays a `#` inside a string. Nothing is ever imported or executed.

A file from a stranger may be anything. Whatever is wrong with it becomes a
[diagnostic](model.py), and [`parse`](#parse) always returns.
"""

import ast
import bisect
import codecs
import io
import re
import tokenize
import unicodedata
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

import yaml

from sidebyside.model import Diagnostic, Document, Section

# Beyond these sizes a file is data rather than something to read, and a browser would choke on the page.
# The standard library's largest module is below 1 MB.
MAX_FILE_BYTES: Final = 5_000_000
MAX_LINE_CHARACTERS: Final = 200_000

# ## Comments for tools
#
# Editors, linters and the interpreter read these. They stay code.
TOOL_COMMENT: Final = re.compile(r"#\s*(?:(?:type|pragma|fmt|pylint|ruff|mypy|isort):|noqa\b|%%)", re.IGNORECASE)

# The declaration of the encoding as [PEP 263](https://peps.python.org/pep-0263/) spells it.
# It counts in the first two lines.
ENCODING_COMMENT: Final = re.compile(r"#.*?coding[:=][ \t]*[-\w.]+")

# Escapes that mean a character and could not be the start of a LaTeX command, because Python
# would refuse `\xi` and `\upsilon` in a string without the `r`.
CHARACTER_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]+)\})")

STRING_TOKEN: Final = re.compile(r"([rRuU]*)('''|\"\"\"|'|\")(.*)\2\Z", re.DOTALL)

# Encodings of host names. Python would accept them here, and decoding a big file takes forever.
UNWANTED_ENCODINGS: Final = frozenset({"idna", "punycode"})

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ProseLine = tuple[int, str]


class Unreadable(Exception):
    """
    ## A file that cannot be shown

    It carries the line where reading stopped. It never leaves this module.
    """

    def __init__(self, message: str, line: int = 1):
        super().__init__(message)
        self.message = message
        self.line = max(line, 1)


def parse(data: bytes, path: str) -> Document:
    """
    ## Parse a file

    * `data` are the bytes of the file
    * `path` is its path relative to the source folder; the extension says whether it is Python or Markdown

    Returns a document. Where the file cannot be read, the document has no sections and an error that says why.
    This function does not raise, whatever the bytes are.
    """
    text = ""
    try:
        text = decode(data, is_python=path.endswith(".py"))
        if path.endswith(".py"):
            return _parse_python(text, path)
        return _parse_markdown(text, path)
    except Unreadable as problem:
        return Document(path, text, diagnostics=(Diagnostic(path, problem.line, problem.message),))


# ## Bytes to text


def decode(data: bytes, is_python: bool) -> str:
    """
    ### Decode

    Python files say their encoding by a byte order mark or in one of their first two lines;
    everything else is UTF-8. Line ends become `\\n`.
    """
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(
            f"the file is passed over: it has {len(data) / 1e6:.1f} MB, "
            f"and at most {MAX_FILE_BYTES / 1e6:.0f} MB are shown"
        )
    if (null := data.find(b"\0")) >= 0 and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise Unreadable("the file holds a null byte, so it is no text", _line_of(data, null))
    encoding = _encoding(data) if is_python else "utf-8-sig"
    if encoding in UNWANTED_ENCODINGS:
        raise Unreadable(f"the file declares the encoding {encoding}, which no source file has")
    try:
        text = data.decode(encoding)
        text.encode("utf-8")
    except LookupError:
        raise Unreadable(f"the file declares {encoding}, which is no encoding of text") from None
    except UnicodeError as problem:
        position = problem.start if isinstance(problem, UnicodeDecodeError) else 0
        raise Unreadable(
            f"the file is not valid {encoding.removesuffix('-sig')}: "
            "save it as UTF-8, or declare its encoding in line 1",
            _line_of(data, position),
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    _refuse_long_lines(text)
    return text


def _encoding(data: bytes) -> str:
    # `readline` of a `BytesIO` is what `tokenize` wants. It looks at two lines only.
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as problem:
        if "unknown encoding" in str(problem.msg):
            raise Unreadable(f"the file declares an encoding that Python does not know: {problem.msg}") from None
        # The first lines are no UTF-8 and declare nothing else. Decoding them will say where.
        return "utf-8"


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _refuse_long_lines(text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise Unreadable(
                f"the file is passed over: this line has {len(line):,} characters, "
                f"and at most {MAX_LINE_CHARACTERS:,} are shown",
                number,
            )


# ## Markdown


def _parse_markdown(text: str, path: str) -> Document:
    # A Markdown file is front matter and one section that holds all the prose.
    lines = list(enumerate(text.split("\n"), 1))
    lines, front_matter, diagnostics = take_front_matter(lines, path)
    sections = _finish([_Draft(prose=_trimmed(lines))], Layout([]))
    return Document(path, text, front_matter, sections, tuple(diagnostics))


# ## Python


def _parse_python(text: str, path: str) -> Document:
    lines = text.split("\n")
    layout = Layout(lines)
    _read_tree(syntax_tree(text), layout)
    _read_tokens(text, layout)

    front_matter: dict[str, Any] = {}
    diagnostics: list[Diagnostic] = []
    if (docstring := layout.strings.get(layout.module_docstring)) is not None:
        docstring.prose, front_matter, diagnostics = take_front_matter(docstring.prose, path)
    return Document(path, text, front_matter, _divide(layout), tuple(diagnostics))


@lru_cache(maxsize=2)
def syntax_tree(text: str) -> ast.Module:
    """
    ### The syntax tree

    Highlighting asks for the same tree again, so the last ones are kept. Nobody may change them.

    Raises `Unreadable` where Python would not accept the file.
    """
    try:
        with warnings.catch_warnings():
            # An invalid escape in somebody's string is not for us to print.
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as problem:
        raise Unreadable(f"the file does not parse: {problem.msg}", problem.lineno or 1) from None
    except (RecursionError, MemoryError):
        raise Unreadable("the file does not parse: it is nested too deeply") from None
    except ValueError as problem:
        raise Unreadable(f"the file does not parse: {problem}") from None


@dataclass
class StringStatement:
    """
    ## A string that stands alone as a statement

    * `last_line` is where it ends
    * `prose` are its dedented lines, each with its number in the file
    * `directly_below` is the first line of the statement that ends in the line above, 0 where there is none
    """

    last_line: int
    prose: list[ProseLine]
    directly_below: int = 0


@dataclass
class Layout:
    """
    ## What stands on which line

    The tokenizer and the syntax tree both write into it.

    * `comments` are the comments that have their line to themselves, without those for tools;
       the text of a bare `#` is empty
    * `strings` are found by their first line
    * `first_decorator` leads from the line of a `def` or `class` to the line of the first decorator above
    * `definitions` are the line of the `def` or `class`, its dotted name, and the line of its docstring or 0
    * `attribute_strings` are the lines of strings below an attribute
    """

    lines: list[str]
    comments: dict[int, str] = field(default_factory=dict)
    strings: dict[int, StringStatement] = field(default_factory=dict)
    first_decorator: dict[int, int] = field(default_factory=dict)
    definitions: list[tuple[int, str, int]] = field(default_factory=list)
    attribute_strings: set[int] = field(default_factory=set)
    module_docstring: int = 0

    def is_blank(self, line: int) -> bool:
        return not self.lines[line - 1].strip()


def _read_tree(tree: ast.Module, layout: Layout) -> None:
    """
    ### Read the tree

    Only statements are visited: definitions do not hide inside expressions.
    """
    layout.module_docstring = _docstring_line(tree)
    blocks: list[tuple[list[Any], str, ast.AST]] = [(tree.body, "", tree)]
    while blocks:
        block, prefix, holder = blocks.pop()
        previous: ast.AST | None = None
        for node in block:
            if isinstance(node, Definition):
                name = prefix + node.name
                layout.definitions.append((node.lineno, name, _docstring_line(node)))
                blocks.append((node.body, name + ".", node))
            elif isinstance(node, ast.Expr):
                if previous is not None and _is_attribute(previous, holder):
                    layout.attribute_strings.add(node.lineno)
            else:
                for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                    if inner := getattr(node, name, None):
                        blocks.append((inner, prefix, holder))
            previous = node
    layout.definitions.sort()


def _docstring_line(node: ast.Module | Definition) -> int:
    first = node.body[0] if node.body else None
    return first.lineno if isinstance(first, ast.Expr) else 0


def _is_attribute(node: ast.AST, holder: ast.AST) -> bool:
    """
    ### Attributes

    What [PEP 257](https://peps.python.org/pep-0257/) lets a string document: a simple assignment in a module,
    in a class, or to an attribute of `self` in `__init__`.
    """
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return False
    if isinstance(holder, ast.FunctionDef | ast.AsyncFunctionDef):
        return holder.name == "__init__" and all(isinstance(target, ast.Attribute) for target in targets)
    return all(isinstance(target, ast.Name) for target in targets)


# The kinds of tokens that say nothing about where a statement begins.
LAYOUT_TOKENS: Final = frozenset({tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER})

# Since Python 3.12 the parts of an f-string are tokens. A comment in there belongs to the string.
STRING_STARTS: Final = {getattr(tokenize, name, None) for name in ("FSTRING_START", "TSTRING_START")} - {None}
STRING_ENDS: Final = {getattr(tokenize, name, None) for name in ("FSTRING_END", "TSTRING_END")} - {None}


def _read_tokens(text: str, layout: Layout) -> None:
    """
    ### Read the tokens

    We walk from one logical line to the next, which is what ends with the token `NEWLINE`.
    """
    lines = layout.lines
    first: tokenize.TokenInfo | None = None
    tokens_in_line = open_strings = decorator = 0
    trailing_comment = ""
    previous_first, previous_last = 0, 0
    for token in _tokens(text):
        kind, string, (row, _), _, _ = token
        if kind == tokenize.COMMENT:
            if open_strings:
                continue
            if not lines[row - 1].lstrip().startswith("#"):
                trailing_comment = string
            elif not is_tool_comment(string, row):
                layout.comments[row] = _comment_text(string)
        elif kind == tokenize.NEWLINE:
            if first is not None:
                if tokens_in_line == 1 and first.type == tokenize.STRING:
                    below = previous_first if previous_last + 1 == first.start[0] else 0
                    _add_string(first, trailing_comment, below, layout)
                if first.string == "@":
                    decorator = decorator or first.start[0]
                else:
                    if decorator:
                        layout.first_decorator[first.start[0]] = decorator
                    decorator = 0
                previous_first, previous_last = first.start[0], row
            first = None
            tokens_in_line = 0
            trailing_comment = ""
        elif kind not in LAYOUT_TOKENS:
            if first is None:
                first = token
            tokens_in_line += 1
            if kind in STRING_STARTS:
                open_strings += 1
            elif kind in STRING_ENDS:
                open_strings -= 1


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError) as problem:
        raise Unreadable(f"the file does not parse: {problem.args[0]}") from None


def is_tool_comment(comment: str, line: int) -> bool:
    """
    ### Is a comment for a tool?

    `#!` counts in line 1, the encoding in lines 1 and 2.
    """
    if line == 1 and comment.startswith("#!"):
        return True
    if line <= 2 and ENCODING_COMMENT.match(comment):
        return True
    return TOOL_COMMENT.match(comment) is not None


def _comment_text(comment: str) -> str:
    return comment[1:].removeprefix(" ").rstrip("\f\r") if comment[1:].strip() else ""


def _add_string(token: tokenize.TokenInfo, comment: str, directly_below: int, layout: Layout) -> None:
    first_line, last_line = token.start[0], token.end[0]
    behind = layout.lines[last_line - 1][token.end[1] :].strip()
    # `"""text""" \` goes on in the next line. Rare enough to be code.
    if behind and not behind.startswith("#"):
        return
    if (parts := STRING_TOKEN.match(token.string)) is None:
        return
    prefix, _, body = parts.groups()
    prose = dedent(body if "r" in prefix.lower() else plain_escapes(body), first_line)
    if not prose:
        return
    if comment:
        # Behind a docstring, what is said to a reader is prose too; what is said to a linter only takes its line.
        text = "" if is_tool_comment(comment, last_line) else _comment_text(comment)
        if prose[-1][0] == last_line:
            prose[-1] = (last_line, f"{prose[-1][1]} {text}".rstrip())
        else:
            prose.append((last_line, text))
    layout.strings[first_line] = StringStatement(last_line, prose, directly_below)


def dedent(body: str, first_line: int) -> list[ProseLine]:
    """
    ### Dedent a docstring

    The way `inspect.cleandoc` does: the first line by all of its indentation, the others by what they share.
    Blank lines at both ends go. Each line keeps the number of the line it came from.
    """
    lines = body.expandtabs().split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    dedented = [lines[0].lstrip(), *(line[margin:] for line in lines[1:])]
    return _trimmed(list(enumerate(dedented, first_line)))


def plain_escapes(body: str) -> str:
    """
    ### Escapes in a docstring without `r`

    Authors write `$\\theta$` in docstrings and forget the `r`; to Python the `\\t` is then a tab. So we take
    such a string as it is written. Three things are certain to be meant as Python reads them:
    a quote behind a backslash, a character by its number or name, and a backslash that
    joins two lines. And where every backslash is doubled, an author took care, and means one.
    """
    if "\\" not in body:
        return body
    body = CHARACTER_ESCAPE.sub(_named_character, body)
    pairs = set(re.findall(r"\\(.)", body, re.DOTALL)) - {"'", '"', "\n"}
    body = re.sub(r"(?<!\\)((?:\\\\)*)\\(?=['\"\n])", r"\1", body)
    return body.replace("\\\\", "\\") if pairs == {"\\"} else body


def _named_character(escape: re.Match[str]) -> str:
    *codes, name = escape.groups()
    code = next((int(code, 16) for code in codes if code), None)
    try:
        character = unicodedata.lookup(name) if name else chr(code or 0)
    except (KeyError, ValueError):
        return escape[0]
    return character if character.isprintable() else escape[0]


def _trimmed(lines: list[ProseLine]) -> list[ProseLine]:
    start, end = 0, len(lines)
    while start < end and not lines[start][1].strip():
        start += 1
    while start < end and not lines[end - 1][1].strip():
        end -= 1
    return lines[start:end]


# ## Sections


@dataclass
class _Draft:
    # A section while it grows. Its code is a range of lines, because prose in between would have begun a new section.
    prose: list[ProseLine] = field(default_factory=list)
    code_first: int = 0
    code_last: int = 0
    is_complete: bool = False
    # Does its prose come from comments, so that more comments may follow?
    takes_comments: bool = False

    def add_code(self, first: int, last: int) -> None:
        self.code_first = self.code_first or first
        self.code_last = last

    @property
    def is_empty(self) -> bool:
        return not self.prose and not self.code_first


class _Divider:
    """
    ### The rules

    Each method takes what begins at a line, and returns the line where to go on.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.drafts = [_Draft()]
        # Where a documented definition begins, and where its docstring is
        self.documented: dict[int, int] = {}
        self.undocumented: set[int] = set()
        for line, _, docstring in layout.definitions:
            first = layout.first_decorator.get(line, line)
            if docstring in layout.strings:
                self.documented[first] = docstring
            else:
                self.undocumented.add(first)
        strings = layout.strings
        self.attributes = {strings[line].directly_below for line in layout.attribute_strings if line in strings} - {0}

    def divide(self) -> list[_Draft]:
        layout = self.layout
        line = 1
        while line <= len(layout.lines):
            if line in self.documented:
                line = self.add_documented(line)
            elif line in layout.strings:
                line = self.add_string(line)
            else:
                if line in layout.comments:
                    self.add_comment(line)
                elif not layout.is_blank(line):
                    self.add_code(line)
                line += 1
        return self.drafts

    @property
    def current(self) -> _Draft:
        return self.drafts[-1]

    def open(self) -> _Draft:
        if not self.current.is_empty:
            self.drafts.append(_Draft())
        return self.current

    def add_code(self, line: int) -> None:
        draft = self.current
        if draft.is_complete or self._stands_alone(line):
            draft = self.open()
        draft.add_code(line, line)

    def _stands_alone(self, line: int) -> bool:
        draft = self.current
        if line in self.undocumented:
            return bool(draft.prose)
        # An attribute with a string below has a section of its own, which the comment above it may have opened.
        return line in self.attributes and bool(draft.code_first or not draft.takes_comments)

    def add_comment(self, line: int) -> None:
        draft = self.current
        continues = draft.takes_comments and not draft.code_first
        if not self.layout.comments[line]:
            # A bare `#` between two comments parts paragraphs; anywhere else it makes the code behind it stand free.
            if not (continues and self._comment_follows(line)):
                self.open()
            return
        if not continues:
            draft = self.open()
            draft.takes_comments = True
        draft.prose += [(blank, "") for blank in range(draft.prose[-1][0] + 1, line)] if draft.prose else []
        draft.prose.append((line, self.layout.comments[line]))

    def _comment_follows(self, line: int) -> bool:
        layout = self.layout
        while line <= len(layout.lines) and (layout.is_blank(line) or layout.comments.get(line) == ""):
            line += 1
        return line in layout.comments

    def add_string(self, line: int) -> int:
        string = self.layout.strings[line]
        if line in self.layout.attribute_strings and string.directly_below:
            self._join(string)
            self.current.is_complete = True
        elif line == self.layout.module_docstring and not self.current.prose:
            # What stands before it, if anything, are lines for the interpreter. The module's own prose comes first
            # on the page all the same, with these beside it as a signature is beside its docstring.
            self._join(string)
            self.current.is_complete = bool(self.current.code_first)
        else:
            self.open()
            self._join(string)
        return string.last_line + 1

    def _join(self, string: StringStatement) -> None:
        draft = self.current
        if draft.prose and string.prose:
            draft.prose.append((string.prose[0][0], ""))
        draft.prose += string.prose

    def add_documented(self, line: int) -> int:
        # The signature is what stands before the docstring, comments inside it included.
        layout = self.layout
        docstring = self.documented[line]
        draft = self.open()
        last = docstring - 1
        while layout.is_blank(last) or last in layout.comments:
            last -= 1
        draft.add_code(line, last)
        # A comment between the two is read before the docstring.
        draft.prose += [
            (between, layout.comments[between])
            for between in range(last + 1, docstring)
            if layout.comments.get(between)
        ]
        self._join(layout.strings[docstring])
        draft.is_complete = True
        return layout.strings[docstring].last_line + 1


def _divide(layout: Layout) -> tuple[Section, ...]:
    return _finish(_Divider(layout).divide(), layout)


def _finish(drafts: list[_Draft], layout: Layout) -> tuple[Section, ...]:
    drafts = [draft for draft in drafts if not draft.is_empty]
    definitions = _definitions_by_section(drafts, layout)
    return tuple(
        Section(
            number=number,
            prose="\n".join(text for _, text in draft.prose),
            prose_lines=tuple(line for line, _ in draft.prose),
            code="\n".join(layout.lines[draft.code_first - 1 : draft.code_last]) if draft.code_first else "",
            code_line=draft.code_first,
            definitions=tuple(definitions[number]),
        )
        for number, draft in enumerate(drafts)
    )


def _definitions_by_section(drafts: list[_Draft], layout: Layout) -> list[list[str]]:
    # Overloads and property setters define a name again. It is an anchor, so the first keeps it.
    found: list[list[str]] = [[] for _ in drafts]
    starts = [(draft.code_first, number) for number, draft in enumerate(drafts) if draft.code_first]
    seen: set[str] = set()
    for line, name, _ in layout.definitions:
        if name not in seen:
            seen.add(name)
            found[starts[bisect.bisect_right(starts, (line, len(drafts))) - 1][1]].append(name)
    return found


# ## Front matter


class _FrontMatterLoader(yaml.SafeLoader):
    # An alias lets a few lines of YAML stand for gigabytes.
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="aliases (*name) are not allowed", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)


def take_front_matter(lines: list[ProseLine], path: str) -> tuple[list[ProseLine], dict[str, Any], list[Diagnostic]]:
    """
    ### Take the front matter

    * `lines` are the lines of a module docstring or a Markdown file

    Returns the lines that are left, what the front matter says, and what is wrong with it.
    """
    if not lines or lines[0][1].rstrip() != "---":
        return lines, {}, []
    first = lines[0][0]
    end = next((index for index, (_, text) in enumerate(lines[1:], 1) if text.rstrip() == "---"), None)
    if end is None:
        # A file may well begin with a thematic break.
        if len(lines) > 1 and re.match(r"\w+:(\s|$)", lines[1][1]):
            return lines, {}, [Diagnostic(path, first, "the front matter has no end: close it with a line ---")]
        return lines, {}, []
    rest = _trimmed(lines[end + 1 :])
    try:
        values = yaml.load("\n".join(text for _, text in lines[1:end]), _FrontMatterLoader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        reason = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        line = lines[min(1 + mark.line, end)][0] if mark else first
        return rest, {}, [Diagnostic(path, line, f"the front matter is not valid YAML: {reason}")]
    except (ValueError, RecursionError) as problem:
        return rest, {}, [Diagnostic(path, first, f"the front matter is not valid YAML: {problem}")]
    if values is None:
        return rest, {}, []
    if not isinstance(values, dict):
        return lines, {}, [Diagnostic(path, first, "the front matter holds no keys: write lines like `title: …`")]
    return rest, *_checked(values, lines[:end], path)


def _checked(values: dict[Any, Any], lines: list[ProseLine], path: str) -> tuple[dict[str, Any], list[Diagnostic]]:
    """
    ### Check what is known

    A key that we know and whose value we cannot use is reported and left out.
    All others go to the template as they are.
    """
    front_matter: dict[str, Any] = {}
    diagnostics: list[Diagnostic] = []
    for key, value in values.items():
        key = str(key)
        if key in ("title", "summary", "example") and isinstance(value, int | float | date):
            value = str(value)
        wanted = _wanted(key, value)
        if wanted:
            line = next((line for line, text in lines if text.startswith(f"{key}:")), lines[0][0])
            diagnostics.append(Diagnostic(path, line, f"`{key}` in the front matter must be {wanted}"))
        else:
            front_matter[key] = value
    return front_matter, diagnostics


def _wanted(key: str, value: Any) -> str:
    if key in ("title", "summary", "example"):
        return "" if isinstance(value, str) and value.strip() else "text"
    if key == "symbols":
        is_right = isinstance(value, dict) and all(isinstance(part, str) for pair in value.items() for part in pair)
        return "" if is_right else "a mapping of names, like `{b: batch_size}`"
    return ""
