"""The command, as a user runs it: in a folder of their own, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from labml_nn.conv_mixer import ConvMixer
from labml_nn.conv_mixer.experiment import Configs, main

COMMAND = [sys.executable, "-u", "-m", "labml_nn.conv_mixer.experiment"]
# A model and a run of the smallest size
SMALL = [
    "dataset=image_folder",
    "data_path=pictures",
    "image_size=8",
    "d_model=8",
    "n_layers=1",
    "kernel_size=3",
    "batch_size=8",
    "learning_rate=0.02",
    "device=cpu",
]


@pytest.fixture
def folder(tmp_path):
    """A folder with pictures of two classes, and a home that nothing leaks out of."""
    for name, colour in {"day": (250, 240, 200), "night": (10, 10, 60)}.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (8, 8), tuple(c + i // 4 for c in colour)).save(tmp_path / f"pictures/{name}/{i}.png")
    (tmp_path / "home").mkdir()
    return tmp_path


def environment(folder):
    # What was compiled on this machine before need not be compiled again for the home of this test
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return {**os.environ, "HOME": str(folder / "home"), "XDG_CACHE_HOME": cache, "OMP_NUM_THREADS": "1"}


def run(folder, *arguments, command=COMMAND):
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_folder(folder):
    (path,) = (folder / "logs" / "conv_mixer").iterdir()
    return path


def tracked(path):
    """What labml logged: name → list of [step, [value]]."""
    points = {}
    for line in (path / "log.jsonl").read_text().splitlines():
        for name, more in json.loads(line)["track"].items():
            points.setdefault(name, []).extend(more)
    return points


def test_a_run_from_settings_to_summary(folder):
    result = run(folder, *SMALL, "epochs=3")
    assert result.returncode == 0, result.stderr
    path = run_folder(folder)
    assert f"Run folder: logs/conv_mixer/{path.name}" in result.stdout
    assert "Epoch 3/3  train: loss" in result.stdout
    assert "images/s" in result.stdout
    # No control characters where there is no terminal, neither ours nor labml's
    assert not {"\x1b", "\r"} & set(result.stdout + result.stderr)
    settings = json.loads((path / "settings.json").read_text())["settings"]
    assert settings["d_model"] == 8 and settings["n_layers"] == 1 and settings["weight_decay"] == 0.005
    summary = json.loads((path / "summary.json").read_text())
    assert summary["run"] == path.name and summary["settings"] == settings
    assert [record["epoch"] for record in summary["epochs"]] == [1, 2, 3]
    assert summary["best_validation_accuracy"] == max(r["validation_accuracy"] for r in summary["epochs"])
    points = tracked(path)
    # 36 pictures to train on in batches of 8
    assert [step for step, _ in points["loss.train"]] == list(range(1, 16))
    assert [step for step, _ in points["accuracy.validation"]] == [5, 10, 15]
    assert yaml.safe_load((path / "run.yaml").read_text())["name"] == "conv_mixer"
    assert '"status": "completed"' in (path / "run_log.jsonl").read_text()
    best = torch.load(path / "checkpoints" / "best.pt", weights_only=True)
    assert best["record"]["validation_accuracy"] == summary["best_validation_accuracy"]


# The command, in which a Ctrl-C comes in the second epoch of five steps, however fast the machine is
PRESS_CTRL_C = """
import signal, sys
from labml_nn.conv_mixer.experiment import main
from labml_nn.helpers.training import Trainer

train_step = Trainer.train_step

def train_step_and_press(trainer, images, labels):
    train_step(trainer, images, labels)
    if trainer.step == 7:
        signal.raise_signal(signal.SIGINT)

