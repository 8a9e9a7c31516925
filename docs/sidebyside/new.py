"""
---
title: Starter project
summary: Two pages, a template that changes one block, and a workflow that publishes them.
---

# A project to start from

The files lie in the theme's folder `starter` under names that every packaging tool carries along.
Here they get the names that they need.
"""

import os
from pathlib import Path

from sidebyside import __version__
from sidebyside.problem import OutputProblem, SettingsProblem
from sidebyside.theme import theme_folder

# Name in the starter folder, and name in the new project
FILES = {
    "gitignore.txt": ".gitignore",
    "pages.yml": ".github/workflows/pages.yml",
    "layout.html": "templates/layout.html",
    "readme.md": "pages/readme.md",
    "moving_average.py": "pages/moving_average.py",
}


def create(folder: Path) -> list[str]:
    """
    ## Write the starter project

    Returns the names of the files. Raises `SettingsProblem` where the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsProblem(f"{folder} is not empty; give the name of a new folder")
    starter = theme_folder() / "starter"
    try:
        for source, target in FILES.items():
            file = folder / target
            file.parent.mkdir(parents=True, exist_ok=True)
            text = (starter / source).read_text("utf-8").replace("SIDEBYSIDE_VERSION", __version__)
            file.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise OutputProblem(f"cannot write {os.fspath(folder)}: {error.strerror}") from None
    return sorted(FILES.values())
