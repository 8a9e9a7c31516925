r"""
---
summary: How LaTeX becomes MathML at build time, and the gaps that this closes
---
# Math

A formula becomes MathML when the site is built. A browser shows that by itself, a screen reader reads it,
and nothing has to be loaded.

[latex2mathml](https://github.com/roniemartinez/latex2mathml) does the translation. It never complains: a command
that it does not know stays in the output with its backslash, and `aligned` loses its columns without a word.
So we work on both of its sides. Before it, we write in other words what it does not understand. Behind it, we go
through the tree, repair what is left, and refuse what nobody would want to read. A formula is right
or it is an error; it is never half shown.

The tree is also where a stranger's formula is made harmless: we print it ourselves, with the attributes that we know.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from html import escape, unescape
from typing import Final
from xml.etree.ElementTree import Element

MAX_CHARACTERS: Final = 20_000


class MathError(Exception):
    """
    ## A formula that cannot be shown

    The message tells its author what is wrong.
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
    _check(latex)
    printer = _Printer()
    try:
        tree = Converter(display="block" if display else "inline").convert_to_element(in_other_words(latex))
        body = "".join(printer.print(child) for child in tree)
    except MathError:
        raise
    except Exception as problem:
        # Some of its errors carry a text, most are a class with a telling name, and a few come from Python itself.
        reason = (
            str(problem) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(problem).__name__.removesuffix("Error")).lower()
        )
        raise MathError(f"the formula is malformed: {reason}") from None
    kind = ' display="block"' if display else ""
    return Formula(f'<math{kind} alttext="{escape(latex)}">{body}</math>', frozenset(printer.characters))


# ## Before: refuse
#
# What defines something or reaches out of the formula. Definitions that double a few times over would never end,
# and a link or a style belongs into Markdown or the theme.
FORBIDDEN: Final = re.compile(
    r"\\(newcommand|renewcommand|def|gdef|let|newenvironment|DeclareMathOperator|href|url|style|class|htmlClass|includegraphics)"
    r"(?![A-Za-z])"
)

# Brackets deeper than this are no formula, and each takes the converter several frames of Python's stack.
MAX_DEPTH: Final = 30


def _check(latex: str) -> None:
    if not latex:
        raise MathError("the formula is empty")
    if len(latex) > MAX_CHARACTERS:
        raise MathError(f"the formula is too long: {len(latex):,} characters, and {MAX_CHARACTERS:,} are the most")
    if match := FORBIDDEN.search(latex):
        raise MathError(f"the LaTeX command {match[0]} is not allowed in a formula")
    depth = 0
    for match in re.finditer(r"\\(?:begin|end|left|right)(?![A-Za-z])|\\.|[{}]", latex, re.DOTALL):
        if match[0] in ("{", r"\begin", r"\left"):
            depth += 1
        elif match[0] in ("}", r"\end", r"\right"):
            depth -= 1
        if depth < 0:
            raise MathError(f"the formula is malformed: a {match[0]} closes what was never opened")
        if depth > MAX_DEPTH:
            raise MathError(f"the formula is nested more than {MAX_DEPTH} deep")
    if depth:
        raise MathError("the formula is malformed: something is opened and not closed, perhaps a {")


# ## Before: in other words
#
# Environments by the one that the converter knows and that looks the same. We do not number equations:
# the converter would give each formula of a page the number (1).
ENVIRONMENTS: Final = {
    **dict.fromkeys(
        ("align", "align*", "aligned", "alignat", "alignat*", "alignedat", "eqnarray", "eqnarray*"), "align*"
    ),
    **dict.fromkeys(("gather", "gather*", "gathered", "multline", "multline*"), "displaylines"),
    **dict.fromkeys(("equation", "equation*", "displaymath", "math"), ""),
    **dict.fromkeys(("cases", "dcases", "cases*", "dcases*"), "cases"),
    **dict.fromkeys(("rcases", "drcases"), "rcases"),
    **{name: name for name in ("split", "array", "smallmatrix", "displaylines")},
    **{name: name for kind in "pbBvV" for name in (f"{kind}matrix", f"{kind}matrix*")},
    **{name: name for name in ("matrix", "matrix*")},
    "subarray": "array",
}

DIMENSION: Final = r"-?[\d.]+\s*(?:em|ex|pt|px|mm|cm|in|mu|pc)"

Rewrite = str | Callable[[re.Match[str]], str]

