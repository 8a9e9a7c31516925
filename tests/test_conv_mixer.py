"""The ConvMixer model: what the page claims of it, and what people who reuse it rely on."""

import copy
import io
import shutil

import pytest
import timm
import torch
from torch import nn

from labml_nn.conv_mixer import (
    ClassificationHead,
    ConvMixer,
    ConvMixerLayer,
    PatchEmbeddings,
    conv_mixer,
    conv_mixer_256_8,
    conv_mixer_768_32,
    conv_mixer_1024_20_ks9_p14,
    conv_mixer_1536_20,
)
from labml_nn.conv_mixer.checkpointing import running_statistics_kept
from labml_nn.utils import clone_module_list


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def small(**options) -> ConvMixer:
    return conv_mixer(**{"d_model": 16, "n_layers": 3, "kernel_size": 3, "patch_size": 2, "n_classes": 5} | options)


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# What it computes


def test_it_is_put_together_from_its_parts():
    model = ConvMixer(ConvMixerLayer(16, 3), 2, PatchEmbeddings(16, 4, 3), ClassificationHead(16, 10))
    assert model(torch.randn(2, 3, 32, 24)).shape == (2, 10)


def test_the_three_equations_of_the_paper():
    embed, layer = PatchEmbeddings(8, 4, 3).double(), ConvMixerLayer(8, 3).double()
    images = torch.randn(2, 3, 8, 12, dtype=torch.float64)

    def normalized(y):
        """BN(σ(y)) in training: mean and variance over images and locations."""
        y = nn.functional.gelu(y)
        mean, var = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), keepdim=True, unbiased=False)
        return (y - mean) / torch.sqrt(var + 1e-5)

    # 1: a linear layer on each flattened patch
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3)
    z = normalized((patches @ embed.conv.weight.flatten(1).T + embed.conv.bias).permute(0, 3, 1, 2))
    torch.testing.assert_close(embed(images), z)
    # 2: each channel with its own window, residual
    padded = nn.functional.pad(z, (1, 1, 1, 1))
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1)
    spatial = torch.einsum("bchwuv,cuv->bchw", windows, layer.depth_wise_conv.weight[:, 0])
    after = normalized(spatial + layer.depth_wise_conv.bias[:, None, None]) + z
    # 3: the same linear layer at each location, no residual
    channels = torch.einsum("bchw,oc->bohw", after, layer.point_wise_conv.weight[:, :, 0, 0])
    expected = normalized(channels + layer.point_wise_conv.bias[:, None, None])
    torch.testing.assert_close(layer(z), expected)


def test_an_input_is_never_written_to():
    model, images = small(), torch.randn(2, 3, 8, 8)
    before = images.clone()
    model(images)
    features = model.forward_features(images)
    kept = features.clone()
    model.conv_mixer_layers[0](features)
    assert torch.equal(images, before) and torch.equal(features, kept)


def test_pixels_that_fill_no_patch_are_not_seen():
    model, images = small(patch_size=4).eval(), torch.randn(1, 3, 10, 11)
    torch.testing.assert_close(model(images), model(images[:, :, :8, :8]))


def test_layers_start_with_weights_of_their_own():
    pattern = ConvMixerLayer(16, 3)
    layers = clone_module_list(pattern, 3)
    weights = [layer.depth_wise_conv.weight for layer in layers]
    assert torch.equal(weights[0], pattern.depth_wise_conv.weight) and weights[0] is not pattern.depth_wise_conv.weight
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
    # Drawn from the same distribution: uniform up to 1 / sqrt(fan in)
    assert all(weight.abs().max() <= 1 / 3 for weight in weights)


@pytest.mark.parametrize("kernel_size, n_layers, patch_size", [(3, 1, 2), (3, 3, 1), (5, 2, 2), (7, 1, 3)])
def test_receptive_field(kernel_size, n_layers, patch_size):
    low, high = influence(kernel_size, n_layers, patch_size)
    assert high - low + 1 == patch_size * (1 + n_layers * (kernel_size - 1))
    # It reaches as far up as down
    assert (low + high) / 2 == middle_of_patch(patch_size)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("kernel_size, n_layers", [(2, 1), (2, 3), (4, 2)])
