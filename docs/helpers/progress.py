"""
---
title: Progress
summary: A bar with loss, accuracy, images per second and time left on a terminal, and plain lines elsewhere.
---

# Progress

On a terminal a bar shows how far the epoch is. In a log file a bar would be a mess of control characters, so
there it is one plain line every now and then.
"""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

# Seconds between two plain lines
INTERVAL = 30.0


class TrainingProgress:
    """
    ## Progress of a run
    """

    def __init__(self, n_epochs: int, images_per_epoch: int, console: Console | None = None):
        """
        * `n_epochs` is the length of the run
        * `images_per_epoch` is how many images an epoch trains on
        * `console` is where to show it, standard output without it
        """
        self.n_epochs, self.images_per_epoch = n_epochs, images_per_epoch
        self.console = console or Console(highlight=False, soft_wrap=True)
        # What the rate is measured from: when, and how many images ago
        self.started: tuple[float, int] | None = None
        self.last_line = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
            expand=True,
        )
        self.task = self.bar.add_task("", total=images_per_epoch, text="")

    def __enter__(self) -> "TrainingProgress":
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.bar.stop()

    def update(self, epoch: int, n_images: int, loss: float, accuracy: float) -> None:
        """
        ### After a training step

        * `epoch` counts from 0
        * `n_images` is how many images of the epoch are done
        """
        text = f"loss {loss:.3f}  accuracy {accuracy:.1%}  {self.speed(epoch, n_images)}"
        name = f"Epoch {epoch + 1}/{self.n_epochs}"
        self.bar.update(self.task, description=name, completed=n_images, text=text)
        if not self.console.is_terminal and time.monotonic() - self.last_line > INTERVAL:
            self.line(f"{name}  {n_images}/{self.images_per_epoch}  {text}")

    def speed(self, epoch: int, n_images: int) -> str:
        """
        ### Images per second and time left

        Measured from the first step to be shown, since that one holds what happens only once: memory is
        allocated, code compiled.
        """
        now, done = time.monotonic(), epoch * self.images_per_epoch + n_images
        if self.started is None:
            self.started = now, done
            return ""
        rate = (done - self.started[1]) / max(now - self.started[0], 1e-9)
        left = (self.n_epochs * self.images_per_epoch - done) / max(rate, 1e-9)
        return f"{rate:,.0f} images/s  {format_seconds(left)} left"

    def validating(self, n_images: int, total: int) -> None:
        """
        ### After a batch of validation
        """
        self.bar.update(self.task, description="Validating", completed=n_images, total=total, text="")
        if n_images >= total:
            self.bar.update(self.task, total=self.images_per_epoch)

    def line(self, text: str) -> None:
        """
        ### A line that stays
        """
        self.last_line = time.monotonic()
        self.console.print(text, markup=False)


def format_seconds(seconds: float) -> str:
    """
    ## `75` → `1:15`
    """
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
