r"""
---
title: Faster inference with ConvMixer
summary: >
  Which batch normalizations of a ConvMixer can be folded into the weights around them, why zero padding and the
  residual connection keep the others, and what to do with those.
example: |
  import torch
  from labml_nn.conv_mixer import conv_mixer
  from labml_nn.conv_mixer.inference import optimize_for_inference

  model = conv_mixer(d_model=32, n_layers=2, kernel_size=5, patch_size=2, n_classes=10)
  fast = optimize_for_inference(model)
  logits = fast(torch.randn(4, 3, 16, 16))
---

# Faster inference with ConvMixer

After training, a [batch normalization](../normalization/batch_norm/index.html) is a multiplication and an addition per
channel. With the running mean $\mu$ and variance $v$,

$$\text{BN}(a) = s \odot a + t \qquad s = \frac{\gamma}{\sqrt{v + \epsilon}} \qquad t = \beta - \mu \odot s$$

In many networks such a pair of vectors disappears into the convolution *before* it. Not so in
[ConvMixer](index.html), where the activation stands between the two. So we look at what comes *behind*. Let $a$ be
what the activation gives and $z = s \odot a + t$ the normalized features.

## Into the head: all of it

The last normalization is followed by the mean over the image and a linear layer. With $\bar{a}$ for the mean of $a$,
that of $s \odot a + t$ is $s \odot \bar{a} + t$, so that

$$W (s \odot \bar{a} + t) + b = (W \, \text{diag}(s)) \, \bar{a} + (W t + b)$$

is a linear layer again, with other weights.

## Into the point-wise convolution: the shift

The normalization behind the depth-wise convolution is followed by a sum and the point-wise convolution, which has no
padding. With $a$ for what the activation before it gives, and $z$ for the features that entered the layer,

$$W \big((s \odot a + t) + z\big) + b = W (s \odot a + z) + (W t + b)$$

The shift moves into the bias. The scale cannot move into $W$, which multiplies $z$ as well. It stays where it costs
nothing: a multiplication on the way to a sum that has to read and write all features in any case.

## Into the depth-wise convolution: not the shift

The other normalizations are followed by a depth-wise convolution *and* by the residual connection around it:

$$\text{ConvDepthwise}(z) \quad \text{and} \quad z + \dots \qquad \text{with } z = s \odot a + t$$

For the convolution, the scale could go into the weights, $w'_c = w_c s_c$. The shift would add
$t_c \sum w_{c,u,v}$ to the bias: everywhere but near the border. *Zero padding* puts zeros around $z$,
and not $t$. A tap that lies outside the image contributes nothing, while the new bias counts it. With $k = 7$ on
$16 \times 16$ patches 61 % of the positions have such taps. (It can be repaired: pad with the $a$ for which
$z = 0$, that is $-t_c / s_c$, which asks for a convolution that knows about it and for $s_c \ne 0$.)

And the residual connection needs $z$ itself, scale and shift included. Something has to compute it, and once it is
there, the convolution can just as well read it. So these stay as they are: a multiplication and an addition while the
activation has the number in a register, in the same pass over memory.

What remains of a layer is

$$
\begin{aligned}
z' &= s_1 \odot \sigma(\text{ConvDepthwise}(z)) + z \\
z'' &= s_2 \odot \sigma(\text{ConvPointwise}'(z')) + t_2
\end{aligned}
$$

two convolutions and two passes over memory, where there were seven operations.
"""

import copy
from typing import TypeVar

import torch
from torch import nn

from labml_nn.conv_mixer import ConvMixer, ConvMixerLayer
from labml_nn.conv_mixer.depth_wise import convolve, is_exporting
from labml_nn.conv_mixer.gelu_batch_norm import call, native_library, rows
from labml_nn.utils import check_images

Module = TypeVar("Module", bound=nn.Module)


def optimize_for_inference(
    model: ConvMixer, *, dtype: torch.dtype = torch.float32, compile: bool = False
) -> "InferenceConvMixer":
    """
    ## Make a ConvMixer ready for use

    * `model` is a trained ConvMixer
    * `dtype` is the type to compute in. `torch.bfloat16` is right to two or three digits, and faster where the
      processor has instructions for it: 64 images take ConvMixer-256/8 157 milliseconds in place of 287, on one thread
      of an AMD EPYC (Zen 4).
    * `compile` hands the result to `torch.compile`, which joins the passes on devices that our loops in C++ do not
      serve

    Returns a new module that maps images to logits. It holds copies: the model stays as it is.

    Raises a `TypeError` for another kind of model. What
    [`optimize_for_training`](gelu_batch_norm.html#optimize_for_training) made is one; the model that it was made from
    has the same weights.
    """
    if not isinstance(model, ConvMixer):
        raise TypeError(f"`model` must be a ConvMixer, but it is a {type(model).__name__}")
    fast = InferenceConvMixer(model, dtype).eval().requires_grad_(False)
    if compile:
        fast.compile()
    #
    return fast


