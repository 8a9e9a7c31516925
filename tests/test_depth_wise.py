import copy
import subprocess
import sys

import pytest
import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.utils.checkpoint import checkpoint

from labml_nn.conv_mixer import native
from labml_nn.conv_mixer.depth_wise import (
    DepthWiseConv2d,
    depth_wise_convolution,
    depth_wise_weight_gradient,
    weight_gradient_by_matrices,
)

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

# Images, channels, height, width and kernel size: odd and even, not square, smaller than the kernel, one image,
# rows that do not fill a tile, channels that do not fill a vector
SHAPES = [
    (2, 16, 5, 7, 3),
    (1, 32, 16, 16, 7),
    (3, 16, 8, 19, 5),
    (2, 16, 6, 6, 4),
    (2, 16, 3, 33, 2),
    (2, 5, 3, 9, 9),
    (1, 16, 1, 1, 7),
    (17, 16, 2, 3, 1),
]
LAYOUTS = [torch.contiguous_format, torch.channels_last]
# Far more than rounding needs, far less than any mistake makes
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture(params=["loops", "matrices"])
def implementation(request, monkeypatch):
    """Both ways to compute: in C++ where there is a compiler, and in PyTorch"""
    if request.param == "matrices":
        monkeypatch.setattr(native, "load", lambda name, **macros: None)
    elif native.load("depth_wise", KERNEL_SIZE=3) is None:
        pytest.skip("there is no C++ compiler here")


