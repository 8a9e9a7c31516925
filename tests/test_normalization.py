"""The written-out normalizations are torch's, to the last buffer."""

import pytest
import torch
from torch import nn

from labml_nn.conv_mixer import conv_mixer
from labml_nn.normalization.batch_norm import BatchNorm
from labml_nn.normalization.layer_norm import LayerNorm

SHAPES = {1: (8, 5), 2: (6, 5, 7), 3: (4, 5, 6, 3), 4: (2, 5, 3, 4, 2)}
TORCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def randomized(norm: nn.Module) -> nn.Module:
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 2)
    return norm


def assert_same_state(ours: nn.Module, theirs: nn.Module) -> None:
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[key], value, msg=key)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "options",
    [{}, {"affine": False}, {"momentum": None}, {"momentum": 0.3, "eps": 0.1}, {"track_running_stats": False}],
)
def test_batch_norm_is_torchs_in_training_and_evaluation(dimensions, options):
    theirs = randomized(TORCH_NORMS[dimensions](5, **options))
    ours = BatchNorm(5, **options)
    ours.load_state_dict(theirs.state_dict())
    # The running averages need a few batches to tell a wrong update from a right one
    for _ in range(3):
        x = 3 + 2 * torch.randn(SHAPES[dimensions])
        torch.testing.assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)
    ours.eval(), theirs.eval()
    x = torch.randn(SHAPES[dimensions])
    torch.testing.assert_close(ours(x), theirs(x))
    assert_same_state(ours, theirs)


def test_batch_norm_gradients_are_torchs():
    theirs, ours = nn.BatchNorm2d(5), BatchNorm(5)
    x, target = torch.randn(2, 4, 5, 3, 3)
    gradients = []
    for norm in (theirs, ours):
        leaf = x.clone().requires_grad_()
        (norm(leaf) - target).square().sum().backward()
        gradients.append((leaf.grad, norm.weight.grad, norm.bias.grad))
    torch.testing.assert_close(gradients[1], gradients[0])


def test_batch_norm_of_one_image_is_refused_where_it_has_no_variance():
    norm = BatchNorm(5)
    with pytest.raises(ValueError, match=r"`x` has the shape \[1, 5\]: one number for each channel has no variance"):
        norm(torch.zeros(1, 5))
    assert norm.num_batches_tracked == 0
    norm.eval()(torch.zeros(1, 5))
    norm.train()(torch.zeros(1, 5, 2))


@pytest.mark.parametrize("shape", [(4, 6, 2), (5,)])
def test_batch_norm_names_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"`x` must have the shape \[batch_size, 5, \*\]"):
        BatchNorm(5)(torch.zeros(shape))


def test_batch_norm_takes_the_place_of_torchs_in_conv_mixer():
    model = conv_mixer(8, 1, 3, 2, n_classes=0)
    images = torch.randn(4, 3, 8, 8)
    expected = model(images)
    layer = model.conv_mixer_layers[0]
    layer.norm1, layer.norm2, model.patch_emb.norm = BatchNorm(8), BatchNorm(8), BatchNorm(8)
    torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize("normalized_shape", [6, (6,), (4, 6), (5, 4, 6)])
@pytest.mark.parametrize("options", [{}, {"eps": 0.1}, {"elementwise_affine": False}])
def test_layer_norm_is_torchs(normalized_shape, options):
    theirs = randomized(nn.LayerNorm(normalized_shape, **options))
    ours = LayerNorm(normalized_shape, **options)
    ours.load_state_dict(theirs.state_dict())
    x = (3 + 2 * torch.randn(2, 5, 4, 6)).requires_grad_()
    y = ours(x)
    torch.testing.assert_close(y, theirs(x))
    weights = torch.randn_like(y)
    (ours_grad,) = torch.autograd.grad((y * weights).sum(), x)
    (theirs_grad,) = torch.autograd.grad((theirs(x) * weights).sum(), x)
    torch.testing.assert_close(ours_grad, theirs_grad)


def test_layer_norm_looks_at_one_token_only():
    norm, x = LayerNorm(6), torch.randn(2, 3, 6)
    changed = x.clone()
    changed[1, 2] += 1 + torch.randn(6)
    different = (norm(x) != norm(changed)).any(-1)
    assert different.nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(2, 5), (5, 6, 4), (6,)])
def test_layer_norm_names_the_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"`x` must have the shape \[\*, \[4, 6\]\], but it has"):
        LayerNorm((4, 6))(torch.zeros(shape))


@pytest.mark.parametrize("wrong", [0, (4, 0), (), 2.5])
def test_layer_norm_refuses_a_shape_that_is_none(wrong):
    with pytest.raises(ValueError, match="`normalized_shape` must"):
        LayerNorm(wrong)


def test_sizes_and_types_reach_the_parameters():
    norm = BatchNorm(5, device="meta", dtype=torch.float64)
    assert norm.weight.dtype == norm.running_var.dtype == torch.float64 and norm.running_mean.is_meta
    assert LayerNorm(5, device="meta", dtype=torch.float64).bias.dtype == torch.float64
    with pytest.raises(ValueError, match="`channels` must be an integer of at least 1, but it is 0"):
        BatchNorm(0)
