"""Sections, docstrings, encodings and front matter, as source-format.md has them."""

import codecs
import textwrap
from pathlib import Path

import pytest

from sidebyside import source
from sidebyside.model import Document


def parse(text: str, path: str = "module.py") -> Document:
    return source.parse(textwrap.dedent(text).encode(), path)


def layout(text: str) -> list[tuple[list[int], list[int]]]:
    """The lines of prose and of code of each section, blank ones aside."""
    document = parse(text)
    assert not document.diagnostics, document.diagnostics
    sections = []
    for section in document.sections:
        prose = zip(section.prose_lines, section.prose.split("\n"), strict=True) if section.prose_lines else ()
        code = enumerate(section.code.split("\n"), section.code_line)
        sections.append(([line for line, text in prose if text.strip()], [line for line, text in code if text.strip()]))
    return sections


def prose_of(text: str) -> list[str]:
    return [section.prose for section in parse(text).sections]


def test_the_example_of_the_format() -> None:
    example = '''\
    """
    # Patch pooling
    """

    import torch


    class PatchPool:
        """
        ## Pooling
        """

        def __init__(self, size: int):
            """
            * `size` is the edge of a patch, $p$
            """
            # Kept for the forward pass
            self.size = size

        def forward(self, x):
            # Average each patch
            x = pool(x, self.size)
            #
            return x
    '''
    assert layout(example) == [
        ([2], [5]),
        ([10], [8]),
        ([15], [13]),
        ([17], [18]),
        ([], [20]),
        ([21], [22]),
        ([], [24]),
    ]
    document = parse(example)
    assert [section.number for section in document.sections] == list(range(7))
    assert document.sections[1].definitions == ("PatchPool",)
    assert document.sections[2].definitions == ("PatchPool.__init__",)
    assert document.sections[4].definitions == ("PatchPool.forward",)
    assert document.sections[4].code == "    def forward(self, x):"


# ## Prose and code


def test_a_comment_in_the_middle_of_an_expression_is_prose() -> None:
    assert layout("""\
        settings = {
            # The width
            "width": 1,
            # The height
            "height": 2,
        }
        call(
            # First
            1,
        )
        """) == [([], [1]), ([2], [3]), ([4], [5, 6, 7]), ([8], [9, 10])]


def test_a_comment_behind_code_is_code() -> None:
    assert layout("x = 1  # one\n") == [([], [1])]


@pytest.mark.parametrize(
    "comment",
    [
        "# type: ignore",
        "# noqa",
        "# NOQA: E501",
        "#noqa",
        "# pragma: no cover",
        "# fmt: off",
        "# pylint: disable=all",
        "# ruff: noqa",
        "# mypy: ignore-errors",
        "# isort: skip_file",
        "# %%",
        "# %% [markdown]",
    ],
)
def test_a_comment_for_a_tool_is_code(comment: str) -> None:
    assert layout(f"x = 1\n{comment}\ny = 2\n") == [([], [1, 2, 3])]


def test_the_interpreter_and_encoding_lines_are_code_at_the_top_only() -> None:
    assert layout("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Prose\nx = 1\n") == [([], [1, 2]), ([3], [4])]
    assert layout("x = 1\ny = 1\n#!prose\nz = 1\n# coding: prose\n") == [([], [1, 2]), ([3], [4]), ([5], [])]


def test_words_that_only_begin_like_a_tool_are_prose() -> None:
    assert layout("# noqable\nx = 1\n") == [([1], [2])]
    assert layout("# types: many\nx = 1\n") == [([1], [2])]


def test_a_docstring_is_dedented_like_cleandoc() -> None:
    text = '''\
    def f():
        """First
            indented

        last
        """
    '''
    assert prose_of(text) == ["First\n    indented\n\nlast"]
    assert parse(text).sections[0].prose_lines == (2, 3, 4, 5)


def test_a_comment_loses_its_sign_and_one_space() -> None:
    assert prose_of("#  two spaces\n#none\n# * bullet\n#   more\n") == [" two spaces\nnone\n* bullet\n  more"]


