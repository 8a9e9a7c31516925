"""
---
title: Ten shapes, drawn on the spot
summary: A data set of coloured 32 × 32 drawings in ten classes, made from a seed, without a download.
example: |
  from labml_nn.helpers.shapes import draw_shapes

  images, labels = draw_shapes(n_images=20, seed=1)
---

# Ten shapes, drawn on the spot

To see an experiment run takes pictures that are there at once and a task that a small model learns in a minute.
Each picture shows one shape, in a colour of its own, of any size, somewhere, a little turned, on a background
that fades from one colour to another, under noise.

A shape is a function $f(x, y)$ that is positive inside and grows by about one for each unit of length,
so that a soft step over $f$ draws it with smooth edges. All pictures are drawn at once.
"""

import math

import torch
from torch import Tensor

from labml_nn.helpers.images import ImageData, LabelledImages

# ## The ten functions
#
# `x` and `y` are coordinates of the same shape, in which every drawing fits into the circle of radius 1;
# $y$ points down.


def disc(x: Tensor, y: Tensor) -> Tensor:
    """
    As far inside as the border at 0.8 is away
    """
    return 0.8 - torch.hypot(x, y)


def ring(x: Tensor, y: Tensor) -> Tensor:
    """
    All that is near the circle of radius 0.7
    """
    return 0.22 - (torch.hypot(x, y) - 0.7).abs()


def square(x: Tensor, y: Tensor) -> Tensor:
    """
    A disc for the distance that counts only the larger coordinate
    """
    return 0.7 - torch.maximum(x.abs(), y.abs())


def frame(x: Tensor, y: Tensor) -> Tensor:
    """
    A ring for that same distance
    """
    return 0.18 - (torch.maximum(x.abs(), y.abs()) - 0.6).abs()


def triangle(x: Tensor, y: Tensor) -> Tensor:
    """
    The circle folded into thirds about the middles of the three sides, which makes one half-plane of them
    """
    third = 2 * math.pi / 3
    return 0.45 - torch.hypot(x, y) * torch.cos(torch.remainder(torch.atan2(x, -y), third) - third / 2)


def cross(x: Tensor, y: Tensor) -> Tensor:
    """
    Two bars
    """
    bars = torch.maximum(0.22 - x.abs(), 0.22 - y.abs())
    return bars.minimum(0.85 - torch.maximum(x.abs(), y.abs()))


def star(x: Tensor, y: Tensor) -> Tensor:
    """
    A disc whose radius swings five times between notch and tip
    """
    fifth = 2 * math.pi / 5
    fold = (torch.remainder(torch.atan2(x, -y), fifth) * (2 / fifth) - 1).abs()
    return 0.38 + 0.57 * fold.square() - torch.hypot(x, y)


def crescent(x: Tensor, y: Tensor) -> Tensor:
    """
    A disc without another disc
    """
    return torch.minimum(0.85 - torch.hypot(x, y), torch.hypot(x - 0.45, y) - 0.65)


def heart(x: Tensor, y: Tensor) -> Tensor:
    """
    A disc whose two halves are lifted the more the further from the middle
    """
    return 0.7 - torch.hypot(x, 0.95 * y - 0.1 + 0.6 * x.abs().sqrt())


def stripes(x: Tensor, y: Tensor) -> Tensor:
    """
    Three bars side by side
    """
    bars = 0.15 - (torch.remainder(x + 0.25, 0.5) - 0.25).abs()
    return bars.minimum(0.75 - torch.maximum(x.abs(), y.abs()))


SHAPES = (disc, ring, square, frame, triangle, cross, star, crescent, heart, stripes)
CLASSES = tuple(shape.__name__ for shape in SHAPES)


def draw_shapes(n_images: int, seed: int, size: int = 32) -> tuple[Tensor, Tensor]:
    """
    ## Draw

    * `n_images` is how many pictures; the classes take turns
    * `seed` decides everything about them
    * `size` is the edge of a picture in pixels

    Returns `uint8` images of shape `[n_images, 3, size, size]` and labels of shape `[n_images]`.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_images) % len(CLASSES)
    # Drawing takes many times the memory of the drawings, so it is done some hundred at a time
    parts = [draw_some(part, generator, size) for part in labels.split(512)]
    return torch.cat(parts), labels


def draw_some(labels: Tensor, generator: torch.Generator, size: int) -> Tensor:
    """
    ## Draw one picture for each label
    """

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(labels), *shape, generator=generator) * (high - low) + low

    # Where each pixel lies, from -1 to 1, as the shape sees it: moved, turned by up to 20° and scaled
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    scale, turn = between(0.45, 0.85, 1, 1), between(-20, 20, 1, 1).deg2rad()
    x = line - between(-1, 1, 1, 1) * (0.95 - scale)
    y = line[:, None] - between(-1, 1, 1, 1) * (0.95 - scale)
    x, y = (turn.cos() * x + turn.sin() * y) / scale, (turn.cos() * y - turn.sin() * x) / scale
    #
    values = torch.empty(len(labels), size, size)
    for label, shape in enumerate(SHAPES):
        members = labels == label
        values[members] = shape(x[members], y[members])
    coverage = (values * scale * (size / 2) + 0.5).clamp(0, 1).unsqueeze(1)
    # The background fades from top to bottom. The shape keeps its distance in each channel from the middle of the
    # fade: about half the range, counted around the end, which stays at least 0.35 either way.
    top, bottom = between(0, 1, 3, 1, 1), between(0, 1, 3, 1, 1)
    fade = torch.linspace(0, 1, size)[:, None]
    background = top + (bottom - top) * fade
    middle = (top + bottom) / 2
    colour = (middle + between(0.35, 0.65, 3, 1, 1)) % 1
    picture = background + (colour - background) * coverage
    noise = torch.randn(picture.shape, generator=generator) * 0.04
    return ((picture + noise).clamp(0, 1) * 255).round().to(torch.uint8)


def shapes(n_train: int = 10_000, n_validation: int = 2_000, size: int = 32) -> ImageData:
    """
    ## The data set

    The seeds are fixed, so that everybody has the same pictures, and validation shares none with training.
    """
    return ImageData(
        train=LabelledImages(*draw_shapes(n_train, seed=1, size=size)),
        validation=LabelledImages(*draw_shapes(n_validation, seed=2, size=size)),
        classes=CLASSES,
    )
