"""
---
title: Depth-wise convolution
summary: A depth-wise convolution, one filter for each channel, as a drop-in module for ConvMixer.
---

# Depth-wise convolution

A depth-wise convolution gives every channel a filter of its own: it mixes *positions*, and leaves mixing channels
to the [point-wise convolution](index.html#ConvMixerLayer) that comes after it.
"""

from typing import Any

import torch
from torch import nn


class DepthWiseConv2d(nn.Conv2d):
    """
    ## Depth-wise convolution with "same" padding
    """

    def __init__(
        self,
        d_model: int,
        kernel_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        """
        * `d_model` is the number of channels, $h$
        * `kernel_size` is the edge of the filters, $k$
        * `device` and `dtype` say where the parameters live and of what type they are

        Raises a `ValueError` where `d_model` or `kernel_size` is not a positive whole number.
        """
        _check_positive("d_model", d_model)
        _check_positive("kernel_size", kernel_size)
        super().__init__(d_model, d_model, kernel_size, padding="same", groups=d_model, device=device, dtype=dtype)


def _check_positive(name: str, value: Any) -> None:
    """
    A size that is not a positive whole number is refused before torch builds something out of it.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a positive whole number, not {value!r}")
