"""
---
title: Building a site
summary: From a folder to a site. Each page on its own first, then the links between them.
---

# Building a site

A build has two halves. In the first, each source becomes a [page](page.py) on its own; nothing there depends on
a neighbour, so that it runs in parallel and comes from the [cache](cache.py) where the file did not change.
In the second, all pages are known: [links](links.py) and identifiers find their targets, and
[templates](rendering.py) make the HTML. What a page takes from the others is gathered in a small *plan*, and
only a page whose body or plan changed is rendered again. So editing one note in a thousand pages renders one page.

Before either half, one hash over every input says whether there is anything to do at all.
"""

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sidebyside.cache import Cache, cache_home, digest, engine_fingerprint, locked
from sidebyside.discover import Roots
from sidebyside.inputs import Inputs, Record, probe
from sidebyside.model import Diagnostic
from sidebyside.problem import OutputProblem, SettingsProblem
from sidebyside.theme import FONT

if TYPE_CHECKING:
    from sidebyside.build import Build
    from sidebyside.page import Page


@dataclass(frozen=True)
class Settings:
    """
    ## What a user can choose

    * `title` is the name of the site; without one, the home page's
    * `base_url` is where the site will be, for canonical links, the sitemap and social cards
    * `repo_url` is the repository, or the source's folder in it, for *View code* links
    * `published_in` is the folder of the repository that the built site is committed to; it enables *Open in Colab*
    * `templates` is a folder whose files take the place of the theme's
    * `inventories` are pairs of an address and a local copy of the `objects.inv` that it serves
    * `analytics` is a measurement ID of Google Analytics; without one, pages load nothing from elsewhere
    * `beside` are further folders of sources, which the site shows as if they lay in the source folder
    """

    title: str = ""
    base_url: str = ""
    repo_url: str = ""
    published_in: str = ""
    templates: Path | None = None
    inventories: tuple[tuple[str, Path], ...] = ()
    analytics: str = ""
    beside: tuple[Path, ...] = ()

    def validate(self) -> None:
        """
        ### Refuse what cannot work

        Raises `SettingsProblem`.
        """
        for name, address in (("base-url", self.base_url), ("repo-url", self.repo_url)):
            if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc):
                raise SettingsProblem(
                    f"--{name} {address!r} is no address; it should look like https://example.org/docs"
                )
        if self.analytics and not re.fullmatch(r"[A-Za-z0-9-]+", self.analytics):
            raise SettingsProblem(f"--analytics {self.analytics!r} is no measurement ID, which looks like G-ABC123")
        if self.templates and not self.templates.is_dir():
            raise SettingsProblem(f"--templates {str(self.templates)!r} is no folder")
        names = [_absolute(folder).name for folder in self.beside]
        for folder, name in zip(self.beside, names, strict=True):
            if not folder.is_dir():
                raise SettingsProblem(f"--beside {str(folder)!r} is no folder")
            if names.count(name) > 1:
                raise SettingsProblem(f"--beside: two folders are called {name!r}")
        for address, file in self.inventories:
            if not file.is_file():
                raise SettingsProblem(f"--inventory {address}={file}: there is no such file")


@dataclass(frozen=True)
class Report:
    """
    ## What a build did

    * `diagnostics` are sorted by file and line
    * `changed` are the files that were written or removed, relative to the output
    """

    n_pages: int
    diagnostics: tuple[Diagnostic, ...]
    changed: tuple[str, ...] = ()

    @property
    def n_errors(self) -> int:
        return sum(each.severity == "error" for each in self.diagnostics)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


Progress = Callable[[str, int, int], None]


def _no_progress(step: str, done: int, total: int) -> None:
    pass


