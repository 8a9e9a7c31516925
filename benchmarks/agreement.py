"""
Whether a ConvMixer that was made ready for inference decides as the trained model does.

    python benchmarks/agreement.py RUN [--json FILE]

RUN is the folder of a finished run of the experiment (labml prints it; logs/conv_mixer/…). Its best checkpoint
classifies the validation images of its data set: the plain model in fp32, and `optimize_for_inference` in fp32 and in
bfloat16. Printed are the accuracy of each, how many images get another class than from the plain model, and the
greatest difference of a logit.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from common import machine, write_json

from labml_nn.conv_mixer import conv_mixer
from labml_nn.conv_mixer.inference import optimize_for_inference
from labml_nn.helpers.augmentation import normalize
from labml_nn.helpers.checkpoints import load_checkpoint
from labml_nn.helpers.image_folder import image_folder
from labml_nn.helpers.images import channel_statistics


@torch.inference_mode()
def classify(model: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Logits of all images, and seconds it took."""
    started = time.perf_counter()
    logits = torch.cat([model(batch) for batch in images.split(256)])
    return logits, time.perf_counter() - started


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", type=Path)
    arguments.add_argument("--json", type=Path, help="also write the results to this file")
    options = arguments.parse_args()
    settings = json.loads((options.run / "settings.json").read_text())["settings"]
    if settings["dataset"] != "image_folder":
        arguments.error(f"the run must be one on dataset=image_folder, but it is on {settings['dataset']}")

    data = image_folder(Path(settings["data_path"]), settings["image_size"], settings["validation_share"])
    images = normalize(data.validation.images, *channel_statistics(data.train.images))
    sizes = (settings[name] for name in ("d_model", "n_layers", "kernel_size", "patch_size"))
    model = conv_mixer(*sizes, n_classes=len(data.classes))
    model.load_state_dict(load_checkpoint(options.run / "checkpoints" / "best.pt")["model"])

    print(machine())
    expected, seconds = classify(model.eval(), images)
    found = {"the model": (expected, seconds)}
    for name, dtype in (("inference, fp32", torch.float32), ("inference, bfloat16", torch.bfloat16)):
        found[name] = classify(optimize_for_inference(model, dtype=dtype), images)

    rows: list[dict[str, Any]] = []
    for name, (logits, seconds) in found.items():
        row = {
            "name": name,
            "accuracy": (logits.argmax(1) == data.validation.labels).float().mean().item(),
            "other class than the model": int((logits.argmax(1) != expected.argmax(1)).sum()),
            "greatest difference of a logit": (logits - expected).abs().max().item(),
            "seconds": seconds,
        }
        rows.append(row)
        print(*(f"{key}: {value:.6g}" if isinstance(value, float) else f"{key}: {value}" for key, value in row.items()))
    write_json(options.json, {"agreement": rows, "images": len(images)})


if __name__ == "__main__":
    main()
