"""The training loop: it learns, repeats itself, goes on after an interruption as if nothing had been, and stops."""

import json
import signal

import pytest
import torch
from torch import nn

from labml_nn.helpers import training
from labml_nn.helpers.augmentation import Augmentation
from labml_nn.helpers.checkpoints import load_checkpoint, load_tensors, save_atomically, save_json, write_atomically
from labml_nn.helpers.device import choose_execution
from labml_nn.helpers.errors import UserError
from labml_nn.helpers.images import ImageData, LabelledImages, channel_statistics
from labml_nn.helpers.interruption import StopRequested, StopSignals
from labml_nn.helpers.metrics import Metrics
from labml_nn.helpers.progress import TrainingProgress, format_seconds
from labml_nn.helpers.runs import drop_metrics_after
from labml_nn.helpers.schedule import learning_rate
from labml_nn.helpers.training import Trainer, seed_everything


@pytest.fixture
def log(monkeypatch):
    """What the loop hands to labml: a list of (step, values)."""
    log = []
    monkeypatch.setattr(training.tracker, "save", lambda step, values: log.append((step, values)))
    return log


def light_and_dark(n, seed):
    """Two classes that differ in brightness, under noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    noise = torch.randint(0, 100, (n, 3, 8, 8), generator=generator)
    return LabelledImages((noise + 60 + 60 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels)


def make_trainer(seed=1, n_epochs=2, n_train=50, **changes):
    """A trainer of a small model with everything that a resumed run could get wrong: dropout, batch norm, momentum."""
    data = ImageData(light_and_dark(n_train, 1), light_and_dark(20, 2), ("dark", "light"))
    mean, std = channel_statistics(data.train.images)
    execution = choose_execution("cpu")
    seed_everything(seed, execution.device)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(8 * 36, 2)
    )
    model = execution.place(model)
    settings = {
        "execution": execution,
        "optimizer": torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True),
        "augmentation": Augmentation(mean=mean, std=std, seed=seed, crop_padding=1),
        "batch_size": 16,
        "peak_learning_rate": 0.02,
        "label_smoothing": 0.1,
        "gradient_clip": 1.0,
    }
    return Trainer(model=model, data=data, n_epochs=n_epochs, seed=seed, **{**settings, **changes})


def assert_equal(one, other):
    """Equal to the last bit, all the way down."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            if "seconds" not in str(key):
                assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


def test_it_learns_and_keeps_a_record(log, tmp_path):
    trainer = make_trainer(n_epochs=5)
    trainer.run(tmp_path)
    assert trainer.history[-1]["validation_accuracy"] > 0.9
    assert [record["epoch"] for record in trainer.history] == [1, 2, 3, 4, 5]
    assert trainer.step == trainer.n_steps == 20
    assert trainer.best_accuracy == max(record["validation_accuracy"] for record in trainer.history)
    # Four steps an epoch, and one entry more behind the last of them
    assert [step for step, _ in log][:6] == [1, 2, 3, 4, 4, 5]
    assert set(log[0][1]) == {"loss.train", "learning_rate"}
    assert set(log[4][1]) == {"accuracy.train", "loss.validation", "accuracy.validation"}


def test_the_best_checkpoint_holds_the_weights_of_the_best_epoch(log, tmp_path):
    trainer = make_trainer(n_epochs=3)
    trainer.run(tmp_path)
    best = load_checkpoint(tmp_path / "best.pt")
    assert best["record"]["validation_accuracy"] == trainer.best_accuracy
    trainer.model.load_state_dict(best["model"])
    assert trainer.validate().accuracy == trainer.best_accuracy


