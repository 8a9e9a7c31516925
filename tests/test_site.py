"""A folder becomes a site: which pages there are, how they link, what else is written, what stays untouched."""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import sphobjinv

from sidebyside import Settings, Site, render
from sidebyside.problem import OutputProblem, SettingsProblem, TemplateProblem

MODULE = '''"""
---
title: A model
summary: What it does.
---
# A model

See [the other](helper.py) and [its class](helper.py#Helper).
"""
import torch.nn as nn
from .helper import Helper


class Model(nn.Module):
    """
    ## The model

    It has many features. More follows.
    """

    def __init__(self, size: int = 3):
        # Keep a helper
        self.helper = Helper(size)
'''
HELPER = '''"""
# A helper
"""


class Helper:
    """
    ### Helps
    """

    def help(self):
        return [1]
'''


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    (folder / "sub").mkdir(parents=True)
    (folder / "__init__.py").write_text('"""\n# The package\n\nBegin with [the model](sub/model.html).\n"""\n')
    (folder / "sub" / "__init__.py").write_text("")
    (folder / "sub" / "model.py").write_text(MODULE)
    (folder / "sub" / "helper.py").write_text(HELPER)
    (folder / "sub" / "readme.md").write_text("---\ntitle: All about it\nsummary: In short.\n---\n# Overview\n")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def links_of(html: str) -> list[str]:
    return re.findall(r'<a [^>]*href="([^"#?]*)', html)


def test_pages_mirror_the_source(package: Path, tmp_path: Path) -> None:
    report = Site(package).build(tmp_path / "out")
    assert report.diagnostics == ()
    pages = {path for path in files_of(tmp_path / "out") if path.endswith(".html")}
    assert pages == {"404.html", "index.html", "sub/index.html", "sub/helper.html", "sub/model.html", "sub/readme.html"}


def test_the_page_contract(package: Path, tmp_path: Path) -> None:
    Site(package).build(tmp_path / "out")
    html = (tmp_path / "out/sub/model.html").read_text()
    ids = re.findall(r'<div class="section[^"]*" id="(section-\d+)"', html)
    assert ids == [f"section-{n}" for n in range(len(ids))] and len(ids) > 2
    assert html.count('<div class="docs') == html.count('<div class="code') == len(ids)
    assert 'id="L10"' in html and 'class="lineno"' in html
    assert 'id="Model"' in html and 'id="Model.__init__"' in html


