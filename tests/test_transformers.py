"""Attention, feed-forward network, ViT and MLP-Mixer give what torch and timm give with the same weights."""

import pytest
import timm
import torch
from timm.models.mlp_mixer import MlpMixer as TimmMixer
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import nn
from torch.nn import functional as F

from labml_nn.transformers import FeedForward, MultiHeadAttention
from labml_nn.transformers.mha import causal_mask
from labml_nn.transformers.mlp_mixer import mixer_b16_224, mlp_mixer
from labml_nn.transformers.vit import VisionTransformer, vision_transformer, vit_base_patch16_224


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def randomized(model: nn.Module) -> nn.Module:
    """Random values in every parameter, so that none is left out of the comparison by being zero or one."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.eval()


def n_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# Attention


def attention_like(theirs: nn.MultiheadAttention) -> MultiHeadAttention:
    """Torch keeps the three projections of the input in one matrix, one below the other."""
    ours = MultiHeadAttention(theirs.num_heads, theirs.embed_dim, bias=theirs.in_proj_bias is not None).eval()
    state = {"output." + key: value for key, value in theirs.out_proj.state_dict().items()}
    for i, name in enumerate(["query", "key", "value"]):
        state[f"{name}.weight"] = theirs.in_proj_weight.chunk(3)[i]
        if theirs.in_proj_bias is not None:
            state[f"{name}.bias"] = theirs.in_proj_bias.chunk(3)[i]
    ours.load_state_dict(state)
    return ours


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_is_torchs(heads, bias):
    theirs = randomized(nn.MultiheadAttention(24, heads, bias=bias, batch_first=True))
    ours = attention_like(theirs)
    query, key, value = torch.randn(2, 5, 24), torch.randn(2, 7, 24), torch.randn(2, 7, 24)
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])


def test_masks_are_torchs_turned_around():
    theirs = randomized(nn.MultiheadAttention(24, 4, batch_first=True))
    ours = attention_like(theirs)
    x = torch.randn(2, 6, 24)
    expected = theirs(x, x, x, attn_mask=~causal_mask(6))[0]
    torch.testing.assert_close(ours(x, x, x, causal_mask(6)), expected)
    padding = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    expected = theirs(x, x, x, key_padding_mask=~padding)[0]
    torch.testing.assert_close(ours(x, x, x, padding[:, None, None, :]), expected)


def test_the_heads_are_scaled_dot_product_attention():
    ours = MultiHeadAttention(4, 24).eval()
    x, mask = torch.randn(2, 6, 24), torch.rand(2, 4, 6, 6) < 0.7
    mask |= torch.eye(6, dtype=torch.bool)
    q, k, v = (ours.split_heads(part(x)) for part in (ours.query, ours.key, ours.value))
    heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(ours(x, x, x, mask), ours.output(heads.transpose(1, 2).flatten(2)))


def test_the_future_changes_nothing_behind_a_causal_mask():
    ours = MultiHeadAttention(4, 24)
    x = torch.randn(1, 6, 24)
    changed = torch.cat([x[:, :3], torch.randn(1, 3, 24)], dim=1)
    before, after = ours(x, x, x, causal_mask(6)), ours(changed, changed, changed, causal_mask(6))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_a_query_that_may_look_nowhere_finds_zeros_and_harms_no_gradient():
    ours = MultiHeadAttention(2, 8)
    x = torch.randn(1, 3, 8)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, False]])
    y = ours(x, x, x, mask)
    torch.testing.assert_close(y[0, 1], ours.output.bias)
    y.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in ours.parameters())


def test_attention_dropout_acts_in_training_only():
    ours, x = MultiHeadAttention(2, 8, dropout=0.5), torch.randn(1, 20, 8)
    assert not torch.equal(ours(x, x, x), ours(x, x, x))
    ours.eval()
    assert torch.equal(ours(x, x, x), ours(x, x, x))


def test_wrong_attention_arguments():
    with pytest.raises(ValueError, match="`d_model` must be a multiple of `heads`, but 10 is no multiple of 4"):
        MultiHeadAttention(4, 10)
    with pytest.raises(ValueError, match=r"`mask` must be boolean, .* but it holds torch.float32"):
        MultiHeadAttention(2, 8)(*[torch.zeros(1, 2, 8)] * 3, torch.zeros(2, 2))


# Feed-forward network


def test_feed_forward_is_the_formula():
    ours, x = FeedForward(6, 10), torch.randn(2, 3, 6)
    w1, b1, w2, b2 = ours.layer1.weight, ours.layer1.bias, ours.layer2.weight, ours.layer2.bias
    torch.testing.assert_close(ours(x), (x @ w1.T + b1).clamp(min=0) @ w2.T + b2)


@pytest.mark.parametrize(
    "activation, function",
    [
        (nn.Sigmoid(), torch.sigmoid),
        (nn.Identity(), lambda x: x),
        (nn.ReLU(), F.relu),
        (nn.GELU(), F.gelu),
        (nn.SiLU(), lambda x: x * torch.sigmoid(x)),
    ],
)
def test_gated_variants(activation, function):
    ours = FeedForward(6, 10, activation=activation, is_gated=True, bias1=False, bias2=False, bias_gate=False)
    x = torch.randn(2, 3, 6)
    w, v, w2 = ours.layer1.weight, ours.gate.weight, ours.layer2.weight
    torch.testing.assert_close(ours(x), (function(x @ w.T) * (x @ v.T)) @ w2.T)
    assert n_parameters(ours) == 3 * 6 * 10


def test_glu_is_torchs():
    ours = FeedForward(6, 10, activation=nn.Sigmoid(), is_gated=True)
    x = torch.randn(2, 3, 6)
    # Torch takes the sigmoid of the second half
    hidden = F.glu(torch.cat([ours.gate(x), ours.layer1(x)], dim=-1))
    torch.testing.assert_close(ours(x), ours.layer2(hidden))


def test_a_1x1_convolution_is_a_linear_layer_for_each_position():
    conv, x = nn.Conv2d(6, 10, kernel_size=1), torch.randn(2, 6, 4, 5)
    each = F.linear(x.permute(0, 2, 3, 1), conv.weight[:, :, 0, 0], conv.bias)
    torch.testing.assert_close(conv(x), each.permute(0, 3, 1, 2))


def test_wrong_feed_forward_arguments():
    with pytest.raises(ValueError, match="`d_ff` must be an integer of at least 1, but it is 0"):
        FeedForward(6, 0)
    with pytest.raises(ValueError, match=r"`dropout` is a probability between 0 and 1, but it is -0.1"):
        FeedForward(6, 10, dropout=-0.1)


# Vision Transformer


def load_timm_vit(ours: VisionTransformer, theirs: TimmVisionTransformer) -> None:
    parts = {"patch_emb.conv": theirs.patch_embed.proj, "norm": theirs.norm, "classification": theirs.head}
    state = {"class_token": theirs.cls_token, "positions": theirs.pos_embed}
    for i, block in enumerate(theirs.blocks):
        parts |= {
            f"layers.{i}.norm_self_attn": block.norm1,
            f"layers.{i}.self_attn.output": block.attn.proj,
            f"layers.{i}.norm_ff": block.norm2,
            f"layers.{i}.feed_forward.layer1": block.mlp.fc1,
            f"layers.{i}.feed_forward.layer2": block.mlp.fc2,
        }
        for j, name in enumerate(["query", "key", "value"]):
            state[f"layers.{i}.self_attn.{name}.weight"] = block.attn.qkv.weight.chunk(3)[j]
            state[f"layers.{i}.self_attn.{name}.bias"] = block.attn.qkv.bias.chunk(3)[j]
    for name, part in parts.items():
        state |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
    ours.load_state_dict(state)


@pytest.mark.parametrize("image_size", [24, (16, 32)])
@torch.no_grad()
def test_vit_is_timms(image_size):
    theirs = randomized(
        TimmVisionTransformer(image_size, patch_size=8, embed_dim=32, depth=3, num_heads=4, mlp_ratio=2, num_classes=7)
    )
    ours = vision_transformer(32, 3, 4, d_ff=64, patch_size=8, image_size=image_size, n_classes=7).eval()
    load_timm_vit(ours, theirs)
    images = torch.randn(2, 3, *ours.image_size)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_vit_without_positions_takes_the_patches_as_a_set():
    model = vision_transformer(32, 2, 4, d_ff=64, patch_size=4, image_size=8, n_classes=7).eval()
    images = torch.randn(1, 3, 8, 8)
    shuffled = images.roll(4, dims=3)
    assert not torch.allclose(model(images), model(shuffled), atol=1e-6)
    nn.init.zeros_(model.positions)
    torch.testing.assert_close(model(images), model(shuffled))


def test_vit_layers_do_not_start_equal():
    layers = vision_transformer(32, 2, 4, d_ff=64, patch_size=4, image_size=8, n_classes=7).layers
    assert not torch.equal(layers[0].self_attn.query.weight, layers[1].self_attn.query.weight)


def test_published_sizes():
    with torch.device("meta"):
        assert n_parameters(vit_base_patch16_224()) == n_parameters(timm.create_model("vit_base_patch16_224"))
        assert n_parameters(mixer_b16_224()) == n_parameters(timm.create_model("mixer_b16_224"))


def test_wrong_vit_arguments():
    sizes = {"d_model": 32, "n_layers": 1, "heads": 4, "d_ff": 64, "patch_size": 8, "n_classes": 7}
    with pytest.raises(ValueError, match="`image_size` must be a multiple of `patch_size=8`, but it is 20"):
        vision_transformer(image_size=20, **sizes)
    with pytest.raises(ValueError, match=r"`x` is 16 × 24 pixels, but .* `image_size=\(16, 16\)`"):
        vision_transformer(image_size=16, **sizes)(torch.zeros(1, 3, 16, 24))
    with pytest.raises(ValueError, match="`n_layers` must be an integer of at least 1, but it is 0"):
        vision_transformer(image_size=16, **(sizes | {"n_layers": 0}))


# MLP-Mixer


@torch.no_grad()
def test_mlp_mixer_is_timms():
    theirs = randomized(
        TimmMixer(num_classes=7, img_size=24, patch_size=8, num_blocks=3, embed_dim=32, mlp_ratio=(0.5, 4.0))
    )
    ours = mlp_mixer(32, 3, d_token_ff=16, d_channel_ff=128, patch_size=8, image_size=24, n_classes=7).eval()
    parts = {"patch_emb.conv": theirs.stem.proj, "norm": theirs.norm, "classification": theirs.head}
    for i, block in enumerate(theirs.blocks):
        parts |= {
            f"layers.{i}.norm_token": block.norm1,
            f"layers.{i}.token_mixing.layer1": block.mlp_tokens.fc1,
            f"layers.{i}.token_mixing.layer2": block.mlp_tokens.fc2,
            f"layers.{i}.norm_channel": block.norm2,
            f"layers.{i}.channel_mixing.layer1": block.mlp_channels.fc1,
            f"layers.{i}.channel_mixing.layer2": block.mlp_channels.fc2,
        }
    ours.load_state_dict(
        {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    )
    images = torch.randn(2, 3, 24, 24)
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_mlp_mixer_names_the_wrong_size():
    sizes = {"d_model": 8, "n_layers": 1, "d_token_ff": 4, "d_channel_ff": 16, "patch_size": 4, "n_classes": 2}
    with pytest.raises(ValueError, match="`x` makes 9 patches, but token mixing was built for 4"):
        mlp_mixer(image_size=8, **sizes)(torch.zeros(1, 3, 12, 12))
    with pytest.raises(ValueError, match="`image_size` must be an integer of at least 4, but it is 3"):
        mlp_mixer(image_size=3, **sizes)
