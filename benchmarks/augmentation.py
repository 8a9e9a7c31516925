"""
The input pipeline: batches of augmented images, ours as tensor operations against torchvision's on single pictures.

    python benchmarks/augmentation.py [--seconds 3] [--repeats 5] [--json FILE]

Both make the same batches of 512 normalized images of 32 × 32 pixels by the same recipe, from images that are in
memory already. torchvision gets a DataLoader with two workers that stay alive, as is usual. The two run in turns, so
that whatever else the machine does meets both alike.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from labml_nn.helpers.augmentation import Augmentation
from labml_nn.helpers.images import LabelledImages, channel_statistics, shuffled
from labml_nn.helpers.shapes import draw_shapes

BATCH_SIZE = 512
# The authors' recipes for 25 and for 100 epochs
RECIPES = {
    "flip, RandAugment(2, 12)": {"jitter": 0.0, "erase": 0.0},
    "flip, RandAugment(2, 12), jitter 0.2, erasing 0.2": {"jitter": 0.2, "erase": 0.2},
}


class Pictures(Dataset):
    """The images as torchvision's data sets hand them out: one by one, as pictures."""

    def __init__(self, data: LabelledImages, transform: Callable):
        self.arrays = data.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = data.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


def torchvision_batches(data: LabelledImages, recipe: dict[str, float]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    mean, std = channel_statistics(data.images)
    jitter = recipe["jitter"]
    transform = transforms.Compose(
        [
            transforms.RandomHorizontalFlip(),
            transforms.RandAugment(num_ops=2, magnitude=12),
            *([transforms.ColorJitter(jitter, jitter, jitter)] if jitter else []),
            transforms.ToTensor(),
            transforms.Normalize(mean / 255, std / 255),
            *([transforms.RandomErasing(recipe["erase"])] if recipe["erase"] else []),
        ]
    )
    loader = DataLoader(
        Pictures(data, transform), BATCH_SIZE, shuffle=True, num_workers=2, persistent_workers=True, drop_last=True
    )
    while True:
        yield from loader


def our_batches(data: LabelledImages, recipe: dict[str, float]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    mean, std = channel_statistics(data.images)
    augmentation = Augmentation(mean=mean, std=std, seed=1, jitter=recipe["jitter"], erase=recipe["erase"])
    epoch = 0
    while True:
        for images, labels in data.batches(BATCH_SIZE, shuffled(len(data), seed=1, epoch=epoch)):
            yield augmentation(images), labels
        epoch += 1


def images_per_second(batches: Iterator[tuple[torch.Tensor, torch.Tensor]], seconds: float) -> float:
    """How many images come in so many seconds; what workers prepared in the meantime is drained first."""
    for _ in range(5):
        next(batches)
    started, n_images = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        images, _ = next(batches)
        n_images += len(images)
    return n_images / (time.perf_counter() - started)


def compare(data: LabelledImages, recipe: dict[str, float], seconds: float, repeats: int) -> dict[str, object]:
    theirs, ours = torchvision_batches(data, recipe), our_batches(data, recipe)
    rates: dict[str, list[float]] = {"torchvision": [], "ours": []}
    for _ in range(repeats):
        rates["torchvision"].append(images_per_second(theirs, seconds))
        rates["ours"].append(images_per_second(ours, seconds))
    ratios = [a / b for a, b in zip(rates["ours"], rates["torchvision"], strict=True)]
    return {"images_per_second": rates, "ratios": ratios, "ratio": statistics.median(ratios)}


def machine() -> dict[str, object]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def table(results: dict[str, dict]) -> str:
    lines = [f"{'recipe':52} {'torchvision':>14} {'ours':>14} {'ratio':>8}   ratios from – to"]
    for recipe, result in results.items():
        medians = [statistics.median(result["images_per_second"][name]) for name in ("torchvision", "ours")]
        spread = f"{min(result['ratios']):.1f} – {max(result['ratios']):.1f}"
        lines.append(f"{recipe:52} {medians[0]:>12,.0f}/s {medians[1]:>12,.0f}/s {result['ratio']:>7.1f}×   {spread}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="augmented images per second, ours against torchvision's")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one measurement")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the measurements here too")
    arguments = parser.parse_args()
    data = LabelledImages(*draw_shapes(10_000, seed=1))
    results = {name: compare(data, recipe, arguments.seconds, arguments.repeats) for name, recipe in RECIPES.items()}
    print(table(results))
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
