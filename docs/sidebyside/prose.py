"""
---
summary: How Markdown and math become safe HTML
---
# From Markdown to HTML

The prose of a section is Markdown with formulas. [markdown-it-py](https://markdown-it-py.readthedocs.io) takes it apart
into *tokens*. We walk through these once, and on the way check links, name headings, set formulas, and colour code;
then they are printed.

Prose may come from a stranger. Raw HTML passes a list of what is allowed, everything else is shown as the text it is.
At the end [nh3](https://nh3.readthedocs.io) goes over the whole once more, so that a mistake in here is not yet a hole.

Whatever an author should know is a diagnostic with the line of the *file*, not of the section.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from html import escape, unescape
from typing import Any, Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from sidebyside import highlight, math
from sidebyside.model import Diagnostic, Heading, Link, Prose, Section

# ## What raw HTML may hold
#
# The tags an author may write, each with its attributes.
RAW_HTML: Final[dict[str, frozenset[str]]] = {
    "a": frozenset({"id", "name", "href", "title"}),
    "img": frozenset({"src", "alt", "title", "width", "height"}),
    "div": frozenset({"class"}),
    "span": frozenset({"class"}),
    "details": frozenset({"open"}),
    "th": frozenset({"colspan", "rowspan", "align"}),
    "td": frozenset({"colspan", "rowspan", "align"}),
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    **dict.fromkeys(
        ("br", "sub", "sup", "kbd", "summary", "center", "table", "thead", "tbody", "tfoot", "tr", "caption"),
        frozenset(),
    ),
}

# What Markdown itself produces comes on top. An author cannot write these tags, so the attributes are our own.
PRINTED_HTML: Final[dict[str, frozenset[str]]] = {
    **RAW_HTML,
    **dict.fromkeys(("p", "em", "strong", "s", "blockquote", "ul"), frozenset()),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), frozenset({"id"})),
    "a": RAW_HTML["a"] | {"class", "rel"},
    "sup": frozenset({"class"}),
    "hr": frozenset({"class"}),
    "section": frozenset({"class"}),
    "ol": frozenset({"class", "start"}),
    "li": frozenset({"class", "id"}),
    "pre": frozenset({"class"}),
    "code": frozenset(),
    "input": frozenset({"type", "checked", "disabled", "aria-label"}),
}

# Markdown takes quadratic time where somebody opens many brackets and closes none. Nobody reads a paragraph like this.
MAX_PARAGRAPH_CHARACTERS: Final = 30_000

SAFE_SCHEMES: Final = frozenset({"http", "https", "mailto"})

# The place of something that is put in at the end
KEPT: Final = re.compile(r"([0-9a-f]{24})-([0-9]+)-")

TAG: Final = re.compile(
    r"<(?P<close>/?)(?P<tag>[A-Za-z][A-Za-z0-9-]*)"
    r"(?P<attributes>(?:\s+[A-Za-z_:@][\w:.@-]*(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'=<>`]+))?)*)\s*/?>"
)
ATTRIBUTE: Final = re.compile(r"([A-Za-z_:@][\w:.@-]*)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+)))?")


def render(section: Section, path: str, taken_anchors: set[str]) -> Prose:
    """
    ## Render the prose of a section

    * `path` names the file in diagnostics
    * `taken_anchors` are the anchors that the page has already; those of this section are added

    Links in the HTML are what the author wrote.
    """
    if not section.prose.strip():
        return Prose()
    rendering = _Rendering(section, path, taken_anchors)
    return rendering.render()


class _Rendering:
    # One section on its way from tokens to HTML

    def __init__(self, section: Section, path: str, taken_anchors: set[str]) -> None:
        self.section = section
        self.path = path
        self.taken_anchors = taken_anchors
        self.source_lines = section.prose.split("\n")
        self.headings: list[Heading] = []
        self.anchors: list[str] = []
        self.links: list[Link] = []
        self.blocks: list[str] = []
        self.math_characters: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        # Formulas and coloured code are put in after the sanitizer, which need not read them. Their places are marked
        # by a name that nobody can have written into the text, because it depends on the whole of the text.
        self.kept: list[str] = []
        self.mark = blake2b(section.prose.encode(), digest_size=12).hexdigest()

    def render(self) -> Prose:
        parser = _parser()
        env: dict[str, Any] = {"docId": str(self.section.number), "unclosed": [], "too_long": []}
        tokens = parser.parse(self.section.prose, env)
        for line in env["unclosed"]:
            self.report(line, "this $$ has no end: close the formula with $$")
        for line in env["too_long"]:
            self.report(
                line, f"this paragraph has more than {MAX_PARAGRAPH_CHARACTERS:,} characters: shown as plain text"
            )
        self.walk(tokens)
        html = _cleaner().clean(parser.renderer.render(tokens, parser.options, env))
        html = KEPT.sub(lambda match: self.kept[int(match[2])] if match[1] == self.mark else match[0], html)
        return Prose(
            html=html.strip(),
            headings=tuple(self.headings),
            anchors=tuple(self.anchors),
            links=tuple(self.links),
            text="\n".join(self.blocks),
            math_characters=frozenset(self.math_characters),
            diagnostics=tuple(self.diagnostics),
        )

    def keep(self, html: str) -> str:
        self.kept.append(html)
        return f"{self.mark}-{len(self.kept) - 1}-"

    def file_line(self, line: int) -> int:
        # From a line of the prose, counted from 0, to a line of the file
        lines = self.section.prose_lines
        return lines[min(line, len(lines) - 1)]

    def report(self, line: int, message: str, is_warning: bool = False) -> None:
        self.diagnostics.append(
            Diagnostic(self.path, self.file_line(line), message, "warning" if is_warning else "error")
        )

    # ## Walk through the tokens

    def walk(self, tokens: list[Token]) -> None:
        line = 0
        for index, token in enumerate(tokens):
            if token.map:
                line = token.map[0]
            if token.type == "inline":
                opening = tokens[index - 1]
                if opening.type == "paragraph_open" and index > 1 and tokens[index - 2].type == "list_item_open":
                    _make_task(token, tokens[index - 2])
                self.walk_inline(token.children or [], token.content, line)
                text = plain_text(token.children or []).strip()
                if opening.type == "heading_open" and text:
                    self.add_heading(opening, text)
                elif opening.type == "heading_open":
                    # A line of `####` is decoration. A heading without text would trip a screen reader.
                    opening.hidden = tokens[index + 1].hidden = True
                elif text:
                    self.blocks.append(text)
            elif token.type == "fence":
                self.add_fence(token)
            elif token.type in ("th_open", "td_open"):
                _align(token)
            elif token.type == "code_block":
                token.content = self.keep(escape(token.content.rstrip("\n"), quote=False))
            elif token.type == "math_block":
                token.content = self.math(token.content, line, display=True)
            elif token.type == "html_block":
                token.content = self.allowed_html(token.content, line)

    def walk_inline(self, tokens: list[Token], content: str, first_line: int) -> None:
        for token in tokens:
            line = first_line + content.count("\n", 0, token.meta.get("position", 0))
            if token.type == "link_open":
                self.add_link(token, "href", line)
            elif token.type == "image":
                self.add_link(token, "src", line, is_image=True)
                token.content = plain_text(token.children or [])
                self.check_description(token.content, line)
            elif token.type == "math_inline":
                token.meta["latex"] = token.content
                token.content = self.math(token.content, line, display=token.markup == "$$")
            elif token.type == "html_inline":
                token.content = self.allowed_html(token.content, line)

    # ## Headings

    def add_heading(self, opening: Token, text: str) -> None:
        anchor = slug = slugify(text)
        count = 0
        while anchor in self.taken_anchors:
            count += 1
            anchor = f"{slug}-{count}"
        self.taken_anchors.add(anchor)
        opening.attrs["id"] = anchor
        self.headings.append(Heading(int(opening.tag[1]), text, anchor, self.section.number))

    # ## Links and images

    def add_link(self, token: Token, attribute: str, line: int, is_image: bool = False) -> None:
        target = str(token.attrs.get(attribute, ""))
        if not self.is_safe(target, line):
            del token.attrs[attribute]
            return
        self.links.append(Link(target, self.file_line(line), is_image))
        if not is_image and is_external(target):
            token.attrs["rel"] = "noopener"

    def is_safe(self, target: str, line: int) -> bool:
        scheme = url_scheme(target)
        if scheme is None or scheme in SAFE_SCHEMES:
            return True
        self.report(
            line,
            f"the link to {target[:60]!r} is left out: links may begin with https:, http: or mailto:, or be relative",
        )
        return False

    def check_description(self, description: str, line: int) -> None:
        if not description.strip():
            self.report(line, "describe the image, for those who cannot see it: ![description](file)", is_warning=True)

    # ## Code

    def add_fence(self, token: Token) -> None:
        first, end = token.map or [0, 0]
        if not _is_closed(self.source_lines[first + 1 : end], token.markup):
            self.report(first, f"this code has no end: close it with a line {token.markup}")
        words = unescape(token.info).split()
        language = words[0].strip("{}.") if words else ""
        token.content = self.keep(highlight.render_snippet(token.content.rstrip("\n"), language))

    # ## Math

    def math(self, latex: str, line: int, display: bool) -> str:
        try:
            formula = math.render(latex, display)
        except math.MathError as problem:
            self.report(line, str(problem))
            return self.keep(f"<code>{escape(latex, quote=False)}</code>")
        self.math_characters |= formula.characters
        return self.keep(formula.html)

    # ## Raw HTML

    def allowed_html(self, html: str, line: int) -> str:
        """
        ### Let through what is allowed

        A tag on the list is written anew from what was understood of it. The `<` of everything else is text.
        """
        parts: list[str] = []
        end = 0
        for match in TAG.finditer(html):
            parts.append(html[end : match.start()].replace("<", "&lt;"))
            tag_line = line + html.count("\n", 0, match.start())
            parts.append(self.allowed_tag(match, tag_line) or escape(match[0], quote=False))
            end = match.end()
        parts.append(html[end:].replace("<", "&lt;"))
        return "".join(parts)

    def allowed_tag(self, match: re.Match[str], line: int) -> str:
        tag = match["tag"].lower()
        if tag not in RAW_HTML:
            return ""
        if match["close"]:
            return f"</{tag}>"
        attributes: dict[str, str] = {}
        for name, *values in ATTRIBUTE.findall(match["attributes"]):
            name, value = name.lower(), unescape("".join(values))
            if name not in RAW_HTML[tag]:
                self.report(line, f"the attribute {name} of <{tag}> is not allowed, and left out", is_warning=True)
            elif self.may_keep(name, value, line, attributes):
                attributes[name] = value
        if tag == "img" and "alt" not in attributes:
            self.check_description("", line)
        if tag == "a" and is_external(attributes.get("href", "")):
            attributes["rel"] = "noopener"
        return f"<{tag}{''.join(f' {name}=%s' % quoted(value) for name, value in attributes.items())}>"

    def may_keep(self, name: str, value: str, line: int, others: dict[str, str]) -> bool:
        if name in ("href", "src"):
            if not self.is_safe(value, line):
                return False
            self.links.append(Link(value, self.file_line(line), is_image=name == "src"))
        # `<a id="x" name="x">` is one anchor.
        if name in ("id", "name") and value not in (others.get("id"), others.get("name")):
            if not value or value in self.taken_anchors:
                self.report(line, f"the anchor {value!r} is taken already on this page: choose another")
                return False
            self.taken_anchors.add(value)
            self.anchors.append(value)
        return True


def quoted(value: str) -> str:
    return f'"{escape(value)}"'


def url_scheme(target: str) -> str | None:
    """
    ### The scheme of a URL

    Browsers skip blanks and control characters in front of it, and tabs and line ends inside, so we do as well.
    """
    compact = "".join(character for character in target if character > " " and character.isprintable())
    match = re.match(r"([^/?#:]*):", compact)
    return match[1].lower() if match else None


def is_external(target: str) -> bool:
    return target.startswith("//") or url_scheme(target) in ("http", "https")


def slugify(text: str) -> str:
    """
    ### Slug of a heading, as GitHub makes it
    """
    text = unicodedata.normalize("NFC", text).lower()
    return re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-") or "heading"


def plain_text(tokens: list[Token]) -> str:
    """
    ### Text without markup
    """
    parts: list[str] = []
    for token in tokens:
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            parts.append(" ")
        elif token.type == "math_inline":
            parts.append(token.meta.get("latex", token.content))
        elif token.type == "html_inline" and token.content.startswith("&lt;"):
            parts.append(unescape(token.content))
        elif token.type == "image":
            parts.append(plain_text(token.children or []))
    return "".join(parts)


def _is_closed(lines: list[str], markup: str) -> bool:
    # The last line of a closed fence is the fence, inside a quote perhaps.
    last = lines[-1].lstrip(" \t>").rstrip() if lines else ""
    return len(last) >= len(markup) and set(last) == {markup[0]}


def _align(cell: Token) -> None:
    # markdown-it writes a style, which the sanitizer would have to understand.
    if style := cell.attrs.pop("style", None):
        cell.attrs["align"] = str(style).removeprefix("text-align:")


def _make_task(inline: Token, item: Token) -> None:
    """
    ### Task lists

    `[ ]` and `[x]` at the start of a list item become a box.
    """
    first = inline.children[0] if inline.children else None
    if first is None or first.type != "text" or not (match := re.match(r"\[([ xX])\] ", first.content)):
        return
    first.content = first.content[match.end() :]
    box = Token("task", "", 0, meta={"is_done": match[1] != " "})
    assert inline.children is not None
    inline.children.insert(0, box)
    item.attrs["class"] = "task"


# ## The parser


@cache
def _parser() -> MarkdownIt:
    """
    ### Markdown as we read it
    """
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.use(footnote_plugin)
    parser.block.ruler.before(
        "fence", "math_block", _math_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    parser.inline.ruler.before("escape", "math_inline", _math_inline)
    parser.core.ruler.before("inline", "long_paragraphs", _set_long_paragraphs_aside)
    for name in ("link", "image", "autolink", "html_inline"):
        _remember_position(parser, name)
    # Whether a link is safe is decided where the line is known.
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    for name, rule in PRINTERS.items():
        parser.add_render_rule(name, rule)
    return parser


def _set_long_paragraphs_aside(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > MAX_PARAGRAPH_CHARACTERS:
            token.type = "plain"
            token.content = escape(token.content, quote=False)
            state.env["too_long"].append(token.map[0] if token.map else 0)


def _remember_position(parser: MarkdownIt, name: str) -> None:
    # Tokens inside a paragraph know no line. These are the ones we may have to complain about.
    rules = parser.inline.ruler
    original = next(rule.fn for rule in rules.__rules__ if rule.name == name)

    def remembering(state: StateInline, silent: bool) -> bool:
        position, count = state.pos, len(state.tokens)
        matched: bool = original(state, silent)
        for token in state.tokens[count:]:
            token.meta.setdefault("position", position)
        return matched

    rules.at(name, remembering)


def _math_inline(state: StateInline, silent: bool) -> bool:
    r"""
    ### Formulas in a line

    A dollar sign before a blank is money, and so is one whose formula would end behind a blank, as in "$x or $y".
    Before a digit it is money too, unless the closing dollar sign leaves no doubt: `$3 \times 3$` and `$256$`
    are formulas, "$5 or $6" and "$5 for 10 US$" are not.
    """
    start = state.pos
    if state.src[start] != "$":
        return False
    markup = "$$" if state.src.startswith("$$", start) else "$"
    end = _end_of_formula(state.src, start + len(markup), min(state.posMax, start + math.MAX_CHARACTERS), markup)
    if end < 0:
        return False
    if not silent:
        token = state.push("math_inline", "math", 0)
        token.content = state.src[start + len(markup) : end]
        token.markup = markup
        token.meta["position"] = start
    state.pos = end + len(markup)
    return True


# What makes a formula of something that begins with a digit
FORMULA_SIGNS: Final = re.compile(r"[\\^_={}]| [-+*/<>] |^\S+$")


def _end_of_formula(text: str, start: int, limit: int, markup: str) -> int:
    # Where the closing dollar sign stands, or -1
    first = text[start : start + 1]
    if not first or (markup == "$" and first.isspace()):
        return -1
    position = start
    while (position := text.find("$", position, limit)) >= 0:
        backslashes = len(text[start:position]) - len(text[start:position].rstrip("\\"))
        if backslashes % 2 == 0 and position > start and text.startswith(markup, position):
            break
        position += 1
    if position < 0 or ("`" in text[start:position] and text.count("`", start) > 1):
        return -1
    behind = text[position + 1 : position + 2]
    if markup == "$" and behind.isdigit():
        return -1
    if markup == "$" and text[position - 1].isspace() and (behind.isalnum() or "\\" not in text[start:position]):
        return -1
    if markup == "$" and first.isdigit() and (behind.isalpha() or not FORMULA_SIGNS.search(text[start:position])):
        return -1
    return position


def _math_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """
    ### Formulas on lines of their own

    From a line that begins with `$$` to one that ends with it.
    """
    start = state.bMarks[start_line] + state.tShift[start_line]
    if state.sCount[start_line] - state.blkIndent >= 4 or not state.src.startswith("$$", start):
        return False
    line = start_line
    text = state.src[start + 2 : state.eMarks[start_line]].rstrip()
    while "$$" not in text:
        line += 1
        if line >= end_line or (state.sCount[line] < state.blkIndent and not state.isEmpty(line)):
            if not silent:
                state.env["unclosed"].append(start_line)
            return False
        text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
    # Text behind the formula makes the whole a paragraph.
    if not text.endswith("$$") or text.count("$$") > 1:
        return False
    if silent:
        return True
    state.line = line + 1
    token = state.push("math_block", "math", 0)
    token.map = [start_line, state.line]
    token.content = state.getLines(start_line, state.line, state.blkIndent, False).strip()[2:-2]
    return True


# ## Printing
#
# The tokens whose HTML is ready, and those that look different from what markdown-it prints.

Printer = Callable[..., str]


def _print_content(_renderer: Any, tokens: list[Token], index: int, *_: Any) -> str:
    return tokens[index].content


def _print_code(_renderer: Any, tokens: list[Token], index: int, *_: Any) -> str:
    return f'<pre class="highlight"><code>{tokens[index].content}</code></pre>\n'


def _print_math_block(_renderer: Any, tokens: list[Token], index: int, *_: Any) -> str:
    return f'<div class="math">{tokens[index].content}</div>\n'


def _print_image(_renderer: Any, tokens: list[Token], index: int, *_: Any) -> str:
    token = tokens[index]
    attributes = {"src": token.attrs.get("src"), "alt": token.content, "title": token.attrs.get("title")}
    return f"<img{''.join(f' {name}={quoted(str(value))}' for name, value in attributes.items() if value is not None)}>"


def _print_task(_renderer: Any, tokens: list[Token], index: int, *_: Any) -> str:
    if tokens[index].meta["is_done"]:
        return '<input type="checkbox" checked disabled aria-label="done"> '
    return '<input type="checkbox" disabled aria-label="to do"> '


PRINTERS: Final[dict[str, Printer]] = {
    "plain": _print_content,
    "math_inline": _print_content,
    "math_block": _print_math_block,
    "html_inline": _print_content,
    "html_block": _print_content,
    "fence": _print_code,
    "code_block": _print_code,
    "image": _print_image,
    "task": _print_task,
}


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(PRINTED_HTML),
        attributes={tag: set(attributes) for tag, attributes in PRINTED_HTML.items() if attributes},
        clean_content_tags=set(),
        url_schemes=set(SAFE_SCHEMES),
        link_rel=None,
        strip_comments=True,
    )