REWRITES: Final[tuple[tuple[re.Pattern[str], Rewrite], ...]] = (
    # Extra space between lines, and where an environment sits on the line, are dropped.
    # The number of columns is counted anyway.
    (re.compile(rf"\\\\\s*\[{DIMENSION}\s*\]"), r"\\\\ "),
    (re.compile(r"(\\begin\s*\{(?:aligned|gathered|array|alignedat)\})\s*\[[tbc]\]"), r"\1"),
    (re.compile(r"(\\begin\s*\{(?:alignat\*?|alignedat)\})\s*\{\d+\}"), r"\1"),
    # References to equations have no place to lead to
    (re.compile(r"\\(?:label|ref|eqref)\s*\{[^{}]*\}|\\(?:notag|nonumber)(?![A-Za-z])"), " "),
    (re.compile(r"\\ensuremath(?![A-Za-z])"), ""),
    # A backslash at the end of a line is a blank
    (re.compile(r"(?<!\\)((?:\\\\)*)\\\n"), r"\1 "),
    (re.compile(r"\\textsuperscript\s*\{([^{}]*)\}"), r"^{\\text{\1}}"),
    (re.compile(r"\\textsubscript\s*\{([^{}]*)\}"), r"_{\\text{\1}}"),
    # The converter takes `\sim` for the accent on the keyboard.
    (re.compile(r"\\sim(?![A-Za-z])"), r"\\thicksim "),
    (re.compile(r"\\(?:var)?arg(?![A-Za-z])"), r"\\operatorname{arg}"),
    # Two words in front of one subscript. Without this it would stand below the second alone.
    (re.compile(r"\\operatorname\{arg\}\s*(?:\\[,;!]\s*)?\\(max|min)(?![A-Za-z])"), r"\\arg\1 "),
    (re.compile(r"\\operatorname\s*(\*?)\s*\{([^{}]*)\}"), lambda match: _operator(match[1], match[2])),
)


def in_other_words(latex: str) -> str:
    """
    ### Write it so that the converter understands
    """
    for pattern, replacement in REWRITES:
        latex = pattern.sub(replacement, latex)
    return re.sub(r"\\(begin|end)\s*\{([^{}]*)\}", lambda match: _environment(match[1], match[2].strip()), latex)


THIN_SPACE: Final = "\N{THIN SPACE}"


def _operator(star: str, name: str) -> str:
    # The converter takes letters only, drops blanks, and would leave the star standing before anything else.
    name = re.sub(r"(?:\\[,;:! ]|~|\s)+", THIN_SPACE, name.strip())
    return rf"\operatorname{star}{{{name}}}" if re.fullmatch(r"[A-Za-z\s]+", name) else rf"\text{{{name}}}"


def _environment(command: str, name: str) -> str:
    if name not in ENVIRONMENTS:
        raise MathError(f"the LaTeX environment {name!r} is not known")
    known = ENVIRONMENTS[name]
    if known == "rcases":
        return r"\left.\begin{array}{l}" if command == "begin" else r"\end{array}\right\}"
    return rf"\{command}{{{known}}}" if known else ""


# ## Behind: print the tree
#
# Attributes that may reach the page. What MathML Core does not know does no harm, and a theme can style it.
ATTRIBUTES: Final = frozenset(
    (
        *("accent", "accentunder", "depth", "displaystyle", "fence", "form", "height", "largeop", "linethickness"),
        *("lspace", "mathbackground", "mathcolor", "mathsize", "maxsize", "minsize", "movablelimits", "notation"),
        *("rspace", "scriptlevel", "separator", "stretchy", "symmetric", "voffset", "width"),
        *("columnalign", "columnlines", "columnspacing", "rowlines", "rowspacing"),
    )
)
ATTRIBUTE_VALUE: Final = re.compile(r"[\w#.+\-% ]*")

# `\small` and its kin inside `\text`, as sizes
TEXT_SIZES: Final = {
    "tiny": "0.5em",
    "scriptsize": "0.7em",
    "footnotesize": "0.8em",
    "small": "0.9em",
    "normalsize": "1em",
    "large": "1.2em",
    "Large": "1.44em",
}
TEXT_SIZE: Final = re.compile(rf"\\({'|'.join(TEXT_SIZES)})(?![A-Za-z])(?:&#x000A0;)*")
TEXT_ESCAPE: Final = re.compile(r"\\([_%&#${} ])")

COMMAND: Final = re.compile(r"\\[A-Za-z]+|\\.")


