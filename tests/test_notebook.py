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
