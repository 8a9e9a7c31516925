"""
---
title: Any folder of pictures
summary: Class folders of pictures become uint8 tensors, decoded by threads, checked, split, and cached.
---

# Any folder of pictures

One folder for each class, pictures inside, at any depth. Either the class folders stand directly in the folder,
and one picture in ten is set aside for validation, or they stand in `train/` and in one of `val/`, `valid/`,
`validation/` and `test/`:

```
pictures/cat/1.jpg                     pictures/train/cat/1.jpg
pictures/dog/2.png                     pictures/val/dog/2.png
```
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from labml_nn.helpers.checkpoints import load_tensors, save_atomically
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.images import ImageData, LabelledImages

EXTENSIONS = {".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
VALIDATION_FOLDERS = ("val", "valid", "validation", "test")
# Part of the cache's key: raise it when a change of this module changes the tensors
VERSION = 1


@dataclass(frozen=True)
class Picture:
    """
    ## A picture on disk

    `name` is its path relative to the folder, `label` the number of its class.
    """

    name: str
    label: int


def image_folder(
    folder: Path, image_size: int = 32, validation_share: float = 0.1, cache: Path | None = None
) -> ImageData:
    """
    ## Load a folder of class folders

    * `folder` is that folder
    * `image_size` is the edge in pixels that every picture is brought to: the shorter side is scaled to it, and the
       middle of the longer one is kept
    * `validation_share` is the share of each class that is set aside where there is no folder for validation
    * `cache` is a folder for the decoded tensors

    Raises a `UserError` where this is no such folder.
    """
    classes, train, validation = find_pictures(folder, validation_share)
    key = cache_key(folder, [*train, *validation], image_size)
    cached = cache / f"image_folder-{key}.pt" if cache else None
    tensors = load_tensors(cached) if cached and cached.exists() else None
    if tensors is None:
        tensors = decode_all(folder, [*train, *validation], image_size)
        if cached:
            save_cache(tensors, cached)
    report_unreadable(folder, [*train, *validation], tensors["readable"])
    return assemble(tensors, classes, train, validation)


def assemble(
    tensors: dict[str, Tensor], classes: tuple[str, ...], train: list[Picture], validation: list[Picture]
) -> ImageData:
    """
    ## From decoded pictures to a data set

    Raises a `UserError` where too few pictures could be read.
    """
    labels = torch.tensor([picture.label for picture in [*train, *validation]])
    is_train = torch.arange(len(labels)) < len(train)
    images, readable = tensors["images"], tensors["readable"]

    def part(members: Tensor) -> LabelledImages:
        # The unreadable ones have no row in `images`
        return LabelledImages(images[members[readable]], labels[members & readable])

    data = ImageData(part(is_train), part(~is_train), classes)
    counts = torch.bincount(data.train.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 0]
    if empty:
        raise UserError(f"no picture to train on could be read for {', '.join(empty)}")
    if len(data.validation) == 0:
        raise UserError("no picture to validate on could be read")
    return data


# ## Finding the pictures


def find_pictures(folder: Path, validation_share: float) -> tuple[tuple[str, ...], list[Picture], list[Picture]]:
    """
    ### Classes, pictures to train on, pictures to validate on
    """
    if not folder.is_dir():
        raise UserError(f"data_path={folder} is not a folder. Name one that holds a folder of pictures for each class.")
    validation_folder = find_validation_folder(folder)
    if validation_folder is None:
        # A folder with nothing but `train/` is one that is still to be split
        part = "train" if subfolders(folder) == ["train"] and subfolders(folder / "train") else ""
        classes = class_names(folder / part)
        train, validation = split(list_pictures(folder, part, classes), validation_share)
        return classes, train, validation
    classes = class_names(folder / "train")
    strange = set(class_names(folder / validation_folder)) - set(classes)
    if strange:
        raise UserError(
            f"{folder / validation_folder} has classes that {folder / 'train'} lacks: {', '.join(sorted(strange))}"
        )
    return classes, list_pictures(folder, "train", classes), list_pictures(folder, validation_folder, classes)


def find_validation_folder(folder: Path) -> str | None:
    """
    ### Is the folder split already?

    It is where `train` and one of the other names hold folders. A class may be *called* `train`: it holds pictures.
    """
    if not subfolders(folder / "train"):
        return None
    return next((name for name in VALIDATION_FOLDERS if subfolders(folder / name)), None)


def subfolders(folder: Path) -> list[str]:
    """
    ### The folders in a folder, in order, without hidden ones
    """
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def class_names(folder: Path) -> tuple[str, ...]:
    """
    ### The classes: folders that hold a picture somewhere
    """
    classes = tuple(name for name in subfolders(folder) if next(walk(folder / name), None) is not None)
    if len(classes) < 2:
        raise UserError(
            f"{folder} holds {len(classes)} folders with pictures, and two classes or more are needed: "
            f"one folder for each class, with files that end in {', '.join(sorted(EXTENSIONS))}."
        )
    return classes


def walk(folder: Path) -> Iterator[Path]:
    """
    ### All pictures below a folder, in order
    """
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in EXTENSIONS and not name.startswith("."):
                yield Path(path, name)


def list_pictures(folder: Path, part: str, classes: tuple[str, ...]) -> list[Picture]:
    """
    ### All pictures of a part, class by class
    """
    return [
        Picture(path.relative_to(folder).as_posix(), label)
        for label, name in enumerate(classes)
        for path in walk(folder / part / name)
    ]


def split(pictures: list[Picture], validation_share: float) -> tuple[list[Picture], list[Picture]]:
    """
    ### Set some pictures of each class aside for validation

    By a checksum of the name, so that the choice looks random, needs no seed, and hardly changes when pictures
    are added. Each class with two pictures or more has at least one on either side.
    """
    train, validation = [], []
    for label in sorted({picture.label for picture in pictures}):
        members = [picture for picture in pictures if picture.label == label]
        members.sort(key=lambda picture: hashlib.sha256(os.fsencode(picture.name)).digest())
        n_validation = min(max(1, round(len(members) * validation_share)), len(members) - 1)
        validation += members[:n_validation]
        train += members[n_validation:]
    return train, validation


# ## Decoding


def decode_all(folder: Path, pictures: Sequence[Picture], image_size: int) -> dict[str, Tensor]:
    """
    ### Decode all pictures, by threads

    Pillow lets other threads run while it decodes. Returns `images`, `uint8` of shape
    `[n_readable, 3, image_size, image_size]`, and `readable`, a boolean for each of `pictures`.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        decoded = list(threads.map(lambda picture: decode(folder / picture.name, image_size), pictures, chunksize=64))
    readable = torch.tensor([image is not None for image in decoded], dtype=torch.bool)
    arrays = [image for image in decoded if image is not None]
    if not arrays:
        raise UserError(f"none of the {len(pictures)} pictures in {folder} could be read")
    return {"images": torch.from_numpy(np.stack(arrays)), "readable": readable}


