"""
---
title: Discovery
summary: Walks a folder for the files that become pages, without ever leaving it.
---

# What there is to render

The folder may be a stranger's. So the walk stays inside it whatever symbolic links say, never opens
anything but regular files, and ends even where links form a circle. Whatever it passes over
for a reason that an author should know becomes a diagnostic.
"""

import ast
import os
import stat
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from posixpath import basename, dirname, join, splitext

from sidebyside.model import Diagnostic

# What becomes a page
SUFFIXES = (".py", ".md")

# Folders that hold other people's code, or none. A virtual environment is told by the file `pyvenv.cfg`
# that each has at its top, whatever its name.
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "site-packages", "dist-packages"}

# A tree deeper than this is an accident or an attack. Every later step may count on it.
MAXIMUM_DEPTH = 64

# A larger file is data, whatever its name says
MAXIMUM_BYTES = 50_000_000


@dataclass(frozen=True)
class Source:
    """
    ## A file that becomes a page

    * `path` is relative to the source folder, with forward slashes
    * `file` is where it is on the disk
    * `url` is the page's path below the site, not yet quoted for a link
    * `package` is the dotted name of the package that `path` starts in, and empty where that is a plain folder
    """

    path: str
    file: str
    url: str
    package: str = ""


@dataclass(frozen=True)
class Roots:
    """
    ## The folders that make a site

    * `main` is the source folder
    * `beside` are further folders by the name that each has in the site

    With `sidebyside` beside it, the path `sidebyside/source.py` leads into that folder, as if it lay in the main one.
    """

    main: str
    beside: Mapping[str, str] = field(default_factory=dict)

    @property
    def folders(self) -> list[str]:
        return [self.main, *self.beside.values()]

    def locate(self, path: str) -> tuple[str, str]:
        """
        ### The folder that a path of the site belongs to, and the file
        """
        name, _, rest = path.partition("/")
        folder, rest = (self.beside[name], rest) if name in self.beside else (self.main, path)
        return folder, os.path.join(folder, *rest.split("/")) if rest else folder


@dataclass(frozen=True)
class Discovery:
    """
    ## What a walk found
    """

    sources: tuple[Source, ...]
    diagnostics: tuple[Diagnostic, ...]


def discover(root: str, exclude: Iterable[str] = ()) -> Discovery:
    """
    ## Find the sources of a folder

    * `root` is the folder, or one file
    * `exclude` are folders to pass over: the output, when it lies inside the source

    The order is the one in which one would read: a folder's own page, its files, then its folders.
    """
    if os.path.isfile(root):
        name = os.path.basename(root)
        return Discovery((Source(name, root, splitext(name)[0] + ".html"),), ())
    excluded = {os.path.realpath(folder) for folder in exclude}
    found, diagnostics = _walk(root, excluded)
    sources, clashes = _assign_pages(found)
    return Discovery(tuple(sources), tuple(sorted(diagnostics + clashes)))


def discover_all(root: str, beside: Mapping[str, str], exclude: Iterable[str] = ()) -> Discovery:
    """
    ## Find the sources of a folder or file, and of the folders beside it

    Modules keep the names under which they are imported.
    """
    main = discover(root, exclude)
    package = package_name(root if os.path.isdir(root) else os.path.dirname(root))
    sources = {source.path: replace(source, package=package) for source in main.sources}
    diagnostics = list(main.diagnostics)
    for name, folder in beside.items():
        found = discover(folder, exclude)
        outer = package_name(folder).rpartition(".")[0]
        for source in found.sources:
            path = join(name, source.path)
            if path in sources:
                diagnostics.append(Diagnostic(path, 1, f"is both in the source folder and in {printable(folder)}"))
            sources.setdefault(path, Source(path, source.file, join(name, source.url), outer))
        diagnostics += [replace(each, path=join(name, each.path)) for each in found.diagnostics]
    in_order = sorted(sources.values(), key=lambda source: reading_order(source.url))
    return Discovery(tuple(in_order), tuple(sorted(diagnostics)))


def package_name(folder: str) -> str:
    """
    ## Dotted name under which a folder is imported

    The name climbs as long as the parents are packages too. It is empty for a folder that is no package.
    """
    names: list[str] = []
    folder = os.path.abspath(folder)
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder).isidentifier():
        names.append(os.path.basename(folder))
        folder = os.path.dirname(folder)
    return ".".join(reversed(names))


def module_name(path: str, package: str) -> str:
    """
    ## Dotted name under which a file is imported
    """
    parts = splitext(path)[0].split("/")
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(([package] if package else []) + parts)


def page_url(path: str) -> str:
    """
    ## Page of a source

    Pages mirror the tree, except that `__init__.py` is the page of its folder.
    """
    stem = splitext(path)[0]
    if basename(stem) == "__init__":
        stem = join(dirname(stem), "index")
    return stem + ".html"


