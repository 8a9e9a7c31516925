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
images of $16 \times 16$ patches and 256 channels in bfloat16, torch's GELU and normalization took 20 milliseconds,
forward and backward, on two cores of an AMD EPYC (Zen 4); the four passes below take 3.3.

How few passes can it be? Let $x$ be the input, and $\Phi$ the distribution function of the standard normal
distribution, by which GELU is defined. $\gamma$ and $\beta$ are the learned scale and shift of a channel, and
$\epsilon$ is a small number that keeps the root from zero.

$$a = x \, \Phi(x) \qquad y = \frac{a - \mu}{\sqrt{v + \epsilon}} \, \gamma + \beta$$

Mean $\mu$ and variance $v$ of a channel are known once all of $a$ is, so the forward pass takes two: one
computes $a$ and its statistics, the other normalizes.

For the backward pass, let $g$ be the gradient that arrives. With $\hat{a} = (a - \mu) / \sqrt{v + \epsilon}$, and the
mean over the $n$ positions of a channel written as $\langle \cdot \rangle$,

$$\frac{\partial L}{\partial a} = \frac{\gamma}{\sqrt{v + \epsilon}}
\Big( g - \langle g \rangle - \hat{a} \, \langle g \hat{a} \rangle \Big)$$

Every output depends on every input of its channel through $\mu$ and $v$, and the two means are what comes of that.
Again they need a pass of their own. Then one more computes the gradient, and since it is linear in $g$ and $a$, with
three constants per channel:

$$\frac{\partial L}{\partial x} = (A g + B a + C) \, s \qquad s = \frac{da}{dx}$$

$$A = \frac{\gamma}{\sqrt{v + \epsilon}} \qquad
B = -A \, \frac{\langle g (a - \mu) \rangle}{v + \epsilon} \qquad
C = -A \, \langle g \rangle - B \mu$$

Four passes in all. They are [loops in C++](native.html), in `gelu_batch_norm.cpp` beside this file, each with its
formula in PyTorch below.
"""

import copy
import ctypes
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from labml_nn.conv_mixer import ConvMixer, ConvMixerLayer, native
from labml_nn.conv_mixer.depth_wise import is_exporting


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
            and can_fuse(layer.act1, layer.norm1)
            and can_fuse(layer.act2, layer.norm2)
        ):
            model.conv_mixer_layers[i] = FusedConvMixerLayer(layer)
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
        # The residual connection is one more addition in the last pass of the normalization
        x = self.norm1(self.depth_wise_conv(x), residual=x)
        #
        return self.norm2(self.point_wise_conv(x))


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
        y, _, _, mean, variance = gelu_batch_norm(x, self.weight, self.bias, residual, self.eps)
        self.track(mean.detach(), variance.detach(), x.numel() // x.shape[1])
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


@torch.library.custom_op("labml_nn::gelu_batch_norm", mutates_args=())
def gelu_batch_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""
    ## The operator

    * `x` has shape `[batch_size, d_model, height, width]`
    * `weight` and `bias` are $\gamma$ and $\beta$, of shape `[d_model]`
    * `residual` is added to the result, and has the shape of `x`
    * `eps` is $\epsilon$

    Returns $y$ and, for the backward pass, $a$ and $s$, all of the shape of `x` and in channels-last order; and the
    mean and the variance of $a$, of shape `[d_model]`.
    """
    y, value, slope = (torch.empty_like(x, memory_format=torch.channels_last) for _ in range(3))
    mean, variance = activate(rows(x), rows(value), rows(slope))
    scale = weight * (variance + eps).rsqrt()
    normalize(rows(y), rows(value), None if residual is None else rows(residual), scale, bias - mean * scale)
    #
    return y, value, slope, mean, variance