@pytest.mark.parametrize(
    "text",
    [
        'x = 1; """no prose"""\n',
        '"""no prose"""; x = 1\n',
        'def f(): """no prose"""\n',
        '("no prose")\n',
        '"no" "prose"\n',
        'b"""no prose"""\n',
        'f"""no prose"""\n',
        '""\n',
        '"""text""" \\\n\n',
    ],
)
def test_a_string_that_shares_its_line_or_is_no_text_is_code(text: str) -> None:
    assert layout(text) == [([], [1])]


def test_a_comment_behind_a_docstring_is_not_lost() -> None:
    assert prose_of('"""Text."""  # More\n') == ["Text. More"]
    assert prose_of('"""Text."""  # noqa: D400\n') == ["Text."]
    assert parse('"""\nText.\n"""  # noqa: D400\n').sections[0].prose_lines == (2, 3)


def test_escapes_in_a_docstring() -> None:
    # Authors forget the `r` before `\theta`, which Python would read as a tab.
    assert prose_of('"""$\\theta$ and $\\frac{a}{b}$"""\n') == [r"$\theta$ and $\frac{a}{b}$"]
    assert prose_of('r"""$\\theta \\\\ x$"""\n') == [r"$\theta \\ x$"]
    # One who doubles every backslash did not forget.
    assert prose_of('"""$\\\\theta$ is \\\\alpha"""\n') == [r"$\theta$ is \alpha"]
    assert prose_of('"""\\u2019 \\x41 \\N{EN DASH} \\"quoted\\""""\n') == ['’ A – "quoted"']
    assert prose_of('"""\\\nFirst \\\nsecond"""\n') == ["First \nsecond"]
    assert prose_of('"""\\x00 \\ud800"""\n') == ["\\x00 \\ud800"]


def test_a_hash_in_a_string_is_no_comment() -> None:
    assert layout('x = """\n# not prose\n"""\n') == [([], [1, 2, 3])]
    assert layout('x = f"""\n# not prose\n{1}"""\n') == [([], [1, 2, 3])]


def test_a_comment_inside_an_f_string_belongs_to_it() -> None:
    text = 'x = f"""{\n# not prose\n1}"""\n# Prose\ny = 2\n'
    if parse(text).diagnostics:
        pytest.skip("this Python has no comments in f-strings")
    assert layout(text) == [([], [1, 2, 3]), ([4], [5])]


# ## Sections


def test_rule_1_comments_open_a_section() -> None:
    assert layout("# One\n# run\nx = 1\ny = 2\n# Next\nz = 3\n") == [([1, 2], [3, 4]), ([5], [6])]


def test_rule_1_comments_parted_by_a_blank_line_are_one_run() -> None:
    text = "# One\n\n# run\nx = 1\n"
    assert layout(text) == [([1, 3], [4])]
    assert prose_of(text) == ["One\n\nrun"]


def test_rule_1_a_bare_sign_between_comments_parts_paragraphs() -> None:
    text = "# One\n#\n# run\nx = 1\n"
    assert layout(text) == [([1, 3], [4])]
    assert prose_of(text) == ["One\n\nrun"]


def test_rule_1_a_tool_comment_ends_a_run() -> None:
    assert layout("# One\n# noqa\n# Two\nx = 1\n") == [([1], [2]), ([3], [4])]


def test_rule_2_code_behind_the_module_docstring_joins_it() -> None:
    assert layout('"""Module"""\nimport os\n\nx = 1\n') == [([1], [2, 4])]


def test_rule_2_holds_below_lines_for_the_interpreter() -> None:
    text = '#!/usr/bin/env python\n# coding: utf-8\n"""Module"""\nimport os\n'
    assert layout(text) == [([3], [1, 2]), ([], [4])]
    assert prose_of(text)[0] == "Module"


def test_rule_2_a_comment_before_the_module_docstring_is_a_section_of_its_own() -> None:
    assert layout('# Copyright\n"""Module"""\nimport os\n') == [([1], []), ([2], [3])]


