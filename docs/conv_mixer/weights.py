r"""
---
title: Weights trained elsewhere
summary: >
  Load ConvMixer weights saved by timm or by the authors' nn.Sequential model, with a clear refusal where they do not
  fit.
example: |
  from labml_nn.conv_mixer import conv_mixer
  from labml_nn.conv_mixer.weights import load_weights, sequential_names

  # Stands for a file: what the authors' code would have saved for the same model
  model = conv_mixer(d_model=32, n_layers=2, kernel_size=5, patch_size=4, n_classes=10)
  names = sequential_names(model)
  saved = {names[ours]: value for ours, value in model.state_dict().items()}
  load_weights(model, saved)
---

# Weights trained elsewhere

A state dict is a flat dictionary from the name of a parameter to its value, and the names follow from how the
model's code is organized. The same ConvMixer therefore has other names in each code base:

| | ours | [timm][timm] | [the authors][authors] |
| --- | --- | --- | --- |
| patch embedding | `patch_emb.conv` | `stem.0` | `0` |
| and its normalization | `patch_emb.norm` | `stem.2` | `2` |
| layer $i$, depth-wise | `conv_mixer_layers.i.depth_wise_conv` | `blocks.i.0.fn.0` | `(3+i).0.fn.0` |
| and its normalization | `conv_mixer_layers.i.norm1` | `blocks.i.0.fn.2` | `(3+i).0.fn.2` |
| layer $i$, point-wise | `conv_mixer_layers.i.point_wise_conv` | `blocks.i.1` | `(3+i).1` |
| and its normalization | `conv_mixer_layers.i.norm2` | `blocks.i.3` | `(3+i).3` |
| head | `classification.linear` | `head` | `(5+d)` |

[timm]: https://github.com/huggingface/pytorch-image-models
[authors]: https://github.com/locuslab/convmixer

The authors' model is one `nn.Sequential`, which numbers its parts: convolution 0, activation 1, normalization 2, then
the $d$ layers, the pooling $3 + d$, the flattening $4 + d$, and the linear layer $5 + d$.
The values need no change at all, only the names.

With a file that timm saved, this is all:

```python
model = conv_mixer_768_32()
load_weights(model, torch.load("convmixer_768_32.pth", weights_only=True))
```

Weights do not tell which activation they were trained with. [The family functions](index.html#family) know it for the
published models: ReLU for ConvMixer-768/32, GELU for the others.
"""

from collections.abc import Iterable, Mapping

import torch

from labml_nn.conv_mixer import ConvMixer


def load_weights(model: ConvMixer, state_dict: Mapping[str, torch.Tensor]) -> None:
    """
    ## Load weights under anyone's names

    * `model` is the ConvMixer to load them into
    * `state_dict` are the weights, with our names, timm's, or the authors'

    Raises a `ValueError`, and leaves the model as it was, if the weights do not [fit](#convert_state_dict).
    """
    model.load_state_dict(convert_state_dict(model, state_dict))


