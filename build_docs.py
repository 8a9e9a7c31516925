"""
Render this repository's pages: `labml_nn/`, and `sidebyside/` beside it, into `docs/`.

A thin call into `sidebyside` with the settings of this site:

    python build_docs.py [--out DIR]    build; every warning is an error
    python build_docs.py serve          preview, and reload on every save
    python build_docs.py check          print what is wrong, and what in docs/ is stale
"""

import os
import sys
from pathlib import Path

from sidebyside import Settings, Site
from sidebyside.cli import main

ROOT = Path(__file__).parent
SOURCE = ROOT / "labml_nn"
OUT = ROOT / "docs"

REPOSITORY = "https://github.com/labmlai/annotated_deep_learning_paper_implementations"
SETTINGS = {
    "title": "Annotated deep learning",
    "base_url": "https://nn.labml.ai",
    "repo_url": REPOSITORY,
    "published_in": "docs",
}


def site() -> Site:
    """The site as an object, for the test that `docs/` is up to date."""
    return Site(SOURCE, Settings(**SETTINGS, beside=(ROOT / "sidebyside",)))


def options() -> list[str]:
    """The same settings as options of the command line."""
    pairs = [(f"--{name.replace('_', '-')}", value) for name, value in SETTINGS.items()]
    return [part for pair in pairs for part in pair] + ["--beside", os.path.relpath(ROOT / "sidebyside"), "--strict"]


def sidebyside(command: str, *arguments: str) -> int:
    try:
        main([command, os.path.relpath(SOURCE), *options(), *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def run(arguments: list[str]) -> int:
    command, *rest = arguments if arguments[:1] in (["serve"], ["check"]) else ["build", *arguments]
    if command == "build" and "--out" not in rest:
        rest += ["--out", os.path.relpath(OUT)]
    status = sidebyside(command, *rest)
    if command == "check" and (stale := site().stale(OUT)):
        print(f"docs/ is stale, run 'python build_docs.py': {', '.join(stale[:5])}{' …' if stale[5:] else ''}")
        return 1
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
