"""
---
title: What the models share
summary: Copies of a layer with weights of their own, and checks that name the wrong argument.
example: |
  from torch import nn
  from labml_nn.utils import clone_module_list

  layers = clone_module_list(nn.Linear(8, 8), n=3)
  print(layers[0].weight.equal(layers[1].weight))
---

# What the models share

Two things that every annotated model needs: a stack of equal layers, and checks of what a caller passes in,
so that a mistake is answered in one sentence here and not by a stack trace from the middle of a convolution.
"""

import copy
from numbers import Integral

import torch
from torch import nn


def clone_module_list(module: nn.Module, n: int) -> nn.ModuleList:
    r"""
    ## A stack of equal layers

    * `module` is the pattern
    * `n` is the number of layers

    A deep network is the same layer many times over, so our models take *one* layer and copy it.
    A plain deep copy repeats the random weights of the pattern too, and every layer would start as the same function.
    Training can still tell the layers apart, because each one sees another input, but whatever the one draw
    happens to favour is favoured $n$ times. A stack of $n$ residual layers shows it best: where each adds a small
    map $W$ to the identity, equal copies compute $(I + W)^n \approx I + n W$, while independent draws
    give $I + \sum_i W_i$, and random terms that do not agree grow like $\sqrt{n}$ only.

    So the first layer is the pattern with the weights that it came with, and each further copy draws new ones
    with the initialization of its own parts: every module of torch that holds weights has a method `reset_parameters`.
    A module without that method keeps the values of the pattern.

    Raises a `ValueError` if `n` is not a positive integer.
    """
    check_at_least("n", n, 1)
    layers = [copy.deepcopy(module) for _ in range(n)]
    for layer in layers[1:]:
        for part in layer.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return nn.ModuleList(layers)


def check_at_least(name: str, value: int, minimum: int) -> None:
    """
    ## Sizes are whole numbers

    Raises a `ValueError` if `value` is not an integer of at least `minimum`.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}, but it is {value!r}")


def check_probability(name: str, value: float) -> None:
    """
    ## Dropout is a probability

    Raises a `ValueError` if `value` does not lie between 0 and 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` is a probability between 0 and 1, but it is {value!r}")


def check_images(x: torch.Tensor, in_channels: int, patch_size: int) -> None:
    """
    ## Images that can be cut into patches

    * `x` should have the shape `[batch_size, in_channels, height, width]` and hold floating-point numbers
    * `in_channels` is the number of channels that the model was built for
    * `patch_size` is the edge of a patch in pixels

    Raises a `ValueError` where one of these does not hold, or where the image is smaller than one patch.
    """
    if x.ndim != 4:
        raise ValueError(
            f"`x` must have the shape [batch_size, channels, height, width], but it has {x.ndim} dimensions"
        )
    if not x.is_floating_point():
        raise ValueError(f"`x` holds {x.dtype} numbers: turn the pixels into floats first, for example by `x / 255`")
    if x.shape[1] != in_channels:
        raise ValueError(f"`x` has {x.shape[1]} channels, but the model was built with `in_channels={in_channels}`")
    if x.shape[2] < patch_size or x.shape[3] < patch_size:
        raise ValueError(
            f"`x` is {x.shape[2]} × {x.shape[3]} pixels, which is less than one patch (`patch_size={patch_size}`)"
        )
