import copy

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from labml_nn.conv_mixer import ConvMixer, conv_mixer, native
from labml_nn.conv_mixer.gelu_batch_norm import (
    GELUBatchNorm,
    GELUBatchNorm2d,
    optimize_for_training,
)
from labml_nn.conv_mixer.inference import optimize_for_inference


@pytest.fixture(params=["loops", "torch"])
def implementation(request, monkeypatch):
    """Both ways to compute: in C++ where there is a compiler, and in PyTorch"""
    if request.param == "torch":
        monkeypatch.setattr(native, "load", lambda name, **macros: None)
    elif native.load("gelu_batch_norm") is None:
        pytest.skip("there is no C++ compiler here")


def trained_model(**options) -> ConvMixer:
    """A model whose batch normalizations are far from doing nothing, some scales negative and one of them zero"""
    torch.manual_seed(0)
    options = {"d_model": 32, "n_layers": 3, "kernel_size": 5, "patch_size": 2, "n_classes": 10} | options
    model = conv_mixer(**options)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, -1, 2)
            nn.init.zeros_(norm.weight.data[:1])
            nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3)
    return model.eval()


def images(n: int = 4, size: tuple[int, int] = (16, 12)) -> torch.Tensor:
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", [(16, 12), (2, 2), (7, 9)])
@pytest.mark.parametrize(
    "options", [{}, {"kernel_size": 4}, {"activation": nn.ReLU}, {"n_classes": 0}, {"d_model": 10}, {"n_layers": 1}]
)
@torch.no_grad()
def test_logits_equal_the_models(options, size, implementation):
    model = trained_model(**options)
    fast = optimize_for_inference(model)
    torch.testing.assert_close(fast(images(size=size)), model(images(size=size)), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_logits_with_many_layers():
    model = trained_model(n_layers=8, kernel_size=7, d_model=64)
    assert (optimize_for_inference(model)(images()) - model(images())).abs().max() < 1e-4


@torch.no_grad()
def test_bfloat16_is_close(implementation):
    model = trained_model()
    exact = model(images(64))
    logits = optimize_for_inference(model, dtype=torch.bfloat16)(images(64))
    assert logits.dtype == torch.float32
    assert (logits - exact).abs().max() < 0.05 * exact.abs().max()
    # Where the best class leads by more than that, it stays the best
    best = exact.topk(2).values
    clear = best[:, 0] - best[:, 1] > 0.1 * exact.abs().max()
    assert clear.sum() > 10
    assert torch.equal(logits.argmax(1)[clear], exact.argmax(1)[clear])


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
@torch.no_grad()
def test_an_image_does_not_notice_the_others(n, threads):
    """Whether each core has images of its own, or all cores share one"""
    model, before = trained_model(d_model=96), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        logits = optimize_for_inference(model)(images(n))
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(logits, model(images(n)), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_new_weights_are_used_at_once():
    """Those that were packed for the loops are out of date then"""
    fast, other = optimize_for_inference(trained_model()), trained_model()
    fast(images())
    nn.init.normal_(other.classification.linear.bias)
    nn.init.normal_(other.conv_mixer_layers[0].point_wise_conv.weight)
    fast.load_state_dict(optimize_for_inference(other).state_dict())
    torch.testing.assert_close(fast(images()), other(images()), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_copy_in_another_type_computes_too():
    fast = optimize_for_inference(trained_model())
    expected = fast(images())
    torch.testing.assert_close(copy.deepcopy(fast)(images()), expected)
    torch.testing.assert_close(fast.double()(images().double()).float(), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_logits_of_mixed_kernels_equal_the_models():
    """Which the loops are not made for"""
    model = trained_model()
    model.conv_mixer_layers[1] = trained_model(kernel_size=3).conv_mixer_layers[1]
    torch.testing.assert_close(optimize_for_inference(model)(images()), model(images()), rtol=1e-5, atol=1e-5)


def test_compiles_on_request(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    fast = optimize_for_inference(trained_model(), compile=True)
    assert compiled == [fast]


@torch.no_grad()
def test_fits_in_one_graph():
    model = trained_model()
    fast = torch.compile(optimize_for_inference(model), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(fast(images()), model(images()), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_exports_to_onnx(tmp_path):
    model = trained_model()
    path = tmp_path / "model.onnx"
    torch.onnx.export(optimize_for_inference(model), (images(),), path, dynamo=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images().numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(images()), rtol=1e-4, atol=1e-4)


def test_the_model_stays_as_it_is():
    model = trained_model().train()
    before = copy.deepcopy(model.state_dict())
    fast = optimize_for_inference(model)
    fast(images())
    assert model.training and not fast.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match="channels"):
        optimize_for_inference(trained_model())(torch.zeros(1, 4, 8, 8))


@pytest.mark.parametrize("optimize", [optimize_for_inference, optimize_for_training])
def test_other_models_are_refused(optimize):
    with pytest.raises(TypeError, match="`model` must be a ConvMixer, but it is a Linear"):
        optimize(nn.Linear(2, 2))


def test_a_model_optimized_for_training_is_refused():
    with pytest.raises(TypeError, match="every layer must be a ConvMixerLayer"):
        optimize_for_inference(optimize_for_training(trained_model()))


def step(model: nn.Module, autocast: bool = False) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = F.cross_entropy(model(images()), torch.tensor([1, 2, 3, 4]))
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("options", [{}, {"kernel_size": 4}, {"activation": nn.ReLU}, {"d_model": 10}])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_trains_as_the_model_does(options, layout, autocast, momentum):
    plain = trained_model(**options).to(memory_format=layout).train()
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = momentum
    fast = optimize_for_training(copy.deepcopy(plain))
    tolerance = 0.15 if autocast else 1e-4

    losses = [(step(plain, autocast), step(fast, autocast)) for _ in range(2)]

    for ours, expected in losses:
        torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance)
    for (name, a), b in zip(plain.named_parameters(), fast.parameters(), strict=True):
        assert (a.grad - b.grad).norm() <= tolerance * a.grad.norm() + 1e-5, name
    for (name, a), b in zip(plain.named_buffers(), fast.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, msg=name)


def test_shares_weights_and_names():
    model = trained_model()
    fast = optimize_for_training(model)
    assert [type(m) for m in model.modules()].count(nn.BatchNorm2d) == 7
    assert [type(m) for m in fast.modules()].count(GELUBatchNorm2d) == 7
    for (name, a), (same, b) in zip(model.state_dict().items(), fast.state_dict().items(), strict=True):
        assert name == same and a.data_ptr() == b.data_ptr()


@torch.no_grad()
def test_evaluates_as_the_model_does():
    model = trained_model()
    torch.testing.assert_close(optimize_for_training(model)(images()), model(images()), rtol=1e-6, atol=1e-6)


def test_optimizing_twice_changes_nothing():
    fast = optimize_for_training(trained_model())
    assert [type(m) for m in optimize_for_training(fast).modules()] == [type(m) for m in fast.modules()]


def test_checkpointing_keeps_the_running_statistics():
    plain = trained_model().train()
    fast = optimize_for_training(copy.deepcopy(plain))
    fast.set_grad_checkpointing()
    step(plain)
    step(fast)
    for (name, a), b in zip(plain.named_buffers(), fast.buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_training_compiles():
    expected = step(trained_model().train())
    fast = torch.compile(optimize_for_training(trained_model().train()), backend="aot_eager")
    torch.testing.assert_close(step(fast), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("residual", [False, True])
def test_gradients_are_the_formulas(residual):
    torch.manual_seed(0)
    x = torch.randn(3, 2, 2, 3, dtype=torch.double, requires_grad=True)
    weight, bias = torch.randn(2, 2, dtype=torch.double).requires_grad_().unbind()
    add = torch.randn_like(x).requires_grad_() if residual else None
    tensors = [x, weight.detach().requires_grad_(), bias.detach().requires_grad_(), add]
    assert torch.autograd.gradcheck(lambda *tensors: GELUBatchNorm.apply(*tensors, 1e-5)[0], tensors)


def test_far_from_zero(implementation):
    """The variance does not drown in the mean"""
    x = torch.randn(8, 16, 4, 4) + 1000
    norm = nn.BatchNorm2d(16)
    y = GELUBatchNorm.apply(x, norm.weight, norm.bias, None, norm.eps)[0]
    torch.testing.assert_close(y, norm(F.gelu(x.double()).float()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 8e-3)])
def test_tails_of_gelu(dtype, tolerance, implementation):
    x = torch.linspace(-50, 50, 16 * 1000).reshape(1, 16, 10, 100).to(dtype)
    exact, leaf = x.double().requires_grad_(), x.clone().requires_grad_()
    y, mean, variance = GELUBatchNorm.apply(leaf, torch.ones(16), torch.zeros(16), None, 1e-5)
    value = y.double() * (variance + 1e-5).sqrt()[:, None, None] + mean[:, None, None]
    # Rounding y to 16 bits is an error of its own, and so is going back from it
    torch.testing.assert_close(value, F.gelu(exact.detach()), rtol=tolerance, atol=50 * tolerance)
    gradient = torch.randint(0, 2, x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    y.backward(gradient.to(dtype))
    expected = torch.autograd.grad(normalized_gelu(exact), exact, gradient.double())[0]
    torch.testing.assert_close(leaf.grad.double(), expected, rtol=4 * tolerance, atol=4 * tolerance)


def normalized_gelu(x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(F.gelu(x), None, None, training=True)


def test_no_second_derivatives():
    if native.load("gelu_batch_norm") is None:
        pytest.skip("there is no C++ compiler here")
    model = optimize_for_training(trained_model()).train()
    weight = model.patch_emb.conv.weight
    (slope,) = torch.autograd.grad(model(images()).square().sum(), weight, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
