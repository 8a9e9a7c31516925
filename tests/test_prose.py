"""Markdown, formulas and raw HTML become safe HTML, and what is wrong is said with the line of the file."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidebyside import prose
from sidebyside.model import Heading, Link, Prose, Section


def render(text: str, number: int = 0, first_line: int = 1, taken: set[str] | None = None) -> Prose:
    lines = tuple(range(first_line, first_line + text.count("\n") + 1))
    return prose.render(Section(number, text, lines), "a.py", set() if taken is None else taken)


def html(text: str) -> str:
    return render(text).html


def complaints(text: str) -> list[tuple[int, str, str]]:
    return [(d.line, d.severity, d.message) for d in render(text, first_line=10).diagnostics]


# ## Markdown


def test_commonmark() -> None:
    assert html("Some *text* with **weight** and `code`.\n\n* one\n* two") == (
        "<p>Some <em>text</em> with <strong>weight</strong> and <code>code</code>.</p>\n"
        "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"
    )


def test_no_prose_is_nothing() -> None:
    assert render("") == Prose()
    assert render(" \n ") == Prose()


def test_tables_keep_their_alignment() -> None:
    table = html("| a | b |\n|---|--:|\n| 1 | 2 |")
    assert '<th>a</th>\n<th align="right">b</th>' in table
    assert '<td>1</td>\n<td align="right">2</td>' in table


def test_strikethrough() -> None:
    assert html("~~old~~") == "<p><s>old</s></p>"


def test_task_lists() -> None:
    tasks = html("- [x] one\n- [ ] two\n- [other] three")
    assert '<li class="task"><input type="checkbox" checked="" disabled="" aria-label="done"> one</li>' in tasks
    assert '<li class="task"><input type="checkbox" disabled="" aria-label="to do"> two</li>' in tasks
    assert "<li>[other] three</li>" in tasks


def test_footnotes_have_ids_of_their_section() -> None:
    first = render("Text[^a]\n\n[^a]: Note", number=3).html
    second = render("Text[^a]\n\n[^a]: Note", number=4).html
    ids = re.findall(r'id="([^"]*)"', first) + re.findall(r'id="([^"]*)"', second)
    assert ids == ["fnref-3-1", "fn-3-1", "fnref-4-1", "fn-4-1"]
    assert 'href="#fn-3-1"' in first


def test_headings_have_anchors_like_on_github() -> None:
    taken = {"section-0", "PatchPool"}
    rendered = render("# Patch pooling, again!\n## `d_model` and $h$\n## Ünïcode_x-y", 2, taken=taken)
    assert rendered.headings == (
        Heading(1, "Patch pooling, again!", "patch-pooling-again", 2),
        Heading(2, "d_model and h", "d_model-and-h", 2),
        Heading(2, "Ünïcode_x-y", "ünïcode_x-y", 2),
    )
    assert '<h1 id="patch-pooling-again">' in rendered.html
    assert taken >= {"patch-pooling-again", "d_model-and-h"}


def test_anchors_of_headings_are_unique() -> None:
    taken = {"same-1"}
    assert [heading.anchor for heading in render("# Same\n# Same\n# Same", taken=taken).headings] == [
        "same",
        "same-2",
        "same-3",
    ]
    assert [heading.anchor for heading in render("# Same", taken=taken).headings] == ["same-4"]


def test_a_heading_without_text_is_decoration() -> None:
    rendered = render("text\n\n#####\n\nmore")
    assert rendered.headings == ()
    assert "<h" not in rendered.html


def test_fenced_code_is_highlighted() -> None:
    assert html("```python\nimport os\n\nx = '<'\n```") == (
        '<pre class="highlight"><code><span class="kn">import</span> <span class="nn">os</span>\n\n'
        '<span class="n">x</span> <span class="o">=</span> <span class="s1">\'&lt;\'</span></code></pre>'
    )
    assert html("```nonsense\n<b>\n```") == '<pre class="highlight"><code>&lt;b&gt;</code></pre>'
    assert html("    indented <b>") == '<pre class="highlight"><code>indented &lt;b&gt;</code></pre>'


def test_plain_text_for_search() -> None:
    rendered = render("# Title\n\nSome *text* with `code`,\na [link](x) and $h$.\n\n* item\n\n```\ncode\n```")
    assert rendered.text == "Some text with code, a link and h.\nitem"


# ## Formulas


@pytest.mark.parametrize(
    "text",
    [
        "$x$",
        "($x$)",
        "$x$-axis",
        "the $i$th",
        "$x_1$ and $y_2$",
        "$3 \\times 3$",
        "$256$",
        "$0 < d$",
        "$f(x) \\cdot $",
        "$a *b* c*$",
        "| $x$ |\n|---|\n| $y$ |",
        "# $x$",
        "* $x$",
        "$$x$$",
        "text $$x$$ text",
        "$$\nx\n$$",
        "$$\nx\n\ny\n$$",
        "* $$\n  x\n  $$",
        "> $$x$$",
        "text\n$$x$$\ntext",
    ],
)
def test_formulas(text: str) -> None:
    rendered = html(text)
    assert "<math" in rendered
    assert "$" not in re.sub(r'alttext="[^"]*"', "", rendered)


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "costs $5, $x",
        "between $5 and 10 US$.",
        "$ x $",
        "$HOME and $PATH",
        "\\$x\\$",
        "\\$x$",
        "`$x$`",
        "$x `code$`",
        "```\n$x$\n```",
        "    $x$",
        "a $",
        "$x",
        "$$",
        "[link](http://x.y/$a$)",
    ],
)
def test_money_and_code_are_no_formulas(text: str) -> None:
    assert "<math" not in html(text)


def test_an_escaped_dollar_is_a_dollar() -> None:
    assert html("\\$5 \\$x$ $y$").startswith("<p>$5 $x$ <math")


def test_display() -> None:
    assert html("$$x$$") == ('<div class="math"><math display="block" alttext="x"><mrow><mi>x</mi></mrow></math></div>')
    assert html("$x$") == '<p><math alttext="x"><mrow><mi>x</mi></mrow></math></p>'


def test_characters_for_the_font() -> None:
    assert render("$h + \\alpha$").math_characters == frozenset("h+αℎ𝛼")


def test_a_formula_that_cannot_be_shown_is_a_diagnostic() -> None:
    assert complaints("Text\n\n* with `$`, `\n  ` and\n  $\\foo$") == [
        (14, "error", "the LaTeX command \\foo is not known")
    ]
    assert html("$\\foo < 1$") == "<p><code>\\foo &lt; 1</code></p>"
    assert complaints("a\n\n$$\n\\frac{a\n$$")[0][:2] == (12, "error")
    assert complaints("a\n\n$$\nx")[0] == (12, "error", "this $$ has no end: close the formula with $$")


# ## Links and images


def test_links_are_listed_as_written() -> None:
    rendered = render(
        "[a](../b/__init__.py#x)\n![c](d.png)\n<a href='e'>f</a>\n<https://g.h>\n\n[i]\n\n[i]: j", first_line=5
    )
    assert rendered.links == (
        Link("../b/__init__.py#x", 5),
        Link("d.png", 6, is_image=True),
        Link("e", 7),
        Link("https://g.h", 8),
        Link("j", 10),
    )
    assert '<a href="../b/__init__.py#x">a</a>' in rendered.html
    assert '<a href="https://g.h" rel="noopener">' in rendered.html


def test_lines_are_those_of_the_file() -> None:
    text = "See\n[a](b\n) and `code\nspan` and [c](d)\n\n| x |\n|---|\n| [e](f) |\n\n> * [g](h)"
    assert [(link.target, link.line) for link in render(text, first_line=100).links] == [
        ("b", 101),
        ("d", 103),
        ("f", 107),
        ("h", 109),
    ]


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "&#106;avascript:alert(1)",
        "java&Tab;script:alert(1)",
        "vbscript:x",
        "data:text/html,x",
        "data:image/png;base64,x",
        "file:///etc/passwd",
        "blob:x",
    ],
)
@pytest.mark.parametrize(
    "form", ["[a]({})", "![a]({})", "<a href='{}'>a</a>", "<img alt='a' src='{}'>", "[a]\n\n[a]: {}"]
)
def test_unsafe_links_are_refused(target: str, form: str) -> None:
    rendered = render(form.format(target))
    assert [d.severity for d in rendered.diagnostics] == ["error"]
    assert "left out" in rendered.diagnostics[0].message
    assert not re.search(r"(href|src)=", rendered.html)
    assert rendered.links == ()


def test_control_characters_before_a_scheme_do_not_hide_it() -> None:
    assert prose.url_scheme(" \x01\x7f\u200bjava\n\tscript:x") == "javascript"
    assert prose.url_scheme("a/b:c") is None
    assert prose.url_scheme("#a:b") is None


def test_an_image_needs_a_description() -> None:
    assert [complaint[:2] for complaint in complaints("text\n![](a.png)\n<img src='b.png'>")] == [
        (11, "warning"),
        (12, "warning"),
    ]
    assert complaints("![What it shows](a.png) <img src='b.png' alt='b'> <img src='c.png' alt=''>") == []
    assert html("![a *b* $x$](c.png)") == '<p><img src="c.png" alt="a b x"></p>'


# ## Code


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\n\n```python\nx", [12]),
        ("a\n\n```\nx\n~~~", [12]),
        ("````\nx\n```", [10]),
        ("* ```\n  x\n\ntext", [10]),
        ("```\nx\n```", []),
        ("```\n```", []),
        ("~~~~\n```\n~~~~~", []),
        ("> ```\n> x\n> ```", []),
        ("* ```\n  x\n  ```", []),
    ],
)
def test_a_fence_without_end(text: str, lines: list[int]) -> None:
    found = complaints(text)
    assert [line for line, _, _ in found] == lines
    assert all("has no end" in message for _, _, message in found)


# ## Raw HTML


@pytest.mark.parametrize(
    "text",
    [
        '<a id="x"></a>',
        '<a name="x" href="y" title="z">t</a>',
        '<img src="a.png" alt="b" width="10" height="20">',
        "a<br>b",
        "x<sub>1</sub><sup>2</sup>",
        "<kbd>j</kbd>",
        '<span class="a">b</span>',
    ],
)
def test_allowed_html_passes(text: str) -> None:
    assert html(f"Text {text}") == f"<p>Text {text}</p>"


def test_allowed_blocks_pass() -> None:
    table = '<table><thead><tr><th colspan="2">a</th></tr></thead><tbody><tr><td>b</td></tr></tbody></table>'
    assert html(table) == table
    assert html("<details open>\n<summary>S</summary>\n\n*t*\n\n</details>") == (
        '<details open="">\n<summary>S</summary>\n<p><em>t</em></p>\n</details>'
    )
    assert html('<div class="a">\n\n*t*\n\n</div>') == '<div class="a">\n<p><em>t</em></p>\n</div>'
    assert html("<center>x</center>") == "<center>x</center>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>"),
        ("a <!-- b -->", "<p>a &lt;!-- b --&gt;</p>"),
        ("<svg/onload=alert(1)>", "<p>&lt;svg/onload=alert(1)&gt;</p>"),
        ("<style>p{}</style>", "&lt;style&gt;p{}&lt;/style&gt;"),
        ("<h1 id='x'>a</h1>", "&lt;h1 id='x'&gt;a&lt;/h1&gt;"),
        ("List<int> and <foo.bar>", "<p>List&lt;int&gt; and &lt;foo.bar&gt;</p>"),
        ("x <= y < z", "<p>x &lt;= y &lt; z</p>"),
    ],
)
def test_other_html_is_shown_as_text(text: str, shown: str) -> None:
    assert html(text) == shown


def test_attributes_that_are_not_allowed_are_left_out() -> None:
    assert html('<kbd onclick="x">a</kbd>') == "<p><kbd>a</kbd></p>"
    assert complaints("a\n<span style='x' class='b'>c</span>") == [
        (11, "warning", "the attribute style of <span> is not allowed, and left out")
    ]


def test_anchors_by_hand() -> None:
    taken = {"section-0"}
    rendered = render('<a id="x"></a> <a name="y"></a> <a id="z" name="z"></a>', taken=taken)
    assert rendered.anchors == ("x", "y", "z")
    assert taken == {"section-0", "x", "y", "z"}
    twice = render('<a id="x"></a> <a id="section-0"></a>', taken=taken)
    assert [d.severity for d in twice.diagnostics] == ["error", "error"]
    assert twice.html == "<p><a></a> <a></a></p>"


def test_a_note_cannot_close_the_page() -> None:
    assert html("</div></div></main> <div>") == "&lt;/main&gt; <div></div>"


class Tags(HTMLParser):
    """Collects every element and attribute of some HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value or "") for name, value in attrs] or [(tag, "", "")]


