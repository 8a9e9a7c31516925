"""
---
summary: How LaTeX becomes MathML at build time, and what latex2mathml leaves undone
---
# Math

A formula is turned into MathML when the site is built. A browser shows that by itself, a screen reader reads it,
and nothing has to be loaded.

[latex2mathml](https://github.com/roniemartinez/latex2mathml) does the translation. It leaves a command that it does not know
in the output as it is. We look for such backslashes, and close the gaps that real papers run into.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from typing import Final
from xml.etree.ElementTree import Element

MAX_CHARACTERS: Final = 20_000


class MathError(Exception):
    """
    ## A formula that cannot be shown

    The message says what is wrong, in words for its author.
    """


@dataclass(frozen=True)
class Formula:
    """
    ## A rendered formula

    * `html` is the `<math>` element
    * `characters` are those that the math font must hold
    """

    html: str
    characters: frozenset[str]


@lru_cache(maxsize=4096)
def render(latex: str, display: bool = False) -> Formula:
    """
    ## Render a formula

    * `latex` is the formula without its dollar signs
    * `display` sets it on a line of its own

    Raises `MathError` where the formula cannot be shown.
    """
    from latex2mathml.converter import Converter

    latex = latex.strip()
    if len(latex) > MAX_CHARACTERS:
        raise MathError(f"the formula is too long: {len(latex)} characters")
    try:
        tree = Converter(display="block" if display else "inline").convert_to_element(latex)
    except Exception as problem:
        raise MathError(f"the formula is malformed: {problem or type(problem).__name__}") from None
    characters: set[str] = set()
    html = _serialize(tree, latex, characters)
    return Formula(html, frozenset(characters))


UNKNOWN = re.compile(r"\\[A-Za-z]+")


def _serialize(element: Element, latex: str, characters: set[str]) -> str:
    text = unescape(element.text or "")
    if match := UNKNOWN.search(text):
        raise MathError(f"the LaTeX command {match[0]} is not known")
    characters.update(text)
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attrib.items() if name != "xmlns")
    if element.tag == "math":
        attributes += f' alttext="{escape(latex)}"'
    children = "".join(_serialize(child, latex, characters) for child in element)
    return f"<{element.tag}{attributes}>{escape(text, quote=False)}{children}</{element.tag}>"
