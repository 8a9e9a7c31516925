"""
---
title: Cache
summary: What was worked out before, kept where only its user writes, checked before it is believed.
---

# Cache

Reading a file, rendering its prose and highlighting its code costs a hundred times what hashing it costs.
So the result is kept under a hash of everything that it came from: the bytes of the file,
the code of this package, the versions of the libraries and of Python.

The cache lives in the user's own cache folder, never beside the source: a folder that was cloned from somewhere
can hold anything, and a planted cache must not reach a page. For the same reason entries are JSON, which can
only be read, and not pickles, which run. It may be deleted at any moment.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# The libraries whose work ends up in an entry
LIBRARIES = ("jinja2", "latex2mathml", "markdown_it_py", "mdit_py_plugins", "nh3", "pygments", "pyyaml")


def digest(*parts: bytes | str) -> str:
    """
    ## Hash of several parts

    Each part goes in with its length, so that no two lists of parts look the same.
    """
    state = hashlib.blake2b(digest_size=20)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def to_json(value: Any) -> str:
    """
    ## JSON, always the same for the same value, on one line
    """
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def engine_fingerprint() -> str:
    """
    ## What makes the pages, as a hash

    The package's own files are read rather than its version trusted, since its version stays while someone
    works on it.
    """
    here = Path(__file__).parent
    code = [part for file in sorted(here.glob("*.py")) for part in (file.name, file.read_bytes())]
    return digest(sys.version, *library_versions(), *code)


def library_versions() -> list[str]:
    """
    ## Versions of the libraries, from the names of their folders

    `importlib.metadata` knows them too, but takes longer to import than a whole build without changes.
    """
    versions: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                library, _, version = name[: -len(".dist-info")].partition("-")
                versions.setdefault(library.lower().replace("-", "_"), version)
    return [f"{library} {versions.get(library, '')}" for library in LIBRARIES]


def cache_home() -> Path:
    """
    ## Folder of all caches

    `SIDEBYSIDE_CACHE` moves it.
    """
    if chosen := os.environ.get("SIDEBYSIDE_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sidebyside"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sidebyside"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sidebyside"


class Cache:
    """
    ## Cache of one source folder

    One entry per source, overwritten when the source changes, so that it never grows beyond the size of the site.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def of(cls, source: Path) -> "Cache":
        """
        ### The cache that belongs to a source folder
        """
        return cls(cache_home() / f"{source.name or 'root'}-{digest(str(source))[:12]}")

    def load(self, name: str, key: str) -> list[str] | None:
        """
        ### Read an entry

        It comes back only if it was made from just this `key` and is whole.
        """
        try:
            text = self._file(name).read_text("utf-8")
        except (OSError, ValueError):
            return None
        header, _, body = text.partition("\n")
        if header != f"{key} {digest(body)}":
            return None
        return body.split("\n")

    def store(self, name: str, key: str, lines: list[str]) -> None:
        """
        ### Write an entry

        A cache that cannot be written makes the next build slower, and that is all.
        """
        body = "\n".join(lines)
        file = self._file(name)
        temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(f"{key} {digest(body)}\n{body}", "utf-8", newline="\n")
            os.replace(temporary, file)
        except OSError:
            temporary.unlink(missing_ok=True)

    def prune(self, names: set[str]) -> None:
        """
        ### Drop the entries of sources that are gone
        """
        kept = {self._file(name).name for name in names}
        for file in self.folder.glob("*.json"):
            if file.name not in kept:
                file.unlink(missing_ok=True)
        for leftover in self.folder.glob("*.tmp"):
            leftover.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{digest(name)}.json"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """
    ## One build at a time into one output

    The lock goes with the process that holds it, killed or not. Where the system has no such lock, two builds at once
    are the user's to avoid.
    """
    try:
        import fcntl

        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stream = open(file, "wb")  # noqa: SIM115
    except (ImportError, OSError):
        yield
        return
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