def decode(path: Path, image_size: int) -> np.ndarray | None:
    """
    ### Decode a picture

    Returns `uint8` of shape `[3, image_size, image_size]`, or `None` for a file that is no whole picture.
    Cameras note which way they were held instead of turning the pixels; we turn them.
    """
    try:
        with Image.open(path) as image:
            # A hint to the JPEG decoder, which can halve the picture while decoding, several times
            image.draft("RGB", (2 * image_size, 2 * image_size))
            upright = to_rgb(ImageOps.exif_transpose(image))
        fitted = ImageOps.fit(upright, (image_size, image_size), Image.Resampling.BICUBIC)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return np.ascontiguousarray(np.asarray(fitted).transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """
    ### Three channels, whatever the file has

    What is transparent becomes white, as on paper. A grey value of 16 bits keeps its upper 8.
    """
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def report_unreadable(folder: Path, pictures: Sequence[Picture], readable: Tensor) -> None:
    """
    ### Name what was skipped
    """
    names = [picture.name for picture, is_readable in zip(pictures, readable.tolist(), strict=True) if not is_readable]
    if names:
        shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        # A name on disk may be no text at all
        shown = os.fsencode(shown).decode(errors="backslashreplace")
        print(f"Skipped {len(names)} of {len(pictures)} files in {folder}, which are no whole pictures: {shown}")


# ## The cache


def cache_key(folder: Path, pictures: Sequence[Picture], image_size: int) -> str:
    """
    ### What the tensors depend on

    The names, sizes and times of all files stand for their contents.
    """
    digest = hashlib.sha256(os.fsencode(f"{VERSION} {folder.resolve()} {image_size}"))
    for picture in pictures:
        status = (folder / picture.name).stat()
        digest.update(os.fsencode(f"\n{picture.name}\0{status.st_size} {status.st_mtime_ns}"))
    return digest.hexdigest()[:16]


def save_cache(tensors: dict[str, Tensor], path: Path) -> None:
    """
    ### Keep the tensors for the next run

    A disk that is full or read-only costs the next run its time and this one nothing.
    """
    try:
        save_atomically(tensors, path)
    except (OSError, RuntimeError) as error:
        print(f"The decoded pictures are not kept for the next run: {error}")