def test_every_local_link_of_every_page_reaches_a_file(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(package).build(out)
    for file in out.rglob("*.html"):
        if file.name == "404.html":
            continue
        for link in links_of(file.read_text()):
            if link and "://" not in link:
                assert (file.parent / unquote(link)).is_file(), (file, link)


def test_identifiers_link_to_the_project_and_to_known_documentation(package: Path, tmp_path: Path) -> None:
    Site(package).build(tmp_path / "out")
    html = (tmp_path / "out/sub/model.html").read_text()
    assert 'href="helper.html#Helper"' in html
    assert 'href="https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module"' in html
    assert "data-ref" not in html


def test_names_that_a_package_passes_on_are_followed(package: Path, tmp_path: Path) -> None:
    (package / "sub/__init__.py").write_text("from .helper import Helper as Better\n")
    (package / "user.py").write_text("from package.sub import Better\n\nBetter.help\n")
    Site(package).build(tmp_path / "out")
    html = (tmp_path / "out/user.html").read_text()
    assert 'href="sub/helper.html#Helper"' in html
    assert 'href="sub/helper.html#Helper.help"' in html


def test_cards_hold_signature_and_first_sentence(package: Path, tmp_path: Path) -> None:
    (package / "user.py").write_text("from .sub.model import Model\n\nModel()\n")
    Site(package).build(tmp_path / "out")
    html = (tmp_path / "out/user.html").read_text()
    data = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', html)
    assert data
    cards = json.loads(data[1])["cards"]
    signature, sentence = cards["sub/model.html#Model"]
    assert signature == "class Model(nn.Module)"
    assert sentence.startswith("It has") and "More" not in sentence


def test_folder_without_a_page_gets_a_listing_under_its_readmes_name(package: Path, tmp_path: Path) -> None:
    Site(package).build(tmp_path / "out")
    html = (tmp_path / "out/sub/index.html").read_text()
    assert "<title>All about it" in html
    assert 'href="../sub/model.html"' in html and "What it does." in html


def test_a_page_without_a_summary_is_told_by_its_first_sentence(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    licence = "#!/usr/bin/env python\n# Copyright Somebody\n"
    (tmp_path / "code/module.py").write_text(f'{licence}"""\n---\ntitle: It\n---\n# Title\n\nDoes it. And more.\n"""\n')
    Site(tmp_path / "code").build(tmp_path / "out")
    assert '<meta name="description" content="Does it.">' in (tmp_path / "out/module.html").read_text()


def test_home_page_is_the_readme_where_the_package_says_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "__init__.py").write_text("VERSION = 1\n")
    (folder / "README.md").write_text("# Welcome\n")
    report = Site(folder).build(tmp_path / "out")
    assert not report.diagnostics
    assert "Welcome" in (tmp_path / "out/index.html").read_text()
    assert "VERSION" in (tmp_path / "out/__init__.html").read_text()


def test_sitemap_robots_and_canonical_links_need_an_address(package: Path, tmp_path: Path) -> None:
    Site(package).build(tmp_path / "without")
    assert "sitemap.xml" not in files_of(tmp_path / "without")
    Site(package, Settings(base_url="https://example.org/x/")).build(tmp_path / "with")
    sitemap = (tmp_path / "with/sitemap.xml").read_text()
    assert "<loc>https://example.org/x/</loc>" in sitemap
    assert "<loc>https://example.org/x/sub/model.html</loc>" in sitemap
    assert "https://example.org/x/sitemap.xml" in (tmp_path / "with/robots.txt").read_text()
    assert '<link rel="canonical" href="https://example.org/x/sub/">' in (tmp_path / "with/sub/index.html").read_text()
    # Shown at any depth, so that its links begin at the root of the server
    assert 'href="/x/index.html"' in (tmp_path / "with/404.html").read_text()


def test_object_inventory_is_read_by_sphinxs_tools(package: Path, tmp_path: Path) -> None:
    Site(package, Settings(title="Mine")).build(tmp_path / "out")
    inventory = sphobjinv.Inventory(str(tmp_path / "out/objects.inv"))
    names = {(each.domain, each.role, each.name): each.uri for each in inventory.objects}
    assert inventory.project == "Mine"
    assert names["py", "class", "package.sub.model.Model"] == "sub/model.html#Model"
    assert names["py", "method", "package.sub.helper.Helper.help"] == "sub/helper.html#Helper.help"
    assert names["py", "module", "package.sub.model"] == "sub/model.html"
    assert names["std", "doc", "sub/readme"] == "sub/readme.html"


def test_search_index_is_a_script_that_names_every_section(package: Path, tmp_path: Path) -> None:
    Site(package).build(tmp_path / "out")
    script = (tmp_path / "out/search-index.js").read_text()
    assert script.startswith("window.sidebysideSearch={pages:")
    pages, sections = re.fullmatch(r"window\.sidebysideSearch=\{pages:(.*?),sections:(.*)\};\n", script, re.S).groups()
    urls = [url for url, _, _ in json.loads(pages)]
    found = [(urls[page], heading, text, names) for page, _, heading, text, names in json.loads(sections)]
    assert any(url == "sub/model.html" and "features" in text for url, _, text, _ in found)
    assert any(url == "sub/helper.html" and "Helper.help" in names.split() for url, _, _, names in found)


def test_source_can_be_downloaded_as_it_is(package: Path, tmp_path: Path) -> None:
    (package / "odd.py").write_bytes(b"# -*- coding: latin-1 -*-\r\nname = '\xe9'\r\n")
    Site(package).build(tmp_path / "out")
    assert (tmp_path / "out/odd.py").read_bytes() == (package / "odd.py").read_bytes()
    assert 'href="odd.py"' in (tmp_path / "out/odd.html").read_text()


def test_images_and_files_that_the_prose_links_to_are_copied(package: Path, tmp_path: Path) -> None:
    (package / "sub/picture.png").write_bytes(b"\x89PNG")
    (package / "data.csv").write_text("1,2\n")
    (package / "notes.md").write_text("![A picture](sub/picture.png) and [data](data.csv)\n")
    report = Site(package).build(tmp_path / "out")
    assert not report.diagnostics
    assert (tmp_path / "out/sub/picture.png").read_bytes() == b"\x89PNG"
    assert (tmp_path / "out/data.csv").read_text() == "1,2\n"


def test_a_file_that_does_not_parse_leaves_the_rest(package: Path, tmp_path: Path) -> None:
    (package / "broken.py").write_text("x = 1\ndef (:\n")
    report = Site(package).build(tmp_path / "out")
    assert [(each.path, each.line, each.severity) for each in report.diagnostics] == [("broken.py", 2, "error")]
    assert (tmp_path / "out/sub/model.html").exists() and (tmp_path / "out/broken.html").exists()


def test_two_sources_of_one_page_are_reported(package: Path, tmp_path: Path) -> None:
    (package / "sub/model.md").write_text("# Another model\n")
    report = Site(package).build(tmp_path / "out")
    assert [str(each) for each in report.diagnostics] == [
        "sub/model.py:1: error: makes the same page as sub/model.md (sub/model.html); rename one of them"
    ]


def test_one_file_becomes_one_page_with_everything_inside(tmp_path: Path) -> None:
    (tmp_path / "dot.png").write_bytes(b"\x89PNG")
    (tmp_path / "page.md").write_text("# One page\n\n![A dot](dot.png) $x^2$\n")
    html = render(tmp_path / "page.md")
    assert 'src="data:image/png;base64,iVBORw=="' in html
    assert 'url("data:font/woff2' in html
    assert 'index.html"' not in html
    assert not re.search(r'src="(?!data:)', html) and not re.search(r'<link [^>]*href="(?!data:)', html)


def test_same_source_same_bytes_with_any_number_of_processes(package: Path, tmp_path: Path) -> None:
    for n in range(30):
        (package / f"page{n}.py").write_text(MODULE * 12)
    Site(package, jobs=1, use_cache=False).build(tmp_path / "one")
    Site(package, jobs=3, use_cache=False).build(tmp_path / "three")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "three")