def assert_close(ours: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> None:
    scale = exact.abs().max().clamp(min=1e-3)
    assert (ours.double() - exact).abs().max() / scale < TOLERANCE[dtype]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_torch(shape, dtype, layout, implementation):
    n, channels, height, width, kernel_size = shape
    torch.manual_seed(0)
    conv = DepthWiseConv2d(channels, kernel_size, dtype=dtype)
    x = torch.randn(n, channels, height, width, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    gradient = torch.randn(n, channels, height, width, dtype=dtype)

    y = depth_wise_convolution(x, conv.weight, conv.bias, (kernel_size - 1) // 2)
    y.backward(gradient)

    exact = nn.Conv2d(channels, channels, kernel_size, padding="same", groups=channels, dtype=torch.double)
    exact.load_state_dict(conv.state_dict())
    exact_x = x.detach().double().requires_grad_()
    exact_y = exact(exact_x)
    exact_y.backward(gradient.double())

    assert y.dtype == dtype and y.stride() == x.stride()
    assert_close(y, exact_y, dtype)
    assert_close(x.grad, exact_x.grad, dtype)
    assert_close(conv.weight.grad, exact.weight.grad, dtype)
    assert_close(conv.bias.grad, exact.bias.grad, dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_residual_connection_around_it_has_the_same_gradients(shape, dtype, layout, implementation):
    n, channels, height, width, kernel_size = shape
    torch.manual_seed(0)
    conv = DepthWiseConv2d(channels, kernel_size, dtype=dtype)
    values = torch.randn(n, channels, height, width).to(dtype, memory_format=layout)
    x, exact_x = values.clone().requires_grad_(), values.double().requires_grad_()

    mixed, same = conv.with_input(x)
    (mixed.square() + 3 * same).sum().backward()
    exact = copy.deepcopy(conv).double()
    exact.zero_grad()
    (nn.Conv2d.forward(exact, exact_x).square() + 3 * exact_x).sum().backward()

    assert torch.equal(same, x)
    assert_close(x.grad, exact_x.grad, dtype)
    for ours, theirs in zip(conv.parameters(), exact.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad, dtype)


def test_a_residual_connection_around_it_refuses_second_derivatives(conv, x):
    mixed, same = conv.with_input(x.requires_grad_())
    (slope,) = torch.autograd.grad((mixed * same).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_first_and_second_derivatives(kernel_size):
    torch.manual_seed(0)
    x = torch.randn(2, 2, 3, 2, dtype=torch.double, requires_grad=True)
    weight = torch.randn(2, 1, kernel_size, kernel_size, dtype=torch.double, requires_grad=True)
    bias = torch.randn(2, dtype=torch.double, requires_grad=True)

    def convolution(*operands):
        return depth_wise_convolution(*operands, (kernel_size - 1) // 2)

    assert torch.autograd.gradcheck(convolution, (x, weight, bias))
    assert torch.autograd.gradgradcheck(convolution, (x, weight, bias))


def test_second_derivative_of_the_module_equals_torch(implementation):
    torch.manual_seed(0)
    conv = DepthWiseConv2d(16, 3)
    x = torch.randn(2, 16, 5, 5, requires_grad=True)

    def penalty(y):
        (slope,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), [x, conv.weight, conv.bias])

    ours = penalty(conv(x))
    torchs = penalty(F.conv2d(x, conv.weight, conv.bias, padding="same", groups=16))
    for a, b in zip(ours, torchs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_what_is_registered_is_consistent():
    x, weight, bias = torch.randn(2, 16, 5, 5), torch.randn(16, 1, 3, 3), torch.randn(16)
    operands = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    torch.library.opcheck(depth_wise_convolution, (*operands, 1))
    torch.library.opcheck(depth_wise_weight_gradient, (operands[0], torch.randn_like(x).requires_grad_(), 3, 1))


def test_matrices_equal_the_definition():
    torch.manual_seed(0)
    x, g = torch.randn(2, 3, 4, 5, dtype=torch.double), torch.randn(2, 3, 4, 5, dtype=torch.double)
    padded = F.pad(x, (1, 1, 1, 1))
    expected = torch.zeros(3, 1, 3, 3, dtype=torch.double)
    for u in range(3):
        for v in range(3):
            expected[:, 0, u, v] = (padded[:, :, u : u + 4, v : v + 5] * g).sum((0, 2, 3))
    torch.testing.assert_close(weight_gradient_by_matrices(x, g, 3, 1), expected)


def trained(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The gradient of the weight of a convolution inside `model`"""
    model(x).square().sum().backward()
    (weight,) = [p for name, p in model.named_parameters() if name.endswith("weight")]
    return weight.grad


@pytest.fixture
def conv() -> DepthWiseConv2d:
    torch.manual_seed(0)
    return DepthWiseConv2d(16, 3)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(4, 16, 6, 6, generator=torch.Generator().manual_seed(1))


def test_state_dict_is_torchs(conv):
    torchs = nn.Conv2d(16, 16, 3, padding="same", groups=16)
    torchs.load_state_dict(conv.state_dict())
    assert list(torchs.state_dict()) == list(conv.state_dict()) == ["weight", "bias"]


def test_initial_values_are_torchs():
    torch.manual_seed(0)
    ours = DepthWiseConv2d(16, 3)
    torch.manual_seed(0)
    torchs = nn.Conv2d(16, 16, 3, padding="same", groups=16)
    assert torch.equal(ours.weight, torchs.weight) and torch.equal(ours.bias, torchs.bias)


def test_two_runs_are_equal(conv, x):
    first = trained(copy.deepcopy(conv), x)
    assert torch.equal(first, trained(copy.deepcopy(conv), x))


def test_result_does_not_depend_on_the_number_of_threads(conv, x):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = trained(copy.deepcopy(conv), x)
    finally:
        torch.set_num_threads(threads)
    torch.testing.assert_close(one, trained(conv, x), rtol=1e-6, atol=1e-5)


def test_under_autocast(conv, x):
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    y.float().square().sum().backward()
    assert y.dtype == torch.bfloat16 and conv.weight.grad.dtype == torch.float32
    conv_without = DepthWiseConv2d(16, 3, dtype=torch.double)
    conv_without.load_state_dict(conv.state_dict())
    exact = trained(conv_without, x.double())
    assert_close(conv.weight.grad, exact, torch.bfloat16)


def test_compiled_in_one_graph(conv, x):
    expected = trained(copy.deepcopy(conv), x)
    compiled = torch.compile(conv, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(trained(compiled, x), expected)


def test_with_gradient_checkpointing(conv, x):
    again = copy.deepcopy(conv)
    checkpoint(again, x, use_reentrant=False).square().sum().backward()
    assert torch.equal(again.weight.grad, trained(conv, x))


def test_gradient_for_each_sample(conv, x):
    def loss(parameters, image):
        return functional_call(conv, parameters, (image[None],)).square().sum()

    each = vmap(grad(loss), in_dims=(None, 0))(dict(conv.named_parameters()), x)
    torch.testing.assert_close(each["weight"].sum(0), trained(conv, x), rtol=1e-4, atol=1e-4)


def test_only_what_needs_a_gradient_gets_one(conv, x):
    conv.requires_grad_(False)
    x = x.requires_grad_()
    conv(x).sum().backward()
    assert x.grad is not None and conv.weight.grad is None


def test_exports_as_a_plain_convolution(conv, x):
    program = torch.export.export(conv, (x,))
    assert "aten.conv2d" in program.graph_module.code
    assert "labml_nn" not in program.graph_module.code


def test_traces_as_a_plain_convolution(conv, x):
    traced = torch.jit.trace(conv, x)
    assert "aten::_convolution" in str(traced.inlined_graph)
    assert "labml_nn::" not in str(traced.inlined_graph)


def test_evaluates_with_torchs_convolution(conv, x):
    with torch.no_grad():
        assert torch.equal(conv(x), F.conv2d(x, conv.weight, conv.bias, padding="same", groups=16))
    assert not conv.trains_faster(x.double())


def _train_in_process(rank: int, world_size: int, file: str, gradients) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=world_size)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(DepthWiseConv2d(16, 3))
    x = torch.randn(4, 16, 6, 6, generator=torch.Generator().manual_seed(1))
    model(x[rank::world_size]).square().sum().backward()
    gradients[rank] = model.module.weight.grad
    torch.distributed.destroy_process_group()


def test_distributed(conv, x, tmp_path):
    with multiprocessing.Manager() as manager:
        gradients = manager.dict()
        multiprocessing.spawn(_train_in_process, (2, str(tmp_path / "meeting"), gradients), nprocs=2)
        first, second = gradients[0].clone(), gradients[1].clone()
    assert torch.equal(first, second)
    torch.testing.assert_close(first * 2, trained(conv, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 3), "`d_model` must be an integer of at least 1, but it is 0"),
        ((8, 0), "`kernel_size` must be an integer of at least 1, but it is 0"),
        ((8, 2.5), "`kernel_size` must be an integer of at least 1, but it is 2.5"),
    ],
)
def test_wrong_sizes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        DepthWiseConv2d(*arguments)


def test_without_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("LABML_NN_NATIVE", raising=False)
    assert native.load.__wrapped__("depth_wise", KERNEL_SIZE=3) is None


def test_with_a_compiler_that_fails(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert native.load.__wrapped__("depth_wise", KERNEL_SIZE=3) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_compiled_library_is_kept(monkeypatch, tmp_path):
    if native.load("depth_wise", KERNEL_SIZE=3) is None:
        pytest.skip("there is no C++ compiler here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert native.load.__wrapped__("depth_wise", KERNEL_SIZE=3) is not None
    (library,) = tmp_path.rglob("*.so")
    before = library.stat().st_mtime_ns
    assert native.load.__wrapped__("depth_wise", KERNEL_SIZE=3) is not None
    assert library.stat().st_mtime_ns == before


def test_loops_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("LABML_NN_NATIVE", "0")
    assert native.load.__wrapped__("depth_wise", KERNEL_SIZE=3) is None


def test_freed_memory_is_kept():
    program = "from labml_nn.conv_mixer.native import keep_freed_memory; print(keep_freed_memory())"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == str(sys.platform == "linux")
