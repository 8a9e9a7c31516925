"""
The parts of a ConvMixer layer one by one, against what this machine's matrix products and copies reach.

    python benchmarks/depth_wise.py [--batch-size 64] [--rounds 7] [--quick] [--json FILE]

For 256 channels on 16 × 16 patches: the depth-wise convolution and its gradients, each way to compute the weight's
gradient that was explored, the point-wise convolution, and GELU with batch normalization. CPU only.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from common import machine, parser, write_json

from labml_nn.conv_mixer.depth_wise import convolve, depth_wise_weight_gradient, weight_gradient_by_matrices
from labml_nn.conv_mixer.gelu_batch_norm import GELUBatchNorm2d

CHANNELS, EDGE = 256, 16
Gradient = Callable[[torch.Tensor, torch.Tensor, int], object]


def padded(x: torch.Tensor, k: int) -> torch.Tensor:
    before = (k - 1) // 2
    return F.pad(x, (before, k - 1 - before, before, k - 1 - before))


def by_torch(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    weight = x.new_empty(CHANNELS, 1, k, k)
    return backward_of_torch(x, g, weight, CHANNELS, [False, True, False])


def by_loops(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    return depth_wise_weight_gradient(x, g, k, (k - 1) // 2)


def by_rows_of_taps(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """One matrix product for each row of taps."""
    return weight_gradient_by_matrices(x, g, k, (k - 1) // 2)


def by_all_rows_of_taps(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """One product for all rows of taps, stacked: it reads the gradient once, and writes k copies of the input."""
    n, c, height, width = x.shape
    rows = padded(x, k).permute(1, 2, 0, 3).contiguous()
    channel, row = rows.stride()[:2]
    shifted = rows.as_strided((c, k, height * n, width + k - 1), (channel, row, width + k - 1, 1))
    left = shifted.transpose(2, 3).reshape(c, k * (width + k - 1), height * n)
    product = (left @ g.permute(1, 2, 0, 3).reshape(c, height * n, width)).view(c, k, width + k - 1, width)
    return torch.stack([product.diagonal(-v, 2, 3).sum(-1) for v in range(k)], -1)


def by_im2col(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """For each row of taps, its taps times all positions: no product is wasted, and each is with a vector."""
    n, c, height, width = x.shape
    rows = padded(x, k).permute(1, 2, 0, 3).contiguous()
    channel, row = rows.stride()[:2]
    vector = g.permute(1, 2, 0, 3).reshape(c, height * n * width, 1)
    shape, strides = (c, k, height * n, width), (channel, 1, width + k - 1, 1)
    return [rows.as_strided(shape, strides, u * row).reshape(c, k, -1) @ vector for u in range(k)]


def by_taps(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """For each tap, shift, multiply and sum."""
    x, (height, width) = padded(x, k), g.shape[2:]
    return [(x[:, :, u : u + height, v : v + width] * g).sum((0, 2, 3)) for u in range(k) for v in range(k)]


by_taps_compiled = torch.compile(by_taps, dynamic=False)


def convolution_by_taps(x: torch.Tensor, weight: torch.Tensor, k: int) -> torch.Tensor:
    """The convolution itself: for each tap, shift, multiply, add."""
    x, (height, width) = padded(x, k), x.shape[2:]
    taps = weight.flatten(1).t()[:, :, None, None]
    return sum(taps[k * u + v] * x[:, :, u : u + height, v : v + width] for u in range(k) for v in range(k))


convolution_by_taps_compiled = torch.compile(convolution_by_taps, dynamic=False)


def by_grouped_convolution(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """A convolution whose filters are the gradient and whose channels are the images."""
    n, c, height, width = x.shape
    images = padded(x, k).transpose(0, 1).reshape(1, c * n, height + k - 1, width + k - 1)
    return F.conv2d(images, g.transpose(0, 1).reshape(c, n, height, width), groups=c)


def by_fourier_transform(x: torch.Tensor, g: torch.Tensor, k: int) -> object:
    """A correlation is a product of transforms; of the result only k × k numbers are used."""
    size = tuple(1 << (edge + k - 2).bit_length() for edge in x.shape[2:])
    product = torch.fft.rfft2(x.float(), s=size) * torch.fft.rfft2(g.float(), s=size).conj()
    return torch.fft.irfft2(product.sum(0), s=size)[:, :k, :k]


WEIGHT_GRADIENTS: dict[str, Gradient] = {
    "torch's own": by_torch,
    "loops in C++": by_loops,
    "matrices, a row of taps each": by_rows_of_taps,
    "matrices, all rows of taps at once": by_all_rows_of_taps,
    "matrices, im2col": by_im2col,
    "shift, multiply, sum": by_taps,
    "grouped convolution": by_grouped_convolution,
    "Fourier transform": by_fourier_transform,
}


def backward_of_torch(
    x: torch.Tensor, g: torch.Tensor, weight: torch.Tensor, groups: int, mask: list[bool]
) -> tuple[torch.Tensor | None, ...]:
    padding = [(weight.shape[-1] - 1) // 2] * 2
    return torch.ops.aten.convolution_backward(
        g, x, weight, [CHANNELS], [1, 1], padding, [1, 1], False, [0, 0], groups, mask
    )


def milliseconds(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median time of each, in turns."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started = clock()
            work()
            seconds[name].append(clock() - started)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def roofline(rounds: int) -> dict[str, float]:
    """What a matrix product and a copy reach: GFLOP/s and GB/s."""
    results = {}
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.randn(2048, 2048).to(dtype)
        time_taken = milliseconds({"": partial(torch.mm, a, a)}, rounds)[""]
        results[f"matrix product, {dtype}, GFLOP/s"] = 2 * len(a) ** 3 / time_taken / 1e6
    x = torch.randn(64 * 2**20 // 4)
    results["copy, GB/s"] = 2 * x.nbytes / milliseconds({"": partial(torch.empty_like(x).copy_, x)}, rounds)[""] / 1e6
    return results


def depth_wise(dtype: torch.dtype, layout: torch.memory_format, k: int, n: int, rounds: int) -> dict[str, float]:
    x, g = (torch.randn(n, CHANNELS, EDGE, EDGE).to(dtype).contiguous(memory_format=layout) for _ in range(2))
    weight, bias = torch.randn(CHANNELS, 1, k, k).to(dtype), torch.randn(CHANNELS).to(dtype)
    works: dict[str, Callable[[], object]] = {
        "convolution, torch's own": lambda: F.conv2d(x, weight, bias, padding=k // 2, groups=CHANNELS),
        "convolution, loops in C++": lambda: convolve(x, weight, bias, k // 2),
        "input's gradient, torch's own": lambda: backward_of_torch(x, g, weight, CHANNELS, [True, False, False]),
        "input's gradient, loops in C++": lambda: convolve(g, weight.flip(2, 3), None, k - 1 - k // 2),
    }
    for name, gradient in WEIGHT_GRADIENTS.items():
        works[f"weight's gradient, {name}"] = partial(gradient, x, g, k)
    if dtype == torch.bfloat16 and layout == torch.channels_last:
        # The compiler takes its time, so only where it matters most
        works["convolution, shift, multiply, add, compiled"] = partial(convolution_by_taps_compiled, x, weight, k)
        works["weight's gradient, shift, multiply, sum, compiled"] = partial(by_taps_compiled, x, g, k)
    return milliseconds(works, rounds)


def the_rest(dtype: torch.dtype, n: int, rounds: int) -> dict[str, float]:
    x, g = (
        torch.randn(n, CHANNELS, EDGE, EDGE).to(dtype).contiguous(memory_format=torch.channels_last) for _ in range(2)
    )
    weight, bias = torch.randn(CHANNELS, CHANNELS, 1, 1).to(dtype), torch.randn(CHANNELS).to(dtype)
    norm = torch.nn.BatchNorm2d(CHANNELS)
    leaf = x.clone().requires_grad_()
    fused = GELUBatchNorm2d(norm)
    return milliseconds(
        {
            "point-wise convolution": lambda: F.conv2d(x, weight, bias),
            "its gradients": lambda: backward_of_torch(x, g, weight, 1, [True, True, True]),
            "GELU and normalization, torch's own, forward and backward": lambda: norm(F.gelu(leaf)).backward(g),
            "GELU and normalization, ours, forward and backward": lambda: fused(leaf).backward(g),
        },
        rounds,
    )


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--batch-size", type=int, default=64)
    options = arguments.parse_args()
    rounds = 3 if options.quick else options.rounds
    n = options.batch_size
    if options.processor_time:
        torch.set_num_threads(1)
    print(machine())
    results: dict[str, dict[str, float]] = {"roofline": roofline(rounds)}
    for dtype in (torch.bfloat16, torch.float32):
        results[f"{dtype}"] = the_rest(dtype, n, rounds)
        for layout in (torch.channels_last,) if options.quick else (torch.channels_last, torch.contiguous_format):
            for k in (7,) if options.quick else (5, 7, 9):
                results[f"{dtype}, {layout}, kernel {k}"] = depth_wise(dtype, layout, k, n, rounds)
    for title, rows in results.items():
        print(f"\n{title}")
        for name, value in rows.items():
            print(f"    {name:60} {value:9.2f}")
    write_json(options.json, {"milliseconds": results, "batch_size": n})


if __name__ == "__main__":
    main()
