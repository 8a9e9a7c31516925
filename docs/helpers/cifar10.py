"""
---
title: CIFAR-10, checked
summary: Download, verify and load CIFAR-10, with an error that says what to do for everything that can be wrong.
---

# CIFAR-10, checked

[CIFAR-10](https://www.cs.toronto.edu/~kriz/cifar.html) is 50,000 training and 10,000 test pictures of 32 × 32 pixels
in ten classes. torchvision downloads it and knows the checksum of every file.

The files are Python pickles, and a pickle can run any code when it is read. So nothing is opened before its checksum
is right, and a file whose checksum is wrong is never repaired by guessing: we say which one it is.
"""

from pathlib import Path
from typing import Any

import torch

from labml_nn.helpers.errors import UserError
from labml_nn.helpers.images import ImageData, LabelledImages

OTHER_DATA_SETS = (
    "Two other data sets need no download: dataset=shapes draws its pictures, "
    "dataset=image_folder data_path=DIR takes a folder of class folders."
)


def cifar10(data_path: Path) -> ImageData:
    """
    ## Load CIFAR-10

    `data_path` is the folder that holds `cifar-10-batches-py`, or in which it is made by downloading.

    Raises a `UserError` where files are broken or of another layout, or cannot be downloaded.
    """
    # torchvision takes seconds to import, which other data sets need not wait for
    from torchvision.datasets import CIFAR10

    check_layout(data_path, CIFAR10)
    missing = check_files(data_path / CIFAR10.base_folder, CIFAR10)
    if missing:
        download(data_path, missing, CIFAR10)
    train, test = CIFAR10(data_path, train=True), CIFAR10(data_path, train=False)
    return ImageData(to_tensors(train), to_tensors(test), tuple(train.classes))


def to_tensors(dataset: Any) -> LabelledImages:
    """
    torchvision keeps the pictures as one array of shape `[n_images, height, width, 3]`
    """
    return LabelledImages(
        torch.from_numpy(dataset.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(dataset.targets)
    )


def check_layout(data_path: Path, source: Any) -> None:
    """
    ## Is this the right folder?

    Mistakes that are easily made: naming a file, the inner folder, the edition for C programs, a folder of pictures.
    """
    if data_path.exists() and not data_path.is_dir():
        raise UserError(f"data_path={data_path} is a file. Name the folder that holds {source.base_folder}.")
    if (data_path / source.test_list[0][0]).exists():
        raise UserError(
            f"data_path={data_path} is the folder of the batches itself. "
            f"Name the one above it: data_path={data_path.resolve().parent}"
        )
    if (data_path / "cifar-10-batches-bin").exists() and not (data_path / source.base_folder).exists():
        raise UserError(
            f"{data_path / 'cifar-10-batches-bin'} is the binary edition of CIFAR-10. "
            f"The experiment reads the Python edition, {source.base_folder}, "
            "and downloads it when the other one is out of the way."
        )
    if (data_path / "train").is_dir() and not (data_path / source.base_folder).exists():
        raise UserError(f"{data_path} is a folder of pictures. Use dataset=image_folder data_path={data_path}")


def check_files(folder: Path, source: Any) -> list[str]:
    """
    ## Are the files what they should be?

    Returns the names of those that are missing. Raises a `UserError` for one whose checksum is wrong.
    """
    from torchvision.datasets.utils import check_integrity

    missing = []
    for name, checksum in [*source.train_list, *source.test_list, [source.meta["filename"], source.meta["md5"]]]:
        if not (folder / name).exists():
            missing.append(name)
        elif not check_integrity(folder / name, checksum):
            raise UserError(
                f"{folder / name} is damaged or not the original: its checksum is wrong. "
                f"Delete {folder} and run again, which downloads CIFAR-10 anew. {OTHER_DATA_SETS}"
            )
    return missing


def download(data_path: Path, missing: list[str], source: Any) -> None:
    """
    ## Download

    An archive that is there already and whole is only unpacked.
    """
    try:
        source(data_path, download=True)
    except (OSError, RuntimeError, EOFError) as error:
        folder, archive = data_path / source.base_folder, data_path / source.filename
        if archive.exists():
            found = f"{archive} is damaged, or only a part of it was downloaded"
        elif folder.exists():
            found = f"{folder} lacks {', '.join(missing)}"
        else:
            found = f"CIFAR-10 is not in {data_path}"
        raise UserError(
            f"{found}, and downloading it from {source.url} failed ({error}). "
            f"Try again with a network, or put a whole {source.filename} into {data_path} yourself. {OTHER_DATA_SETS}"
        ) from None
