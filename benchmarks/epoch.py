"""
An epoch of the CIFAR-10 experiment: ours against a script that follows the authors' recipe as they published it.

    python benchmarks/epoch.py [--images 2048] [--rounds 3] [--json FILE]

Both go once through the same images with the recipe of the paper's small script: d_model 256, 8 layers, kernel 5,
patches of 2 × 2, batches of 512, AdamW, flip, RandAugment(2, 12), colour jitter and random erasing. The script
augments single pictures by torchvision in a DataLoader of two workers, and uses automatic mixed precision where it
does anything, on a GPU. An epoch of CIFAR-10 has 50,000 images; a part of it takes that part of the time.
"""

from functools import partial

import torch
import torch.nn.functional as F
from augmentation import RECIPES, torchvision_batches
from common import Contestant, Work, compare, device, machine, parser, print_table, summary, write_json
from models import ours, plain
from torch import nn

from labml_nn.conv_mixer.gelu_batch_norm import optimize_for_training
from labml_nn.conv_mixer.native import keep_freed_memory
from labml_nn.helpers.augmentation import Augmentation
from labml_nn.helpers.device import choose_execution
from labml_nn.helpers.images import ImageData, LabelledImages, channel_statistics
from labml_nn.helpers.shapes import CLASSES, draw_shapes
from labml_nn.helpers.training import Trainer

BATCH_SIZE = 512
RECIPE = RECIPES["flip, RandAugment(2, 12), jitter 0.2, erasing 0.2"]


def authors_epoch(n_images: int) -> Work:
    where = device()
    data = LabelledImages(*draw_shapes(n_images, seed=1))
    model = plain(256, 8, 5, 2, 10, nn.GELU).to(where)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.005)
    scaler = torch.amp.GradScaler(where.type, enabled=where.type == "cuda")
    batches = torchvision_batches(data, RECIPE)

    def work() -> None:
        for _ in range(n_images // BATCH_SIZE):
            images, labels = next(batches)
            with torch.autocast(where.type, torch.float16, enabled=where.type == "cuda"):
                loss = F.cross_entropy(model(images.to(where)), labels.to(where))
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()

    return work


def our_epoch(n_images: int) -> Work:
    """The experiment's own training loop, with its defaults for this device."""
    keep_freed_memory()
    execution = choose_execution()
    data = LabelledImages(*draw_shapes(n_images, seed=1)).to(execution.device)
    mean, std = channel_statistics(data.images)
    model = ours(256, 8, 5, 2, 10, nn.GELU)
    if execution.device.type == "cpu":
        model = optimize_for_training(model)
    placed = execution.place(model)
    trainer = Trainer(
        model=placed,
        optimizer=torch.optim.AdamW(placed.parameters(), lr=0.05, weight_decay=0.005, fused=execution.fused),
        augmentation=Augmentation(mean=mean, std=std, seed=1, jitter=RECIPE["jitter"], erase=RECIPE["erase"]),
        data=ImageData(data, data, CLASSES),
        execution=execution,
        n_epochs=1000,
        batch_size=BATCH_SIZE,
        peak_learning_rate=0.05,
        label_smoothing=0.0,
        gradient_clip=1.0,
        seed=1,
    )

    def work() -> None:
        trainer.steps_of_epoch = 0
        trainer.train_epoch()

    return work


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=2048, help="how many make an epoch, a multiple of 512")
    options = arguments.parse_args()
    n_images = BATCH_SIZE if options.quick else options.images
    if n_images < BATCH_SIZE or n_images % BATCH_SIZE:
        arguments.error(f"--images must be a multiple of {BATCH_SIZE}, not {n_images}")
    print(machine())
    field = [
        Contestant("the authors' recipe", partial(authors_epoch, n_images)),
        Contestant("ours", partial(our_epoch, n_images)),
    ]
    rows = summary(compare(field, 2 if options.quick else options.rounds, options.processor_time), "ours")
    print_table(f"Epoch of {n_images} images", rows)
    for row in rows:
        print(f"    {row['name']}: {n_images / row['milliseconds'] * 1e3:.0f} images per second")
    write_json(options.json, {"epoch": rows, "images": n_images})


if __name__ == "__main__":
    main()
