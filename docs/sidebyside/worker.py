"""
---
title: Workers
summary: The work on single pages, in this process or spread over several.
---

# Work on single pages

Rendering a page is pure computation, which Python does on one core. So larger builds spread their pages over processes.
Starting those costs time too, and a small build is done sooner without them.
The result is the same either way.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from sidebyside import fonts, notebook
from sidebyside.cache import Cache, digest
from sidebyside.discover import Source
from sidebyside.inputs import page_key
from sidebyside.output import Written, write
from sidebyside.page import Body, read_file, render_page
from sidebyside.problem import OutputProblem
from sidebyside.rendering import Plan, Renderer
from sidebyside.theme import FONT

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Reader:
    """
    ## First half: from a source to a page on its own
    """

    cache: Cache
    engine: str

    def __call__(self, source: Source) -> tuple[str, str]:
        """
        ### Render a source into the cache

        Returns its key and the page as a line of JSON. The key is that of the bytes that were really read.
        """
        data, problem = read_file(source)
        key = page_key(self.engine, source, digest(data))
        rendered = render_page(data, source.path, source.url, source.package)
        if problem:
            rendered = replace(rendered, page=replace(rendered.page, diagnostics=(problem,)))
        page, body, search, cells = rendered.to_lines()
        self.cache.store(source.path, key, [page, search])
        self.cache.store(body_entry(source), key, [body, cells])
        return key, page

    def body(self, source: Source, key: str) -> list[str]:
        """
        ### The larger half of a page: its HTML and its notebook

        The cache can be deleted at any moment, this one included.
        """
        if lines := self.cache.load(body_entry(source), key):
            return lines
        data, _ = read_file(source)
        _, body, _, cells = render_page(data, source.path, source.url, source.package).to_lines()
        return [body, cells]


def body_entry(source: Source) -> str:
    return source.path + "\0body"


@dataclass(frozen=True)
class Job:
    """
    ## A page to be written

    * `source` is `None` for a listing
    * `notebook` is the path of the notebook, empty where there is none
    * `module` is the dotted name of the module, empty where it belongs to no package
    * `addresses` are the full addresses of the links of the prose, for the notebook
    """

    plan: Plan
    source: Source | None = None
    key: str = ""
    notebook: str = ""
    module: str = ""
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        copy = [self.source.path] if self.source else []
        return [self.plan.url, *copy, *([self.notebook] if self.notebook else [])]


@dataclass(frozen=True)
class FontJob:
    """
    ## The math font to be written, which takes as long as a dozen pages
    """

    characters: str


@dataclass(frozen=True)
class Writer:
    """
    ## Second half: from a page whose links are known to files

    * `owned` are the files of the output that are ours to replace
    * `pip_address` is where the package can be installed from, for notebooks
    """

    reader: Reader
    folder: Path
    owned: frozenset[str]
    site: dict[str, Any]
    overrides: Path | None = None
    pip_address: str = ""
    font_hash: str = ""
    compare_only: bool = False

    @cached_property
    def renderer(self) -> Renderer:
        return Renderer(self.site, self.overrides, self.font_hash)

    def __call__(self, job: Job | FontJob) -> list[Written | OutputProblem]:
        """
        ### Write the font, or a page with the copy of its source and its notebook
        """
        if isinstance(job, FontJob):
            return [self.put(FONT, fonts.subset(job.characters))]
        body, cells = self.reader.body(job.source, job.key) if job.source else ("", "[]")
        excerpt = job.plan.excerpt
        excerpt_body = Body(**json.loads(self.reader.body(excerpt.source, excerpt.key)[0])) if excerpt else None
        page = self.renderer.page(job.plan, Body(**json.loads(body)) if body else Body([]), excerpt_body)
        files = [(job.plan.url, page.encode("utf-8", "replace"))]
        if job.source:
            files.append((job.source.path, read_file(job.source)[0]))
        if job.notebook:
            files.append((job.notebook, self._notebook(job, json.loads(cells)).encode("utf-8", "replace")))
        return [self.put(path, data) for path, data in files]

    def _notebook(self, job: Job, cells: list[str]) -> str:
        cells = [notebook.with_links(cell, job.addresses) for cell in cells]
        if self.pip_address and job.module:
            cells = [notebook.installation(job.module, self.pip_address), *cells]
        return notebook.assemble(cells)

    def put(self, path: str, data: bytes) -> Written | OutputProblem:
        """
        ### Write any file of the site
        """
        try:
            return write(self.folder, path, data, path in self.owned, self.compare_only)
        except OutputProblem as problem:
            return problem


_task: Callable[[Any], Any]


@contextmanager
def spread(task: Callable[[Item], Result], jobs: int) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    """
    ## A `map` over so many processes, or in this one
    """
    if jobs <= 1:
        yield lambda items: map(task, items)
        return
    executor = ProcessPoolExecutor(jobs, _context(), _start_worker, (task,))
    try:
        yield lambda items: executor.map(_run, items, chunksize=2)
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def _context() -> Any:
    """
    ### How processes start

    A fork shares what is already imported, which is most of the cost of starting. It is not safe beside threads.
    """
    can_fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if can_fork else "spawn")


def _start_worker(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task
    # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """
    ### A worker whose parent was killed would wait for work forever
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(item: Any) -> Any:
    return _task(item)
