"""The three ConvMixers that are compared, and the settings to run them in."""

from dataclasses import dataclass
from itertools import product

import torch
from timm.models.convmixer import ConvMixer as TimmConvMixer
from torch import nn

from labml_nn.conv_mixer import ConvMixer, conv_mixer


class Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def plain(
    d_model: int, n_layers: int, kernel_size: int, patch_size: int, n_classes: int, activation: type[nn.Module]
) -> nn.Module:
    """The formulas of the paper, equations 1 to 3, as an `nn.Sequential`: what a reader of the paper would write."""

    def normalized(convolution: nn.Module) -> nn.Sequential:
        return nn.Sequential(convolution, activation(), nn.BatchNorm2d(d_model))

    layers = []
    for _ in range(n_layers):
        depth_wise = nn.Conv2d(d_model, d_model, kernel_size, padding="same", groups=d_model)
        layers += [Residual(normalized(depth_wise)), normalized(nn.Conv2d(d_model, d_model, 1))]
    return nn.Sequential(
        normalized(nn.Conv2d(3, d_model, patch_size, stride=patch_size)),
        *layers,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(d_model, n_classes),
    )


def timm(
    d_model: int, n_layers: int, kernel_size: int, patch_size: int, n_classes: int, activation: type[nn.Module]
) -> nn.Module:
    return TimmConvMixer(
        d_model, n_layers, kernel_size=kernel_size, patch_size=patch_size, num_classes=n_classes, act_layer=activation
    )


def ours(
    d_model: int, n_layers: int, kernel_size: int, patch_size: int, n_classes: int, activation: type[nn.Module]
) -> ConvMixer:
    return conv_mixer(d_model, n_layers, kernel_size, patch_size, n_classes, activation=activation)


RIVALS = {"timm": timm, "plain": plain}


@dataclass(frozen=True)
class Setting:
    precision: str = "fp32"
    channels_last: bool = False
    compile: bool = False

    def __str__(self) -> str:
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{self.precision}, {layout}, {'compiled' if self.compile else 'eager'}"

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16")


AS_IT_COMES = Setting()
ALL_SETTINGS = [Setting(*values) for values in product(("fp32", "bf16"), (False, True), (False, True))]
# Those that have a chance to be the best one
LIKELY_SETTINGS = [setting for setting in ALL_SETTINGS if setting.precision == "bf16"]
