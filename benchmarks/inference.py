"""
Inference with ConvMixer: ours against timm's and against a plain nn.Sequential, as they come and in their best setting.

    python benchmarks/inference.py [--batch-sizes 1 64] [--rounds 7] [--quick] [--json FILE]

ConvMixer-256/8 for images of 32 × 32 pixels with kernels of 5, 7 and 9, and ConvMixer-768/32 for 224 × 224.
"""

from argparse import Namespace
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from common import Contestant, Work, compare, device, machine, parser, print_table, ranked, summary, write_json
from models import ALL_SETTINGS, AS_IT_COMES, LIKELY_SETTINGS, RIVALS, Setting, ours
from torch import nn

from labml_nn.conv_mixer.inference import optimize_for_inference
from labml_nn.conv_mixer.native import keep_freed_memory


@dataclass(frozen=True)
class Case:
    name: str
    d_model: int
    n_layers: int
    kernel_size: int
    patch_size: int
    n_classes: int
    image_size: int
    activation: type[nn.Module] = nn.GELU

    @property
    def shape(self) -> dict[str, Any]:
        names = ("d_model", "n_layers", "kernel_size", "patch_size", "n_classes", "activation")
        return {name: getattr(self, name) for name in names}


CASES = [
    Case("256/8, kernel 5", 256, 8, 5, 2, 10, 32),
    Case("256/8, kernel 7", 256, 8, 7, 2, 10, 32),
    Case("256/8, kernel 9", 256, 8, 9, 2, 10, 32),
    Case("768/32 at 224 pixels", 768, 32, 7, 7, 1000, 224, nn.ReLU),
]


def rival_inference(model: str, setting: Setting, case: Case, batch_size: int) -> Work:
    where = device()
    network = RIVALS[model](**case.shape).eval().to(where).to(memory_format=setting.layout)
    forward = torch.compile(network) if setting.compile else network
    images = random_images(case, batch_size).contiguous(memory_format=setting.layout)

    def work() -> torch.Tensor:
        with torch.inference_mode(), setting.autocast(where):
            return forward(images)

    return work


def our_inference(dtype: torch.dtype, case: Case, batch_size: int) -> Work:
    keep_freed_memory()
    where = device()
    # Without loops of ours on a GPU, the compiler joins the passes there
    model = optimize_for_inference(ours(**case.shape).to(where), dtype=dtype, compile=where.type == "cuda")
    images = random_images(case, batch_size)

    def work() -> torch.Tensor:
        with torch.inference_mode():
            return model(images)

    return work


def random_images(case: Case, batch_size: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(batch_size, 3, case.image_size, case.image_size, device=device())


def contestants(case: Case, batch_size: int, options: Namespace, tried: dict[str, float]) -> list[Contestant]:
    common = {"case": case, "batch_size": batch_size}
    found = []
    for rival in RIVALS:
        candidates = [
            Contestant(f"{rival}, {setting}", partial(rival_inference, rival, setting), common)
            for setting in (LIKELY_SETTINGS if options.quick else ALL_SETTINGS)
        ]
        (fastest, *_), medians = ranked(candidates, 2 if options.quick else 3, options.processor_time)
        tried |= medians
        found += [
            Contestant(f"{rival}, as it comes", partial(rival_inference, rival, AS_IT_COMES), common),
            Contestant(f"best: {fastest.name}", fastest.prepare, common),
        ]
    return [
        *found,
        Contestant("ours, fp32", partial(our_inference, torch.float32), common),
        Contestant("ours", partial(our_inference, torch.bfloat16), common),
    ]


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 64])
    arguments.add_argument("--cases", type=int, nargs="+", default=[0, 1, 2, 3], help="which of the four models")
    options = arguments.parse_args()
    rounds = 3 if options.quick else options.rounds
    print(machine())
    results = []
    for case in [CASES[1]] if options.quick else [CASES[i] for i in options.cases]:
        for batch_size in options.batch_sizes:
            # A batch of 64 large images takes minutes a time on a CPU, and no other ratio than one of 8
            n = min(batch_size, 8) if case.image_size > 32 and device().type == "cpu" else batch_size
            print(f"\nSettings, {case.name}, {n} images")
            tried: dict[str, float] = {}
            field = contestants(case, n, options, tried)
            rows = summary(compare(field, rounds, options.processor_time), "ours")
            print_table(f"Inference, {case.name}, {n} images", rows)
            described = {**asdict(case), "activation": case.activation.__name__}
            results.append({"case": described, "batch_size": n, "settings": tried, "rows": rows})
    write_json(options.json, {"inference": results})


if __name__ == "__main__":
    main()