def convert_state_dict(model: ConvMixer, state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    ## Rename and check

    * `model` says which names and shapes are expected
    * `state_dict` are the weights, with our names, timm's, or the authors'

    Returns the same tensors under the names of `model.state_dict()`.

    Raises a `ValueError` that names the key, and the two shapes where shapes differ, if the names are of none of the
    three kinds, if one is missing or left over, or if a shape is not that of the model.
    """
    state_dict = unwrapped(state_dict)
    names = expected_names(model, state_dict)
    expected = model.state_dict()

    # Older versions of torch did not count batches, so weights from then lack these counters. They do not take part in
    # the computation; start them where the model stands.
    counters = {ours: value for ours, value in expected.items() if ours.endswith(".num_batches_tracked")}
    # Everything else must be there, and nothing may be left over, which would mean that the model is another one
    missing = [theirs for ours, theirs in names.items() if theirs not in state_dict and ours not in counters]
    unexpected = sorted(state_dict.keys() - names.values())
    if missing or unexpected:
        raise ValueError(
            f"These weights belong to another model than this one of {len(model.conv_mixer_layers)} layers and "
            f"{model.classification.n_classes} classes."
            + _listed("Missing", missing)
            + _listed("Left over", unexpected)
        )

    converted = {ours: state_dict.get(theirs, expected[ours]) for ours, theirs in names.items()}
    # Same names, but perhaps another width, kernel or number of classes
    for ours, value in converted.items():
        if value.shape != expected[ours].shape:
            raise ValueError(
                f"`{names[ours]}` has the shape {list(value.shape)}, but this model expects "
                f"{list(expected[ours].shape)} for its `{ours}`: {_likely_cause(ours)}"
            )
    return converted


def timm_names(model: ConvMixer) -> dict[str, str]:
    """
    ## timm's names

    Maps each of our names to the one that timm gives to the same tensor.
    """
    parts = {"patch_emb.conv": "stem.0", "patch_emb.act": "stem.1", "patch_emb.norm": "stem.2"}
    parts |= {"classification.linear": "head"}
    for i in range(len(model.conv_mixer_layers)):
        parts |= _layer_names(i, f"blocks.{i}")
    return _tensor_names(model, parts)


def sequential_names(model: ConvMixer) -> dict[str, str]:
    """
    ## The authors' names

    Maps each of our names to the one that the authors' `nn.Sequential` gives to the same tensor.
    """
    n_layers = len(model.conv_mixer_layers)
    parts = {"patch_emb.conv": "0", "patch_emb.act": "1", "patch_emb.norm": "2"}
    parts |= {"classification.linear": f"{5 + n_layers}"}
    for i in range(n_layers):
        parts |= _layer_names(i, f"{3 + i}")
    return _tensor_names(model, parts)


def _layer_names(i: int, theirs: str) -> dict[str, str]:
    """
    Inside a layer the two agree: the residual connection is a module that keeps what it wraps in `fn`.
    An activation has an entry too, since some hold parameters, such as `nn.PReLU`.
    """
    ours = f"conv_mixer_layers.{i}"
    return {
        f"{ours}.depth_wise_conv": f"{theirs}.0.fn.0",
        f"{ours}.act1": f"{theirs}.0.fn.1",
        f"{ours}.norm1": f"{theirs}.0.fn.2",
        f"{ours}.point_wise_conv": f"{theirs}.1",
        f"{ours}.act2": f"{theirs}.2",
        f"{ours}.norm2": f"{theirs}.3",
    }


def _tensor_names(model: ConvMixer, parts: Mapping[str, str]) -> dict[str, str]:
    """
    From the names of the parts to those of their tensors: `stem.0` holds `stem.0.weight` and `stem.0.bias`.
    """
    split = (ours.rpartition(".") for ours in model.state_dict())
    return {f"{part}.{tensor}": f"{parts[part]}.{tensor}" for part, _, tensor in split}


def expected_names(model: ConvMixer, state_dict: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """
    ## Whose names are these?

    Each code base gives its patch embedding a name of its own, so one key tells.
    Returns a map from each of our names to the one expected in `state_dict`.

    Raises a `ValueError` for any other names.
    """
    if "patch_emb.conv.weight" in state_dict:
        return {ours: ours for ours in model.state_dict()}
    if "stem.0.weight" in state_dict:
        return timm_names(model)
    if "0.weight" in state_dict:
        return sequential_names(model)
    raise ValueError(
        "These are no ConvMixer weights that we know: there is no `patch_emb.conv.weight` (our name), `stem.0.weight` "
        f"(timm's) or `0.weight` (the authors') among the {len(state_dict)} keys{_examples(state_dict)}"
    )


def unwrapped(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """
    ## Names with something in front

    `DistributedDataParallel` and `torch.compile` hold the model in an attribute, which puts its name before all of the
    others: `module.stem.0.weight`, `_orig_mod.stem.0.weight`, or both. This takes it off.
    """
    for prefix in ("module.", "_orig_mod."):
        while state_dict and all(key.startswith(prefix) for key in state_dict):
            state_dict = {key.removeprefix(prefix): value for key, value in state_dict.items()}
    return dict(state_dict)


def _likely_cause(ours: str) -> str:
    """
    Which argument of the model decides the shape that turned out wrong, by the name of the tensor.
    """
    if ours.startswith("patch_emb.conv"):
        return "compare `d_model`, `patch_size` and `in_channels`"
    if ours.startswith("classification"):
        return "compare `n_classes`, or load first and call `reset_classifier` then"
    return "compare `d_model` and `kernel_size`"


def _listed(what: str, keys: list[str]) -> str:
    return f" {what}: {len(keys)} tensors{_examples(keys)}." if keys else ""


def _examples(keys: Iterable[str]) -> str:
    """
    The first keys stand for all of them: a message of a hundred lines helps nobody.
    """
    names = [f"`{key}`" for key in keys]
    shown = names[:3] + ["…"] * (len(names) > 3)
    return f" ({', '.join(shown)})" if names else ""