def test_settings_that_cannot_work_are_refused(package: Path) -> None:
    with pytest.raises(SettingsProblem, match="there is no"):
        Site(package / "nowhere")
    with pytest.raises(SettingsProblem, match="is no address"):
        Site(package, Settings(base_url="example.org"))
    with pytest.raises(SettingsProblem, match="is no folder"):
        Site(package, Settings(templates=package / "nowhere"))
    with pytest.raises(SettingsProblem, match="neither Python"):
        (package / "data.csv").write_text("")
        Site(package / "data.csv")


def test_one_block_of_a_template_can_be_replaced(package: Path, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "layout.html").write_text(
        '{% extends "default/layout.html" %}{% block footer %}<footer>Mine</footer>{% endblock %}'
    )
    Site(package, Settings(templates=templates)).build(tmp_path / "out")
    html = (tmp_path / "out/sub/model.html").read_text()
    assert "<footer>Mine</footer>" in html and 'id="section-0"' in html


def test_an_asset_of_the_theme_can_be_replaced(package: Path, tmp_path: Path) -> None:
    (tmp_path / "templates/assets").mkdir(parents=True)
    (tmp_path / "templates/assets/style.css").write_text("body { color: red }")
    Site(package, Settings(templates=tmp_path / "templates")).build(tmp_path / "out")
    assert (tmp_path / "out/assets/style.css").read_text() == "body { color: red }"


