"""
---
title: The training loop
summary: Train an image classifier, validate after every epoch, keep checkpoints, go on bit for bit when interrupted.
---

# The training loop

Everything that happens between the first step and the last. The whole state of a run is in
[`Trainer.state_dict`](#Trainer.state_dict), so that stopping after any step, and going on, gives the very numbers
that an undisturbed run gives.
"""

import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from labml import tracker
from torch import Tensor, nn
from torch.optim import Optimizer

from labml_nn.helpers.augmentation import Augmentation, normalize
from labml_nn.helpers.checkpoints import load_checkpoint, save_atomically
from labml_nn.helpers.device import Execution
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.images import ImageData, shuffled
from labml_nn.helpers.interruption import StopRequested, StopSignals
from labml_nn.helpers.metrics import Metrics
from labml_nn.helpers.progress import TrainingProgress, format_seconds
from labml_nn.helpers.schedule import learning_rate, set_learning_rate


class Trainer:
    """
    ## Trainer
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        optimizer: Optimizer,
        augmentation: Augmentation,
        data: ImageData,
        execution: Execution,
        n_epochs: int,
        batch_size: int,
        peak_learning_rate: float,
        label_smoothing: float,
        gradient_clip: float,
        seed: int,
    ):
        """
        * `model` maps images of shape `[batch_size, 3, height, width]` to logits of shape `[batch_size, n_classes]`
        * `optimizer` updates the parameters of `model`
        * `augmentation` turns `uint8` images into the model's input
        * `data` is the data set; it lives on the device of `execution`, and so does the model
        * `n_epochs` is how often to go through the training images, `batch_size` how many make one step
        * `peak_learning_rate` is the highest rate of the [schedule](schedule.html)
        * `label_smoothing` is the share of the target that is spread evenly over all classes
        * `gradient_clip` is the largest norm of all gradients together; 0 leaves them alone
        * `seed` decides the order of the images
        """
        self.model, self.optimizer, self.augmentation = model, optimizer, augmentation
        self.data, self.execution = data, execution
        self.n_epochs, self.batch_size = n_epochs, batch_size
        self.peak_learning_rate, self.label_smoothing = peak_learning_rate, label_smoothing
        self.gradient_clip, self.seed = gradient_clip, seed
        self.forward: Any = torch.compile(model) if execution.compile else model
        self.progress = TrainingProgress(n_epochs, len(data.train))
        self.stop = StopSignals()
        # Where in the run we are: complete epochs, steps of the epoch at hand, steps of the run
        self.epoch = self.steps_of_epoch = self.step = 0
        self.metrics = Metrics(execution.device)
        # One entry for each complete epoch, and the best accuracy among them
        self.history: list[dict[str, float]] = []
        self.best_accuracy = -1.0
        # Seconds spent on the epoch at hand
        self.seconds = 0.0

    @property
    def n_steps(self) -> int:
        """
        The steps of the whole run. The last batch of an epoch may be a small one.
        """
        return self.n_epochs * -(-len(self.data.train) // self.batch_size)

    def run(self, folder: Path) -> None:
        """
        ### Train until the end, or until asked to stop

        `folder` receives the checkpoints: `last.pt` after every epoch and when stopped, `best.pt` with the weights of
        the most accurate epoch. Raises `KeyboardInterrupt` when it was stopped, after writing `last.pt`.
        """
        try:
            with self.progress, self.stop:
                while self.epoch < self.n_epochs:
                    self.train_epoch()
                    self.finish_epoch(self.validate(), folder)
        except StopRequested:
            save_atomically(self.state_dict(), folder / "last.pt")
            raise KeyboardInterrupt from None

    def train_epoch(self) -> None:
        """
        ### Train on all images once, or on those that are left of this epoch
        """
        done = self.steps_of_epoch * self.batch_size
        order = shuffled(len(self.data.train), self.seed, self.epoch)[done:]
        for images, labels in self.data.train.batches(self.batch_size, order):
            started = time.monotonic()
            self.train_step(images, labels)
            self.seconds += time.monotonic() - started
            self.progress.update(self.epoch, self.metrics.n_images, self.metrics.loss, self.metrics.accuracy)
            self.stop.check()

    def train_step(self, images: Tensor, labels: Tensor) -> None:
        """
        ### One step

        * `images` are `uint8` of shape `[batch_size, 3, height, width]`
        * `labels` have shape `[batch_size]`
        """
        self.model.train()
        # The schedule is a line and the step a stretch of it; the rate is that of its middle
        rate = learning_rate((self.step + 0.5) / self.n_steps, self.peak_learning_rate)
        set_learning_rate(self.optimizer, rate)
        # Forward, in the precision chosen
        inputs = self.execution.place_images(self.augmentation(images))
        with self.execution.autocast():
            logits = self.forward(inputs)
        # The loss, in full precision
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        # Backward, and the update
        loss.backward()
        if self.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        # Keep count
        self.metrics.add(loss, logits, labels)
        self.step += 1
        self.steps_of_epoch += 1
        self.track(loss.item(), rate)

    def track(self, loss: float, rate: float) -> None:
        """
        ### Hand the numbers of a step to labml

        Raises a `UserError` when the loss is no number any more: no step can mend that.
        """
        if loss != loss:
            raise UserError(f"the loss is not a number at step {self.step}. Try a smaller learning_rate.")
        tracker.save(self.step, {"loss.train": loss, "learning_rate": rate})

    @torch.inference_mode()
    def validate(self) -> Metrics:
        """
        ### Loss and accuracy on the validation images
        """
        self.model.eval()
        metrics = Metrics(self.execution.device)
        mean, std = self.augmentation.mean, self.augmentation.std
        for images, labels in self.data.validation.batches(self.batch_size):
            inputs = self.execution.place_images(normalize(images, mean, std))
            with self.execution.autocast():
                logits = self.forward(inputs)
            metrics.add(F.cross_entropy(logits.float(), labels), logits, labels)
            self.progress.validating(metrics.n_images, len(self.data.validation))
            self.stop.check()
        #
        return metrics

    def finish_epoch(self, validation: Metrics, folder: Path) -> None:
        """
        ### Between two epochs

        Record what the epoch brought, begin the next one, and only then write the checkpoint, so that going on from it
        starts with a new epoch.
        """
        record = {
            "epoch": self.epoch + 1,
            "train_loss": self.metrics.loss,
            "train_accuracy": self.metrics.accuracy,
            "validation_loss": validation.loss,
            "validation_accuracy": validation.accuracy,
            "train_seconds": self.seconds,
        }
        self.history.append(record)
        tracker.save(
            self.step,
            {
                "accuracy.train": self.metrics.accuracy,
                "loss.validation": validation.loss,
                "accuracy.validation": validation.accuracy,
            },
        )
        self.progress.line(
            f"Epoch {self.epoch + 1}/{self.n_epochs}  "
            f"train: loss {self.metrics.loss:.4f}, accuracy {self.metrics.accuracy:.2%}  "
            f"validation: loss {validation.loss:.4f}, accuracy {validation.accuracy:.2%}  "
            f"({format_seconds(self.seconds)}, {len(self.data.train) / self.seconds:,.0f} images/s)"
        )
        self.epoch, self.steps_of_epoch, self.seconds = self.epoch + 1, 0, 0.0
        self.metrics = Metrics(self.execution.device)
        if validation.accuracy > self.best_accuracy:
            self.best_accuracy = validation.accuracy
            save_atomically({"model": self.model.state_dict(), "record": record}, folder / "best.pt")
        save_atomically(self.state_dict(), folder / "last.pt")

    def state_dict(self) -> dict[str, Any]:
        """
        ### Everything that the next step depends on

        Plain values and tensors only, so that it can be loaded without trusting the file.
        """
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "augmentation": self.augmentation.generator.get_state(),
            "random": torch.get_rng_state(),
            "random_device": device_random_state(self.execution.device),
            "data": fingerprint(self.data),
            "epoch": self.epoch,
            "steps_of_epoch": self.steps_of_epoch,
            "step": self.step,
            "sums": self.metrics.sums,
            "history": self.history,
            "best_accuracy": self.best_accuracy,
            "seconds": self.seconds,
        }

    def resume(self, checkpoint: Path) -> None:
        """
        ### Go on from a checkpoint

        Raises a `UserError` where the data is not what the checkpoint was trained on.
        """
        state = load_checkpoint(checkpoint)
        if state["data"] != fingerprint(self.data):
            raise UserError(
                f"{checkpoint} was trained on other data: pictures have been added, removed or changed since."
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.augmentation.generator.set_state(state["augmentation"])
        torch.set_rng_state(state["random"])
        if state["random_device"] is not None and self.execution.device.type == "cuda":
            torch.cuda.set_rng_state(state["random_device"], self.execution.device)
        self.metrics.sums.copy_(state["sums"])
        self.epoch, self.steps_of_epoch, self.step = state["epoch"], state["steps_of_epoch"], state["step"]
        self.history, self.best_accuracy = state["history"], state["best_accuracy"]
        self.seconds = state["seconds"]


def device_random_state(device: torch.device) -> Tensor | None:
    """
    ## The state of a GPU's own random numbers, which dropout draws from
    """
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else None


def fingerprint(data: ImageData) -> list[int]:
    """
    ## A few sums that other data would hardly have
    """
    parts = (data.train, data.validation)
    return [value for part in parts for value in (len(part), int(part.images.sum()), int(part.labels.sum()))]


def seed_everything(seed: int, device: torch.device) -> None:
    """
    ## Make runs repeatable

    The seed decides the first weights. On a GPU, cuDNN is told to use only algorithms that add in a fixed order.
    """
    torch.manual_seed(seed)
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
