"""A name in the code leads to what it stands for, and to nothing where that is not certain."""

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidebyside.references import find_references


def references(text: str, path: str = "folder/module.py", package: str = "project") -> dict[int, list[str]]:
    """For each line, what its names refer to, as `name→target` where the target does not end in the name."""
    text = textwrap.dedent(text)
    found: dict[int, list[str]] = {}
    for start, end, target in find_references(text, path, package):
        name = text[start:end]
        shown = target if target.endswith(name) else f"{name}→{target}"
        found.setdefault(text.count("\n", 0, start) + 1, []).append(shown)
    return found


def last_line(text: str, **place: str) -> list[str]:
    text = textwrap.dedent(text).rstrip()
    return references(text, **place).get(text.count("\n") + 1, [])


def test_imported_modules_and_what_is_in_them() -> None:
    assert references("import torch.nn\nimport numpy as np\nx = torch.nn.Conv2d(np.pi)\n") == {
        1: ["torch", "torch.nn"],
        2: ["numpy", "np→numpy"],
        3: ["torch", "torch.nn", "torch.nn.Conv2d", "np→numpy", "numpy.pi"],
    }


def test_names_from_modules() -> None:
    assert references("from torch import nn, Tensor as T\nfrom a.b import c\nnn.Conv2d, T.size, c\n") == {
        1: ["torch", "torch.nn", "torch.Tensor", "T→torch.Tensor"],
        2: ["a", "a.b", "a.b.c"],
        3: ["torch.nn", "torch.nn.Conv2d", "T→torch.Tensor", "torch.Tensor.size", "a.b.c"],
    }


@pytest.mark.parametrize(
    ("statement", "path", "package", "target"),
    [
        ("from . import y", "a/b.py", "p", "p.a.y"),
        ("from .x import y", "a/b.py", "p", "p.a.x.y"),
        ("from ..x import y", "a/b.py", "p", "p.x.y"),
        ("from . import y", "a/__init__.py", "p", "p.a.y"),
        ("from .. import y", "a/__init__.py", "p", "p.y"),
        ("from .x import y", "__init__.py", "p.q", "p.q.x.y"),
        ("from .x import y", "b.py", "", "x.y"),
        ("from .. import y", "b.py", "", None),
        ("from ... import y", "a/b.py", "", None),
    ],
)
def test_relative_imports(statement: str, path: str, package: str, target: str | None) -> None:
    assert last_line(f"{statement}\ny\n", path=path, package=package) == ([target] if target else [])


def test_definitions_of_the_file() -> None:
    text = """
    class Layer:
        class Inner: ...
        def forward(self): ...
    def build():
        def inner(): ...
        return Layer.forward, Layer.Inner, build, inner
    """
    assert last_line(text) == [
        "project.folder.module.Layer",
        "project.folder.module.Layer.forward",
        "project.folder.module.Layer",
        "project.folder.module.Layer.Inner",
        "project.folder.module.build",
        "project.folder.module.build.inner",
    ]
    assert last_line("def f(): ...\nf", path="__init__.py", package="p") == ["p.f"]
    assert last_line("def f(): ...\nf", path="m.py", package="") == ["m.f"]


def test_annotations_decorators_and_bases() -> None:
    text = """
    import a
    @a.decorator
    class B(a.Base, metaclass=a.Meta):
        x: a.X = a.x
        @a.method
        def f(self, y: a.Y = a.y, *z: a.Z) -> a.R: ...
    """
    targets = [target for line in list(references(text).values())[1:] for target in line if target != "a"]
    assert targets == ["a.decorator", "a.Base", "a.Meta", "a.X", "a.x", "a.method", "a.Y", "a.y", "a.Z", "a.R"]


def test_methods_of_self() -> None:
    text = """
    class A:
        def f(this, x): ...
        @classmethod
        def g(cls): ...
        @property
        def p(self): ...
        x = 1
        def h(self):
            return [self.f(self.p), self.g, self.x, self.missing, (lambda: self.f)]
    """
    module = "project.folder.module.A"
    assert last_line(text) == [f"{module}.f", f"{module}.p", f"{module}.g", f"{module}.f"]


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n def f(self): ...\n def g(self, other): self = other; return self.f",
        "class A:\n def f(self): self.f = 1\n def g(self): return self.f",
        "class A:\n def f(self): ...\n f = wrap(f)\n def g(self): return self.f",
        "class A:\n def f(self): ...\n @staticmethod\n def g(x): return x.f",
        "class A:\n def f(self): ...\n def g(self):\n  return [self.f for self in x]",
        "class A:\n def f(self): ...\n def g(self):\n  return lambda self: self.f",
    ],
)
def test_what_may_not_be_a_method_of_self(text: str) -> None:
    assert [target for target in last_line(text) if target.endswith(".f")] == []


