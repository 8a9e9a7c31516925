"""
---
title: Image classification experiments
summary: Data, augmentation, optimizer and training loop that experiments on CIFAR-10 and other pictures share.
---

# Image classification experiments

An experiment is a labml `Configs` class: settings with defaults, and options that compute objects from them, each
when it is first asked for. This one holds all but the model. An experiment derives from it and adds the model, as the
[ConvMixer experiment](../conv_mixer/experiment.html) does.

The defaults of the training are those of the ConvMixer authors' CIFAR-10 script
([*Patches Are All You Need?*](https://arxiv.org/abs/2201.09792)), which reports 92.6 % after 25 epochs for a model with
kernels of 5: AdamW, a rate that is [piecewise linear](../helpers/schedule.html), flips, and
[RandAugment](../helpers/augmentation.html).
"""

from pathlib import Path
from typing import Literal

import torch
from labml import lab
from labml.configs import BaseConfigs, option
from torch import nn

from labml_nn.helpers.augmentation import Augmentation
from labml_nn.helpers.cifar10 import cifar10
from labml_nn.helpers.device import Execution, Precision, Switch, choose_execution
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.image_folder import image_folder
from labml_nn.helpers.images import ImageData, channel_statistics
from labml_nn.helpers.jupyter import mend_display
from labml_nn.helpers.settings import Amount, Count, Magnitude, Share, Size
from labml_nn.helpers.shapes import shapes
from labml_nn.helpers.training import Trainer, seed_everything

# Before labml has anything to say
mend_display()


class CIFAR10Configs(BaseConfigs):
    """
    ## Configurations

    An attribute with a plain type is a setting, `key=value` on the command line; the text below it is what `--help`
    prints. The others are computed by the [options](#options) further down.
    """

    dataset: Literal["cifar10", "image_folder", "shapes"] = "cifar10"
    """
    What to train on: CIFAR-10, downloaded when it is not there; any folder of class folders, named by `data_path`;
    or ten shapes that are drawn on the spot.
    """

    data_path: str = ""
    """
    For `image_folder` the folder of class folders, for `cifar10` the folder that holds `cifar-10-batches-py`. Without
    it CIFAR-10 is looked for in labml's data folder, `data/`.
    """

    image_size: Size = 32
    """
    Edge in pixels that the pictures of an image folder are brought to, and that shapes are drawn with.
    """

    validation_share: Share = 0.1
    """
    Share of an image folder that is set aside for validation, where it has no folder `val` or `test`.
    """

    epochs: Size = 25
    """
    How often to go through the training images.
    """

    batch_size: Size = 512
    """
    Images in a step.
    """

    learning_rate: Amount = 0.05
    """
    Peak of the learning rate, which rises from 0 for two fifths of the run and falls again.
    """

    weight_decay: Amount = 0.005
    """
    How much AdamW pulls the weights towards 0, as a factor of the learning rate.
    """

    label_smoothing: Share = 0.0
    """
    Share of the target that is spread evenly over all classes.
    """

    gradient_clip: Amount = 0.0
    """
    Largest norm of all gradients together; 0 leaves them alone.
    """

    flip: bool = True
    """
    Mirror every other training image.
    """

    crop_padding: Count = 0
    """
    Pad training images by this many black pixels, and crop anywhere in the result.
    """

    rand_augment_operations: Count = 2
    """
    Operations of RandAugment for each training image; 0 turns it off.
    """

    rand_augment_magnitude: Magnitude = 12
    """
    How strong the operations of RandAugment are.
    """

    color_jitter: Share = 0.0
    """
    Change brightness, contrast and saturation by up to this share. The authors' 100-epoch recipe has 0.2.
    """

    random_erasing: Share = 0.0
    """
    Probability that a rectangle of a training image is erased. The authors' 100-epoch recipe has 0.2.
    """

    cutout: Count = 0
    """
    Edge in pixels of a square that is cut out of every training image; 0 cuts none.
    """

    seed: Count = 1
    """
    Decides the first weights, the order of the images and their augmentation.
    """

    device: str = "auto"
    """
    Where to compute: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` takes a GPU if there is one.
    """

    mixed_precision: Precision = "auto"
    """
    `bf16` computes the model in bfloat16 where that is safe; `auto` does so on a GPU, and on a CPU that has
    instructions for it.
    """

    channels_last: Switch = "auto"
    """
    Keep the channels of a pixel together in memory.
    """

    compile: Switch = "auto"
    """
    Let `torch.compile` fuse operations: slow to start, and needs a C++ compiler on a CPU. `auto` does not.
    """

    fused: Switch = "auto"
    """
    Update all parameters in one kernel.
    """

    resume: str = ""
    """
    Go on with a run that was interrupted: its identifier, or its folder. Its settings are taken from there.
    """

    # What the options compute
    execution: Execution
    data: ImageData
    model: nn.Module
    optimizer: torch.optim.Optimizer
    augmentation: Augmentation
    trainer: Trainer

    def run(self, checkpoints: Path) -> None:
        """
        ### Train, keeping checkpoints in a folder
        """
        self.trainer.run(checkpoints)


