"""Code is shown letter for letter, line by line, with its colours and references."""

import re
import sysconfig
import textwrap
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidebyside import highlight, source

LINE = re.compile(
    r'<span class="line" id="L(\d+)"><a class="lineno" href="#L(\d+)">(\d+)</a>'
    r'((?:[^<\n]|<span class="[\w ]+"(?: data-ref="[^"<>]+")?>[^<\n]+</span>)*)\n</span>'
)
ELEMENT = re.compile(r"<[^>]*>")
REFERENCE = re.compile(r'<span class="(\w+)" data-ref="([^"]*)">([^<]*)</span>')


def render(text: str, path: str = "folder/module.py", package: str = "") -> dict[int, str]:
    document = source.parse(textwrap.dedent(text).encode(), path)
    assert not document.diagnostics
    return highlight.render(document, package)


def assert_letter_for_letter(data: bytes, path: str) -> None:
    document = source.parse(data, path)
    rendered = highlight.render(document)
    assert list(rendered) == [section.number for section in document.sections if section.code]
    for section in document.sections:
        if section.code:
            html = rendered[section.number]
            lines = LINE.findall(html)
            assert "".join(match[0] for match in LINE.finditer(html)) == html
            numbers = range(section.code_line, section.code_line + len(lines))
            assert [set(line[:3]) for line in lines] == [{str(number)} for number in numbers]
            assert [unescape(ELEMENT.sub("", line[3])) for line in lines] == section.code.split("\n")


def test_a_line() -> None:
    assert render("x = 1\n") == {
        0: '<span class="line" id="L1"><a class="lineno" href="#L1">1</a>'
        '<span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>\n</span>'
    }


def test_sections_without_code_have_no_entry() -> None:
    assert list(render('"""Doc"""\n# One\nx = 1\n#\ny = 2\n# Last\n')) == [1, 2]
    assert render("") == {}


def test_a_string_over_lines_is_closed_and_opened_at_each() -> None:
    html = render('x = """a\n<b>\n"""\n')[0]
    assert '<span class="s2">&quot;&quot;&quot;a</span>\n' in html or '<span class="s2">"""a</span>\n' in html
    assert '2</a><span class="s2">&lt;b&gt;</span>\n</span>' in html


def test_names_carry_what_they_refer_to() -> None:
    html = "".join(render("from torch import nn\nclass A(nn.Module): ...\nA()\n", "m.py", "p").values())
    assert REFERENCE.findall(html) == [
        ("nn", "torch", "torch"),
        ("n", "torch.nn", "nn"),
        ("n", "torch.nn", "nn"),
        ("n", "torch.nn.Module", "Module"),
        ("n", "p.m.A", "A"),
    ]


def test_a_dotted_name_behind_import_holds_several_references() -> None:
    html = render("import os.path as p\nfrom ..a.b import c\n", "x/y/z.py", "q")[0]
    assert '<span class="nn" data-ref="os">os</span><span class="nn">.</span>' in html
    assert REFERENCE.findall(html) == [
        ("nn", "os", "os"),
        ("nn", "os.path", "path"),
        ("nn", "os.path", "p"),
        ("nn", "q.x.a", "a"),
        ("nn", "q.x.a.b", "b"),
        ("n", "q.x.a.b.c", "c"),
    ]


def test_the_package_comes_before_the_path() -> None:
    text = "def f(): ...\nf()\n"
    assert 'data-ref="a.b.f"' in render(text, "b/__init__.py", "a")[0]
    assert 'data-ref="b.c.f"' in render(text, "b/c.py")[0]


@pytest.mark.parametrize(
    "text",
    [
        "\x0c\nx = 1\n",
        "\n\n  \n# Note\n\nx = 1\n",
        "if x:\n\ty = 1\t# tab\n",
        "x = 'é\u2028\x85'; y = f'{a!r:>{b}} {{}}'\n",
        "x = '''\n\n\n'''\n",
        "x = 1 \\\n  + 2\n",
        "#!/bin/sh\nx = b'<&>\"'\n",
        "x = 1",
        "漢字 = '𝐱'  # ü\n",
    ],
)
def test_letter_for_letter(text: str) -> None:
    assert_letter_for_letter(text.encode(), "a.py")


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.sampled_from(["x", "'", '"', '"""', "#", "\n", " ", "f'", "{", "}", "(", ")", "\\", "=", "1", "é", "<", "&"])
    )
)
def test_letter_for_letter_whatever_is_written(pieces: list[str]) -> None:
    assert_letter_for_letter("".join(pieces).encode(), "a.py")


def test_letter_for_letter_in_the_standard_library() -> None:
    # One file in forty, of all sizes and kinds
    library = Path(sysconfig.get_path("stdlib"))
    paths = sorted(path for path in library.rglob("*.py") if "site-packages" not in path.parts)
    for path in paths[::40]:
        assert_letter_for_letter(path.read_bytes(), path.name)


def test_snippets() -> None:
    assert highlight.render_snippet("x = 1", "python") == (
        '<span class="n">x</span> <span class="o">=</span> <span class="mi">1</span>'
    )
    assert highlight.render_snippet("<b>", "") == "&lt;b&gt;"
    assert highlight.render_snippet("<b>", "no such language") == "&lt;b&gt;"