def test_an_even_kernel_looks_half_a_patch_to_the_lower_right_per_layer(kernel_size, n_layers):
    low, high = influence(kernel_size, n_layers, patch_size=2)
    assert high - low + 1 == 2 * (1 + n_layers * (kernel_size - 1))
    assert (low + high) / 2 == middle_of_patch(2) + 2 * n_layers / 2


def middle_of_patch(patch_size: int) -> float:
    """The middle of patch 10, in pixels."""
    return 10 * patch_size + (patch_size - 1) / 2


def influence(kernel_size: int, n_layers: int, patch_size: int) -> tuple[int, int]:
    """The first and the last row of pixels that the features of patch (10, 10) depend on, by the gradient."""
    model = conv_mixer(8, n_layers, kernel_size, patch_size, n_classes=0, dtype=torch.float64).eval()
    images = torch.randn(1, 3, 21 * patch_size, 21 * patch_size, dtype=torch.float64, requires_grad=True)
    model.forward_features(images)[:, :, 10, 10].sum().backward()
    seen = images.grad.abs().sum((0, 1))
    rows, columns = seen.sum(1).nonzero().flatten().tolist(), seen.sum(0).nonzero().flatten().tolist()
    # A square without holes
    assert rows == columns == list(range(rows[0], rows[-1] + 1))
    return rows[0], rows[-1]


# Parameters


@pytest.mark.parametrize("h, d, k, p, c_in, n_classes", [(256, 8, 7, 2, 3, 10), (6, 1, 4, 3, 1, 2), (5, 3, 1, 1, 4, 0)])
def test_parameter_formula(h, d, k, p, c_in, n_classes):
    model = conv_mixer(h, d, k, p, n_classes, in_channels=c_in, device="meta")
    assert n_parameters(model) == h * (c_in * p**2 + 3 + d * (k**2 + h + 6) + n_classes) + n_classes


@pytest.mark.parametrize(
    "ours, theirs, count",
    [
        (conv_mixer_1536_20, "convmixer_1536_20", 51_625_960),
        (conv_mixer_768_32, "convmixer_768_32", 21_110_248),
        (conv_mixer_1024_20_ks9_p14, "convmixer_1024_20_ks9_p14", 24_383_464),
    ],
)
def test_published_models_have_the_published_size(ours, theirs, count):
    model = ours(device="meta")
    assert n_parameters(model) == count == n_parameters(timm.create_model(theirs, device="meta"))


def test_the_cifar_10_model():
    model = conv_mixer_256_8()
    assert n_parameters(model) == 643_338
    assert model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_768_32_uses_relu_and_the_others_gelu():
    assert isinstance(conv_mixer_768_32(device="meta").conv_mixer_layers[31].act2, nn.ReLU)
    assert isinstance(conv_mixer_1536_20(device="meta").conv_mixer_layers[0].act1, nn.GELU)
    assert isinstance(conv_mixer_768_32(device="meta", activation=nn.SiLU).patch_emb.act, nn.SiLU)


# Options


def test_features_and_head_make_the_logits():
    model, images = small().eval(), torch.randn(2, 3, 8, 12)
    features = model.forward_features(images)
    assert features.shape == (2, 16, 4, 6)
    torch.testing.assert_close(model.forward_head(features), model(images))
    torch.testing.assert_close(model.forward_head(features, pre_logits=True), features.mean((2, 3)))


def test_no_classes_gives_averaged_features():
    model, images = small(n_classes=0).eval(), torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(model(images), model.forward_features(images).mean((2, 3)))


