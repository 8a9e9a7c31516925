"""
---
title: Inventories
summary: The names that other documentation explains, and the list by which others find the names explained here.
---

# Inventories

Sphinx publishes, beside each site that it builds, a file `objects.inv` with every documented name and the page
it stands on. The format is [described by a tool that edits
it](https://sphobjinv.readthedocs.io/en/stable/syntax.html). Those of Python, numpy and torch come with this
package, cut down to names of Python, so that a build asks the network for nothing.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sidebyside.problem import InventoryProblem

HEADER = "# Sphinx inventory version 2\n# Project: {project}\n# Version: {version}\n"
HEADER_END = "# The remainder of this file is compressed using zlib.\n"
LINE = re.compile(r"(.+?)\s+(\S+):(\S+)\s+(-?\d+)\s+(\S*)\s+(.*)")

# The largest inventory that anyone publishes unpacks to a few megabytes
MAXIMUM_BYTES = 100_000_000

# What is shipped, and where it leads
SHIPPED = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "torch": "https://docs.pytorch.org/docs/stable/",
}
FOLDER = Path(__file__).parent / "inventories"


@dataclass(frozen=True)
class Entry:
    """
    ## One name

    * `role` is what it is, such as `py:class`
    * `uri` is the page and anchor relative to the site; a `$` at its end stands for the name
    * `display` is the title to show, `-` for the name itself
    """

    name: str
    role: str
    uri: str
    priority: int = 1
    display: str = "-"


def write(entries: Iterable[Entry], project: str, version: str = "") -> bytes:
    """
    ## An inventory as Sphinx writes it
    """
    lines = [
        f"{entry.name} {entry.role} {entry.priority} {entry.uri} {entry.display}\n"
        for entry in sorted(entries, key=lambda entry: (entry.role, entry.name))
    ]
    head = HEADER.format(project=_one_line(project), version=_one_line(version)) + HEADER_END
    return head.encode() + zlib.compress("".join(lines).encode("utf-8", "replace"), 9)


def read(data: bytes) -> dict[str, str]:
    """
    ## Names of Python and their pages

    Raises `InventoryProblem` where the bytes are no inventory of version 2.
    """
    head, separator, packed = data.partition(HEADER_END.encode())
    if not separator or not head.startswith(b"# Sphinx inventory version 2"):
        raise InventoryProblem("not a Sphinx inventory of version 2")
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(packed, MAXIMUM_BYTES).decode()
    except (zlib.error, UnicodeDecodeError) as error:
        raise InventoryProblem(f"the inventory is damaged: {error}") from None
    if not unpacker.eof:
        raise InventoryProblem("the inventory is cut short, or far too large")
    names: dict[str, str] = {}
    for line in text.split("\n"):
        match = LINE.fullmatch(line)
        if match and match[2] == "py":
            uri = match[5]
            names.setdefault(match[1], uri[:-1] + match[1] if uri.endswith("$") else uri)
    return names


@lru_cache(maxsize=32)
def _read_file(file: Path, modified: int) -> dict[str, str]:
    return read(file.read_bytes())


def read_file(file: Path) -> dict[str, str]:
    """
    ## The same, from a file, once per process
    """
    try:
        return _read_file(file, file.stat().st_mtime_ns)
    except OSError as error:
        raise InventoryProblem(f"{file}: cannot be read: {error.strerror}") from None
    except InventoryProblem as problem:
        raise InventoryProblem(f"{file}: {problem}") from None


class Inventories:
    """
    ## All inventories of a site

    * `extra` are pairs of the address that an inventory belongs to and its file; they come before those shipped

    Nothing is read before the first name is asked for.
    """

    def __init__(self, extra: Sequence[tuple[str, Path]] = ()):
        self.files = [*extra, *((address, FOLDER / f"{name}.inv") for name, address in SHIPPED.items())]
        self._names: list[tuple[str, dict[str, str]]] | None = None

    def find(self, name: str) -> str | None:
        """
        ### Address of a dotted name
        """
        if self._names is None:
            self._names = [(address, read_file(file)) for address, file in self.files]
        for address, names in self._names:
            if uri := names.get(name):
                return address + uri
        return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