class InferenceConvMixer(nn.Module):
    """
    ## The network
    """

    @torch.no_grad()
    def __init__(self, model: ConvMixer, dtype: torch.dtype):
        """
        * `model` is the trained model
        * `dtype` is the type to compute in
        """
        super().__init__()
        self.in_channels = model.patch_emb.in_channels
        self.patch_size = model.patch_emb.patch_size
        self.dtype = dtype

        embedding = model.patch_emb
        self.embed = copied(embedding.conv, dtype)
        self.activate = NormalizedActivation(embedding.act, *scale_and_shift(embedding.norm))
        layers = [InferenceLayer(layer, dtype) for layer in model.conv_mixer_layers]
        head = copied(model.classification.linear, torch.float32)
        # A model without a classifier gives normalized features, and keeps its last normalization
        if isinstance(head, nn.Linear):
            fold_into_head(layers[-1].activate2, head)
        self.layers = nn.ModuleList(layers)
        self.head = head.to(dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        The logits have shape `[batch_size, n_classes]` and are 32-bit numbers.

        Raises a `ValueError` where the model would.
        """
        check_images(x, self.in_channels, self.patch_size)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        # Get the patch embeddings, of shape `[batch_size, d_model, height / patch_size, width / patch_size]`
        x = self.activate(self.embed(x))
        for layer in self.layers:
            x = layer(x)
        # Average over the image, and get the logits
        x = self.head(x.mean((2, 3)))
        #
        return x.float()


class InferenceLayer(nn.Module):
    """
    ## A layer
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype):
        """
        * `layer` is the layer of the trained model
        * `dtype` is the type to compute in
        """
        super().__init__()
        if not isinstance(layer, ConvMixerLayer):
            raise TypeError(f"every layer must be a ConvMixerLayer, but one is a {type(layer).__name__}")
        scale, shift = scale_and_shift(layer.norm1)
        # The shift of the first normalization moves into the bias of the point-wise convolution: $W t + b$
        point_wise_conv = copied(layer.point_wise_conv, torch.float32)
        assert point_wise_conv.bias is not None
        point_wise_conv.bias.add_(point_wise_conv.weight.flatten(1) @ shift)

        self.depth_wise_conv = copied(layer.depth_wise_conv, dtype)
        self.activate1 = NormalizedActivation(layer.act1, scale, torch.zeros_like(shift))
        self.point_wise_conv = point_wise_conv.to(dtype)
        self.activate2 = NormalizedActivation(layer.act2, *scale_and_shift(layer.norm2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` are the features, of shape `[batch_size, d_model, height, width]`
        """
        # $z' = s_1 \odot \sigma(\text{ConvDepthwise}(z)) + z$
        x = self.activate1(self.mix_locations(x), residual=x)
        # $z'' = s_2 \odot \sigma(\text{ConvPointwise}'(z')) + t_2$
        return self.activate2(self.point_wise_conv(x))

    def mix_locations(self, x: torch.Tensor) -> torch.Tensor:
        """
        The depth-wise convolution, in [our loops](depth_wise.html) where they can be had
        """
        conv = self.depth_wise_conv
        if can_use_loops(x):
            return convolve(x, conv.weight, conv.bias, (conv.kernel_size[0] - 1) // 2)
        return conv(x)


class NormalizedActivation(nn.Module):
    r"""
    ## Activation, scale and shift

    $s \odot \sigma(x) + t$, and a residual on top
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, activation: nn.Module, scale: torch.Tensor, shift: torch.Tensor):
        r"""
        * `activation` is $\sigma$
        * `scale` and `shift` are $s$ and $t$, of shape `[d_model]`
        """
        super().__init__()
        self.activation = activation
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """
        * `x` and `residual` have shape `[batch_size, d_model, height, width]`
        """
        if type(self.activation) is nn.GELU and self.activation.approximate == "none" and can_use_loops(x):
            return self._in_one_pass(x, residual)
        # For the compiler, these are one pass too
        scale, shift = (vector.to(x.dtype)[:, None, None] for vector in (self.scale, self.shift))
        y = torch.addcmul(shift, self.activation(x), scale)
        return y if residual is None else y + residual

    def _in_one_pass(self, x: torch.Tensor, residual: torch.Tensor | None) -> torch.Tensor:
        """
        The same in [our loops](gelu_batch_norm.html). The input is what a convolution just made, and nobody else
        holds it, so the result may take its place.
        """
        library = native_library(x)
        assert library is not None
        x = x.contiguous(memory_format=torch.channels_last)
        values, added = rows(x), None if residual is None else rows(residual)
        call(library, "evaluate", values, values, values, added, self.scale.float(), self.shift.float())
        #
        return x


def fold_into_head(last: NormalizedActivation, head: nn.Linear) -> None:
    r"""
    ## Fold the last normalization

    * `last` is the last activation with its normalization
    * `head` is the linear layer behind it, whose bias becomes $W t + b$ and whose weight $W \, \text{diag}(s)$
    """
    head.bias.add_(head.weight @ last.shift)
    head.weight.mul_(last.scale)
    last.scale.fill_(1)
    last.shift.fill_(0)


def can_use_loops(x: torch.Tensor) -> bool:
    """
    Where nobody asks for a gradient or looks at what the model consists of
    """
    return (
        not torch.compiler.is_compiling()
        and not is_exporting()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and not (torch.is_grad_enabled() and x.requires_grad)
        and native_library(x) is not None
    )


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    r"""
    ## A batch normalization in evaluation

    * `norm` is the normalization

    Returns $s = \gamma / \sqrt{v + \epsilon}$ and $t = \beta - \mu \odot s$, as 32-bit numbers.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    return scale.float(), shift.float()


def copied(module: Module, dtype: torch.dtype) -> Module:
    """
    A copy with another type of numbers, in channels-last order
    """
    return copy.deepcopy(module).to(dtype).to(memory_format=torch.channels_last)
