"""The lexer with rules of our own must say the same as the one without."""

import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers.python import PythonLexer

from sidebyside.python_lexer import FastPythonLexer

ORIGINAL, FAST = PythonLexer(), FastPythonLexer()

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
MODULES = ["ast.py", "dataclasses.py", "string.py", "this.py", "typing.py", "asyncio/tasks.py", "json/decoder.py"]

# What the rules have to tell apart: string prefixes, walrus and colon, floats and attributes, soft keywords, decorators
PIECES = [
    *("x", "match", "case", "type", "lazy", "def", "class", "from", "import", "self", "__init__", "async for"),
    *("rb", "f'", '"""', "'", '"', "\\", "{x!r:>{y}}", "}", "{", "%s", "é", "x²", "1.5", ".5", ".", "1", "0x1f", "$"),
    *(
        ":",
        ":=",
        "=",
        "==",
        "@",
        "@name",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        "->",
        "#",
        "# note",
        " ",
        "  ",
        "\t",
        "\n",
        "\f",
    ),
]


def tokens(lexer: PythonLexer, text: str) -> list[tuple[object, ...]]:
    return list(lexer.get_tokens_unprocessed(text))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_the_same_tokens(name):
    text = (LIBRARY / name).read_text("utf-8")
    assert tokens(FAST, text) == tokens(ORIGINAL, text)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_has_the_same_tokens(text):
    assert tokens(FAST, text) == tokens(ORIGINAL, text)
