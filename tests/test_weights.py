"""Weights from timm and from the authors' model give the same logits here, and refuse where they do not fit."""

import copy
from collections.abc import Iterator

import pytest
import timm
import torch
from torch import nn

from labml_nn.conv_mixer import (
    conv_mixer,
    conv_mixer_768_32,
    conv_mixer_1024_20_ks9_p14,
    conv_mixer_1536_20,
)
from labml_nn.conv_mixer.weights import convert_state_dict, load_weights, sequential_names, timm_names


class Residual(nn.Module):
    """What the authors' model uses for its skip connection."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fn(x) + x


def sequential_conv_mixer(h: int, d: int, k: int, p: int, n_classes: int, act: type[nn.Module] = nn.GELU) -> nn.Module:
    """The network as one `nn.Sequential`, from the paper's equations 1 to 3."""

    def normalized(conv: nn.Module) -> list[nn.Module]:
        return [conv, act(), nn.BatchNorm2d(h)]

    layers = [
        nn.Sequential(
            Residual(nn.Sequential(*normalized(nn.Conv2d(h, h, k, groups=h, padding="same")))),
            *normalized(nn.Conv2d(h, h, 1)),
        )
        for _ in range(d)
    ]
    head = [nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(h, n_classes)]
    return nn.Sequential(*normalized(nn.Conv2d(3, h, p, stride=p)), *layers, *head)


def as_if_trained(model: nn.Module) -> nn.Module:
    """Give every normalization statistics and an affine map that do something."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.num_batches_tracked += 7
    return model.eval()


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    "name, ours",
    [
        ("convmixer_1536_20", conv_mixer_1536_20),
        ("convmixer_768_32", conv_mixer_768_32),
        ("convmixer_1024_20_ks9_p14", conv_mixer_1024_20_ks9_p14),
    ],
)
@torch.no_grad()
def test_logits_of_the_imagenet_models_equal_timms(name, ours):
    theirs = as_if_trained(timm.create_model(name))
    # On the meta device the random weights, which would be replaced anyway, cost nothing
    model = ours(device="meta")
    model.load_state_dict(convert_state_dict(model, theirs.state_dict()), assign=True)
    model.eval()

    for height, width in [(224, 224), (96, 131)]:
        images = torch.randn(1, 3, height, width)
        logits = theirs(images)
        # Numbers too small to differ would make the comparison say nothing
        assert logits.std() > 0.1
        torch.testing.assert_close(model(images), logits, rtol=0, atol=1e-5)


@torch.no_grad()
def test_logits_equal_those_of_the_authors_sequential():
    theirs = as_if_trained(sequential_conv_mixer(h=32, d=3, k=5, p=4, n_classes=7, act=nn.ReLU))
    ours = conv_mixer(32, 3, 5, 4, n_classes=7, activation=nn.ReLU).eval()
    load_weights(ours, theirs.state_dict())

    for size in [(32, 32), (21, 38)]:
        images = torch.randn(2, 3, *size)
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@torch.no_grad()
def test_an_even_kernel_leans_the_way_timms_does():
    theirs = as_if_trained(timm.models.convmixer.ConvMixer(16, 2, kernel_size=4, patch_size=2, num_classes=5))
    ours = conv_mixer(16, 2, 4, 2, n_classes=5).eval()
    load_weights(ours, theirs.state_dict())
    images = torch.randn(2, 3, 20, 20)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)


def small(**options):
    return conv_mixer(**{"d_model": 8, "n_layers": 2, "kernel_size": 3, "patch_size": 2, "n_classes": 4} | options)


def renamed(model, names):
    return {names(model)[ours]: value for ours, value in model.state_dict().items()}


@pytest.mark.parametrize("names", [timm_names, sequential_names])
def test_every_tensor_arrives(names):
    source, target = as_if_trained(small()), small()
    load_weights(target, renamed(source, names))
    for key, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[key], value), key


def test_our_own_names_load_too():
    source, target = as_if_trained(small()), small()
    load_weights(target, source.state_dict())
    assert torch.equal(target.patch_emb.norm.running_mean, source.patch_emb.norm.running_mean)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_may_have_put_their_name_in_front(prefix):
    source, target = small(), small()
    load_weights(target, {prefix + key: value for key, value in renamed(source, timm_names).items()})
    assert torch.equal(target.classification.linear.weight, source.classification.linear.weight)


def test_a_file_without_batch_counters_loads():
    source, target = small(), small()
    old = {key: value for key, value in renamed(source, timm_names).items() if "num_batches_tracked" not in key}
    load_weights(target, old)
    assert torch.equal(target.classification.linear.weight, source.classification.linear.weight)


def test_an_activation_with_parameters_is_carried_over():
    theirs = as_if_trained(timm.models.convmixer.ConvMixer(8, 2, 3, 2, num_classes=4, act_layer=nn.PReLU))
    nn.init.constant_(theirs.stem[1].weight, 0.7)
    ours = small(activation=nn.PReLU)
    load_weights(ours, theirs.state_dict())
    assert ours.patch_emb.act.weight.item() == pytest.approx(0.7)


def test_weights_without_a_head_fit_a_model_without_one():
    source, target = small(n_classes=0), small(n_classes=0)
    load_weights(target, renamed(source, timm_names))
    assert torch.equal(target.patch_emb.conv.weight, source.patch_emb.conv.weight)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"kernel_size": 5},
            r"`blocks.0.0.fn.0.weight` has the shape \[8, 1, 5, 5\], .* \[8, 1, 3, 3\] .* `kernel_size`",
        ),
        ({"patch_size": 4}, r"`stem.0.weight` has the shape \[8, 3, 4, 4\], .* \[8, 3, 2, 2\] .* `patch_size`"),
        ({"n_classes": 9}, r"`head.weight` has the shape \[9, 8\], .* \[4, 8\] .* `reset_classifier`"),
        ({"n_layers": 3}, r"2 layers .* Left over: 14 tensors \(`blocks.2.0.fn.0.bias`, "),
        ({"n_layers": 1}, r"2 layers .* Missing: 12 tensors \(`blocks.1.0.fn.0.weight`, "),
        ({"n_classes": 0}, r"4 classes. Missing: 2 tensors \(`head.weight`, `head.bias`\)"),
    ],
)
def test_weights_of_another_model_are_refused(change, message):
    model = small()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        load_weights(model, renamed(small(**change), timm_names))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_checkpoint_of_something_else_is_named_by_its_keys():
    with pytest.raises(
        ValueError, match=r"no ConvMixer weights that we know.*among the 2 keys \(`epoch`, `state_dict`\)"
    ):
        load_weights(small(), {"epoch": torch.tensor(3), "state_dict": torch.zeros(1)})