def test_rule_3_decorators_and_signature_belong_to_the_docstring() -> None:
    assert layout('''\
        @decorator
        @another(
            1
        )
        async def f(
            a,
            b,
        ) -> int:
            """Doc"""
            return 1
        ''') == [([9], [1, 2, 3, 4, 5, 6, 7, 8]), ([], [10])]


def test_rule_3_a_signature_opens_its_own_section() -> None:
    assert layout('x = 1\ndef f():\n    """Doc"""\n    return 1\n') == [([], [1]), ([3], [2]), ([], [4])]
    assert layout('# Note\ndef f():\n    """Doc"""\n') == [([1], []), ([3], [2])]


def test_rule_3_comments_inside_a_signature_stay_in_it() -> None:
    assert layout('def f(\n    # input\n    x,\n):\n    # before\n    """Doc"""\n    return x\n') == [
        ([5, 6], [1, 2, 3, 4]),
        ([], [7]),
    ]
    assert layout('def f(x):\n    # type: (int) -> int\n    """Doc"""\n') == [([3], [1, 2])]


def test_rule_4_an_undocumented_definition_opens_a_section_behind_prose() -> None:
    assert layout("# Note\nx = 1\n@decorator\ndef f():\n    pass\n") == [([1], [2]), ([], [3, 4, 5])]
    assert layout("# Note\nclass A:\n    pass\n") == [([1], []), ([], [2, 3])]


def test_rule_4_undocumented_definitions_stay_together() -> None:
    assert layout("def f():\n    pass\n\n\nasync def g():\n    pass\n\n\nclass A:\n    def h(self): pass\n") == [
        ([], [1, 2, 5, 6, 9, 10])
    ]


def test_rule_5_a_bare_sign_lets_code_stand_free() -> None:
    assert layout("# Note\nx = 1\n#\ny = 2\n") == [([1], [2]), ([], [4])]
    assert layout("# Note\n#\ny = 2\n") == [([1], []), ([], [3])]
    assert layout("x = 1\n    \n#  \n\ny = 2\n") == [([], [1]), ([], [5])]


def test_rule_6_blank_lines_inside_stay_and_at_the_ends_go() -> None:
    document = parse("# Note\n\n\nx = 1\n\n\ny = 2\n\n\n# Next\n")
    assert document.sections[0].code == "x = 1\n\n\ny = 2"
    assert document.sections[0].code_line == 4


def test_rule_7_empty_sections_are_dropped() -> None:
    assert layout("#\n#\n\n#\nx = 1\n#\n") == [([], [5])]
    assert layout("") == []
    assert layout("\n\n#\n") == []


def test_a_string_below_an_attribute_joins_it() -> None:
    assert layout(
        'import a\nclass A:\n    x = 1\n    """The x"""\n    y: int = (\n        2\n    )\n    """The y"""\n'
    ) == [
        ([], [1, 2]),
        ([4], [3]),
        ([8], [5, 6, 7]),
    ]
    assert layout('# Note\nx = 1\n"""Doc"""\ny = 2\n') == [([1, 3], [2]), ([], [4])]
    init = 'class A:\n    def __init__(self):\n        self.x = 1\n        """The x"""\n        self.y = 2\n'
    assert layout(init) == [([], [1, 2]), ([4], [3]), ([], [5])]


def test_a_string_elsewhere_is_like_a_comment() -> None:
    assert layout('x = 1\n\n"""Next"""\ny = 2\n') == [([], [1]), ([3], [4])]
    assert layout('def f():\n    x = 1\n    """Next"""\n    y = 2\n') == [([], [1, 2]), ([3], [4])]


# ## The language


def test_definitions_carry_their_dotted_names_once() -> None:
    document = parse("""\
        if True:
            class A:
                @property
                def x(self): ...
                @x.setter
                def x(self, value): ...
                class B:
                    def y(self):
                        def inner(): ...
        """)
    assert document.sections[0].definitions == ("A", "A.x", "A.B", "A.B.y", "A.B.y.inner")