@pytest.mark.parametrize(
    "use",
    [
        "def f(a): return a",
        "def f(*a): return a",
        "def f(**a): return a",
        "def f(*, a): return a",
        "def f(a, /): return a",
        "lambda a: a",
        "def f():\n a = 1\n return a",
        "def f():\n for a in x: pass\n return a",
        "def f():\n with x as a: pass\n return a",
        "def f():\n try: pass\n except x as a: pass\n return a",
        "def f():\n [a := 1]\n return a",
        "def f():\n [(a := y) for y in x]\n return a",
        "def f():\n (b, [a, *c]) = x\n return a",
        "def f():\n a: int = 1\n return a",
        "def f():\n a += 1\n return a",
        "def f():\n del a\n return a",
        "def f():\n def a(): ...\n a = 1\n return a",
        "def f():\n from x import a\n from y import a\n return a",
        "def f():\n match x:\n  case {**a}: pass\n return a",
        "def f():\n match x:\n  case [*a]: pass\n return a",
        "def f():\n match x:\n  case y as a: pass\n return a",
        "def f():\n f'{(a := 1)}'\n return a",
        "def f():\n a = 1\n def g(): return a",
        "def f():\n a = 1\n class B:\n  def g(self): return a",
        "[a for a in x]",
        "{a: a for a in x}",
        "class B:\n a = 1\n b = a",
    ],
)
def test_what_hides_a_name(use: str) -> None:
    text = f"import a\n{use}"
    if "import" not in use:
        assert last_line(text) == []
    else:
        assert "a" not in last_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n import a\nexcept ImportError:\n a = None\na",
        "try:\n import b as a\nexcept ImportError:\n import a\na",
        "import a\na = wrap(a)\na",
        "import a\ndef f():\n global a\n a = 1\na",
        "import a\nfor a in x: pass\na",
        "import a\nfrom x import *\na",
        "from x import *\na",
        "a",
        "import b\nb = 1; a = b.a; a.c",
    ],
)
def test_names_that_are_not_certain(text: str) -> None:
    assert last_line(text) == []


def test_bindings_that_agree() -> None:
    assert last_line("try:\n import a\nexcept ImportError:\n import a.b\na") == ["a"]
    assert last_line("def f(): ...\ndef f(): ...\nf") == ["project.folder.module.f"]


def test_scopes_that_do_not_hide() -> None:
    assert last_line("import a\nclass B:\n a = 1\n def f(self): return a") == ["a"]
    assert last_line("import a\nclass B:\n a = 1\n b = [a for x in y]") == ["a"]
    assert last_line("import a\n[a for x in y]") == ["a"]
    assert last_line("import a\nx.a, f(a=1), a") == ["a"]
    assert last_line("def f():\n import a\n def g(): return a.b") == ["a", "a.b"]
    assert last_line("from x import *\nimport a\na") == ["a"]
    assert last_line("import a\ndef f():\n global a\n return a") == ["a"]
    assert last_line("def f():\n import a\n def g():\n  nonlocal a\n  return a") == ["a"]
    assert last_line("def f():\n import a\n def g():\n  nonlocal a\n  a = 1\n return a") == []


def test_columns_count_characters() -> None:
    text = "import a\né = 'ü'; a.b; 漢 = '𝐱', a.c\n"
    assert [(text[start:end], target) for start, end, target in find_references(text, "m.py")] == [
        ("a", "a"),
        ("a", "a"),
        ("b", "a.b"),
        ("a", "a"),
        ("c", "a.c"),
    ]


def test_chains_over_lines() -> None:
    assert references("import a\n(a\n  .b\n  . c)\n") == {1: ["a"], 2: ["a"], 3: ["a.b"], 4: ["a.b.c"]}


def test_f_strings_are_left_alone() -> None:
    assert last_line("import a\nf'{a.b}'") == []


def test_type_parameters_hide() -> None:
    text = "import T\ndef f[T](x: T) -> T: ...\nclass C[T](B[T]): x: T\ntype X[T] = T\nT"
    if not references(text):
        pytest.skip("this Python has no type parameters")
    assert references(text) == {1: ["T"], 5: ["T"]}


def test_a_module_that_does_not_parse() -> None:
    assert find_references("def", "m.py") == []


def test_deep_trees() -> None:
    assert len(find_references("import a\nx = " + "+".join(["a"] * 300), "m.py")) == 301
    assert find_references("import a\na" + ".b" * 200, "m.py")[-1][2] == "a" + ".b" * 200


NAMES = st.sampled_from(["a", "b", "self"])
LINES = st.sampled_from(
    [
        "import {0}",
        "from {0} import {1}",
        "import {0} as {1}",
        "{0} = {1}.x",
        "{0}.{1}({0})",
        "def {0}({1}): return {0}.{1}",
        "class {0}({1}): {0} = {1}",
        "[{0} for {0} in {1}]",
        "lambda {0}: {1}",
        "global {0}",
        "({0} := {1})",
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.builds(str.format, LINES, NAMES, NAMES), max_size=8))
def test_references_are_in_order_apart_and_where_they_say(lines: list[str]) -> None:
    text = "\n".join(lines)
    last = 0
    for start, end, target in find_references(text, "m.py", "p"):
        assert last <= start < end
        assert text[start:end].isidentifier()
        assert all(part.isidentifier() for part in target.split("."))
        last = end