class _Printer:
    """
    ### The printer

    It prints an element and all below, and collects the characters that appear.
    """

    def __init__(self) -> None:
        self.characters: set[str] = set()

    def print(self, element: Element) -> str:
        if element.tag == "mtext" and "\\" in (element.text or ""):
            return self.print_text(element)
        text = self.text_of(element)
        self.characters.update(text)
        if element.tag == "mi" and len(text) == 1 and "mathvariant" not in element.attrib:
            if _is_upright(text, element.text or ""):
                element.set("mathvariant", "normal")
            # A browser sets a single letter in italics by taking another character from the font.
            self.characters.add(styled(text, "italic"))
        children = "".join(self.print(child) for child in element)
        return f"<{element.tag}{self.attributes_of(element)}>{escape(text, quote=False)}{children}</{element.tag}>"

    def print_text(self, element: Element) -> str:
        # `\text{C\small CA}`: each size is a text of its own.
        first, *rest = TEXT_SIZE.split(element.text or "")
        texts = [(first, "")] + [(text, TEXT_SIZES[size]) for size, text in zip(rest[::2], rest[1::2], strict=True)]
        parts = []
        for text, size in texts:
            if text:
                part = Element("mtext", {**element.attrib, **({"mathsize": size} if size else {})})
                part.text = TEXT_ESCAPE.sub(r"\1", text)
                if "\\" in part.text:
                    raise unknown(part.text)
                parts.append(self.print(part))
        return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"

    def text_of(self, element: Element) -> str:
        # The converter writes its symbols as character references, so a backslash in here is one that it left over.
        text = element.text or ""
        if "\\" in text:
            text = _symbol(text)
        text = unescape(text)
        variant = element.attrib.get("mathvariant", "normal")
        return text if variant == "normal" else "".join(styled(character, variant) for character in text)

    def attributes_of(self, element: Element) -> str:
        # Upright is the one variant that browsers know; all others are in the characters.
        attributes = {name: value for name, value in element.attrib.items() if name in ATTRIBUTES}
        if element.attrib.get("mathvariant") == "normal":
            attributes["mathvariant"] = "normal"
        return "".join(f' {name}="{value}"' for name, value in attributes.items() if ATTRIBUTE_VALUE.fullmatch(value))


def _symbol(text: str) -> str:
    """
    ### Delimiters behind `\\big`

    There the converter takes the next command as it stands.
    """
    from latex2mathml.symbols_parser import convert_symbol

    code = convert_symbol(text)
    if code is None:
        raise unknown(text)
    return f"&#x{code};"


def unknown(text: str) -> MathError:
    match = COMMAND.search(text)
    return MathError(f"the LaTeX command {match[0] if match else text} is not known")


# Names of the variants in Unicode, and of the same styles before there was a block for them
STYLES: Final = {
    "bold": ("BOLD", ""),
    "italic": ("ITALIC", ""),
    "bold-italic": ("BOLD ITALIC", ""),
    "double-struck": ("DOUBLE-STRUCK", "DOUBLE-STRUCK"),
    "script": ("SCRIPT", "SCRIPT"),
    "bold-script": ("BOLD SCRIPT", ""),
    "fraktur": ("FRAKTUR", "BLACK-LETTER"),
    "bold-fraktur": ("BOLD FRAKTUR", ""),
    "sans-serif": ("SANS-SERIF", ""),
    "bold-sans-serif": ("SANS-SERIF BOLD", ""),
    "sans-serif-italic": ("SANS-SERIF ITALIC", ""),
    "sans-serif-bold-italic": ("SANS-SERIF BOLD ITALIC", ""),
    "monospace": ("MONOSPACE", ""),
}


def _is_upright(character: str, written: str) -> bool:
    # `\mathrm{d}` arrives as the character reference of a plain letter.
    # Greek capitals and the nabla stand upright in LaTeX.
    return (character.isascii() and written != character) or character == "∇" or "Α" <= character <= "Ω"


@lru_cache(maxsize=1024)
def styled(character: str, variant: str) -> str:
    """
    ### A letter in another style

    Browsers have dropped MathML's `mathvariant`. A bold x is a character of its own in Unicode, and we find it by its
    name: `LATIN SMALL LETTER X` becomes `MATHEMATICAL BOLD SMALL X`. A few are older, as is `DOUBLE-STRUCK CAPITAL R`.
    A character that has no such twin stays as it is.
    """
    name = unicodedata.name(character, "")
    name = re.sub(r"^(?:LATIN|GREEK) (?=(?:SMALL|CAPITAL) )", "", name).replace("LETTER ", "")
    style, older = STYLES.get(variant, ("", ""))
    for candidate in (f"MATHEMATICAL {style} {name}", f"{older} {name}"):
        try:
            return unicodedata.lookup(candidate)
        except KeyError:
            continue
    return "ℎ" if (character, variant) == ("h", "italic") else character
