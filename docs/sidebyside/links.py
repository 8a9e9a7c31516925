"""
---
title: Links
summary: Where links in the prose and identifiers in the code lead, and what is said when they lead nowhere.
---

# Links

An author writes a link as readers will see it (`../batch_norm/index.html`) or as the editor completes it
(`../batch_norm/__init__.py`). Both reach the page. A link that leads nowhere is found here,
before a reader finds it.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from sidebyside.discover import Roots, inside, printable
from sidebyside.inventory import Inventories
from sidebyside.model import Diagnostic, Link
from sidebyside.page import Page

# Characters that stand for themselves in the path of a URL. All others, `#`, `?`, `%` and quotes among them,
# are quoted.
SAFE_IN_PATH = "/!$()*+,;=@-._~"
SAFE_IN_ANCHOR = SAFE_IN_PATH + ":"

# A scheme of two letters or more. One letter is a drive on Windows, and no link.
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def quote_path(path: str) -> str:
    """
    ## A path below the site, as part of a URL
    """
    return quote(path, safe=SAFE_IN_PATH)


def relative_url(target: str, page: str, anchor: str = "") -> str:
    """
    ## Link from one page to another file of the site

    Relative, so that the site works in any folder of any server, and from the disk.

    * `target` and `page` are paths below the site
    """
    hash_and_anchor = "#" + quote(anchor, safe=SAFE_IN_ANCHOR) if anchor else ""
    if target == page and anchor:
        return hash_and_anchor
    return _relative_path(target, posixpath.dirname(page)) + hash_and_anchor


@lru_cache(maxsize=20_000)
def _relative_path(target: str, folder: str) -> str:
    # All pages of a folder link to each other
    return quote_path(posixpath.relpath(target, folder or "."))


def root_prefix(url: str) -> str:
    """
    ## What leads from a page to the root of the site
    """
    return "../" * url.count("/")


def is_external(target: str) -> bool:
    """
    ## Whether a link leaves the site
    """
    return target.startswith("//") or SCHEME.match(target) is not None


@dataclass(frozen=True)
class Target:
    """
    ## Where a link leads

    * `href` is what the page will say, `None` where the link is broken
    * `asset` is the file below the source folder that has to be copied for it
    * `problem` says what is wrong
    """

    href: str | None
    asset: str = ""
    problem: str = ""
    is_warning: bool = False


@dataclass
class LinkIndex:
    """
    ## All that can be linked to

    * `roots` are the source folders
    * `pages` are all pages; `folders` maps a folder's path to its page
    * `probed` gathers every path that was looked for on the disk, found or not: if one appears or changes,
      the site must be built again
    """

    roots: Roots
    pages: list[Page]
    folders: Mapping[str, str]
    inventories: Inventories
    is_single_file: bool = False
    probed: set[str] = field(default_factory=set)

    @cached_property
    def by_path(self) -> dict[str, Page]:
        return {page.path: page for page in self.pages}

    @cached_property
    def by_url(self) -> dict[str, Page]:
        return {page.url: page for page in self.pages}

    @cached_property
    def symbols(self) -> dict[str, tuple[Page, str]]:
        """
        ### Dotted names of the project: modules, and the classes and functions in them
        """
        symbols: dict[str, tuple[Page, str]] = {}
        for page in self.pages:
            if page.module:
                symbols.setdefault(page.module, (page, ""))
                for definition in page.definitions:
                    symbols.setdefault(f"{page.module}.{definition.name}", (page, definition.name))
        return symbols

    @cached_property
    def modules(self) -> dict[str, Page]:
        return {page.module: page for page in self.pages if page.module}

    def symbol(self, name: str) -> tuple[Page, str] | None:
        """
        ### The page and anchor of a dotted name

        Names that a package passes on are followed to where they are defined.
        """
        seen = set()
        while name not in self.symbols and name not in seen:
            seen.add(name)
            followed = self._follow_alias(name)
            if followed is None:
                return None
            name = followed
        return self.symbols.get(name)

    def _follow_alias(self, name: str) -> str | None:
        module, rest = name, ""
        while "." in module:
            module, _, last = module.rpartition(".")
            rest = f"{last}.{rest}" if rest else last
            if page := self.modules.get(module):
                first, _, others = rest.partition(".")
                origin = page.aliases.get(first)
                return f"{origin}.{others}" if origin and others else origin
        return None

    def reference(self, page: Page, name: str) -> tuple[str, bool] | None:
        """
        ### Link for an identifier, and whether it leaves the site

        Nothing is guessed: a name that neither the project nor an inventory knows gets no link.
        """
        if found := self.symbol(name):
            target, anchor = found
            if target is page and not anchor:
                return None
            return relative_url(target.url, page.url, anchor), False
        address = self.inventories.find(name)
        return (address, True) if address else None

    def resolve(self, page: Page, link: Link) -> Target:
        """
        ### Link or image in the prose
        """
        if is_external(link.target):
            return Target(link.target)
        path, _, anchor = link.target.partition("#")
        path = unquote(path.partition("?")[0])
        anchor = unquote(anchor)
        if not path:
            return self._anchor(page, page, anchor, link)
        if self.is_single_file and not link.is_image:
            problem = f"{_shown(link)} leads to another file, which a page on its own does not carry along"
            return Target(None, problem=problem, is_warning=True)
        goal = self._normalize(page, path)
        if goal is None:
            return Target(None, problem=f"{_shown(link)} leaves the source folder; give its full address instead")
        if target := self._page(goal):
            return self._anchor(page, target, anchor, link)
        if goal.rstrip("/") in self.folders:
            return Target(relative_url(self.folders[goal.rstrip("/")], page.url, anchor))
        if goal in self.folders.values():
            return Target(relative_url(goal, page.url, anchor))
        return self._file(page, goal, link, anchor)

    def _normalize(self, page: Page, path: str) -> str | None:
        """
        ### Path below the source folder, or `None` where it leads out of it
        """
        base = "" if path.startswith("/") else posixpath.dirname(page.path)
        joined = posixpath.normpath(posixpath.join(base, path.lstrip("/") if not base else path))
        if joined == ".." or joined.startswith("../"):
            return None
        return "" if joined == "." else joined

    def _page(self, goal: str) -> Page | None:
        if found := self.by_path.get(goal) or self.by_url.get(goal):
            return found
        folder_page = self.folders.get(goal)
        return self.by_url.get(folder_page) if folder_page else None

    def _anchor(self, page: Page, target: Page, anchor: str, link: Link) -> Target:
        """
        ### Link to a page, its anchor checked
        """
        href = relative_url(target.url, page.url, anchor)
        if target is page and not anchor:
            href = "#" if not link.target.partition("#")[0] else href
        if not anchor or anchor == "top" or target.has_anchor(anchor):
            return Target(href)
        known = [*target.anchors, *(definition.name for definition in target.definitions)]
        where = "this page" if target is page else target.path
        return Target(href, problem=f"no anchor #{printable(anchor)} on {where}{_did_you_mean(anchor, known)}")

    def _file(self, page: Page, goal: str, link: Link, anchor: str) -> Target:
        """
        ### Link to a file that is no page: an image, a data file

        It is copied into the site, unless it is hidden or lies outside.
        """
        folder, file = self.roots.locate(goal)
        self.probed.add(goal)
        if any(part.startswith(".") for part in goal.split("/")):
            return Target(None, problem=f"{_shown(link)} is a hidden file, which is not published")
        if "\0" in goal or not os.path.isfile(file):
            return Target(None, problem=f"{_shown(link)} is not there{self._suggest(page, goal)}")
        if not inside(folder, file):
            return Target(None, problem=f"{_shown(link)} is a symbolic link out of the source folder")
        return Target(relative_url(goal, page.url, anchor), asset=goal)

    def _suggest(self, page: Page, goal: str) -> str:
        """
        ### The nearest name that exists: a page anywhere, or a file in the folder that was meant
        """
        folder = posixpath.dirname(goal)
        try:
            names = os.listdir(self.roots.locate(folder)[1])
        except (OSError, ValueError):
            names = []
        files = [posixpath.join(folder, name) for name in names if not name.startswith(".")]
        known = [*files, *self.by_path, *(url for url in self.by_url if url.endswith("index.html"))]
        from difflib import get_close_matches

        near = get_close_matches(goal, known, n=1, cutoff=0.75)
        if not near:
            same_name = [path for path in known if posixpath.basename(path) == posixpath.basename(goal)]
            near = same_name if len(same_name) == 1 else []
        if not near:
            return ""
        written = posixpath.relpath(near[0], posixpath.dirname(page.path) or ".")
        return f"; did you mean {printable(written)}?"


def check_links(index: LinkIndex, page: Page) -> tuple[dict[str, str | None], set[str], list[Diagnostic]]:
    """
    ## All links of a page

    Returns what each becomes, the files that they need, and what is wrong with them.
    """
    targets: dict[str, str | None] = {}
    assets: set[str] = set()
    diagnostics: set[Diagnostic] = set()
    for link in page.links:
        target = index.resolve(page, link)
        targets[link.target] = target.href
        if target.asset:
            assets.add(target.asset)
        if target.problem:
            kind = "image" if link.is_image else "link"
            severity: Literal["warning", "error"] = "warning" if target.is_warning else "error"
            diagnostics.add(Diagnostic(page.path, link.line, f"broken {kind}: {target.problem}", severity))
    return targets, assets, sorted(diagnostics)


def external_links(pages: Iterable[Page]) -> dict[str, list[tuple[str, int]]]:
    """
    ## Links that leave the site, each with where it stands
    """
    found: dict[str, list[tuple[str, int]]] = {}
    for page in pages:
        for link in page.links:
            if urlsplit(link.target).scheme in ("http", "https"):
                found.setdefault(link.target, []).append((page.path, link.line))
    return dict(sorted(found.items()))


def _shown(link: Link) -> str:
    return printable(link.target)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean #{near[0]}?" if near else ""
