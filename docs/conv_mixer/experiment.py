"""
---
title: Train ConvMixer on CIFAR-10
summary: Train ConvMixer on CIFAR-10, on a folder of pictures, or on ten shapes drawn on the spot.
example: |
  from pathlib import Path
  from labml_nn.conv_mixer.experiment import Configs
  from labml_nn.helpers.shapes import shapes

  configs = Configs()
  configs.dataset = "shapes"
  configs.data = shapes(n_train=256, n_validation=64)
  configs.d_model, configs.n_layers, configs.epochs = 16, 1, 1
  configs.run(Path("checkpoints"))
---

# Train ConvMixer on CIFAR-10

This trains a [ConvMixer](index.html) to tell ten kinds of things apart on pictures of 32 × 32 pixels.

```sh
python -m labml_nn.conv_mixer.experiment
```

downloads CIFAR-10 and trains ConvMixer-256/8 for 25 epochs, which wants a GPU or patience. For a first look,

```sh
python -m labml_nn.conv_mixer.experiment dataset=shapes
```

trains a small one on drawings, in about a minute on a laptop. Your own pictures, one folder for each class:

```sh
python -m labml_nn.conv_mixer.experiment dataset=image_folder data_path=pictures image_size=64
```

`--help` lists all settings. Most of them are [those of all image experiments](../experiments/cifar10.html).
"""

import sys
from collections.abc import Sequence
from typing import Literal

from labml.configs import aggregate, option
from torch import nn

from labml_nn.conv_mixer import ClassificationHead, ConvMixer, ConvMixerLayer, PatchEmbeddings
from labml_nn.conv_mixer.gelu_batch_norm import optimize_for_training
from labml_nn.conv_mixer.native import keep_freed_memory
from labml_nn.experiments.cifar10 import CIFAR10Configs
from labml_nn.helpers.device import Switch
from labml_nn.helpers.runs import run_command
from labml_nn.helpers.settings import SettingsError, Size


class Configs(CIFAR10Configs):
    """
    ## Configurations

    Those of [`CIFAR10Configs`](../experiments/cifar10.html#CIFAR10Configs), and the four numbers that make a ConvMixer.
    """

    d_model: Size = 256
    """
    Number of channels, $h$.
    """

    n_layers: Size = 8
    """
    Number of ConvMixer layers, $d$.
    """

    kernel_size: Size = 7
    """
    Edge of the depth-wise filters, $k$.
    """

    patch_size: Size = 2
    """
    Edge of a patch in pixels, $p$.
    """

    fused_layers: Switch = "auto"
    """
    Compute GELU, batch normalization and the residual connection as [one operator](gelu_batch_norm.html).
    `auto` does so on a CPU, where moving features through memory takes much of the time, unless `compile` is on.
    """

    # Declared anew so that what follows belongs to this experiment and not to all that share the base
    dataset: Literal["cifar10", "image_folder", "shapes"] = "cifar10"
    model: nn.Module


@option(Configs.model)
def conv_mixer(c: Configs) -> nn.Module:
    """
    ### The model

    Raises a `SettingsError` where the pictures are smaller than a patch.
    """
    height, width = c.data.train.images.shape[-2:]
    if c.patch_size > min(height, width):
        raise SettingsError(f"patch_size={c.patch_size}: the pictures have {height} × {width} pixels, too few for it")
    model = ConvMixer(
        ConvMixerLayer(c.d_model, c.kernel_size),
        c.n_layers,
        PatchEmbeddings(c.d_model, c.patch_size, in_channels=3),
        ClassificationHead(c.d_model, n_classes=len(c.data.classes)),
    )
    on_cpu = c.execution.device.type == "cpu"
    if on_cpu:
        # Every step needs the same memory: [do not give it back](native.html#keep_freed_memory) in between
        keep_freed_memory()
    # The same parameters under the same names, computed in fewer passes over memory. What is compiled needs no help.
    if c.fused_layers == "on" or (c.fused_layers == "auto" and on_cpu and not c.execution.compile):
        model = optimize_for_training(model)
    #
    return c.execution.place(model)


# The shapes are an easier task than photographs, and are there for a quick look. With them come a smaller model and a
# shorter run, unless the command line says otherwise.
aggregate(
    Configs.dataset,
    "shapes",
    (Configs.d_model, 64),
    (Configs.n_layers, 4),
    (Configs.kernel_size, 5),
    (Configs.patch_size, 4),
    (Configs.epochs, 6),
    (Configs.batch_size, 128),
    (Configs.learning_rate, 0.02),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    ## Run the experiment

    `arguments` are those of the command line by default. Returns the exit status.
    """
    return run_command(
        "conv_mixer",
        Configs,
        sys.argv[1:] if arguments is None else arguments,
        command="python -m labml_nn.conv_mixer.experiment",
        description="Train ConvMixer on CIFAR-10, a folder of pictures, or ten shapes drawn on the spot.",
    )


if __name__ == "__main__":
    sys.exit(main())
