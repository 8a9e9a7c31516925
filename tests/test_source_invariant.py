"""
Nothing is lost and nothing is said twice.

Every line of a file is blank, or prose of exactly one section, or code of exactly one section, in the order
of the file, and code appears letter for letter. Checked on generated modules and on Python's own library.
"""

import os
import re
import sys
import sysconfig
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidebyside import source
from sidebyside.model import Document

# `#` and the quotes of a docstring count as blank, with what stands behind them for a tool.
BARE = re.compile(r"""\s*(?:\#|[rRuU]?(?:\"\"\"|'''|"|')\\?)?\s*(?:\#\s*noqa.*|\#\s*type:.*)?""", re.VERBOSE)


def assert_nothing_is_lost(document: Document) -> None:
    lines = document.text.split("\n")
    owner: dict[int, str] = {}
    last = 0
    for number, section in enumerate(document.sections):
        assert section.number == number
        assert section.prose or section.code
        assert len(section.prose_lines) == (section.prose.count("\n") + 1 if section.prose_lines else 0)
        assert list(section.prose_lines) == sorted(section.prose_lines)
        code = list(enumerate(section.code.split("\n"), section.code_line)) if section.code else []
        if code:
            assert code[0][1].strip() and code[-1][1].strip(), "blank lines at the ends of code"
        for line, text in code:
            assert lines[line - 1] == text, "code is not letter for letter"
            assert line not in owner, f"line {line} is said twice"
            owner[line] = "code"
        for line in set(section.prose_lines):
            assert owner.get(line) is None or not lines[line - 1].strip(), f"line {line} is said twice"
            owner[line] = "prose"
        own = [line for line, _ in code] + list(section.prose_lines)
        assert min(own) > last, "sections are out of order"
        last = max(own)
    lost = [
        line
        for line, text in enumerate(lines, 1)
        if line not in owner and not BARE.fullmatch(text) and line not in front_matter_lines(document)
    ]
    assert not lost, [(line, lines[line - 1]) for line in lost]


def front_matter_lines(document: Document) -> set[int]:
    if not document.front_matter:
        return set()
    lines = document.text.split("\n")
    marks = [number for number, line in enumerate(lines, 1) if line.strip() in ("---", '"""---')]
    return set(range(marks[0], marks[1] + 1))


# ## Generated modules

STATEMENTS = st.sampled_from(
    [
        "x = 1",
        "x = 1  # behind",
        "# A comment",
        "#",
        "#   ",
        "##",
        "# noqa",
        "#: é ü 漢字",
        "",
        "   ",
        "\x0c",
        '"""A string"""',
        '"""\n    A longer\n\n  string\n"""',
        'r"""\\theta"""  # noqa',
        '"""Text"""  # and more',
        'x = 1; """no prose"""',
        '"""no prose"""; x = 1',
        'x = """\n# in a string\n"""',
        "x = [\n    # inside\n    1,  # behind\n\n    2,\n]",
        "x = 1 + \\\n    2",
        "import os",
        "async def g(): return 1",
        "def f(): pass",
        "class A: '''no prose'''",
        "x: int = 1\n'''Below'''",
        "pass\n'''Elsewhere'''",
        "'''\n---\ntitle: T\n---\n'''",
    ]
)

HEADERS = st.sampled_from(
    [
        "def f(x):",
        "def f(\n  # inside\n  x,\n):",
        "@decorator\n# between\n@another(\n  1\n)\ndef f(x):",
        "async def f():",
        "class A(\n    object\n):",
        "class A:  # behind",
        "if x:",
        "for x in y:",
        "with x as y:",
        "while (\n# why\nx):",
    ]
)


def indented(block: str) -> str:
    # Lines inside a string may be indented as well, it does not matter to a section.
    return "\n".join("    " + line if line.strip() else line for line in block.split("\n"))


def compound(header: str, docstring: str, body: list[str]) -> str:
    return "\n".join([header, indented("\n".join([*([docstring] if docstring else []), *body, "pass"]))])


BLOCKS = st.recursive(
    STATEMENTS,
    lambda inner: st.builds(
        compound, HEADERS, st.sampled_from(["", "'''Doc'''", "# note\n'''\nDoc\n'''"]), st.lists(inner, max_size=5)
    ),
    max_leaves=30,
)


@settings(deadline=None, max_examples=300, suppress_health_check=list(HealthCheck))
@given(st.lists(BLOCKS, max_size=10), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_nothing_is_lost_in_generated_modules(blocks: list[str], line_end: str, with_end: bool) -> None:
    text = "\n".join(blocks)
    document = source.parse((text + ("\n" if with_end else "")).replace("\n", line_end).encode(), "a.py")
    assert not document.diagnostics
    assert_nothing_is_lost(document)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(), st.text().map(str.encode)), st.sampled_from(["a.py", "a.md"]))
def test_any_bytes_give_a_document(data: bytes, path: str) -> None:
    document = source.parse(data, path)
    assert document.path == path
    if path.endswith(".py") and not document.diagnostics:
        assert_nothing_is_lost(document)


# ## Python's own library

STDLIB = Path(sysconfig.get_path("stdlib"))


def modules() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(STDLIB):
        # Packages that somebody installed are not the library.
        folders[:] = sorted(name for name in folders if name not in ("site-packages", "dist-packages", "__pycache__"))
        found += [Path(folder, name) for name in sorted(files) if name.endswith(".py")]
    return found


# The library tests Python with files that do not parse or cannot be decoded.
MEANT_TO_BE_BAD = re.compile(r"(^|/)(test|tests|lib2to3/tests/data)/")
PARTS = 8


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_in_the_standard_library(part: int) -> None:
    paths = modules()[part::PARTS]
    assert paths, f"no library in {STDLIB} of {sys.executable}"
    for path in paths:
        name = path.relative_to(STDLIB).as_posix()
        document = source.parse(path.read_bytes(), name)
        if not document.diagnostics:
            try:
                assert_nothing_is_lost(document)
            except AssertionError as problem:
                raise AssertionError(f"{name}: {problem}") from problem
        else:
            assert MEANT_TO_BE_BAD.search(name), document.diagnostics
