"""
---
summary: How code becomes coloured lines whose names lead to their documentation
---
# Highlighted code

Every line of code becomes one element with an anchor, its number, and its tokens. The whole file is coloured at
once and cut into sections afterwards, because a string may reach over many lines, and what a line means depends on
what stands above it.

[Pygments](https://pygments.org) says what each token is, [for Python with a shortcut](python_lexer.py).
[`references`](references.py) says what a name refers to; such a name carries it in `data-ref`, and
[`rendering`](rendering.py) makes a link of it where the target is known.
"""

from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from html import escape
from typing import TYPE_CHECKING, Final

from sidebyside.model import Document
from sidebyside.references import Reference, find_references

if TYPE_CHECKING:
    from pygments.lexer import Lexer
    from pygments.token import _TokenType

# Pygments calls these `Text` and `Whitespace`. They look like nothing, so they need no element.
PLAIN_CLASSES: Final = frozenset({"", "w", "err"})

Token = tuple[int, str, str]


def render(document: Document, package: str = "") -> dict[int, str]:
    """
    ## Render the code of a document

    * `package` is the dotted name of the package that the source folder is, empty where it is a plain folder

    Returns the HTML of each section that has code, by its number.
    """
    sections = [section for section in document.sections if section.code_line]
    if not sections:
        return {}
    references = find_references(document.text, document.path, package) if document.is_python else []
    lines = list(_lines(with_references(_tokens(document.text, _lexer("python")), references)))
    rendered = {}
    for section in sections:
        last = section.code_line + section.code.count("\n")
        numbers = range(section.code_line, last + 1)
        rendered[section.number] = "".join(_line(number, lines[number - 1]) for number in numbers)
    return rendered


def _line(number: int, html: str) -> str:
    return f'<span class="line" id="L{number}"><a class="lineno" href="#L{number}">{number}</a>{html}\n</span>'


def render_snippet(code: str, language: str) -> str:
    """
    ## Render a piece of code

    * `language` is a name that Pygments knows; anything else gives plain text

    Returns HTML without line numbers, for a fence in the prose.
    """
    lexer = _lexer(language)
    if lexer is None:
        return escape(code)
    return "\n".join(_lines(with_references(_tokens(code, lexer), [])))


@cache
def _lexer(language: str) -> "Lexer | None":
    # Finding a lexer by its name imports a module of Pygments; keep what was found.
    if language == "python":
        from sidebyside.python_lexer import FastPythonLexer

        return FastPythonLexer()
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(language)
    except ClassNotFound:
        return None


@cache
def _css_class(kind: "_TokenType") -> str:
    from pygments.token import STANDARD_TYPES

    while kind not in STANDARD_TYPES and kind.parent is not None:
        kind = kind.parent
    css_class = STANDARD_TYPES.get(kind, "")
    return "" if css_class in PLAIN_CLASSES else css_class


def _tokens(text: str, lexer: "Lexer | None") -> Iterator[Token]:
    # `get_tokens` would strip lines and expand tabs. The unprocessed tokens are the text, letter for letter.
    assert lexer is not None
    start, css_class, parts = 0, "", [""]
    for position, kind, value in lexer.get_tokens_unprocessed(text):
        next_class = _css_class(kind)
        # Pygments hands out a string in pieces: quotes, text, escapes. What looks the same is one element.
        if next_class == css_class and not css_class.startswith("n"):
            parts.append(value)
        else:
            yield start, css_class, "".join(parts)
            start, css_class, parts = position, next_class, [value]
    yield start, css_class, "".join(parts)


def with_references(tokens: Iterable[Token], references: list[Reference]) -> Iterator[tuple[str, str]]:
    """
    ## Tokens with references

    Yields the class of each token and its HTML. A reference lies inside one token; Pygments takes a whole
    dotted name behind `import` as one token, so one token may hold several.
    """
    pending = iter(references)
    start, end, target = next(pending, (-1, -1, ""))
    for position, css_class, value in tokens:
        token_end = position + len(value)
        if start < 0 or start >= token_end:
            yield css_class, value
            continue
        done = position
        while 0 <= start < token_end:
            if start >= done and end <= token_end and css_class.startswith("n"):
                if start > done:
                    yield css_class, value[done - position : start - position]
                yield f'{css_class}" data-ref="{escape(target)}', value[start - position : end - position]
                done = end
            start, end, target = next(pending, (-1, -1, ""))
        if done < token_end:
            yield css_class, value[done - position :]


def _lines(tokens: Iterable[tuple[str, str]]) -> Iterator[str]:
    """
    ## Lines

    Yields the HTML of each line without its end. A token that reaches over lines is closed and opened again.
    """
    parts: list[str] = []
    for css_class, value in tokens:
        first, *rest = value.split("\n") if "\n" in value else (value,)
        parts.append(_element(css_class, first))
        for text in rest:
            yield "".join(parts)
            parts = [_element(css_class, text)]
    yield "".join(parts)


@lru_cache(maxsize=20_000)
def _element(css_class: str, text: str) -> str:
    # A few hundred tokens make up most of a program, so what was printed once is kept.
    html = escape(text, quote=False)
    return f'<span class="{css_class}">{html}</span>' if css_class and text else html
