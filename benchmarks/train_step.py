"""
A training step of ConvMixer: ours against timm's and against a plain nn.Sequential, each in its best setting.

    python benchmarks/train_step.py [--kernel-sizes 5 7 9] [--batch-size 64] [--rounds 7] [--quick] [--json FILE]

A step is the forward pass, the cross entropy, the backward pass and AdamW on images of 32 × 32 pixels, with d_model
256, 8 layers and patches of 2 × 2. First each rival is tried in all settings of precision, layout and compilation.
Then its two best ones take turns with ours; the best also with freed memory kept, as ours does.
"""

from argparse import Namespace
from functools import partial

import torch
import torch.nn.functional as F
from common import Contestant, Work, compare, device, machine, parser, print_table, ranked, summary, write_json
from models import ALL_SETTINGS, LIKELY_SETTINGS, RIVALS, Setting, ours
from torch import nn

from labml_nn.conv_mixer.gelu_batch_norm import optimize_for_training
from labml_nn.conv_mixer.native import keep_freed_memory


def training_step(model: str, setting: Setting, kernel_size: int, batch_size: int, keep_memory: bool = False) -> Work:
    """A step of a rival, or of our model without the fused layers."""
    if keep_memory:
        keep_freed_memory()
    make = ours if model == "ours" else RIVALS[model]
    return step(make(256, 8, kernel_size, 2, 10, nn.GELU), setting, batch_size)


def our_step(kernel_size: int, batch_size: int) -> Work:
    """A step as the experiment takes it."""
    keep_freed_memory()
    model = optimize_for_training(ours(256, 8, kernel_size, 2, 10, nn.GELU))
    return step(model, Setting("bf16", channels_last=True), batch_size)


def step(model: nn.Module, setting: Setting, batch_size: int) -> Work:
    torch.manual_seed(0)
    where = device()
    model = model.to(where).to(memory_format=setting.layout).train()
    images = torch.randn(batch_size, 3, 32, 32, device=where).contiguous(memory_format=setting.layout)
    labels = torch.randint(0, 10, (batch_size,), device=where)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    forward = torch.compile(model) if setting.compile else model

    def work() -> None:
        with setting.autocast(where):
            logits = forward(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return work


def contestants(kernel_size: int, batch_size: int, options: Namespace, tried: dict[str, float]) -> list[Contestant]:
    """The two best settings of each rival, and ours; what was tried on the way goes to `tried`."""
    common = {"kernel_size": kernel_size, "batch_size": batch_size}
    found = []
    for rival in RIVALS:
        settings = LIKELY_SETTINGS if options.quick else ALL_SETTINGS
        (fastest, *others), medians = ranked(
            (Contestant(f"{rival}, {setting}", partial(training_step, rival, setting), common) for setting in settings),
            2 if options.quick else 3,
            options.processor_time,
        )
        tried |= medians
        kept = Contestant(f"{fastest.name}, memory kept", fastest.prepare, {**common, "keep_memory": True})
        found += [fastest, *others[:1], kept]
    plain_layers = partial(training_step, "ours", Setting("bf16", channels_last=True))
    return [
        *found,
        Contestant("ours, torch's GELU and normalization", plain_layers, {**common, "keep_memory": True}),
        Contestant("ours", our_step, common),
    ]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--kernel-sizes", type=int, nargs="+", default=[5, 7, 9])
    arguments.add_argument("--batch-size", type=int, default=64)
    options = arguments.parse_args()
    rounds = 3 if options.quick else options.rounds
    print(machine())
    results = {}
    for kernel_size in options.kernel_sizes:
        print(f"\nSettings, kernel size {kernel_size}")
        tried: dict[str, float] = {}
        field = contestants(kernel_size, options.batch_size, options, tried)
        rows = summary(compare(field, rounds, options.processor_time), "ours")
        print_table(f"Training step, kernel size {kernel_size}, {options.batch_size} images", rows)
        results[f"k{kernel_size}"] = {"settings": tried, "rows": rows}
    write_json(options.json, {"training_step": results, "batch_size": options.batch_size})


if __name__ == "__main__":
    main()
