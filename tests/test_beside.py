"""Several folders make one site: each keeps its names, links cross from one to the other."""

from pathlib import Path

import pytest

from sidebyside import Settings, Site
from sidebyside.problem import SettingsProblem

HOME = '''"""
# Home

See [the tool](tool/__init__.py) and [its run](tool/run.py#run).
"""
'''
TOOL = '''"""
# Tool

![A picture](picture.svg) of [home](../index.html)
"""
'''
RUN = '''from tool.help import help_me


def run():
    """
    # Run
    """
    help_me()
'''
HELP = '''def help_me():
    """
    # Help
    """
'''


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two packages of one repository, which lie next to each other."""
    model, tool = tmp_path / "repo" / "model", tmp_path / "repo" / "tool"
    write(tmp_path / "repo" / ".git" / "HEAD", "")
    write(model / "__init__.py", HOME)
    write(tool / "__init__.py", TOOL)
    write(tool / "run.py", RUN)
    write(tool / "help.py", HELP)
    write(tool / "picture.svg", "<svg/>")
    return model, tool


def test_links_cross_folders_both_ways(folders: tuple[Path, Path], tmp_path: Path):
    model, tool = folders
    report = Site(model, Settings(beside=(tool,))).build(tmp_path / "out")
    assert not report.diagnostics
    home = (tmp_path / "out" / "index.html").read_text()
    assert 'href="tool/index.html"' in home and 'href="tool/run.html#run"' in home
    assert 'href="../index.html"' in (tmp_path / "out" / "tool" / "index.html").read_text()
    assert (tmp_path / "out" / "tool" / "picture.svg").exists()


def test_modules_keep_the_names_under_which_they_are_imported(folders: tuple[Path, Path], tmp_path: Path):
    model, tool = folders
    Site(model, Settings(beside=(tool,))).build(tmp_path / "out")
    assert 'href="help.html#help_me"' in (tmp_path / "out" / "tool" / "run.html").read_text()


def test_code_links_lead_to_the_folder_in_the_repository(folders: tuple[Path, Path], tmp_path: Path):
    model, tool = folders
    address = "https://github.com/someone/something"
    Site(model, Settings(beside=(tool,), repo_url=address)).build(tmp_path / "out")
    assert f"{address}/blob/main/tool/run.py" in (tmp_path / "out" / "tool" / "run.html").read_text()
    assert f"{address}/blob/main/model/__init__.py" in (tmp_path / "out" / "index.html").read_text()


def test_a_change_beside_is_not_missed(folders: tuple[Path, Path], tmp_path: Path):
    model, tool = folders
    site = Site(model, Settings(beside=(tool,)))
    site.build(tmp_path / "out")
    write(tool / "help.py", HELP.replace("Help", "Changed"))
    assert "tool/help.html" in site.build(tmp_path / "out").changed
    assert "Changed" in (tmp_path / "out" / "tool" / "help.html").read_text()


def test_the_same_path_twice_is_reported(folders: tuple[Path, Path], tmp_path: Path):
    model, tool = folders
    write(model / "tool" / "help.py", HELP)
    report = Site(model, Settings(beside=(tool,))).build(tmp_path / "out")
    assert [str(each).partition(" is both")[0] for each in report.diagnostics] == ["tool/help.py:1: error:"]


@pytest.mark.parametrize("names, problem", [(("missing",), "is no folder"), (("a/x", "b/x"), "two folders")])
def test_folders_that_cannot_be_are_refused(names: tuple[str, ...], problem: str, tmp_path: Path):
    for name in ("a/x", "b/x"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(SettingsProblem, match=problem):
        Site(tmp_path, Settings(beside=tuple(tmp_path / name for name in names)))