def test_reset_classifier_changes_the_head_only():
    model = small(dropout=0.3, dtype=torch.float64).eval()
    layers = copy.deepcopy(model.conv_mixer_layers.state_dict())
    model.reset_classifier(7)
    assert model(torch.randn(2, 3, 8, 8, dtype=torch.float64)).shape == (2, 7)
    assert model.classification.dropout.p == 0.3 and not model.classification.training
    assert all(torch.equal(layers[key], value) for key, value in model.conv_mixer_layers.state_dict().items())
    model.reset_classifier(0)
    assert model(torch.randn(2, 3, 8, 8, dtype=torch.float64)).shape == (2, 16)


def test_dropout_acts_on_the_head_in_training_only():
    head, features = ClassificationHead(400, 0, dropout=0.25), torch.ones(1, 400, 2, 2)
    dropped = head(features)
    assert 50 < (dropped == 0).sum() < 150
    torch.testing.assert_close(dropped[dropped != 0], torch.full_like(dropped[dropped != 0], 1 / 0.75))
    assert torch.equal(head.eval()(features), torch.ones(1, 400))


def test_device_and_dtype_reach_every_parameter():
    model = small(device="meta", dtype=torch.float16)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}


def test_gradient_checkpointing_changes_neither_gradients_nor_statistics():
    plain = small()
    saving = copy.deepcopy(plain)
    saving.set_grad_checkpointing()
    images = torch.randn(4, 3, 8, 8)
    for model in (plain, saving):
        model(images).square().sum().backward()
    for (name, expected), parameter in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, msg=name)
    for (name, expected), value in zip(plain.named_buffers(), saving.named_buffers(), strict=True):
        torch.testing.assert_close(value[1], expected, rtol=0, atol=0, msg=name)


def test_gradient_checkpointing_keeps_less():
    def bytes_kept(model):
        kept = {}

        def pack(tensor):
            kept[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(torch.randn(4, 3, 16, 16))
        return sum(kept.values())

    assert bytes_kept(small(n_layers=6, grad_checkpointing=True)) < bytes_kept(small(n_layers=6)) / 2


def test_statistics_are_kept_within_the_context_only():
    layer, x = ConvMixerLayer(4, 3), torch.randn(2, 4, 5, 5)
    with running_statistics_kept(layer):
        layer(x)
    assert layer.norm1.num_batches_tracked == 0 and torch.equal(layer.norm1.running_mean, torch.zeros(4))
    layer(x)
    assert layer.norm1.num_batches_tracked == 1 and layer.norm1.momentum == 0.1


# What a module of torch has to go through


def test_state_dict_round_trip():
    model = small()
    model(torch.randn(4, 3, 8, 8))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = small()
    other.load_state_dict(torch.load(file, weights_only=True))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(model.eval()(images), other.eval()(images))


def test_deep_copy_is_independent():
    model = small().eval()
    other = copy.deepcopy(model)
    images = torch.randn(2, 3, 8, 8)
    before = model(images)
    nn.init.zeros_(other.classification.linear.weight)
    assert torch.equal(model(images), before) and not torch.equal(other(images), before)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (g++)")
@pytest.mark.parametrize("grad_checkpointing", [False, True])
def test_compile_trains_the_same(grad_checkpointing):
    torch._dynamo.reset()
    plain = small(n_layers=1, grad_checkpointing=grad_checkpointing)
    model = copy.deepcopy(plain)
    compiled = torch.compile(model, fullgraph=True)
    images = torch.randn(4, 3, 8, 8)
    compiled(images).square().sum().backward()
    plain(images).square().sum().backward()
    for (name, expected), parameter in zip(plain.named_parameters(), model.named_parameters(), strict=True):
        torch.testing.assert_close(parameter[1].grad, expected.grad, rtol=1e-3, atol=1e-4, msg=name)
    for (name, expected), value in zip(plain.named_buffers(), model.named_buffers(), strict=True):
        torch.testing.assert_close(value[1], expected, rtol=1e-4, atol=1e-5, msg=name)


def dynamic_sizes(patch_size: int):
    """Any batch, and any image of at least two patches by two: torch exports a size of one as a constant."""
    Dim = torch.export.Dim
    return {"x": {0: Dim("batch"), 2: Dim("height", min=2 * patch_size), 3: Dim("width", min=2 * patch_size)}}


@torch.no_grad()
def test_export_takes_any_batch_and_any_size():
    model = small().eval()
    program = torch.export.export(model, (torch.randn(2, 3, 8, 12),), dynamic_shapes=dynamic_sizes(2), strict=False)
    images = torch.randn(3, 3, 14, 10)
    torch.testing.assert_close(program.module()(images), model(images))


@torch.no_grad()
def test_onnx_gives_the_same_logits(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = small().eval()
    file = tmp_path / "conv_mixer.onnx"
    torch.onnx.export(
        model, (torch.randn(2, 3, 8, 12),), file, dynamo=True, dynamic_shapes=dynamic_sizes(2), input_names=["x"]
    )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = torch.randn(3, 3, 14, 10)
    (logits,) = session.run(None, {"x": images.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), model(images), rtol=1e-4, atol=1e-5)


def test_channels_last_goes_in_and_comes_out():
    model, images = small().eval(), torch.randn(2, 3, 8, 8)
    expected = model(images)
    model = model.to(memory_format=torch.channels_last)
    features = model.forward_features(images.to(memory_format=torch.channels_last))
    assert features.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model.forward_head(features), expected, rtol=1e-4, atol=1e-5)


def test_bfloat16_autocast_trains_close_to_float32():
    model, images = small(), torch.randn(8, 3, 16, 16)
    expected = copy.deepcopy(model)(images)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
        loss = logits.square().mean()
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0, atol=0.1)
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32 and parameter.grad.isfinite().all(), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA runs on")
@pytest.mark.parametrize("grad_checkpointing", [False, True])
def test_a_gpu_computes_the_same(grad_checkpointing):
    plain = small()
    model = copy.deepcopy(plain).to("cuda", memory_format=torch.channels_last)
    model.set_grad_checkpointing(grad_checkpointing)
    images = torch.randn(4, 3, 16, 16)
    plain(images).square().sum().backward()
    model(images.to("cuda", memory_format=torch.channels_last)).square().sum().backward()
    for (name, expected), parameter in zip(plain.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad.cpu(), expected.grad, rtol=1e-2, atol=1e-2, msg=name)
    for (name, expected), value in zip(plain.named_buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-3, atol=1e-3, msg=name)


