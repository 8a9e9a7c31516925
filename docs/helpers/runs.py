"""
---
title: Runs and their folders
summary: From the command line to a finished run, with labml, a folder, a summary, and a way to go on.
---

# Runs and their folders

What happens around the training loop. labml gives each run an identifier and a folder, `logs/NAME/RUN/`, and writes
metrics, configurations and the state of the git repository there. We add what it does not keep:

| file | contents |
| --- | --- |
| `settings.json` | the value of every setting |
| `checkpoints/last.pt` | the state to go on from |
| `checkpoints/best.pt` | the weights of the most accurate epoch |
| `summary.json` | what came out of it |

Nothing leaves the machine: of labml's writers only the one to a file is used.
"""

import contextlib
import io
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from labml import experiment, lab
from labml.configs import BaseConfigs
from labml.internal.lab import lab_singleton
from labml.internal.monitor import monitor_singleton

from labml_nn.helpers.checkpoints import save_json, write_atomically
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.settings import SettingsError, help_text, parse_arguments, settings_of, show, values_of
from labml_nn.helpers.training import Trainer


def run_command(
    name: str, configs: type[BaseConfigs], arguments: Sequence[str], *, command: str, description: str
) -> int:
    """
    ## From the command line to a finished run

    * `name` is that of the experiment and its folder
    * `configs` is its class of configurations
    * `arguments` is what follows the command
    * `command` and `description` are for the help

    Returns the exit status: 0, 1 for data or files that cannot be used, 2 for settings that cannot, 130 when stopped.
    """
    settings = settings_of(configs)
    if {"-h", "--help", "help"} & set(arguments):
        print(help_text(settings, command, description))
        return 0
    try:
        run_experiment(name, configs, parse_arguments(settings, arguments), command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        # A full disk or a folder that cannot be written. The message names the file.
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(str(stop) or "Stopped before the training began.", file=sys.stderr)
        return 130
    #
    return 0


def run_experiment(name: str, configs: type[BaseConfigs], values: dict[str, Any], command: str) -> None:
    """
    ## One run

    `values` are the settings that were given; the other parameters are those of [`run_command`](#run_command).
    """
    find_lab()
    folder = find_run(values["resume"]) if values.get("resume") else None
    if folder:
        values = restore_settings(folder, values)
    conf = configs()
    folder = create_run(name, conf, values, folder)
    print(f"Run folder: {relative(folder)}", flush=True)
    with quiet():
        run = experiment.start()
    with run:
        save_json({"name": name, "settings": values_of(conf)}, folder / "settings.json")
        # Asking for the trainer loads the data and makes all the rest
        trainer: Trainer = conf.trainer
        if values.get("resume"):
            trainer.resume(folder / "checkpoints" / "last.pt")
            drop_metrics_after(folder / "log.jsonl", trainer.step)
        describe(trainer)
        try:
            conf.run(folder / "checkpoints")
        except KeyboardInterrupt:
            # labml notes that the run was interrupted, and `run_command` prints the text
            raise KeyboardInterrupt(
                f"Stopped after {trainer.step} of {trainer.n_steps} steps. Go on with: {command} resume={folder.name}"
            ) from None
        save_json(summary(name, conf, folder), folder / "summary.json")
    print(f"Best validation accuracy {trainer.best_accuracy:.2%}. All of the run is in {relative(folder)}")


# ## labml


def find_lab() -> None:
    """
    ### Where the runs go

    labml looks for `.labml.yaml` from a file of the program upwards, which for an installed package is somewhere in
    Python's own folders. Runs belong where the user stands, so we have it look from there, and keep it from warning
    that there is no such file: without one the folder itself is taken.
    """
    with quiet():
        lab_singleton().set_path(str(Path.cwd()))


def quiet() -> contextlib.AbstractContextManager[Any]:
    """
    ### Without what labml prints

    It tells the state of the git repository and how long each part took to make, with control characters that spoil a
    log file. The first is in the run's `run.yaml` in any case; the second is turned off.
    """
    monitor_singleton().silent()
    return contextlib.redirect_stdout(io.StringIO())


def create_run(name: str, conf: BaseConfigs, values: dict[str, Any], resumed: Path | None) -> Path:
    """
    ### Create the run, or open the one to go on with

    Returns its folder.
    """
    if resumed:
        lab.configure({"experiments_path": str(resumed.parent.parent)})
        # labml takes the note of the process for a sign that the run is still going
        (resumed / "run.pid").unlink(missing_ok=True)
    with quiet():
        experiment.create(
            name=resumed.parent.name if resumed else name,
            uuid=resumed.name if resumed else None,
            python_file=str(Path.cwd()),
            writers={"file"},
        )
        experiment.configs(conf, {key: value for key, value in values.items() if key != "resume"})
    return Path(lab.get_experiments_path()) / (resumed.parent.name if resumed else name) / experiment.get_uuid()


def find_run(run: str) -> Path:
    """
    ### Find the folder of a run

    `run` is the identifier, its beginning, or the folder.
    """
    if (Path(run) / "settings.json").is_file():
        return Path(run).resolve()
    experiments = Path(lab.get_experiments_path())
    found = [path.parent for path in experiments.glob("*/*/settings.json") if path.parent.name.startswith(run)]
    if len(found) != 1:
        what = "there is no such run" if not found else f"{len(found)} runs begin like that"
        raise SettingsError(f"resume={run}: {what} in {relative(experiments)}. Name a run, or its folder.")
    return found[0]


def restore_settings(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """
    ### The settings of the run to go on with

    Raises a `SettingsError` where the command line says otherwise: it would not be the same run.
    """
    kept: dict[str, Any] = json.loads((folder / "settings.json").read_text())["settings"]
    for key, value in given.items():
        if key != "resume" and kept.get(key) != value:
            raise SettingsError(
                f"{key}={show(value)}: the run {folder.name} has {key}={show(kept.get(key))}, "
                f"and resume= goes on with the settings of the run. Leave {key} out, or start a new run."
            )
    return {**kept, "resume": given["resume"]}


def drop_metrics_after(log: Path, step: int) -> None:
    """
    ### Forget what came after the checkpoint

    A run that was killed may have logged steps that are now done again. The file has a JSON object a line:
    `{"track": {name: [[step, [values]], …]}, "time": …}`.
    """
    if not log.exists():
        return
    lines = []
    for line in log.read_text().splitlines():
        entry = json.loads(line)
        entry["track"] = {
            name: [point for point in points if point[0] <= step] for name, points in entry["track"].items()
        }
        lines.append(json.dumps(entry))
    write_atomically(log, lambda file: file.write("".join(line + "\n" for line in lines).encode()))


# ## What a run tells


def describe(trainer: Trainer) -> None:
    """
    ### What is about to be trained, on what, and where
    """
    execution, data = trainer.execution, trainer.data
    precision = "mixed precision" if execution.autocast_dtype else "single precision"
    print(
        f"{count_parameters(trainer):,} parameters on {execution.device}, {precision}, "
        f"{len(data.train):,} images to train on, {len(data.validation):,} to validate on, {len(data.classes)} classes",
        flush=True,
    )


def summary(name: str, conf: BaseConfigs, folder: Path) -> dict[str, Any]:
    """
    ### What came out of it
    """
    trainer: Trainer = conf.trainer
    seconds = sum(record["train_seconds"] for record in trainer.history)
    return {
        "name": name,
        "run": folder.name,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "settings": values_of(conf),
        "torch": torch.__version__,
        "device": str(trainer.execution.device),
        "parameters": count_parameters(trainer),
        "steps": trainer.step,
        "best_validation_accuracy": trainer.best_accuracy,
        "validation_accuracy": trainer.history[-1]["validation_accuracy"],
        "train_seconds": seconds,
        "images_per_second": len(trainer.data.train) * len(trainer.history) / seconds,
        "epochs": trainer.history,
    }


def count_parameters(trainer: Trainer) -> int:
    """
    ### How large the model is
    """
    return sum(parameter.numel() for parameter in trainer.model.parameters())


def relative(path: Path) -> Path:
    """
    ### A path as seen from here, where it is below
    """
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
