"""
---
title: Inputs and the record
summary: One hash over all that a build depends on, and the record of the last build.
---

# Is there anything to do?

Most builds find that nothing changed. To know that, all inputs are read and hashed, and nothing else is
imported or computed. A build that ends leaves a record: that hash, and the size and time of each file that it wrote.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from sidebyside.cache import Cache, digest, to_json
from sidebyside.discover import MAXIMUM_BYTES, Roots, Source, discover_all, inside
from sidebyside.model import Diagnostic
from sidebyside.output import Written
from sidebyside.repository import folder_in_repository
from sidebyside.theme import theme_files

if TYPE_CHECKING:
    from sidebyside.site import Site


@dataclass(frozen=True)
class Inputs:
    """
    ## Everything that a build depends on

    * `keys` are the hashes under which pages on their own are kept, by path
    * `theme` is the hash of all templates and their assets
    * `key` is the hash of everything, files that the prose links to aside
    """

    sources: tuple[Source, ...]
    diagnostics: tuple[Diagnostic, ...]
    keys: dict[str, str]
    theme: str
    key: str

    @classmethod
    def collect(cls, site: "Site", folder: Path | None) -> "Inputs":
        """
        ### Read and hash them

        * `folder` is the output, which is passed over where it lies inside the source
        """
        found = discover_all(str(site.source), site.roots.beside, [str(folder)] if folder else [])
        keys = {source.path: page_key(site.engine, source, _file_digest(source.file)) for source in found.sources}
        theme = digest(
            *(part for name, file in theme_files(site.settings.templates).items() for part in _part(name, file))
        )
        settings = site.settings
        key = digest(
            site.engine,
            site.source.name,
            to_json([folder_in_repository(folder) for folder in site.roots.folders] if settings.repo_url else []),
            theme,
            *(part for address, file in settings.inventories for part in _part(address, file)),
            to_json([settings.title, settings.base_url, settings.repo_url, settings.published_in, settings.analytics]),
            to_json(keys),
            to_json([str(each) for each in found.diagnostics]),
        )
        return cls(found.sources, found.diagnostics, keys, theme, key)


def page_key(engine: str, source: Source, content: str) -> str:
    """
    ## Hash of all that a page on its own comes from

    * `content` is the hash of the file
    """
    return digest(engine, source.package, source.path, source.url, content)


@dataclass
class Record:
    """
    ## What the last build into a folder did

    * `key` is that of its inputs
    * `probes` are the files that links asked for, each with its hash, empty where it was missing
    * `units` maps each file written to the hash of what it came from
    """

    key: str = ""
    probes: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Written] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    n_pages: int = 0

    @classmethod
    def load(cls, cache: Cache, folder: Path) -> "Record":
        """
        ### The record of a folder, empty where there is none
        """
        lines = _records(cache).load(os.path.realpath(folder), "record")
        if lines is None:
            return cls()
        data = json.loads(lines[0])
        data["outputs"] = {values[0]: Written(*values) for values in data["outputs"]}
        data["diagnostics"] = tuple(Diagnostic(*values) for values in data["diagnostics"])
        return cls(**data)

    def save(self, cache: Cache, folder: Path) -> None:
        data = {
            "key": self.key,
            "probes": self.probes,
            "units": self.units,
            "outputs": [[each.path, each.digest, each.size, each.modified, False] for each in self.outputs.values()],
            "diagnostics": [[getattr(each, item.name) for item in fields(each)] for each in self.diagnostics],
            "n_pages": self.n_pages,
        }
        _records(cache).store(os.path.realpath(folder), "record", [to_json(data)])

    def is_current(self, inputs: Inputs, roots: Roots, folder: Path) -> bool:
        """
        ### Whether the same build would write the same files again, and they are all still there
        """
        return (
            bool(self.outputs)
            and self.key == inputs.key
            and self.probes == probe(roots, self.probes)
            and all(written.is_untouched(folder) for written in self.outputs.values())
        )


def probe(roots: Roots, paths: Iterable[str]) -> dict[str, str]:
    """
    ## Hashes of files that links ask for
    """
    return {path: _probe(roots, path) for path in sorted(paths)}


def _probe(roots: Roots, path: str) -> str:
    folder, file = roots.locate(path)
    try:
        return _file_digest(file) if os.path.isfile(file) and inside(folder, file) else ""
    except ValueError:
        return ""


def _records(cache: Cache) -> Cache:
    return Cache(cache.folder / "records")


def _file_digest(file: str) -> str:
    """
    ### Hash of a file's bytes

    What is too large to be shown is told by its size and time. What cannot be read has a hash too.
    """
    try:
        status = os.stat(file)
        if status.st_size > MAXIMUM_BYTES:
            return f"{status.st_size} {status.st_mtime_ns}"
        with open(file, "rb") as stream:
            return digest(stream.read())
    except OSError as error:
        return f"errno {error.errno}"


def _part(name: str, file: Path) -> tuple[str, bytes]:
    return name, file.read_bytes()
