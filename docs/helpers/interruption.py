"""
---
title: Stopping cleanly
summary: Ctrl-C and a terminate signal let the step at hand finish, so that a checkpoint can be written.
---

# Stopping cleanly

An interrupt that strikes in the middle of a step leaves weights that are half updated. So the first Ctrl-C only
raises a flag, which the training loop looks at between two steps; a second one strikes at once. What cluster
schedulers send before they kill, `SIGTERM`, is treated the same.
"""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequested(Exception):
    """
    ## Raised between two steps, once the run has been asked to stop
    """


class StopSignals:
    """
    ## Listen for requests to stop, inside a `with` statement
    """

    def __init__(self) -> None:
        self.requested = False
        self.previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        # Python lets only the main thread listen for signals. Elsewhere, in a notebook server for example, it is
        # that thread's business to stop us.
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                self.previous[kind] = signal.signal(kind, self.handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """
        ### A signal has come
        """
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nStopping after this step, with a checkpoint. Press Ctrl-C again to stop at once.", file=sys.stderr)

    def check(self) -> None:
        """
        ### Between two steps

        Raises `StopRequested` once a signal has come.
        """
        if self.requested:
            raise StopRequested