class Site:
    """
    ## A site

    * `source` is a package folder, any folder of Python and Markdown, or one file
    * `jobs` is the number of processes, by default one for each core, or one where there is little to do
    * `use_cache=False` neither reads nor writes the user's cache

    Raises `SettingsProblem` where a setting cannot work.

    A site that lives on, as it does in `serve`, keeps its pages in memory and does again only what changed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        settings: Settings | None = None,
        jobs: int | None = None,
        use_cache: bool = True,
    ):
        self.source = Path(os.path.abspath(source))
        self.settings = settings or Settings()
        self.jobs = jobs or (os.cpu_count() or 1)
        if not self.source.exists():
            raise SettingsProblem(f"there is no {source}")
        self.settings.validate()
        self.is_single_file = self.source.is_file()
        if self.is_single_file and self.source.suffix not in (".py", ".md"):
            raise SettingsProblem(f"{source} is neither Python (.py) nor Markdown (.md)")
        main = self.source.parent if self.is_single_file else self.source
        beside = {folder.name: str(folder) for folder in map(_absolute, self.settings.beside)}
        self.roots = Roots(str(main), beside)
        self.pages: list[Page] = []
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self.cache = self._open_cache(use_cache)
        self.known: dict[str, tuple[str, Page]] = {}
        self.engine = engine_fingerprint()

    def _open_cache(self, use_cache: bool) -> Cache:
        """
        ### The user's cache, or a folder that goes with this object where that is unwanted or cannot be written
        """
        if use_cache:
            cache = Cache.of(self.source)
            try:
                cache.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if os.access(cache.folder, os.W_OK):
                    return cache
            except OSError:
                pass
        self._scratch = tempfile.TemporaryDirectory(prefix="sidebyside-")
        return Cache(Path(self._scratch.name))

    # ## What one does with a site

    def build(self, out: str | os.PathLike[str], progress: Progress = _no_progress) -> Report:
        """
        ### Write the site into a folder

        Raises `OutputProblem` where the folder cannot be written, and `TemplateProblem` for a template with a
        mistake.
        """
        folder = Path(os.path.abspath(out))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputProblem(f"cannot make the folder {out}: {error.strerror}") from None
        with locked(cache_home() / "locks" / digest(os.path.realpath(folder))):
            return self._build(folder, progress)

    def _build(self, folder: Path, progress: Progress) -> Report:
        inputs = Inputs.collect(self, folder)
        last = Record.load(self.cache, folder)
        if last.is_current(inputs, self.roots, folder):
            return Report(last.n_pages, last.diagnostics)
        build = self._begin(inputs, progress)
        record, changed = build.write(folder, last)
        record.key = inputs.key
        record.probes = probe(self.roots, build.index.probed)
        record.diagnostics = tuple(sorted(build.diagnostics))
        record.n_pages = len(self.pages)
        record.save(self.cache, folder)
        self.cache.prune({source.path for source in inputs.sources})
        return Report(record.n_pages, record.diagnostics, tuple(changed))

    def check(self, progress: Progress = _no_progress) -> Report:
        """
        ### Find everything that is wrong, and write nothing
        """
        build = self._begin(Inputs.collect(self, None), progress)
        build.connect()
        return Report(len(self.pages), tuple(sorted(build.diagnostics)))

    def stale(self, out: str | os.PathLike[str]) -> list[str]:
        """
        ### Files that a build into a folder would now write otherwise, add or remove

        The subset of the math font is left out, since it follows the installed version of the font.
        """
        folder = Path(os.path.abspath(out))
        build = self._begin(Inputs.collect(self, folder), _no_progress)
        _, changed = build.write(folder, Record(), compare_only=True)
        return [path for path in changed if path != FONT]

    def html(self) -> tuple[str, Report]:
        """
        ### The page of a single file, with everything it needs inside
        """
        if not self.is_single_file:
            raise SettingsProblem(f"{self.source} is a folder; only one file can become one page")
        build = self._begin(Inputs.collect(self, None), _no_progress)
        page = build.single_page()
        return page, Report(1, tuple(sorted(build.diagnostics)))

    def _begin(self, inputs: Inputs, progress: Progress) -> "Build":
        # Imported here, because most builds end before they need Markdown, Pygments or Jinja
        from sidebyside.build import Build

        build = Build(self, inputs, progress)
        build.load()
        return build


def render(path: str | os.PathLike[str], settings: Settings | None = None) -> str:
    """
    ## Render one file to one self-contained HTML page

    ```python
    from sidebyside import render

    html = render("model.py")
    ```
    """
    return Site(path, settings, use_cache=False).html()[0]