# ## Options
#
# labml calls each of these once, when the attribute is first used, and passes the configurations.


@option(CIFAR10Configs.execution)
def execution_for_device(c: CIFAR10Configs) -> Execution:
    """
    ### How to compute
    """
    return choose_execution(c.device, c.mixed_precision, c.channels_last, c.compile, c.fused)


@option(CIFAR10Configs.data)
def load_data(c: CIFAR10Configs) -> ImageData:
    """
    ### The data set, on the device
    """
    if c.dataset == "shapes":
        data = shapes(size=c.image_size)
    elif c.dataset == "cifar10":
        data = cifar10(Path(c.data_path or lab.get_data_path()))
    elif c.data_path:
        cache = Path(lab.get_data_path()) / "cache"
        data = image_folder(Path(c.data_path), c.image_size, c.validation_share, cache)
    else:
        raise UserError("dataset=image_folder needs data_path=DIR, a folder that holds a folder for each class.")
    return data.to(c.execution.device)


@option(CIFAR10Configs.optimizer)
def adam_w(c: CIFAR10Configs) -> torch.optim.Optimizer:
    """
    ### AdamW

    Adam with weight decay that does not pass through its running averages
    ([*Decoupled Weight Decay Regularization*](https://arxiv.org/abs/1711.05101)).
    """
    return torch.optim.AdamW(
        c.model.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay, fused=c.execution.fused
    )


@option(CIFAR10Configs.augmentation)
def augmentation(c: CIFAR10Configs) -> Augmentation:
    """
    ### Augmentation
    """
    mean, std = channel_statistics(c.data.train.images)
    return Augmentation(
        mean=mean,
        std=std,
        seed=c.seed,
        flip=c.flip,
        crop_padding=c.crop_padding,
        n_operations=c.rand_augment_operations,
        magnitude=c.rand_augment_magnitude,
        jitter=c.color_jitter,
        erase=c.random_erasing,
        cutout=c.cutout,
    )


@option(CIFAR10Configs.trainer)
def trainer(c: CIFAR10Configs) -> Trainer:
    """
    ### The training loop

    The seed is set right before the model is made, so that the first weights depend on nothing that came before.
    """
    execution, data = c.execution, c.data
    seed_everything(c.seed, execution.device)
    return Trainer(
        model=c.model,
        optimizer=c.optimizer,
        augmentation=c.augmentation,
        data=data,
        execution=execution,
        n_epochs=c.epochs,
        batch_size=c.batch_size,
        peak_learning_rate=c.learning_rate,
        label_smoothing=c.label_smoothing,
        gradient_clip=c.gradient_clip,
        seed=c.seed,
    )
