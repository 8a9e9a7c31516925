r"""
---
title: GELU and batch normalization together
summary: >
  GELU and the batch normalization behind it as one operator that passes over memory four times,
  and a function that puts it into a ConvMixer for training.
example: |
  import torch
  from labml_nn.conv_mixer import conv_mixer
  from labml_nn.conv_mixer.gelu_batch_norm import optimize_for_training

  model = conv_mixer(d_model=32, n_layers=2, kernel_size=5, patch_size=2, n_classes=10)
  fast = optimize_for_training(model)
  loss = fast(torch.randn(4, 3, 16, 16)).logsumexp(1).mean()
  loss.backward()
  # The two share their parameters, so a step that trains one trains both
  print(model.classification.linear.weight.grad is fast.classification.linear.weight.grad)
---

# GELU and batch normalization together

After each convolution of a [ConvMixer](index.html) stand an activation, a
[batch normalization](../normalization/batch_norm/index.html) and, half the time, a residual connection. They compute
little, but each reads all features from memory and writes them back. With the
[depth-wise convolution](depth_wise.html) made fast, this walk is what takes longest next to the matrix products. For 64
images of $16 \times 16$ patches and 256 channels in bfloat16, torch's GELU and normalization took 14 milliseconds,
forward and backward, on two cores of an AMD EPYC (Zen 4); the four passes below take 5.

How few passes can it be? Let $x$ be the input, and $\Phi$ the distribution function of the standard normal
distribution, by which GELU is defined. $\gamma$ and $\beta$ are the learned scale and shift of a channel, and
$\epsilon$ is a small number that keeps the root from zero.

$$a = x \, \Phi(x) \qquad y = \frac{a - \mu}{\sqrt{v + \epsilon}} \, \gamma + \beta$$

Mean $\mu$ and variance $v$ of a channel are known once all of $a$ is, so the forward pass takes two: one
for the statistics, the other to normalize.

For the backward pass, let $g$ be the gradient that arrives. With $\hat{a} = (a - \mu) / \sqrt{v + \epsilon}$, and the
mean over the $n$ positions of a channel written as $\langle \cdot \rangle$,

$$\frac{\partial L}{\partial a} = \frac{\gamma}{\sqrt{v + \epsilon}}
\Big( g - \langle g \rangle - \hat{a} \, \langle g \hat{a} \rangle \Big)$$

Every output depends on every input of its channel through $\mu$ and $v$, and the two means are what comes of that.
Again they need a pass of their own. Then one more computes the gradient, and since it is linear in $g$ and $a$, with
three constants per channel:

$$\frac{\partial L}{\partial x} = (A g + B a + C) \, s
\qquad s = \frac{da}{dx} = \Phi(x) + x \, \phi(x)$$

$$A = \frac{\gamma}{\sqrt{v + \epsilon}} \qquad
B = -A \, \frac{\langle g (a - \mu) \rangle}{v + \epsilon} \qquad
C = -A \, \langle g \rangle - B \mu$$

with the density $\phi$ of the normal distribution. Four passes in all.

None of them keeps $a$ or $s$. Each computes them anew from $x$, which is the only large tensor to be remembered between
forward and backward pass: numbers in a register cost less than a walk to memory. Torch remembers two, the input of GELU
and that of the normalization.

The passes are [loops in C++](native.html), in `gelu_batch_norm.cpp` beside this file, two to a function. Below, the
same stands in PyTorch.
"""

import copy
import ctypes
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from labml_nn.conv_mixer import ConvMixer, ConvMixerLayer, native
from labml_nn.conv_mixer.depth_wise import DepthWiseConv2d, is_exporting


def optimize_for_training(model: ConvMixer) -> ConvMixer:
    """
    ## A ConvMixer that trains faster

    * `model` is a ConvMixer

    Returns a ConvMixer with the same parameters and buffers (the same, not copies: training one trains both), under the
    same names, so that checkpoints of one fit the other. Activations other than GELU stay as they are.

    Raises a `TypeError` for another kind of model.
    """
    if not isinstance(model, ConvMixer):
        raise TypeError(f"`model` must be a ConvMixer, but it is a {type(model).__name__}")
    # Copy the modules and keep the tensors
    tensors: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    model = copy.deepcopy(model, tensors)

    embedding = model.patch_emb
    if can_fuse(embedding.act, embedding.norm):
        embedding.act, embedding.norm = nn.Identity(), GELUBatchNorm2d(embedding.norm)
    for i, layer in enumerate(model.conv_mixer_layers):
        if (
            isinstance(layer, ConvMixerLayer)
            and isinstance(layer.depth_wise_conv, DepthWiseConv2d)
            and can_fuse(layer.act1, layer.norm1)
            and can_fuse(layer.act2, layer.norm2)
        ):
            model.conv_mixer_layers[i] = FusedConvMixerLayer(layer)
    model.classification.pool = ChannelsLastPool()
    #
    return model