def reading_order(path: str) -> list[tuple[int, str, str]]:
    """
    ## Sort key: a folder's own page, its files, then its folders
    """
    *folders, name = path.split("/")
    rank = 0 if name == "index.html" else 1
    return [(2, folder.casefold(), folder) for folder in folders] + [(rank, name.casefold(), name)]


def inside(root: str, file: str) -> bool:
    """
    ## Whether a file lies in a folder once every symbolic link is followed
    """
    real_root = os.path.realpath(root)
    real = os.path.realpath(file)
    return real == real_root or real.startswith(real_root.rstrip(os.sep) + os.sep)


def _walk(root: str, excluded: set[str]) -> tuple[dict[str, str], list[Diagnostic]]:
    """
    ### Every candidate below the root

    Breadth first, and no folder twice. Symbolic links wait until all real folders were seen,
    so that a folder is found under its own name before it is found under another.
    """
    found: dict[str, str] = {}
    diagnostics: list[Diagnostic] = []
    seen: set[str] = set()
    folders = deque([""])
    links: deque[str] = deque()
    while folders or links:
        path = folders.popleft() if folders else links.popleft()
        folder = os.path.join(root, path) if path else root
        real = os.path.realpath(folder)
        if real in seen or real in excluded:
            continue
        seen.add(real)
        if path.count("/") >= MAXIMUM_DEPTH:
            diagnostics.append(
                Diagnostic(path, 0, f"folders nest deeper than {MAXIMUM_DEPTH}; not followed", "warning")
            )
            continue
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            diagnostics.append(Diagnostic(path or ".", 0, f"cannot read the folder: {error.strerror}"))
            continue
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            child = join(path, entry.name)
            problem = _visit(entry, child, root, found, folders, links)
            if problem:
                diagnostics.append(Diagnostic(printable(child), 0, problem, "warning"))
    return found, diagnostics


def _visit(
    entry: os.DirEntry[str],
    path: str,
    root: str,
    found: dict[str, str],
    folders: deque[str],
    links: deque[str],
) -> str | None:
    """
    ### One entry of a folder

    It joins the pages or the folders still to visit, or else the reason comes back.
    """
    if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
        return None
    is_page = entry.name.endswith(SUFFIXES)
    try:
        is_folder = entry.is_dir()
        is_link = entry.is_symlink()
        mode = entry.stat().st_mode if is_page or is_link else 0
    except OSError:
        return "symbolic link leads nowhere; not followed" if is_page else None
    if not is_folder and not is_page:
        return None
    if not _is_unicode(entry.name):
        return "the name is not valid UTF-8; passed over"
    if is_link and not inside(root, entry.path):
        return "symbolic link leaves the source folder; not followed"
    if is_folder:
        (links if is_link else folders).append(path)
    elif stat.S_ISREG(mode):
        found[path] = entry.path
    return None


def _assign_pages(found: dict[str, str]) -> tuple[list[Source], list[Diagnostic]]:
    """
    ### Give every source its page

    Where two sources would make the same page, the first in the alphabet keeps it and the other is reported.
    An empty `__init__.py` says nothing, so that its folder gets a listing instead.
    """
    home = _home(found)
    pages: dict[str, Source] = {}
    diagnostics = []
    for path in sorted(found):
        if basename(path) == "__init__.py" and _is_blank(found[path]):
            continue
        url = "index.html" if path == home else page_url(path)
        if url == "index.html" and home and path != home:
            url = splitext(path)[0] + ".html"
        if url in pages:
            message = f"makes the same page as {pages[url].path} ({url}); rename one of them"
            diagnostics.append(Diagnostic(path, 1, message))
            continue
        pages[url] = Source(path, found[path], url)
    return sorted(pages.values(), key=lambda source: reading_order(source.url)), diagnostics


def _home(found: dict[str, str]) -> str | None:
    """
    ### The source of the first page

    The root's `__init__.py` where it has something to say, else its `index.md` or `readme.md`.
    """
    texts = [path for path in sorted(found) if path.lower() in ("index.md", "readme.md")]
    if "__init__.py" in found and (not texts or _has_docstring(found["__init__.py"])):
        return None if _is_blank(found["__init__.py"]) else "__init__.py"
    return texts[0] if texts else None


def _is_blank(file: str) -> bool:
    try:
        if os.path.getsize(file) > 100:
            return False
        with open(file, "rb") as stream:
            return not stream.read().strip()
    except OSError:
        return False


def _has_docstring(file: str) -> bool:
    try:
        if os.path.getsize(file) > MAXIMUM_BYTES:
            return False
        with open(file, "rb") as stream:
            return ast.get_docstring(ast.parse(stream.read())) is not None
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        # Reading it as a page will say what is wrong
        return True


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """
    ## Text that cannot harm a terminal

    A file may be called anything, escape sequences included. What is not printable comes out escaped.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
