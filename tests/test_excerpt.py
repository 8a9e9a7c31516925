"""A page shows a class or function of another page, as it stands there."""

import re
from pathlib import Path

import pytest

from sidebyside import Settings, Site

HOME = """---
excerpt: {excerpt}
---

# Home
"""
MODULE = '''"""
# Deep
"""

import os


class First:
    """
    ## First

    See [below](#Second) and [home](../readme.md) and [elsewhere](https://example.org).
    """

    def run(self) -> str:
        # Where we are
        return os.getcwd()


class Second(First):
    """
    ## Second
    """
'''


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))


def site(tmp_path: Path, excerpt: str) -> Site:
    (tmp_path / "pages" / "deep").mkdir(parents=True)
    (tmp_path / "pages" / "readme.md").write_text(HOME.format(excerpt=excerpt))
    (tmp_path / "pages" / "deep" / "module.py").write_text(MODULE)
    return Site(tmp_path / "pages", Settings())


def shown(folder: Path) -> str:
    page = (folder / "index.html").read_text()
    return page[page.index('<section class="excerpt"') :].partition("</section>")[0].partition("</h2>")[2]


def test_it_shows_the_whole_class_and_no_more(tmp_path: Path):
    report = site(tmp_path, "deep/module.py#First").build(tmp_path / "out")
    assert not report.diagnostics
    excerpt = shown(tmp_path / "out")
    assert "getcwd" in excerpt and "Where we are" in excerpt
    assert "Deep" not in excerpt and "Second</h2>" not in excerpt


def test_links_reach_from_where_it_is_shown(tmp_path: Path):
    site(tmp_path, "deep/module.py#First").build(tmp_path / "out")
    excerpt = shown(tmp_path / "out")
    assert 'href="deep/module.html#Second"' in excerpt and 'href="index.html"' in excerpt
    assert 'href="https://example.org"' in excerpt
    assert 'href="deep/module.html#L8"' in excerpt, "line numbers lead to the page that has the lines"


def test_it_brings_no_anchors_that_could_clash(tmp_path: Path):
    site(tmp_path, "deep/module.py#First").build(tmp_path / "out")
    assert not re.search(r'\sid="', shown(tmp_path / "out"))


def test_it_follows_the_module(tmp_path: Path):
    pages = site(tmp_path, "deep/module.py#First.run")
    pages.build(tmp_path / "out")
    module = tmp_path / "pages" / "deep" / "module.py"
    module.write_text(MODULE.replace("Where we are", "Where we went"))
    assert "index.html" in pages.build(tmp_path / "out").changed
    assert "Where we went" in shown(tmp_path / "out")


@pytest.mark.parametrize("wanted", ["deep/module.py#Third", "deep/missing.py#First", "deep/module.py", "#First"])
def test_what_is_not_there_is_a_diagnostic(wanted: str, tmp_path: Path):
    report = site(tmp_path, f"'{wanted}'").build(tmp_path / "out")
    assert [each.path for each in report.diagnostics] == ["readme.md"]
    assert f"excerpt {wanted}" in report.diagnostics[0].message
