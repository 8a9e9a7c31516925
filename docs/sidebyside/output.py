"""
---
title: Output
summary: Writes a site into a folder that may hold other things, and can be stopped at any moment.
---

# Writing the site

The output folder may hold files that are not ours: a `CNAME`, a page made by hand. So the list of files that a
build wrote is kept beside them, in `.sidebyside.json`. What is on the list may be replaced, and removed when
its source is gone. What is not is never touched.

A build may be killed between any two of its steps. Each file is therefore written beside its place and moved
there in one step, and the list names a file *before* that file is written.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidebyside.problem import OutputProblem

MANIFEST = ".sidebyside.json"

# Where files wait to be moved. Nothing else uses this name, so that what a killed build left there can go.
WAITING = ".sidebyside.tmp"


@dataclass(frozen=True)
class Written:
    """
    ## A file as it was left

    Size and time tell, without reading the file, whether someone changed it since.
    """

    path: str
    digest: str
    size: int
    modified: int
    changed: bool

    def is_untouched(self, folder: Path) -> bool:
        try:
            status = os.lstat(folder / self.path)
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.modified)


def content_digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def write(folder: Path, path: str, data: bytes, owned: bool = True, compare_only: bool = False) -> Written:
    """
    ## Write one file, if it is not there already

    * `owned` says that the file is ours to replace. Another one is taken over only if it holds the same bytes.
    * `compare_only` writes nothing and tells whether it would have

    Raises `OutputProblem`.
    """
    file = folder / path
    digest = content_digest(data)
    try:
        _refuse_links(folder, path)
        same = _holds(file, data)
        if not same and not compare_only:
            if not owned and os.path.lexists(file):
                raise OutputProblem(
                    f"{path} is in the way: sidebyside did not write it and leaves it alone. Move it away"
                )
            _replace(folder, file, data)
        status = os.lstat(file) if same or not compare_only else None
    except OSError as error:
        raise OutputProblem(f"cannot write {path}: {error.strerror or error}") from None
    modified = status.st_mtime_ns if status else 0
    return Written(path, digest, len(data), modified, not same)


def _holds(file: Path, data: bytes) -> bool:
    try:
        return not file.is_symlink() and file.stat().st_size == len(data) and file.read_bytes() == data
    except OSError:
        return False


def _replace(folder: Path, file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    waiting = folder / WAITING
    waiting.mkdir(exist_ok=True)
    temporary = waiting / f"{os.getpid()}"
    temporary.write_bytes(data)
    os.replace(temporary, file)


def _refuse_links(folder: Path, path: str) -> None:
    """
    ### A folder of the output that is a symbolic link would lead the writing elsewhere
    """
    parent = folder
    for name in path.split("/")[:-1]:
        parent = parent / name
        if parent.is_symlink():
            raise OutputProblem(f"{parent} is a symbolic link; sidebyside writes through none. Remove it")


@dataclass
class Manifest:
    """
    ## The files that builds wrote into a folder

    * `files` maps each path to the digest of what was written. It is empty from the moment a build intends to
      write the file until it is done.
    """

    folder: Path
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """
        ### Read the list

        A list that came with a stranger's repository may name anything. Only paths that stay inside the folder count.
        """
        try:
            content: Any = json.loads((folder / MANIFEST).read_text("utf-8"))
            files = content["files"]
            return cls(folder, {str(path): str(digest) for path, digest in files.items() if _stays_inside(str(path))})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls(folder)

    def begin(self, paths: Iterable[str]) -> None:
        """
        ### Announce what is about to be written

        A file that is there already, and is not ours, stays unannounced.
        """
        for path in paths:
            if path in self.files or not os.path.lexists(self.folder / path):
                self.files[path] = ""
        shutil.rmtree(self.folder / WAITING, ignore_errors=True)
        self._save()

    def finish(self, files: dict[str, str]) -> list[str]:
        """
        ### Record what was written, and remove what no build writes any more

        Returns the files that a person has changed since; they stay.
        """
        kept = []
        for path in sorted(self.files.keys() - files.keys()):
            if not self._remove(path):
                kept.append(path)
        shutil.rmtree(self.folder / WAITING, ignore_errors=True)
        self.files = dict(files)
        self._save()
        return kept

    def _remove(self, path: str) -> bool:
        file = self.folder / path
        try:
            _refuse_links(self.folder, path)
            if self.files[path] and os.path.lexists(file) and content_digest(file.read_bytes()) != self.files[path]:
                return False
            file.unlink(missing_ok=True)
            self._remove_empty_folders(file.parent)
        except (OSError, OutputProblem):
            return False
        return True

    def _remove_empty_folders(self, folder: Path) -> None:
        while folder != self.folder:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _save(self) -> None:
        content = {"generator": "sidebyside", "files": dict(sorted(self.files.items()))}
        data = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        write(self.folder, MANIFEST, data)


def _stays_inside(path: str) -> bool:
    parts = path.split("/")
    return not (path.startswith("/") or "\\" in path or ":" in parts[0] or "\0" in path or {"", ".", ".."} & set(parts))