@torch.library.custom_op("labml_nn::gelu_batch_norm_backward", mutates_args=())
def gelu_batch_norm_backward(
    gradient: torch.Tensor,
    value: torch.Tensor,
    slope: torch.Tensor,
    weight: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""
    ## Its backward pass

    * `gradient` is $g$, the gradient of the result
    * `value` and `slope` are $a$ and $s$, `mean` and `variance` are $\mu$ and $v$, from the forward pass

    Returns the gradients of `x`, `weight` and `bias`.
    """
    n = gradient.numel() // gradient.shape[1]
    inverse = (variance + eps).rsqrt()
    total, product = sum_gradients(rows(gradient), rows(value), mean)
    # $A$, $B$ and $C$
    a = weight * inverse
    b = -a * inverse.square() * product / n
    c = -a * total / n - b * mean
    out = torch.empty_like(value)
    input_gradient(rows(out), rows(gradient), rows(value), rows(slope), a, b, c)
    #
    return out, product * inverse, total


def rows(x: torch.Tensor) -> torch.Tensor:
    """
    Images as rows, one for each position, of shape `[batch_size * height * width, d_model]`. In channels-last order
    that is another look at the same memory.
    """
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).contiguous()


def activate(x: torch.Tensor, value: torch.Tensor, slope: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""
    ## First pass: activation and statistics

    $$a = x \, \Phi(x) \qquad s = \frac{da}{dx} = \Phi(x) + x \, \phi(x)$$

    with the distribution function $\Phi$ of the standard normal distribution and its density $\phi$. The two share
    everything that is costly to compute, so the slope is computed here and kept, not $x$.

    * `x` are the rows, `[n, d_model]`
    * `value` and `slope` are where $a$ and $s$ go

    Returns the mean and the variance of each channel of $a$.
    """
    library = native_library(x)
    if library is None:
        distribution = 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        density = torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
        value.copy_(x * distribution)
        slope.copy_(distribution + x * density)
        return value.mean(0), value.var(0, correction=0)

    # Every group of rows gives three numbers per channel: some value in it, and sums of differences to that
    # and of their squares. Differences to a value that is not far off lose no digits.
    n, channels = x.shape
    group_size = library.group_size()
    sums = torch.zeros(-(-n // group_size), 3, channels)
    call(library, "activate", x, value, slope, sums, x)
    first, difference, squares = sums.double().unbind(1)
    # Groups are put together by their means and their sums of squared distances to them
    sizes = torch.full((len(sums), 1), float(group_size), dtype=torch.double)
    sizes[-1] = n - group_size * (len(sums) - 1)
    means = first + difference / sizes
    mean = (sizes * means).sum(0) / n
    within = (squares - difference.square() / sizes).sum(0)
    between = (sizes * (means - mean).square()).sum(0)
    #
    return mean.float(), ((within + between) / n).float()


def normalize(
    out: torch.Tensor, value: torch.Tensor, residual: torch.Tensor | None, scale: torch.Tensor, shift: torch.Tensor
) -> None:
    r"""
    ## Second pass: normalization

    $$y = \frac{a - \mu}{\sqrt{v + \epsilon}} \, \gamma + \beta$$

    is a multiplication by `scale`, $\gamma / \sqrt{v + \epsilon}$, and an addition of `shift`,
    $\beta - \mu \gamma / \sqrt{v + \epsilon}$.
    """
    if library := native_library(value):
        call(library, "normalize", value, out, value, residual, scale, shift)
    else:
        torch.addcmul(shift if residual is None else shift + residual, value, scale, out=out)


def sum_gradients(gradient: torch.Tensor, value: torch.Tensor, mean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""
    ## Third pass: sums of the gradient

    $G = \sum g$ and $D = \sum g \, (a - \mu)$ over all rows. The gradients of $\beta$ and $\gamma$ are $G$ and
    $D / \sqrt{v + \epsilon}$.
    """
    library = native_library(value)
    if library is None:
        return gradient.sum(0), (gradient * (value - mean)).sum(0)
    sums = torch.zeros(-(-len(value) // library.group_size()), 2, value.shape[1])
    call(library, "sum_gradients", value, sums, gradient, value, mean)
    #
    return sums[:, 0].sum(0), sums[:, 1].sum(0)


def input_gradient(
    out: torch.Tensor,
    gradient: torch.Tensor,
    value: torch.Tensor,
    slope: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
) -> None:
    r"""
    ## Fourth pass: the gradient of the input

    $$\frac{\partial L}{\partial x} = (A g + B a + C) \, s$$
    """
    if library := native_library(value):
        call(library, "input_gradient", value, out, gradient, value, slope, a, b, c)
    else:
        out.copy_((a * gradient + b * value + c) * slope)


def native_library(x: torch.Tensor) -> ctypes.CDLL | None:
    """
    ## When the loops in C++ are used

    On a CPU, for 32 and 16 bits, and a number of channels that fills whole vectors

    * `x` are images or rows
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16):
        return None
    library = native.load("gelu_batch_norm")
    return library if library is not None and x.shape[1] % library.lanes() == 0 else None


def call(library: ctypes.CDLL, name: str, like: torch.Tensor, *tensors: torch.Tensor | None) -> None:
    """
    * `name` is the function to call
    * `like` has the number of rows and channels, and the type
    * `tensors` are the arguments
    """
    function = getattr(library, f"{name}_{native.type_name(like.dtype)}")
    n, channels = like.shape
    threads = torch.get_num_threads()
    function(*map(native.address, tensors), ctypes.c_int64(n), ctypes.c_int64(channels), ctypes.c_int(threads))


@gelu_batch_norm.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, residual: torch.Tensor | None, eps: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    y, value, slope = (torch.empty_like(x, memory_format=torch.channels_last) for _ in range(3))
    return y, value, slope, torch.empty_like(weight), torch.empty_like(weight)


@gelu_batch_norm_backward.register_fake
def _(
    gradient: torch.Tensor,
    value: torch.Tensor,
    slope: torch.Tensor,
    weight: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    eps: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.empty_like(value), torch.empty_like(weight), torch.empty_like(weight)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    _, weight, _, residual, ctx.eps = inputs
    _, value, slope, mean, variance = output
    ctx.has_residual = residual is not None
    ctx.mark_non_differentiable(value, slope, mean, variance)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(value, slope, weight, mean, variance)


def _backward(ctx: Any, gradient: torch.Tensor | None, *unused: None) -> tuple[torch.Tensor | None, ...]:
    if gradient is None:
        return None, None, None, None, None
    x, weight, bias = gelu_batch_norm_backward(gradient, *ctx.saved_tensors, ctx.eps)
    return x, weight, bias, gradient if ctx.has_residual else None, None


def _refuse(ctx: Any, *gradients: torch.Tensor) -> None:
    """
    ### No second derivatives

    Those who need them do without the operator.
    """
    raise RuntimeError(
        "GELUBatchNorm2d has no second derivatives: use the model as it was before `optimize_for_training`"
    )


gelu_batch_norm.register_autograd(_backward, setup_context=_remember)
gelu_batch_norm_backward.register_autograd(_refuse)