def test_match_statements_and_walrus() -> None:
    assert layout("match x:\n    # The point\n    case (0, y) if (z := y):\n        pass\n") == [
        ([], [1]),
        ([2], [3, 4]),
    ]


def test_type_parameters() -> None:
    text = 'type Pair[T] = tuple[T, T]\nclass A[T]:\n    """Doc"""\ndef f[T: int](x: T) -> T:\n    """Doc"""\n'
    if parse(text).diagnostics:
        pytest.skip("this Python has no type parameters")
    assert layout(text) == [([], [1]), ([3], [2]), ([5], [4])]


def test_continuation_lines() -> None:
    assert layout("x = 1 + \\\n    2\n# Note\nassert x, \\\n    'no'\n") == [([], [1, 2]), ([3], [4, 5])]


def test_tabs_and_form_feeds() -> None:
    assert layout("def f():\n\tx = 1\n\t# Note\n\tif x:\n\t\treturn x\n\x0c\n# Page two\ny = 1\n") == [
        ([], [1, 2]),
        ([3], [4, 5]),
        ([7], [8]),
    ]
    document = parse("x = '\x0c \u2028 \x85'\ny = 2\n")
    assert document.sections[0].code.split("\n") == ["x = '\x0c \u2028 \x85'", "y = 2"]


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_line_ends(end: bytes) -> None:
    document = source.parse(end.join([b"# One", b"x = 1", b'"""', b"Two", b'"""', b""]), "a.py")
    assert [(s.prose, s.prose_lines, s.code, s.code_line) for s in document.sections] == [
        ("One\n\nTwo", (1, 4, 4), "x = 1", 2)
    ]


def test_a_file_without_a_line_end() -> None:
    assert layout("# Note\nx = 1") == [([1], [2])]
    assert layout("x = 1\n# Note") == [([], [1]), ([2], [])]


# ## Encodings


def test_byte_order_mark() -> None:
    document = source.parse(codecs.BOM_UTF8 + "x = 'é'\n".encode(), "a.py")
    assert document.sections[0].code == "x = 'é'"
    assert source.parse(codecs.BOM_UTF8 + b"# Title\n", "a.md").sections[0].prose == "# Title"


def test_declared_encoding() -> None:
    document = source.parse("# -*- coding: latin-1 -*-\n# é\nx = 'é'\n".encode("latin-1"), "a.py")
    assert not document.diagnostics
    assert [(s.prose, s.code) for s in document.sections] == [("", "# -*- coding: latin-1 -*-"), ("é", "x = 'é'")]
    assert source.parse(b"# coding: utf-16-le-but-unknown\n", "a.py").diagnostics


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"x = 1\ny = '\xe9'\n", 2, "not valid utf-8"),
        (b"\xff\xfe\x00", 1, "not valid utf-8"),
        (b"x = 1\n\0", 2, "null byte"),
        (b"# coding: klingon\n", 1, "klingon"),
        (b"# coding: rot13\n", 1, "rot13"),
        (b"# coding: idna\n", 1, "idna"),
        (b"# coding: utf-7\nx = '+2AA-'\n", 1, "not valid utf-7"),
        (b"x = 1\nif x\n    pass\n", 2, "does not parse"),
        (b"x = (1,\n", 1, "never closed"),
        (b"def f():\nreturn\n", 2, "does not parse"),
        (b"def f():\n    a\n  b\n", 3, "does not parse"),
        (b"x = '''\n", 1, "does not parse"),
        (b"(" * 1000 + b")" * 1000, 1, "does not parse"),
        (b"-" * 50_000 + b"1", 1, "does not parse"),
        (b"x = 1" + b" + 1" * 300_000 + b"\n", 1, "characters"),
        (b"x = 1\n" * 9_000_000, 1, "MB"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, bytes) else None,
)
def test_what_cannot_be_read_is_a_diagnostic_with_its_line(data: bytes, line: int, message: str) -> None:
    document = source.parse(data, "folder/a.py")
    assert document.sections == ()
    (diagnostic,) = document.diagnostics
    assert (diagnostic.path, diagnostic.line, diagnostic.severity) == ("folder/a.py", line, "error")
    assert message in diagnostic.message


