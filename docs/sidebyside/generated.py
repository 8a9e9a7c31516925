"""
---
title: Generated files
summary: What a site holds besides its pages, from the sitemap to the math font.
---

# Files that no source stands for
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sidebyside import inventory, search
from sidebyside.cache import digest, to_json
from sidebyside.inventory import Entry
from sidebyside.links import quote_path
from sidebyside.page import Body, Page
from sidebyside.rendering import Plan, Renderer
from sidebyside.theme import FONT, theme_files

if TYPE_CHECKING:
    from sidebyside.build import Build


@dataclass(frozen=True)
class File:
    """
    ## A file to be written

    * `unit` is the hash of what it comes from
    * `make` yields its bytes
    * `is_linked` says that the prose links to it
    """

    path: str
    unit: str
    make: Callable[[], bytes]
    is_linked: bool = False


def files(build: "Build", plans: list[Plan]) -> Iterator[File]:
    """
    ## All of them

    Files of the author come first, and those of the site replace them.
    """
    for path in sorted(build.assets):
        file = Path(build.site.roots.locate(path)[1])
        yield File(path, digest(file.read_bytes()), file.read_bytes, is_linked=True)
    for name, file in theme_files(build.site.settings.templates).items():
        if name.startswith("assets/"):
            yield File(name, digest(file.read_bytes()), file.read_bytes)
    # Without it, GitHub Pages hides pages whose name begins with an underscore
    yield File(".nojekyll", "", bytes)
    yield _search_index(build)
    yield _object_inventory(build)
    yield from _from_templates(build)
    # A worker makes it, beside the pages
    if build.math_characters:
        yield File(FONT, digest(build.math_characters), bytes)


def _from_templates(build: "Build") -> Iterator[File]:
    """
    ### Sitemap, `robots.txt` and the page for addresses that do not exist
    """
    renderer = Renderer(build.site_context, build.site.settings.templates, build.font_hash)
    canonical = [f"{build.site_context['base_url']}/{quote_path(node.url)}" for node in build.tree.nodes]
    canonical = [url.removesuffix("index.html") if url.endswith("/index.html") else url for url in canonical]

    def from_template(name: str) -> File:
        return File(
            name, digest(build.common, to_json(canonical)), lambda: renderer.file(name, name, urls=canonical).encode()
        )

    if build.site.settings.base_url:
        yield from_template("sitemap.xml")
    yield from_template("robots.txt")
    yield File("404.html", build.common, lambda: _not_found(build, renderer).encode("utf-8", "replace"))


def _not_found(build: "Build", renderer: Renderer) -> str:
    """
    ### It is shown at any depth, so that its links start at the root of the server
    """
    root = urlsplit(build.site.settings.base_url).path.rstrip("/") + "/"
    context: dict[str, Any] = {
        **dict.fromkeys(("code_url", "source_href", "notebook_href", "colab_url", "canonical", "previous", "next")),
        "path": "404.html",
        "url": "404.html",
        "root": root,
        "title": "Page not found",
        "summary": "",
        "front_matter": {},
        "kind": "404",
        "toc": [],
        "breadcrumbs": [],
        "neighbours": [],
        "children": [],
        "data": {"root": root, "cards": {}},
    }
    return renderer.page(Plan("404.html", "404.html", context), Body([]))


def _search_index(build: "Build") -> File:
    pages = [(quote_path(page.url), page.title, page.summary) for page in build.pages]
    keys = {source.path: build.site.known[source.path][0] for source in build.inputs.sources}

    def entries() -> Iterator[list[str]]:
        for source in build.inputs.sources:
            lines = build.site.cache.load(source.path, keys[source.path])
            yield json.loads(lines[1]) if lines else []

    def make() -> bytes:
        return "".join(search.index_script(pages, entries())).encode("utf-8", "replace")

    return File("search-index.js", digest(to_json(keys)), make)


def _object_inventory(build: "Build") -> File:
    """
    ### By which other sites link to ours
    """
    entries = [entry for page in build.pages for entry in _entries(page)]
    data = inventory.write(entries, build.site_context["title"])
    return File("objects.inv", digest(data), lambda: data)


def _entries(page: Page) -> Iterator[Entry]:
    address = quote_path(page.url)
    yield Entry(page.url.removesuffix(".html"), "std:doc", address, -1, page.title or "-")
    if not page.module:
        return
    yield Entry(page.module, "py:module", address, 0)
    for definition in page.definitions:
        uri = f"{address}#{definition.name}"
        yield Entry(f"{page.module}.{definition.name}", f"py:{definition.kind}", uri)
