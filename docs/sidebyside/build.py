"""
---
title: One build
summary: The steps of a build, from the sources to a folder of files.
---

# One run over a site

[`Site`](site.py) is what one holds; a `Build` is what happens when it is asked for something. Its methods
stand in the order in which they run.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin

from sidebyside import __version__, fonts, generated, images, inventory, links, navigation
from sidebyside.cache import digest, to_json
from sidebyside.discover import Source, package_name
from sidebyside.excerpt import Excerpt, find_target, links_seen_from, references_seen_from
from sidebyside.inputs import Inputs, Record
from sidebyside.links import LinkIndex, quote_path, relative_url, root_prefix
from sidebyside.model import Diagnostic
from sidebyside.navigation import Node
from sidebyside.output import Manifest, Written
from sidebyside.page import Body, Page, page_from_json
from sidebyside.problem import OutputProblem
from sidebyside.rendering import Plan, Renderer, compile_templates
from sidebyside.repository import Repository, folder_in_repository
from sidebyside.theme import FONT, theme_files
from sidebyside.worker import FontJob, Job, Reader, Writer, spread

if TYPE_CHECKING:
    from sidebyside.site import Progress, Site

# Starting worker processes costs about as much as rendering this many bytes of source
BYTES_WORTH_WORKERS = 60_000


@dataclass
class Build:
    """
    ## One run over a site
    """

    site: "Site"
    inputs: Inputs
    progress: "Progress"
    diagnostics: set[Diagnostic] = field(default_factory=set)
    assets: set[str] = field(default_factory=set)

    @property
    def pages(self) -> list[Page]:
        return self.site.pages

    # ## First half: pages on their own

    def load(self) -> None:
        """
        ### All pages

        From memory, from the cache, or rendered, each where the one before does not have it.
        """
        site = self.site
        self.diagnostics.update(self.inputs.diagnostics)
        missing = []
        known: dict[str, tuple[str, Page]] = {}
        for source in self.inputs.sources:
            key = self.inputs.keys[source.path]
            if (held := site.known.get(source.path)) and held[0] == key:
                known[source.path] = held
            elif lines := site.cache.load(source.path, key):
                known[source.path] = key, page_from_json(lines[0])
            else:
                missing.append(source)
        for source, (key, line) in zip(missing, self._render(missing), strict=True):
            known[source.path] = key, page_from_json(line)
        site.known = known
        site.pages = [known[source.path][1] for source in self.inputs.sources]
        for page in site.pages:
            self.diagnostics.update(page.diagnostics)

    def _render(self, sources: list[Source]) -> list[tuple[str, str]]:
        results = []
        with spread(self.reader, self._jobs(sources)) as run:
            # What the first page imports and compiles, the processes that start behind it have from the beginning
            first = [self.reader(source) for source in sources[:1]]
            stream = run(sources[1:])
            if sources:
                # They are at work now, and will need the templates next
                compile_templates(self.site.settings.templates)
            for n_done, result in enumerate(chain(first, stream), 1):
                results.append(result)
                self.progress("Reading", n_done, len(sources))
        return results

    def _jobs(self, sources: Iterable[Source]) -> int:
        size = sum(min(os.path.getsize(source.file), 10**6) for source in sources if os.path.exists(source.file))
        return max(1, min(self.site.jobs, size // BYTES_WORTH_WORKERS))

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.site.cache, self.site.engine)

    # ## Second half: what pages take from each other

    @cached_property
    def tree(self) -> navigation.Tree:
        if self.site.is_single_file:
            return navigation.lone_page(self.pages[0])
        return navigation.build_tree(self.pages, self.site.settings.title or self.site.source.name)

    @cached_property
    def index(self) -> LinkIndex:
        folders = {os.path.dirname(node.url): node.url for node in self.tree.nodes if node.url.endswith("index.html")}
        return LinkIndex(
            roots=self.site.roots,
            pages=self.pages,
            folders={} if self.site.is_single_file else folders,
            inventories=inventory.Inventories(self.site.settings.inventories),
            is_single_file=self.site.is_single_file,
        )

    def connect(self) -> list[Plan]:
        """
        ### Where everything leads, page by page
        """
        nodes = self.tree.nodes
        plans = []
        for position, node in enumerate(nodes):
            previous = nodes[position - 1] if position else None
            following = nodes[position + 1] if position + 1 < len(nodes) else None
            plans.append(self._plan(node, previous, following))
        return plans

    def _plan(self, node: Node, previous: Node | None, following: Node | None) -> Plan:
        page = node.page
        targets: dict[str, str | None] = {}
        references: dict[str, tuple[str, bool]] = {}
        cards: dict[str, list[str]] = {}
        if page:
            targets, assets, problems = links.check_links(self.index, page)
            self.assets |= assets
            self.diagnostics.update(problems)
            for name in page.references:
                if found := self.index.reference(page, name):
                    references[name] = found
                    cards.update(self._card(name, found[0]))
        excerpt = self._excerpt(page) if page else None
        context = {
            **self._addresses(node),
            "path": node.path,
            "url": quote_path(node.url),
            "root": root_prefix(node.url),
            "title": node.title,
            "summary": node.summary,
            "front_matter": page.front_matter if page else {},
            "kind": ("python" if page.is_python else "markdown") if page else "index",
            "toc": navigation.table_of_contents(page) if page else [],
            "breadcrumbs": navigation.breadcrumbs(node),
            "previous": navigation.step(previous, node),
            "next": navigation.step(following, node),
            "neighbours": navigation.neighbours(node),
            "children": [child.to_dict() for child in node.children],
            "data": {"root": root_prefix(node.url), "cards": cards},
        }
        template = "page.html" if page else "index.html"
        sizes = self._image_sizes(page) if page else {}
        return Plan(node.url, template, context, targets, references, excerpt, sizes)

    def _image_sizes(self, page: Page) -> dict[str, tuple[int, int]]:
        """
        ### Width and height of the images that are files of this site
        """
        found = {
            link.target: images.size_of(Path(self.site.roots.locate(target.asset)[1]))
            for link in page.links
            if link.is_image and (target := self.index.resolve(page, link)).asset
        }
        return {written: size for written, size in found.items() if size}

    def _excerpt(self, page: Page) -> Excerpt | None:
        """
        ### A class or function of another page, where the front matter asks for one
        """
        wanted = page.front_matter.get("excerpt")
        if not isinstance(wanted, str):
            return None
        found = find_target(self.index, page, wanted)
        if isinstance(found, Diagnostic):
            self.diagnostics.add(found)
            return None
        target, first, last = found
        return Excerpt(
            self.sources[target.path],
            self.site.known[target.path][0],
            first,
            last,
            target.title,
            relative_url(target.url, page.url, wanted.partition("#")[2]),
            links_seen_from(self.index, page, target),
            references_seen_from(self.index, page, target),
        )

    def _card(self, name: str, href: str) -> dict[str, list[str]]:
        """
        ### Signature and first sentence of a definition of the project
        """
        found = self.index.symbol(name)
        if not found or not found[1]:
            return {}
        page, anchor = found
        definition = next(each for each in page.definitions if each.name == anchor)
        return {href: [definition.signature, definition.sentence]}

    def _addresses(self, node: Node) -> dict[str, str | None]:
        """
        ### Where else a page can be found: its source, its notebook, its final address
        """
        settings, page = self.site.settings, node.page
        addresses = dict.fromkeys(("code_url", "source_href", "notebook_href", "colab_url", "canonical"))
        if settings.base_url:
            address = quote_path(node.url)
            tidy = address.removesuffix("index.html") if address.split("/")[-1] == "index.html" else address
            addresses["canonical"] = f"{settings.base_url.rstrip('/')}/{tidy}"
        if page is None:
            return addresses
        if self.repository:
            addresses["code_url"] = self._code_url(page.path)
        if self.site.is_single_file:
            return addresses
        addresses["source_href"] = relative_url(page.path, node.url)
        if page.is_python and page.n_sections:
            notebook = notebook_path(node.url)
            addresses["notebook_href"] = relative_url(notebook, node.url)
            if self.repository and settings.published_in:
                place = f"{settings.published_in.strip('/')}/{notebook}"
                addresses["colab_url"] = self.repository.colab_url(place)
        return addresses

    @cached_property
    def repository(self) -> Repository | None:
        if not self.site.settings.repo_url:
            return None
        return Repository.parse(self.site.settings.repo_url, folder_in_repository(self.site.roots.main))

    def _code_url(self, path: str) -> str:
        """
        ### Where the repository shows a source
        """
        assert self.repository
        folder, file = self.site.roots.locate(path)
        if folder == self.site.roots.main:
            return self.repository.code_url(path)
        place = os.path.relpath(file, folder).replace(os.sep, "/")
        return self.repository.at(folder_in_repository(folder)).code_url(place)

    @cached_property
    def site_context(self) -> dict[str, Any]:
        """
        ### What every template gets as `site`
        """
        settings = self.site.settings
        return {
            "title": settings.title or self.tree.root.title,
            "base_url": settings.base_url.rstrip("/"),
            "repo_url": self.repository.home if self.repository else "",
            "analytics": settings.analytics,
            "version": __version__,
            "home": self.tree.root.title,
            "pages": [
                {"title": node.title, "summary": node.summary, "url": quote_path(node.url), "path": node.path}
                for node in self.tree.nodes
            ],
            "tree": [child.to_dict() for child in self.tree.root.children],
        }

    # ## Writing

    def write(self, folder: Path, record: Record, compare_only: bool = False) -> tuple[Record, list[str]]:
        """
        ### Write what changed, remove what is gone

        * `record` is what the last build left, so that what is as it should be is passed over
        * `compare_only` writes nothing

        Returns the record of this build and the files that changed. Raises `OutputProblem`.
        """
        plans = self.connect()
        jobs = {self._unit(plan, job): job for plan in plans for job in [self._job(plan)]}
        files = {each.path: each for each in generated.files(self, plans)}
        units = {path: unit for unit, job in jobs.items() for path in job.paths}
        self._refuse_clashes(units, files)
        units |= {path: each.unit for path, each in files.items()}

        def is_due(path: str) -> bool:
            written = record.outputs.get(path)
            same = written is not None and record.units.get(path) == units[path]
            return compare_only or not same or not record.outputs[path].is_untouched(folder)

        due_jobs = [job for job in jobs.values() if any(map(is_due, job.paths))]
        due_files = [each for each in files.values() if is_due(each.path)]
        manifest = Manifest.load(folder)
        if not compare_only:
            manifest.begin([path for job in due_jobs for path in job.paths] + [each.path for each in due_files])
        writer = self._writer(folder, frozenset(manifest.files), compare_only)
        font = [FontJob(self.math_characters)] if any(each.path == FONT for each in due_files) else []
        results = self._write_pages(writer, [*font, *due_jobs])
        results += [writer.put(each.path, each.make()) for each in due_files if each.path != FONT]
        if problems := [str(each) for each in results if isinstance(each, OutputProblem)]:
            raise OutputProblem("\n".join(problems))

        fresh = {each.path: each for each in results if isinstance(each, Written)}
        outputs = {path: fresh[path] if path in fresh else record.outputs[path] for path in units}
        changed = [path for path, each in fresh.items() if each.changed] + list(manifest.files.keys() - units.keys())
        if not compare_only:
            self._finish(manifest, outputs)
        return Record(units=units, outputs=outputs), sorted(changed)

    def _job(self, plan: Plan) -> Job:
        page = self.index.by_url.get(plan.url)
        if page is None:
            return Job(plan)
        key, _ = self.site.known[page.path]
        source = self.sources[page.path]
        notebook = notebook_path(plan.url) if plan.context["notebook_href"] else ""
        can_import = package_name(self.site.roots.locate(page.path)[0])
        addresses = self._full_addresses(page, plan) if notebook else {}
        return Job(plan, source, key, notebook, page.module if can_import else "", addresses)

    def _full_addresses(self, page: Page, plan: Plan) -> dict[str, str]:
        """
        ### Links of a page, as they reach from anywhere

        On the site where its address is known, else in the repository. Where neither is known they stay,
        and reach as long as the notebook lies in the site.
        """
        here = quote_path(page.url)
        images = {link.target for link in page.links if link.is_image}
        addresses = {}
        for written, href in plan.links.items():
            if href is None or links.is_external(href):
                continue
            if base := self.site_context["base_url"]:
                addresses[written] = urljoin(f"{base}/{here}", href)
            elif self.repository:
                path, _, anchor = urljoin(f"/{here}", href)[1:].partition("#")
                addresses[written] = self._in_repository(unquote(path), anchor, written in images)
        return addresses

    def _in_repository(self, url: str, anchor: str, is_image: bool) -> str:
        """
        ### Where the repository shows what the site has at some path

        Of the anchors, only those of lines and of headings in Markdown mean something there.
        """
        page = self.index.by_url.get(url)
        address = self._code_url(page.path if page else url.removesuffix("/index.html"))
        if is_image:
            return f"{address}?raw=true"
        is_known = page and (not page.is_python or re.fullmatch(r"L\d+", anchor))
        return f"{address}#{anchor}" if anchor and is_known else address

    @cached_property
    def sources(self) -> dict[str, Source]:
        return {source.path: source for source in self.inputs.sources}

    def _unit(self, plan: Plan, job: Job) -> str:
        """
        ### Hash of all that the files of a page come from
        """
        return digest(self.common, job.key, to_json([asdict(plan), job.addresses]))

    @cached_property
    def common(self) -> str:
        """
        ### Hash of what all pages have in common
        """
        return digest(self.site.engine, self.inputs.theme, self.font_hash, to_json(self.site_context))

    @cached_property
    def math_characters(self) -> str:
        return "".join(sorted(set().union(*(page.math_characters for page in self.pages))))

    @cached_property
    def font_hash(self) -> str:
        return digest(self.math_characters)[:8] if self.math_characters else ""

    def _refuse_clashes(self, units: dict[str, str], files: dict[str, "generated.File"]) -> None:
        """
        ### A file that a page links to must not replace one of the site's own
        """
        for path in sorted(units.keys() & files.keys()):
            if files[path].is_linked:
                self.diagnostics.add(Diagnostic(path, 0, "has the place of a page's own file in the site; rename it"))
            del files[path]

    def _writer(self, folder: Path, owned: frozenset[str], compare_only: bool) -> Writer:
        pip_address = self.repository.pip_address if self.repository else ""
        overrides = self.site.settings.templates
        return Writer(
            self.reader, folder, owned, self.site_context, overrides, pip_address, self.font_hash, compare_only
        )

    def _write_pages(self, writer: Writer, jobs: list[Job | FontJob]) -> list[Written | OutputProblem]:
        results: list[Written | OutputProblem] = []
        sources = [job.source for job in jobs if isinstance(job, Job) and job.source]
        with spread(writer, self._jobs(sources)) as run:
            for n_done, written in enumerate(run(jobs), 1):
                results += written
                self.progress("Writing", n_done, len(jobs))
        return results

    def _finish(self, manifest: Manifest, outputs: dict[str, Written]) -> None:
        # The font depends on the machine's version of its package, and the list must not
        files = {path: "" if path == FONT else each.digest for path, each in outputs.items()}
        for path in manifest.finish(files):
            message = "has no source any more, but was changed by hand; left alone"
            self.diagnostics.add(Diagnostic(path, 0, message, "warning"))

    # ## A page on its own

    def single_page(self) -> str:
        """
        ### HTML with style, script, images and fonts inside
        """
        plan = self.connect()[0]
        source = self.inputs.sources[0]
        body = Body(**json.loads(self.reader.body(source, self.site.known[source.path][0])[0]))
        renderer = Renderer(self.site_context, self.site.settings.templates, self.font_hash, self._read_inline)
        return renderer.page(plan, body)

    def _read_inline(self, path: str) -> bytes | None:
        """
        ### A file that the page carries inside itself
        """
        if path == FONT:
            return fonts.subset(self.math_characters) if self.math_characters else None
        if file := theme_files(self.site.settings.templates).get(path):
            return file.read_bytes()
        name = unquote(path)
        return Path(self.site.roots.locate(name)[1]).read_bytes() if name in self.assets else None


def notebook_path(url: str) -> str:
    return url.removesuffix(".html") + ".ipynb"
