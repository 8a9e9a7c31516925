"""
---
title: Repository links
summary: From the address of a repository to the page of one of its files.
---

# Where the source lives

The address may be that of the repository, or that of a folder in it as the browser shows it
(`https://github.com/someone/something/tree/main/package`). With the bare address, the branch is taken to be `main`,
and the folder is the place of the source inside its git repository.
"""

import os
import re
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

BARE = re.compile(r"(https?://[^/]+/[^/]+/[^/]+?)(?:\.git)?/?")
FOLDER = re.compile(r"(https?://[^/]+/[^/]+/[^/]+)/(-/)?(?:tree|blob)/([^/]+)(?:/(.*?))?/?")
GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Repository:
    """
    ## A folder of a repository

    * `files` is the address under which its files are shown
    * `home` is the address of the whole repository
    * `top` is the address under which the files at its top are shown
    """

    home: str
    files: str
    branch: str = "main"
    top: str = ""

    @classmethod
    def parse(cls, address: str, folder: str) -> "Repository":
        """
        ### Read the address that a user gave

        * `folder` is the source's place in the repository, for an address that does not say it
        """
        if match := FOLDER.fullmatch(address):
            home, dash, branch, path = match.groups()
            top = f"{home}/{dash or ''}blob/{branch}"
            return cls(home, _join(top, path or ""), branch, top)
        if match := BARE.fullmatch(address):
            home = match[1]
            dash = "-/" if "gitlab" in urlsplit(home).netloc else ""
            top = f"{home}/{dash}blob/main"
            return cls(home, _join(top, quote(folder)), top=top)
        address = address.rstrip("/")
        return cls(address, address, top=address)

    def at(self, folder: str) -> "Repository":
        """
        ### Another folder of the same repository
        """
        return replace(self, files=_join(self.top, quote(folder)))

    def code_url(self, path: str) -> str:
        """
        ### The page that shows a file
        """
        return _join(self.files, quote(path))

    def colab_url(self, notebook: str) -> str | None:
        """
        ### Opens a notebook of the repository in Google Colab, which knows GitHub only

        * `notebook` is its path in the repository
        """
        if not self.home.startswith(GITHUB):
            return None
        name = self.home.removeprefix(GITHUB)
        return f"https://colab.research.google.com/github/{name}/blob/{self.branch}/{quote(notebook)}"

    @property
    def pip_address(self) -> str:
        return f"git+{self.home}"


def folder_in_repository(folder: str) -> str:
    """
    ## Place of a folder in its git repository

    Without a repository around it, its own name is the best that is known.
    """
    folder = os.path.abspath(folder)
    parent = folder
    while parent != os.path.dirname(parent):
        if os.path.exists(os.path.join(parent, ".git")):
            relative = os.path.relpath(folder, parent).replace(os.sep, "/")
            return "" if relative == "." else relative
        parent = os.path.dirname(parent)
    return os.path.basename(folder)


def _join(address: str, path: str) -> str:
    return f"{address}/{path}" if path else address
