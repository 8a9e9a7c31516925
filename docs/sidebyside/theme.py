"""
---
title: Theme
summary: Where the templates and their assets are, the author's own before those that come with the package.
---

# Files of the theme
"""

from pathlib import Path

# Made by the build from a package, and not part of the theme's folder
FONT = "assets/stix-two-math.woff2"

PATTERNS = ("*.html", "*.xml", "*.txt", "assets/**/*")


def theme_folder() -> Path:
    """
    ## The theme that comes with the package

    In a wheel it lies inside the package, in a checkout beside it.
    """
    here = Path(__file__).resolve().parent
    places = (here / "templates", here.parent / "templates")
    return next(folder for folder in places if (folder / "layout.html").is_file())


def theme_files(overrides: Path | None) -> dict[str, Path]:
    """
    ## Every file of the theme, by its name

    * `overrides` is the author's own folder, whose files come first
    """
    files: dict[str, Path] = {}
    for folder in (theme_folder(), overrides):
        if folder is None:
            continue
        for file in (file for pattern in PATTERNS for file in folder.glob(pattern)):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and not any(part.startswith(".") for part in name.split("/")):
                files[name] = file
    return dict(sorted(files.items()))