# Mistakes


@pytest.mark.parametrize(
    "options, message",
    [
        ({"d_model": 0}, "`d_model` must be an integer of at least 1, but it is 0"),
        ({"kernel_size": 0}, "`kernel_size` must be an integer of at least 1, but it is 0"),
        ({"kernel_size": 3.0}, "`kernel_size` must be an integer of at least 1, but it is 3.0"),
        ({"patch_size": -2}, "`patch_size` must be an integer of at least 1, but it is -2"),
        ({"in_channels": True}, "`in_channels` must be an integer of at least 1, but it is True"),
        ({"n_layers": 0}, "`n_layers` must be an integer of at least 1, but it is 0"),
        ({"n_classes": -1}, "`n_classes` must be an integer of at least 0, but it is -1"),
        ({"dropout": 1.5}, "`dropout` is a probability between 0 and 1, but it is 1.5"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.zeros(2, 1, 8, 8), "`x` has 1 channels, but the model was built with `in_channels=3`"),
        (torch.zeros(2, 3, 1, 8), "`x` is 1 × 8 pixels, which is less than one patch .`patch_size=2`"),
        (
            torch.zeros(3, 8, 8),
            "`x` must have the shape .batch_size, channels, height, width., but it has 3 dimensions",
        ),
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            "`x` holds torch.uint8 numbers: turn the pixels into floats first",
        ),
    ],
)
def test_a_wrong_image_is_described(images, message):
    with pytest.raises(ValueError, match=message):
        small()(images)


def test_parts_of_different_widths_are_refused():
    with pytest.raises(ValueError, match="must agree in `d_model`, but they have 16, 8 and 16"):
        ConvMixer(ConvMixerLayer(8, 3), 2, PatchEmbeddings(16, 4, 3), ClassificationHead(16, 10))