@pytest.mark.parametrize("template", ["{% block %}", "{{ page.title.no.such }}", '{% include "nothing.html" %}'])
def test_a_mistake_in_a_template_is_told_with_its_place(package: Path, tmp_path: Path, template: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/page.html").write_text(f"\n{template}")
    with pytest.raises(TemplateProblem, match=r"page\.html(:\d+)?: error: "):
        Site(package, Settings(templates=tmp_path / "templates")).build(tmp_path / "out")


def test_links_to_the_repository_and_to_colab(package: Path, tmp_path: Path) -> None:
    address = "https://github.com/someone/thing/tree/dev/src/package"
    Site(package, Settings(repo_url=address, published_in="docs")).build(tmp_path / "out")
    html = (tmp_path / "out/sub/model.html").read_text()
    assert 'href="https://github.com/someone/thing/blob/dev/src/package/sub/model.py"' in html
    colab = "https://colab.research.google.com/github/someone/thing/blob/dev/docs/sub/model.ipynb"
    assert f'href="{colab}"' in html


def test_files_that_the_tool_did_not_write_are_never_touched(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "CNAME").write_text("example.org")
    (out / "sub/model.html").write_text("made by hand")
    with pytest.raises(OutputProblem, match=r"sub/model\.html is in the way"):
        Site(package).build(out)
    assert (out / "sub/model.html").read_text() == "made by hand"
    (out / "sub/model.html").unlink()
    Site(package).build(out)
    (package / "sub/helper.py").unlink()
    Site(package).build(out)
    assert (out / "CNAME").read_text() == "example.org"


def test_pages_whose_source_is_gone_are_removed_even_without_the_cache(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(package, use_cache=False).build(out)
    assert (out / "sub/readme.html").exists()
    for file in (package / "sub").iterdir():
        file.unlink()
    (package / "sub").rmdir()
    (package / "__init__.py").write_text('"""\n# Alone\n"""\n')
    Site(package, use_cache=False).build(out)
    assert not (out / "sub").exists()


def test_a_gone_page_that_was_changed_by_hand_stays_with_a_warning(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(package).build(out)
    (out / "sub/readme.html").write_text("precious")
    (package / "sub/readme.md").unlink()
    report = Site(package).build(out)
    assert (out / "sub/readme.html").read_text() == "precious"
    assert [each.severity for each in report.diagnostics if each.path == "sub/readme.html"] == ["warning"]


def test_unchanged_files_are_not_written_again(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(package).build(out)
    before = {path: os.stat(out / path).st_mtime_ns for path in files_of(out)}
    (package / "sub/helper.py").write_text(HELPER.replace("return [1]", "return [2]"))
    report = Site(package).build(out)
    after = {path: os.stat(out / path).st_mtime_ns for path in files_of(out)}
    changed = {path for path in after if before.get(path) != after[path]}
    assert {path for path in changed if path.endswith(".html")} == {"sub/helper.html"}
    assert "sub/helper.html" in report.changed and "sub/model.html" not in report.changed


def test_stale_names_what_a_build_would_change(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(package).build(out)
    assert Site(package).stale(out) == []
    (package / "sub/readme.md").unlink()
    (package / "new.md").write_text("# New\n")
    (out / "sub/model.html").write_text("changed")
    stale = Site(package).stale(out)
    assert {"new.html", "sub/readme.html", "sub/model.html", "index.html"} <= set(stale)
    assert "assets/style.css" not in stale
    assert (out / "sub/model.html").read_text() == "changed" and not (out / "new.html").exists()


def test_check_writes_nothing_and_finds_the_same(package: Path, tmp_path: Path) -> None:
    (package / "sub/readme.md").write_text("[gone](gone.md)\n")
    before = files_of(tmp_path / "package")
    report = Site(package).check()
    assert files_of(tmp_path / "package") == before
    assert report.diagnostics == Site(package).build(tmp_path / "out").diagnostics
    assert len(report.diagnostics) == 1


def test_the_output_may_lie_inside_the_source(package: Path) -> None:
    first = Site(package).build(package / "site")
    second = Site(package).build(package / "site")
    assert first.n_pages == second.n_pages and second.changed == ()
