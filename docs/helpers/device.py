"""
---
title: Where and how to compute
summary: Choosing the device, the precision and the memory layout, with defaults for each kind of device.
---

# Where and how to compute

The same model runs on a laptop and on a GPU, but not the same way of running it is fast on both. Each choice
has a switch, and `auto` stands for what pays on the device at hand.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from labml_nn.helpers.errors import UserError

# A switch that can be left to the device
Switch = Literal["auto", "on", "off"]
Precision = Literal["auto", "bf16", "none"]


def find_device(name: str) -> torch.device:
    """
    ## Find the device

    `auto` takes the first GPU, else Apple's, else the CPU. Any other name is torch's own: `cpu`, `cuda`, `cuda:1`.

    Raises a `UserError` where there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"device={name} cannot be used here ({reason}). Try device=cpu or device=auto.") from None
    return device


@contextlib.contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """
    ## Compute on one core, inside a `with` statement

    Waking the other cores and waiting for the last of them takes longer than a small operation does, and many times
    longer where other programs use these cores too.
    """
    threads = torch.get_num_threads()
    if when:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True)
class Execution:
    """
    ## How to compute

    * `device` is where
    * `autocast_dtype` is what matrix products and convolutions compute in, `None` for the type of the parameters.
       bfloat16 has the range of float32, so that, unlike float16, it needs no scaling of the loss
    * `channels_last` keeps the channels of a pixel together in memory, instead of the pixels of a channel
    * `compile` lets `torch.compile` fuse operations, which takes its time before the first step
    * `fused` updates all parameters by one kernel
    """

    device: torch.device
    autocast_dtype: torch.dtype | None
    channels_last: bool
    compile: bool
    fused: bool

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """
        The context that forward passes run in
        """
        if self.autocast_dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    def place(self, model: nn.Module) -> nn.Module:
        """
        The model, moved to the device and laid out as chosen
        """
        model = model.to(self.device)
        return model.to(memory_format=torch.channels_last) if self.channels_last else model

    def place_images(self, images: torch.Tensor) -> torch.Tensor:
        """
        A batch of shape `[batch_size, channels, height, width]`, laid out as chosen
        """
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def wait(self) -> None:
        """
        Wait until the device has done all it was asked to, which timing needs
        """
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def multiplies_bf16(device: torch.device) -> bool:
    """
    ## Does bfloat16 pay?

    On a GPU it runs on the matrix units. A CPU needs instructions for it; one without would convert back and forth.
    Most of the work of a ConvMixer, the point-wise convolutions, then takes half the time: 5.6 milliseconds in place of
    10.8 for 64 images of 16 × 16 patches and 256 channels, on two cores of an AMD EPYC (Zen 4).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Older versions of torch do not tell what the CPU can do
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def choose_execution(
    device: str = "auto",
    mixed_precision: Precision = "auto",
    channels_last: Switch = "auto",
    compile: Switch = "auto",
    fused: Switch = "auto",
) -> Execution:
    """
    ## Fill in what is left to the device

    Channels-last is the layout of a GPU's matrix units, and on a CPU that of
    [our depth-wise convolution](../conv_mixer/depth_wise.html), which has to copy images in any other.
    Compiling is never the default: it makes short runs slower, and on a CPU it needs a C++ compiler.
    """
    where = find_device(device)

    def chosen(switch: Switch, default: bool) -> bool:
        return default if switch == "auto" else switch == "on"

    bf16 = multiplies_bf16(where) if mixed_precision == "auto" else mixed_precision == "bf16"
    return Execution(
        device=where,
        autocast_dtype=torch.bfloat16 if bf16 else None,
        channels_last=chosen(channels_last, default=True),
        compile=chosen(compile, default=False),
        fused=chosen(fused, default=where.type in ("cpu", "cuda")),
    )