def can_fuse(activation: nn.Module, norm: nn.Module) -> bool:
    """
    The exact GELU and a plain batch normalization; not the one that several processes synchronize
    """
    return (
        type(activation) is nn.GELU
        and activation.approximate == "none"
        and type(norm) is nn.BatchNorm2d
        and norm.affine
        and norm.track_running_stats
    )


class FusedConvMixerLayer(nn.Module):
    """
    ## The layer

    It computes what [the layer it is made from](index.html#ConvMixerLayer) does.
    """

    def __init__(self, layer: ConvMixerLayer):
        """
        * `layer` is the layer whose parts to use
        """
        super().__init__()
        self.d_model = layer.d_model
        self.kernel_size = layer.kernel_size
        self.depth_wise_conv = layer.depth_wise_conv
        self.act1 = self.act2 = nn.Identity()
        self.norm1 = GELUBatchNorm2d(layer.norm1)
        self.point_wise_conv = layer.point_wise_conv
        self.norm2 = GELUBatchNorm2d(layer.norm2)
        self.train(layer.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` are the features, of shape `[batch_size, d_model, height, width]`
        """
        # The residual connection is one more addition in the last pass of the normalization, and on the way back
        # [one in the convolution](depth_wise.html#ConvolutionWithInput)
        mixed, x = self.depth_wise_conv.with_input(x)
        x = self.norm1(mixed, residual=x)
        #
        return self.norm2(self.point_wise_conv(x))


class ChannelsLastPool(nn.Module):
    """
    ## The average over all positions

    This is `AdaptiveAvgPool2d(1)`. Written as an average over rows it reads memory in order when images are in
    channels-last order, and so does its gradient, which saves 3 milliseconds of a training step.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` are the features, of shape `[batch_size, d_model, height, width]`
        """
        # The result has shape `[batch_size, d_model, 1, 1]`
        return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)[:, :, None, None]


class GELUBatchNorm2d(nn.BatchNorm2d):
    """
    ## GELU and batch normalization as a module
    """

    def __init__(self, norm: nn.BatchNorm2d):
        """
        * `norm` is the batch normalization to put the GELU in front of; its parameters and buffers are used, not copied
        """
        super().__init__(norm.num_features, norm.eps, norm.momentum, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.train(norm.training)

    def forward(self, x: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """
        * `x` has shape `[batch_size, d_model, height, width]`
        * `residual` is added to the result, and has the same shape
        """
        if not self.trains_faster(x):
            y = super().forward(F.gelu(x))
            return y if residual is None else y + residual

        if residual is not None:
            residual = residual.to(x.dtype)
        y, mean, variance = GELUBatchNorm.apply(x, self.weight, self.bias, residual, self.eps)
        self.track(mean, variance, x.numel() // x.shape[1])
        #
        return y

    def trains_faster(self, x: torch.Tensor) -> bool:
        """
        ### When to use the operator

        In training, where [the loops in C++](native.html) can be had. The formulas in plain PyTorch below are for
        understanding and for tests: torch's own GELU and batch normalization take fewer passes than they do. A model
        that is being compiled does without too, since the compiler joins passes by itself.
        """
        return (
            self.training
            and not torch.compiler.is_compiling()
            and x.dim() == 4
            and x.numel() > x.shape[1]
            and self.weight.dtype == torch.float32
            and not torch._C._are_functorch_transforms_active()
            and not is_exporting()
            and native_library(x) is not None
        )

    @torch.no_grad()
    def track(self, mean: torch.Tensor, variance: torch.Tensor, n: int) -> None:
        r"""
        ### Running statistics

        As `BatchNorm2d` keeps them: the running variance is the unbiased one, which divides by $n - 1$. Without a
        momentum they are the plain average over all batches.
        """
        momentum = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        if momentum is not None and self.running_mean is not None and self.running_var is not None:
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (n / (n - 1)), momentum)


class GELUBatchNorm(torch.autograd.Function):
    """
    ## The operator

    Second derivatives are refused. Those who need them use the model as it was before
    [`optimize_for_training`](#optimize_for_training).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        residual: torch.Tensor | None,
        eps: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        r"""
        * `x` has shape `[batch_size, d_model, height, width]`
        * `weight` and `bias` are $\gamma$ and $\beta$, of shape `[d_model]`
        * `residual` is added to the result, and has the shape of `x`
        * `eps` is $\epsilon$

        Returns $y$, of the shape of `x`, and $\mu$ and $v$, of shape `[d_model]`.
        """
        ctx.eps, ctx.has_residual = eps, residual is not None
        if library := native_library(x):
            x, residual = channels_last(x), None if residual is None else channels_last(residual)
            y, mean, variance = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
            call(library, "forward", x, (y, mean, variance, x, residual, weight, bias), eps)
        else:
            y, mean, variance = forward_in_torch(x, weight, bias, residual, eps)
        ctx.save_for_backward(x, weight, mean, variance)
        # Nobody asks for the gradients of the statistics
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        #
        return y, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor | None, *unused: None) -> tuple[torch.Tensor | None, ...]:
        """
        * `gradient` is $g$, the gradient of the result
        """
        if gradient is None:
            return None, None, None, None, None
        x, weight, mean, variance = ctx.saved_tensors
        if library := native_library(x):
            gradient = channels_last(gradient)
            gradients = torch.empty_like(x), torch.empty_like(weight), torch.empty_like(weight)
            call(library, "backward", x, (*gradients, gradient, x, weight, mean, variance), ctx.eps)
        else:
            gradients = backward_in_torch(gradient, x, weight, mean, variance, ctx.eps)
        # The residual was added, so its gradient is that of the result
        return *gradients, gradient if ctx.has_residual else None, None


def forward_in_torch(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""
    ## The forward pass in PyTorch
    """
    # First pass: $\mu$ and $v$ of $a = x \, \Phi(x)$
    a = x * normal_distribution(x)
    mean, variance = a.mean(POSITIONS), a.var(POSITIONS, correction=0)
    # Second pass: $y = \frac{a - \mu}{\sqrt{v + \epsilon}} \, \gamma + \beta$ is one multiplication and one addition
    scale = weight * (variance + eps).rsqrt()
    shift = bias - mean * scale
    y = a * per_channel(scale) + per_channel(shift)
    #
    return y if residual is None else y + residual, mean, variance


def backward_in_torch(
    gradient: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""
    ## The backward pass in PyTorch

    Returns the gradients of `x`, `weight` and `bias`.
    """
    distribution = normal_distribution(x)
    a, inverse, n = x * distribution, (variance + eps).rsqrt(), x.numel() // x.shape[1]
    # Third pass: $\sum g$, the gradient of $\beta$, and $\sum g (a - \mu)$, which over $\sqrt{v + \epsilon}$ is that
    # of $\gamma$
    total = gradient.sum(POSITIONS)
    product = (gradient * (a - per_channel(mean))).sum(POSITIONS)
    # $A$, $B$ and $C$
    A = weight * inverse
    B = -A * inverse.square() * product / n
    C = -A * total / n - B * mean
    # Fourth pass: $\frac{\partial L}{\partial x} = (A g + B a + C) \, s$
    slope = distribution + x * normal_density(x)
    x_gradient = (per_channel(A) * gradient + per_channel(B) * a + per_channel(C)) * slope
    #
    return x_gradient, product * inverse, total


# The dimensions that batch normalization sums over: images, rows and columns
POSITIONS = (0, 2, 3)


def normal_distribution(x: torch.Tensor) -> torch.Tensor:
    r"""
    $\Phi(x) = \frac{1}{2} \big( 1 + \text{erf}(x / \sqrt{2}) \big)$
    """
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def normal_density(x: torch.Tensor) -> torch.Tensor:
    r"""
    $\phi(x) = e^{-x^2 / 2} / \sqrt{2 \pi}$
    """
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def per_channel(vector: torch.Tensor) -> torch.Tensor:
    """
    A number for each channel, in a shape that goes with images
    """
    return vector[:, None, None]


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """
    The same images in the order that the loops walk in
    """
    return x.contiguous(memory_format=torch.channels_last)


def native_library(x: torch.Tensor) -> ctypes.CDLL | None:
    """
    ## When the loops in C++ are used

    On a CPU, for 32 and 16 bits, and a number of channels that fills whole vectors

    * `x` are images
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return None
    library = native.load("gelu_batch_norm")
    return library if library is not None and x.shape[1] % library.lanes() == 0 else None


def call(
    library: ctypes.CDLL, name: str, images: torch.Tensor, tensors: tuple[torch.Tensor | None, ...], eps: float
) -> None:
    r"""
    * `name` is the function to call
    * `images` have the number of positions and channels, and the type
    * `tensors` are the arguments
    * `eps` is $\epsilon$
    """
    function = getattr(library, f"{name}_{native.type_name(images.dtype)}")
    channels = images.shape[1]
    function(
        *map(native.address, tensors),
        ctypes.c_float(eps),
        ctypes.c_int64(images.numel() // channels),
        ctypes.c_int64(channels),
        ctypes.c_int(torch.get_num_threads()),
    )
