"""A module becomes a notebook that runs from top to bottom."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from sidebyside import Settings, Site

MODULE = '''"""
---
example: |
  print(Pair(2, 3).product())
---
# Pairs
"""

from __future__ import annotations

import math
from .constants import ONE


@property
def decorated(self):
    return 1


class Pair:
    """
    ## A pair
    """

    # Kept in the class
    left = 0

    def __init__(self, left, right):
        """
        * `left` and `right` are numbers
        """
        # A note in the middle
        self.left, self.right = left, right

    def product(self):
        from . import constants

        #
        return self.left * self.right * ONE * constants.ONE


# ## A table
TABLE = {
    # The first
    "a": 1,
    # The second
    "b": math.floor(2.5),
}
assert TABLE == {"a": 1, "b": 2}; assert Pair(1, 2).product() == 2
text = """
# no comment
"""

# Only as a command
if __name__ == "__main__":
    raise SystemExit("not in a notebook")
'''


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "pairs"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "constants.py").write_text("ONE = 1\n")
    (folder / "pair.py").write_text(MODULE)
    settings = Settings(repo_url="https://github.com/someone/pairs")
    assert Site(folder, settings).build(tmp_path / "out").n_errors == 0
    return nbformat.read(tmp_path / "out/pair.ipynb", as_version=4)


def test_it_is_a_valid_notebook_with_stable_names(notebook: Any) -> None:
    nbformat.validate(notebook)
    identifiers = [cell.id for cell in notebook.cells]
    assert len(set(identifiers)) == len(identifiers)
    assert identifiers[0] == "install" and identifiers[-1] == "example"


def test_it_runs_from_top_to_bottom(notebook: Any, tmp_path: Path) -> None:
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert notebook.cells[-1].outputs[0].text == "6\n"


def test_each_code_cell_holds_whole_statements(notebook: Any) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.id != "install":
            compile(cell.source, cell.id, "exec")


def test_notes_become_markdown_or_stay_in_the_code_and_none_is_said_twice(notebook: Any) -> None:
    markdown = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    for text in ("# Pairs", "## A pair", "## A table"):
        assert text in markdown and text not in code
    for text in (
        "# Kept in the class",
        "* `left` and `right`",
        "# A note in the middle",
        "# The first",
        "# no comment",
    ):
        assert text in code and text.removeprefix("# ") not in markdown


def test_relative_imports_become_absolute(notebook: Any) -> None:
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "from pairs.constants import ONE" in code
    assert "        from pairs import constants" in code
    assert "from ." not in code


def test_the_command_is_left_out(notebook: Any) -> None:
    assert "SystemExit" not in json.dumps(notebook)


LINKS = '''"""
# Links

[page](other.md#first-steps), ![a plot](plot.svg "Title"), <a href="other.md">raw</a>, [out](https://example.org),
[defined], [line](other.py#L1), [gone](gone.md), [with a space](<a b.md>)

[defined]: other.html

`[code](other.md)` and

```markdown
[code](other.md)
```
"""
x = 1
'''


def links_of_notebook(tmp_path: Path, settings: Settings) -> str:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "links.py").write_text(LINKS)
    (folder / "other.md").write_text("# Other\n\n## First steps\n")
    (folder / "a b.md").write_text("# A b\n")
    (folder / "plot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Site(folder, settings, use_cache=False).build(tmp_path / "out")
    return str(nbformat.read(tmp_path / "out/links.ipynb", as_version=4).cells[0].source)


def test_links_lead_to_the_site(tmp_path: Path) -> None:
    markdown = links_of_notebook(tmp_path, Settings(base_url="https://x.org/docs"))
    for text in (
        "[page](https://x.org/docs/other.html#first-steps)",
        '![a plot](https://x.org/docs/plot.svg "Title")',
        '<a href="https://x.org/docs/other.html">raw</a>',
        "[out](https://example.org)",
        "[defined]: https://x.org/docs/other.html",
        "[gone](gone.md)",
        "[with a space](<https://x.org/docs/a%20b.html>)",
        "`[code](other.md)` and",
        "```markdown\n[code](other.md)\n```",
    ):
        assert text in markdown


def test_without_a_site_they_lead_to_the_repository(tmp_path: Path) -> None:
    markdown = links_of_notebook(tmp_path, Settings(repo_url="https://github.com/someone/thing/tree/main/code"))
    for text in (
        "[page](https://github.com/someone/thing/blob/main/code/other.md#first-steps)",
        "![a plot](https://github.com/someone/thing/blob/main/code/plot.svg?raw=true ",
        "[with a space](<https://github.com/someone/thing/blob/main/code/a%20b.md>)",
    ):
        assert text in markdown


def test_without_either_they_stay(tmp_path: Path) -> None:
    assert links_of_notebook(tmp_path, Settings()) == "\n".join(LINKS.split("\n")[1:-3])


@pytest.mark.parametrize(
    ("module", "says"), [("conv_mixer/index", "torch.Size([4, 10])"), ("conv_mixer/experiment", "Epoch 1/1")]
)
def test_the_notebooks_of_this_project_run(published: Path, module: str, says: str, tmp_path: Path) -> None:
    """The experiment's on shapes, which need no download."""
    notebook = nbformat.read(published / f"{module}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert notebook.cells[-1].id == "example"
    assert says in json.dumps(notebook.cells[-1].outputs)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks of the annotated modules."""
    source = Path(__file__).parent.parent / "labml_nn"
    out = tmp_path_factory.mktemp("published")
    Site(source, jobs=1, use_cache=False).build(out)
    return out
