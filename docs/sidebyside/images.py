"""
---
title: Sizes of images
summary: Reads how large an image is, so that a page keeps its place free.
---

# Sizes of images

A browser that knows the size of an image before it arrives leaves room for it, and the text below stays
where the reader is reading.
"""

import re
from pathlib import Path

SVG_TAG = re.compile(rb"<svg\b[^>]*>", re.DOTALL)
SVG_EDGE = rb"""\s%s\s*=\s*["']\s*([0-9.]+)(?:px)?\s*["']"""
VIEW_BOX = re.compile(rb"""\sviewBox\s*=\s*["']\s*[-0-9.]+[\s,]+[-0-9.]+[\s,]+([0-9.]+)[\s,]+([0-9.]+)\s*["']""")

# The opening tag of a drawing stands near its top
SVG_HEAD = 20_000


def size_of(file: Path) -> tuple[int, int] | None:
    """
    ## Width and height in pixels, `None` where the file does not tell
    """
    try:
        return _svg_size(file) if file.suffix.lower() == ".svg" else _picture_size(file)
    except (OSError, ValueError):
        return None


def _picture_size(file: Path) -> tuple[int, int]:
    # Imported here, because most sites have no other pictures than drawings
    from PIL import Image

    with Image.open(file) as picture:
        return picture.size


def _svg_size(file: Path) -> tuple[int, int] | None:
    """
    ### Of a drawing: its width and height, or else those of its view box

    It is searched rather than parsed, since it may be a stranger's.
    """
    with file.open("rb") as stream:
        tag = SVG_TAG.search(stream.read(SVG_HEAD))
    if tag is None:
        return None
    edges = [re.search(SVG_EDGE % name, tag[0]) for name in (b"width", b"height")]
    if edges[0] and edges[1]:
        found = edges[0][1], edges[1][1]
    elif box := VIEW_BOX.search(tag[0]):
        found = box[1], box[2]
    else:
        return None
    width, height = (round(float(edge)) for edge in found)
    return (width, height) if width and height else None