def test_equal_seeds_give_equal_runs_step_by_step(log, tmp_path):
    runs = []
    for seed in (1, 1, 2):
        log.clear()
        trainer = make_trainer(seed)
        trainer.run(tmp_path)
        runs.append((list(log), trainer.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert_equal(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


class StopAfter(StopSignals):
    """Asks to stop after so many looks."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def check(self):
        self.looks -= 1
        if self.looks == 0:
            raise StopRequested


# An epoch is four steps and two batches of validation
@pytest.mark.parametrize("looks", [1, 3, 4, 5, 6, 8], ids=lambda looks: f"after look {looks}")
def test_a_resumed_run_is_bit_for_bit_the_undisturbed_one(log, tmp_path, looks):
    undisturbed = make_trainer()
    undisturbed.run(tmp_path / "a")
    expected_log = list(log)
    log.clear()
    interrupted = make_trainer()
    interrupted.stop = StopAfter(looks)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(tmp_path / "b")
    # Whatever the process did in the meantime
    torch.rand(10)
    resumed = make_trainer()
    resumed.resume(tmp_path / "b" / "last.pt")
    resumed.run(tmp_path / "b")
    assert_equal(undisturbed.state_dict(), resumed.state_dict())
    assert log == expected_log
    assert_equal(load_checkpoint(tmp_path / "a" / "last.pt"), load_checkpoint(tmp_path / "b" / "last.pt"))


def test_other_data_is_refused(log, tmp_path):
    make_trainer().run(tmp_path)
    with pytest.raises(UserError, match="other data"):
        make_trainer(n_train=51).resume(tmp_path / "last.pt")


def test_a_loss_that_is_no_number_ends_the_run_with_advice(log, tmp_path):
    trainer = make_trainer()
    with torch.no_grad():
        trainer.model[0].weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"not a number at step 1.*learning_rate"):
        trainer.run(tmp_path)


def test_gradients_are_clipped_to_the_norm_asked_for(log):
    norms = []
    trainer = make_trainer(gradient_clip=1e-3)
    optimizer_step = trainer.optimizer.step

    def spy():
        norms.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).norm().item())
        optimizer_step()

    trainer.optimizer.step = spy
    trainer.train_epoch()
    assert all(norm == pytest.approx(1e-3, rel=1e-2) for norm in norms)


def test_validation_changes_nothing(log):
    trainer = make_trainer()
    trainer.train_epoch()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    generator = trainer.augmentation.generator.get_state()
    trainer.validate()
    assert_equal(before, dict(trainer.model.state_dict()))
    assert torch.equal(generator, trainer.augmentation.generator.get_state())


@pytest.mark.parametrize("channels_last", ["on", "off"])
@pytest.mark.parametrize("mixed_precision", ["bf16", "none"])
@pytest.mark.parametrize("fused", ["on", "off"])
def test_the_switches_do_what_they_say(log, tmp_path, channels_last, mixed_precision, fused):
    execution = choose_execution("cpu", mixed_precision, channels_last, "off", fused)
    trainer = make_trainer(n_epochs=1, execution=execution)
    seen = {}
    execution.place(trainer.model)
    hook = trainer.model[0].register_forward_hook(lambda _, inputs, output: seen.update(x=inputs[0], y=output))
    trainer.run(tmp_path)
    hook.remove()
    assert seen["y"].dtype == (torch.bfloat16 if mixed_precision == "bf16" else torch.float32)
    assert seen["x"].is_contiguous(memory_format=torch.channels_last) == (channels_last == "on")
    assert execution.fused == (fused == "on")


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"device=cuda:99 cannot be used here"):
        choose_execution("cuda:99")
    with pytest.raises(UserError, match=r"device=toaster cannot be used here"):
        choose_execution("toaster")


# The parts


def test_the_schedule_is_the_authors():
    points = {0.0: 0.0, 0.2: 0.025, 0.4: 0.05, 0.6: 0.02625, 0.8: 0.0025, 0.9: 0.00125, 1.0: 0.0}
    for progress, rate in points.items():
        assert learning_rate(progress, peak=0.05) == pytest.approx(rate)


def test_metrics_weigh_batches_by_their_size():
    metrics = Metrics(torch.device("cpu"))
    metrics.add(torch.tensor(1.0), torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1, 1]))
    metrics.add(torch.tensor(5.0), torch.tensor([[0.0, 1.0]]), torch.tensor([1]))
    assert metrics.n_images == 4
    assert metrics.loss == pytest.approx(2.0)
    assert metrics.accuracy == pytest.approx(0.75)


def test_progress_shows_rate_and_time_left(monkeypatch):
    now = iter([0.0, 0.0, 10.0])
    monkeypatch.setattr("labml_nn.helpers.progress.time.monotonic", lambda: next(now))
    progress = TrainingProgress(n_epochs=2, images_per_epoch=1000)
    assert progress.speed(0, 100) == ""
    assert progress.speed(0, 600) == "50 images/s  0:28 left"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (59.7, "1:00"), (3661, "1:01:01")])
def test_seconds_read_like_a_clock(seconds, text):
    assert format_seconds(seconds) == text


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "state.pt"
    save_atomically({"step": 1}, path)

    def write(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, write)
    assert load_checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_json_reads_back(tmp_path):
    save_json({"größe": 1.5}, tmp_path / "deep" / "summary.json")
    assert json.loads((tmp_path / "deep" / "summary.json").read_text("utf-8")) == {"größe": 1.5}


def test_a_checkpoint_that_is_none_is_explained(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load_checkpoint(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(tmp_path / "last.pt")
    # A pickle that would call something is not read
    torch.save({"model": print}, tmp_path / "last.pt")
    assert load_tensors(tmp_path / "last.pt") is None


def test_the_first_signal_asks_and_the_second_strikes(capsys):
    before = signal.getsignal(signal.SIGINT)
    with StopSignals() as stop:
        stop.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(StopRequested):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is before
    assert "Press Ctrl-C again" in capsys.readouterr().err


def test_steps_after_the_checkpoint_are_forgotten(tmp_path):
    log = tmp_path / "log.jsonl"
    lines = [
        {"track": {"loss": [[1, [0.5]], [2, [0.4]]]}, "time": 1.0},
        {"track": {"loss": [[3, [0.3]], [4, [0.2]]], "rate": []}, "time": 2.0},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    drop_metrics_after(log, 3)
    kept = [json.loads(line) for line in log.read_text().splitlines()]
    assert kept == [lines[0], {"track": {"loss": [[3, [0.3]]], "rate": []}, "time": 2.0}]
