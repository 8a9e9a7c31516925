"""
---
title: Images in memory
summary: A labelled set of images as uint8 tensors on the device, and batches of it in a seeded order.
---

# Images in memory

All of CIFAR-10 is 180 MB of pixels. There is no reason to fetch that from a disk again in every epoch, picture by
picture: here a data set is four tensors on the device, and a batch is one indexing operation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labml_nn.helpers.device import one_thread


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """
    ## Labelled images

    * `images` are `uint8` of shape `[n_images, 3, height, width]`
    * `labels` are `int64` of shape `[n_images]`
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "LabelledImages":
        """
        The same on another device
        """
        return LabelledImages(self.images.to(device), self.labels.to(device))

    def batches(self, batch_size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """
        ### Batches of images and labels

        `order` holds the indexes of the images to go through; without it they come as they are stored.
        The last batch holds what is left.
        """
        if order is None:
            order = torch.arange(len(self))
        order = order.to(self.labels.device)
        for start in range(0, len(order), batch_size):
            indexes = order[start : start + batch_size]
            # Copying a few rows is too little work for several cores
            with one_thread():
                batch = self.images.index_select(0, indexes), self.labels.index_select(0, indexes)
            yield batch


@dataclass(frozen=True, eq=False)
class ImageData:
    """
    ## A data set: training images, validation images, and the names of the classes
    """

    train: LabelledImages
    validation: LabelledImages
    classes: tuple[str, ...]

    def to(self, device: torch.device) -> "ImageData":
        """
        The same on another device
        """
        return replace(self, train=self.train.to(device), validation=self.validation.to(device))


def shuffled(n_images: int, seed: int, epoch: int) -> Tensor:
    """
    ## The order of an epoch

    A function of `seed` and `epoch` alone, so that a run that goes on in the middle of an epoch finds the order again.
    Returns a permutation of shape `[n_images]`.
    """
    # Neighbouring seeds must not share orders: epoch 1 of seed 0 is not epoch 0 of seed 1
    return torch.randperm(n_images, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """
    ## Mean and standard deviation of each channel

    From counts of the 256 values, which are exact however many pixels there are. `images` are `uint8` of shape
    `[n_images, 3, height, width]`; returns two float tensors of shape `[3]`, in the units of the pixels.
    A channel of one value only gets standard deviation 1.
    """
    values = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in images.cpu().unbind(1)])
    weights = counts.double() / counts.sum(1, keepdim=True)
    mean = weights @ values
    std = (weights @ values.square() - mean.square()).clamp(min=0).sqrt()
    std[std < 1e-3] = 1
    return mean.float().to(images.device), std.float().to(images.device)