FRAGMENTS = st.sampled_from(
    [
        *("<script>", "</script>", "<img src=x onerror=alert(1)>", "<a href=javascript:alert(1)>", "<svg onload=x>"),
        *("<div class='", '<a title="', "'>", '">', "<!--", "-->", "<![CDATA[", "]]>", "<?x", "<math>", "<", ">"),
        *("&lt;", "&#60;", "&#x3c;", "`", "```\n", "$", "$$", "[a](", ")", "![", "](javascript:x)", "[^1]", "[^1]: "),
        *("|", "\n|-|\n", "\n", "\n\n", "> ", "* ", "# ", "\\", "{", "}", "onclick=", "\x00"),
        *("\\text{<img onerror=x>}", "\\href{javascript:x}{y}"),
    ]
)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=5)), max_size=25).map("".join))
def test_nothing_a_stranger_writes_becomes_a_script(text: str) -> None:
    rendered = render(text)
    allowed = set(prose.PRINTED_HTML) | {"math", "semantics"}
    for tag, name, value in Tags(rendered.html).found:
        assert tag in allowed or tag.startswith("m"), tag
        assert not name.startswith("on"), name
        assert name != "style"
        assert name not in ("href", "src") or not re.match(r"\s*(java|vb)script:|\s*data:", value, re.IGNORECASE), value
    assert all(1 <= d.line <= text.count("\n") + 1 for d in rendered.diagnostics)
    assert render(text) == rendered


@pytest.mark.parametrize("piece", ["![", "[", "*a ", "`", "$a ", ">", "<a ", "[a](", "^["])
def test_a_hostile_paragraph_does_not_hang(piece: str) -> None:
    assert render(piece * 60_000).html
    assert render((piece * 60_000)[: prose.MAX_PARAGRAPH_CHARACTERS]).html


def test_a_paragraph_that_is_too_long_is_shown_as_text() -> None:
    assert [complaint[:2] for complaint in complaints("a\n\n" + "*a* " * 20_000)] == [(12, "error")]
    assert html("*a* <b> " * 20_000).startswith("<p>\n*a* &lt;b&gt; *a*")