Trainer.train_step = train_step_and_press
sys.exit(main())
"""


def test_ctrl_c_and_going_on_give_what_an_undisturbed_run_gives(folder, monkeypatch, capsys):
    """With a real signal to a real process, in a git repository, as many users have it."""
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    arguments = [*SMALL, "epochs=4"]
    stopped = run(folder, *arguments, command=[sys.executable, "-c", PRESS_CTRL_C])
    path = run_folder(folder)
    assert stopped.returncode == 130, stopped.stderr
    assert "Stopping after this step" in stopped.stderr and "Traceback" not in stopped.stderr
    assert "Stopped after 7 of 20 steps" in stopped.stderr
    assert f"Go on with: python -m labml_nn.conv_mixer.experiment resume={path.name}" in stopped.stderr
    assert '"status": "interrupted"' in (path / "run_log.jsonl").read_text()

    monkeypatch.chdir(folder)
    assert main([f"resume={path.name}", "d_model=16"]) == 2
    assert f"d_model=16: the run {path.name} has d_model=8" in capsys.readouterr().err

    # The beginning of the identifier will do
    resumed = run(folder, f"resume={path.name[:12]}", "d_model=8")
    assert resumed.returncode == 0, resumed.stderr
    assert "Epoch 4/4" in resumed.stdout and "Epoch 1/4" not in resumed.stdout

    (folder / "logs").rename(folder / "first")
    assert run(folder, *arguments).returncode == 0
    again = run_folder(folder)
    ours, theirs = folder / "first" / "conv_mixer" / path.name, again
    assert tracked(ours) == tracked(theirs)
    one, other = (torch.load(p / "checkpoints" / "last.pt", weights_only=True)["model"] for p in (ours, theirs))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_ctrl_c_while_the_data_is_loaded_ends_in_a_sentence(folder, monkeypatch, capsys):
    def interrupted(**_):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("labml_nn.experiments.cifar10.shapes", interrupted)
    # A shell starts what it runs in the background with this signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert main(["dataset=shapes", "device=cpu"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "Stopped before the training began.\n"
    assert '"status": "interrupted"' in (run_folder(folder) / "run_log.jsonl").read_text()


def test_help_lists_every_setting(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for words in (
        "d_model=  whole number, at least 1  [256, 64 with dataset=shapes]",
        "Number of channels, h.",
        "resume=",
    ):
        assert words in text
    # Written for a page, and printed without the marks
    assert "](" not in text and "`" not in text
    # Every setting has its meaning: an indented line below its own
    lines = text.splitlines()
    names = [number for number, line in enumerate(lines) if line.startswith("  ") and not line.startswith("   ")]
    assert len(names) > 25
    assert all(lines[number + 1].startswith("        ") for number in names)
    assert not (folder / "logs").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["epoch=3"], 2, "there is no setting epoch (did you mean epochs?)"),
        (["epochs=many"], 2, "epochs=many: wanted whole number, at least 1"),
        (["dataset=image_folder"], 1, "dataset=image_folder needs data_path=DIR"),
        (["dataset=image_folder", "data_path=nowhere"], 1, "data_path=nowhere is not a folder"),
        ([*SMALL, "device=toaster"][1:], 2, "device is given twice"),
        ([*SMALL[:-1], "device=toaster"], 1, "device=toaster cannot be used here"),
        ([*SMALL, "patch_size=16"], 2, "patch_size=16: the pictures have 8 × 8 pixels"),
        (["resume=never"], 2, "resume=never: there is no such run in logs"),
    ],
    ids=lambda value: " ".join(value)[-40:] if isinstance(value, list) else None,
)
def test_mistakes_are_told_in_one_line(folder, arguments, status, words, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert main(arguments) == status
    errors = capsys.readouterr().err
    assert words in errors
    assert errors.startswith("error: ") and errors.count("\n") == 1


def test_the_readers_way_of_composing_an_experiment():
    """`Configs` is a labml class like any other: made, set and read in Python."""
    conf = Configs()
    conf._set_values({"dataset": "shapes", "d_model": 16, "device": "cpu"})
    assert isinstance(conf.model, ConvMixer)
    assert conf.n_layers == 4 and conf.trainer.batch_size == 128
    assert sum(p.numel() for p in conf.model.parameters()) < 10_000
    assert conf.optimizer.param_groups[0]["weight_decay"] == 0.005
