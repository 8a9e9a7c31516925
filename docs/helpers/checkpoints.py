"""
---
title: Checkpoints
summary: Writing what a run needs to go on, in one step or not at all, and reading it without running code.
---

# Checkpoints

Two dangers come with a file that holds the state of a run. The power may fail while it is written, and then the old
state is gone and the new one is not there. And torch's files are pickles, so that reading a stranger's file may
run a stranger's code. Both are avoided here: a file is written beside its place and moved there when it is
complete, and read with `weights_only`, which admits tensors and plain values and nothing else.
"""

import json
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

from labml_nn.helpers.errors import UserError


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """
    ## Write a file in one step or not at all

    `write` gets the open file. Moving a file within a folder is one step, to whoever looks and to a crash.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            write(file)
            file.flush()
            # Without this the move may reach the disk before the contents do
            os.fsync(file.fileno())
        # `mkstemp` lets nobody else read the file, which is more than a result wants
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """
    ## Save tensors and plain values
    """
    write_atomically(path, lambda file: torch.save(state, file))


def save_json(values: Any, path: Path) -> None:
    """
    ## Save plain values for people and programs to read
    """
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def load_tensors(path: Path) -> dict[str, Any] | None:
    """
    ## Load tensors from a cache, `None` where the file is damaged
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError):
        return None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """
    ## Load a checkpoint

    All tensors come to the CPU; whoever takes them moves them. Raises a `UserError` for a file that is missing or
    damaged.
    """
    if not path.exists():
        raise UserError(f"{path} does not exist: the run was stopped before its first checkpoint")
    state = load_tensors(path)
    if state is None:
        raise UserError(f"{path} is damaged or no checkpoint")
    return state