def test_a_deep_expression_is_read_or_refused() -> None:
    # How deep a tree may be depends on the Python.
    document = source.parse(b"x = " + b"+".join([b"1"] * 20_000), "a.py")
    assert bool(document.sections) != bool(document.diagnostics)


def test_markdown_that_cannot_be_read_is_a_diagnostic() -> None:
    assert source.parse(b"# \xe9\n", "a.md").diagnostics
    assert source.parse(b"x" * 1_000_000, "a.md").diagnostics


# ## Markdown files


def test_a_markdown_file_is_one_section() -> None:
    document = source.parse(b"---\ntitle: T\n---\n\n# Title\n\n```python\n# x\n```\n", "a.md")
    assert document.front_matter == {"title": "T"}
    (section,) = document.sections
    assert section.prose == "# Title\n\n```python\n# x\n```"
    assert section.prose_lines == (5, 6, 7, 8, 9)
    assert section.code == ""
    assert source.parse(b"", "a.md").sections == ()


# ## Front matter


def test_front_matter_of_a_module() -> None:
    document = parse('''\
        """
        ---
        title: A title
        summary: 2024
        symbols: {b: batch_size}
        example: |
            x = 1
            y = 2
        other: [1, 2]
        ---
        # Heading
        """
        import os
        ''')
    assert document.front_matter == {
        "title": "A title",
        "summary": "2024",
        "symbols": {"b": "batch_size"},
        "example": "x = 1\ny = 2\n",
        "other": [1, 2],
    }
    assert [(s.prose, s.prose_lines, s.code_line) for s in document.sections] == [("# Heading", (11,), 13)]


def test_front_matter_alone_leaves_no_prose() -> None:
    assert layout('"""\n---\ntitle: T\n---\n"""\nx = 1\n') == [([], [6])]
    assert parse('"""\n---\ntitle: T\n---\n"""\n').sections == ()


@pytest.mark.parametrize(
    ("front_matter", "line", "message"),
    [
        ("title: [1", 2, "not valid YAML"),
        ("title: a\nb: c: d", 3, "not valid YAML"),
        ("- a\n- b", 1, "no keys"),
        ("just words", 1, "no keys"),
        ("date: 2024-13-45", 1, "not valid YAML"),
        ("a: !!python/object:os.system x", 2, "not valid YAML"),
        ("a: &a [1]\nb: *a", 3, "aliases"),
        ("other: 1\ntitle: [1]", 3, "`title`"),
        ("example: {}", 2, "`example`"),
        ("symbols: b", 2, "`symbols`"),
        ("symbols: {b: 1}", 2, "`symbols`"),
        ("a: " + "[" * 5000, 1, "not valid YAML"),
    ],
)
def test_front_matter_that_is_wrong_is_a_diagnostic(front_matter: str, line: int, message: str) -> None:
    document = source.parse(f"---\n{front_matter}\n---\n# Title\n".encode(), "a.md")
    (diagnostic,) = document.diagnostics
    assert diagnostic.line == line
    assert message in diagnostic.message
    assert "# Title" in document.sections[0].prose


def test_front_matter_without_end() -> None:
    document = source.parse(b"---\ntitle: T\n# Title\n", "a.md")
    assert [d.message for d in document.diagnostics] == ["the front matter has no end: close it with a line ---"]
    # A thematic break is none.
    assert not source.parse(b"---\n\nText\n", "a.md").diagnostics


def test_nothing_is_printed_about_somebodys_escapes(recwarn: pytest.WarningsRecorder) -> None:
    assert not parse("x = '\\d'\n").diagnostics
    assert not recwarn.list


def test_the_source_of_this_project_is_read_without_complaint() -> None:
    for path in sorted((Path(__file__).parent.parent / "sidebyside").glob("*.py")):
        document = source.parse(path.read_bytes(), path.name)
        assert not document.diagnostics
