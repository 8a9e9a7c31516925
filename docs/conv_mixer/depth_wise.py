r"""
---
title: Depth-wise convolution
summary: >
  The gradients of a depth-wise convolution derived and computed fast: the input's as another convolution,
  the weight's as batched matrix products, and both as loops in C++.
symbols: {b: batch_size, c: d_model, H: height, W: width}
example: |
  import torch
  from labml_nn.conv_mixer.depth_wise import DepthWiseConv2d

  conv = DepthWiseConv2d(d_model=16, kernel_size=5)
  x = torch.randn(4, 16, 8, 6)
  y = conv(x)
  y.square().mean().backward()
---

# Depth-wise convolution

A depth-wise convolution gives every channel a filter of its own. It mixes *positions*, and leaves mixing channels
to the point-wise convolution behind it. With the filter $w_c$ of $k \times k$ weights and the bias $b_c$,

$$y_{n,c,i,j} = b_c + \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{c,u,v} \, x_{n,c,\,i+u-r,\,j+v-r}$$

where $n$ counts the images, $r = \lfloor (k-1)/2 \rfloor$, and $x$ is zero outside the image.

In a [ConvMixer](index.html) of 256 channels with $k = 7$ it holds a sixth of the weights and takes a sixth of the
multiplications, so one would not expect it to matter for the time that training takes. With torch's own convolution on
a CPU it takes most of it. This page is about where that time goes, and how to get it back.

## Two gradients

Let $g = \partial L / \partial y$ be the gradient that arrives. Each $x_{n,c,i,j}$ took part in $k^2$ outputs: with
weight $w_{c,u,v}$ in the one at $(i - u + r,\ j - v + r)$. Summing over those,

$$\frac{\partial L}{\partial x_{n,c,i,j}} = \sum_{u,v} w_{c,u,v} \, g_{n,c,\,i-u+r,\,j-v+r}$$

Count the taps from the other end, $u' = k-1-u$ and $v' = k-1-v$, and this is a depth-wise convolution again: of $g$,
with the filter turned by 180°, and $r' = k-1-r$ zeros in front in place of $r$ (the same, if $k$ is odd).

$$\frac{\partial L}{\partial x_{n,c,i,j}} =
\sum_{u',v'} w_{c,\,k-1-u',\,k-1-v'} \; g_{n,c,\,i+u'-r',\,j+v'-r'}$$

Each weight took part in every output of its channel:

$$\frac{\partial L}{\partial w_{c,u,v}} = \sum_{n,i,j} g_{n,c,i,j} \, x_{n,c,\,i+u-r,\,j+v-r}
\qquad
\frac{\partial L}{\partial b_c} = \sum_{n,i,j} g_{n,c,i,j}$$

All three, the convolution and its two gradients, are the same number of multiplications. They differ in what is
summed: the first two have $k^2$ terms in a sum and an output for each position. The weight's gradient has only
$k^2$ outputs per channel, and a term in each for every position of every image. That is the shape libraries are not
made for.

## Where the time goes

One layer with 256 channels on $16 \times 16$ patches, 64 images in channels-last order and bfloat16, in milliseconds on
two cores of an AMD EPYC (Zen 4) with torch 2.15:

| | kernel of 5 | kernel of 7 | kernel of 9 |
| --- | --- | --- | --- |
| convolution, torch | 1.9 | 3.0 | 5.6 |
| convolution, ours | 1.7 | 2.6 | 3.4 |
| gradient of the input, torch | 2.4 | 6.4 | 6.4 |
| gradient of the weight, torch | 70 | 71 | 86 |
| gradient of the weight, ours | 2.3 | 3.4 | 3.5 |
| for comparison: point-wise convolution | 5.6 | 5.6 | 5.6 |

The arithmetic of each of the three is the same, 0.2 billion multiply-adds for $k = 7$, and a few milliseconds
of work. Torch needs 71 for the last of them: a ConvMixer that uses it spends most of its training in that one line.

## As matrix products

What libraries do well are matrix products, and the weight's gradient can be seen as some. Take one channel and one row
of taps $u$. Write the rows of all padded images that meet it one below the other, as a matrix $X_u$ of $NH$ rows and
$W + k - 1$ columns, and those of the gradient as $G$, of $NH$ rows and $W$ columns. Then

$$P_u = X_u^\top G \qquad (P_u)_{a,b} = \sum_{n,i} x_{n,\,i+u-r,\,a-r} \; g_{n,i,b}$$

has all products of columns in it, those that a filter needs and others. A tap $v$ needs the columns with $a = b + v$,
which is a diagonal:

$$\frac{\partial L}{\partial w_{u,v}} = \sum_{b} (P_u)_{b + v,\, b}$$

This computes $(W + k - 1) / k$ times more products than necessary, and is faster all the same. All
channels together are one batched product for each row of taps; going from $X_u$ to $X_{u+1}$ only moves a
window on the same memory. [That is the code](#weight_gradient_by_matrices), and what runs where there is no compiler.

## As loops

Better still is to waste nothing, and to keep each number in a register while it is needed. In channels-last order
neighbours in memory are channels of one position, and one AVX-512 instruction multiplies 16 of them. A row of $g$ is
held in 16 registers and the sums of a row of taps in $k$ more; each number of $x$ is then loaded once and meets all $k$
taps. With instructions for bfloat16, which multiply pairs and add them up, a register holds a position of two
neighbouring rows.
These loops are [compiled where there is a compiler](native.html), from `depth_wise.cpp` beside this file.
"""

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_weight

from labml_nn.conv_mixer import native
from labml_nn.utils import check_at_least


class DepthWiseConv2d(nn.Conv2d):
    """
    ## Depth-wise convolution with same padding

    To its users this is torch's `Conv2d` with one group per channel: the same parameters under the same names, with the
    same initial values, and the same results. It only trains faster.
    """

    def __init__(
        self,
        d_model: int,
        kernel_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        """
        * `d_model` is the number of channels, $h$
        * `kernel_size` is the edge of the filters, $k$
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` where `d_model` or `kernel_size` is not a positive integer.
        """
        check_at_least("d_model", d_model, 1)
        check_at_least("kernel_size", kernel_size, 1)
        super().__init__(d_model, d_model, kernel_size, padding="same", groups=d_model, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` has shape `[batch_size, d_model, height, width]`

        The result has the same shape.
        """
        # In evaluation, and wherever ours is not faster, this is torch's own convolution
        if not self.trains_faster(x):
            return super().forward(x)
        #
        return depth_wise_convolution(*self.operands(x), self.before)

    def with_input(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        ### The convolution, and its input for a residual connection

        * `x` has shape `[batch_size, d_model, height, width]`

        Returns what `forward` does, and `x`. What is computed is the same as without. But autograd then hands over the
        gradients of both together, and their sum is an addition to a number in a register, in place of a pass over
        memory. It has [first derivatives only](#ConvolutionWithInput).
        """
        if not self.trains_faster(x) or torch.compiler.is_compiling():
            return self(x), x
        x, weight, bias = self.operands(x)
        return ConvolutionWithInput.apply(x, weight, bias, self.before)

    @property
    def before(self) -> int:
        """
        The number of zeros in front of each row and column, $r$
        """
        return (self.kernel_size[0] - 1) // 2

    def operands(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """
        Input, weight and bias. A convolution under autocast takes them in autocast's type, and torch's own convert them
        by themselves.
        """
        if not torch.is_autocast_enabled("cpu"):
            return x, self.weight, self.bias
        dtype = torch.get_autocast_dtype("cpu")
        return x.to(dtype), self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)

    def trains_faster(self, x: torch.Tensor) -> bool:
        """
        ### When to use our own

        * `x` is the input

        When a gradient will be asked for, on a CPU, in 32 or 16 bits: for 16 the table above shows why, and 32 are much
        the same. Not on a GPU, where we measured nothing. And not while the model is being exported, since other
        runtimes know what a convolution is, or under a transformation of `torch.func`, which has rules of its own for
        convolutions.
        """
        if torch.jit.is_tracing() or is_exporting() or torch._C._are_functorch_transforms_active():
            return False
        autocast = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if autocast else x.dtype
        return (
            torch.is_grad_enabled()
            and (x.requires_grad or self.weight.requires_grad)
            and x.device.type == "cpu"
            and dtype in (torch.float32, torch.bfloat16)
            and (autocast or dtype == self.weight.dtype)
            and x.dim() == 4
            and x.numel() > 0
        )


# Before torch 2.7 one cannot tell an export from a compilation. Both get torch's convolution then.
is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def convolve(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    before: int,
    residual: torch.Tensor | None = None,
) -> torch.Tensor:
    r"""
    ## The convolution

    * `x` has shape `[batch_size, d_model, height, width]`
    * `weight` has shape `[d_model, 1, kernel_size, kernel_size]`
    * `bias` has shape `[d_model]`, or is `None`
    * `before` is the number of zeros in front of each row and column, $r$; $k - 1 - r$ come behind
    * `residual` is added to the result, and has the shape of `x`

    The result has the shape and the layout of `x`.
    """
    # The result is laid out as `x` is
    out = torch.empty_like(x)
    library = native_library(x, weight.shape[-1])
    if library is None:
        y = F.conv2d(zeros_around(x, weight.shape[-1], before), weight, bias, groups=x.shape[1])
        return out.copy_(y if residual is None else y + residual)

    # The loops in C++ want images in channels-last order, which takes a copy if they are not,
    # and filters in the order `[kernel_size, kernel_size, d_model]`
    x = x.contiguous(memory_format=torch.channels_last)
    result = torch.empty_like(x)
    taps = weight.flatten(1).t().float().contiguous()
    bias = None if bias is None else bias.float().contiguous()
    residual = None if residual is None else residual.to(x.dtype).contiguous(memory_format=torch.channels_last)
    function = getattr(library, f"convolve_{native.type_name(x.dtype)}")
    function(
        *map(native.address, (result, x, taps, bias, residual)),
        *image_sizes(x),
        ctypes.c_int(before),
        ctypes.c_int(torch.get_num_threads()),
    )
    #
    return result if result.stride() == out.stride() else out.copy_(result)


# As *operators* in the sense of [`torch.library`](https://pytorch.org/docs/stable/library.html) the next two functions
# are units that autograd and `torch.compile` handle by what is registered for them [below](#operators), and do not look
# into
@torch.library.custom_op("labml_nn::depth_wise_convolution", mutates_args=())
def depth_wise_convolution(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, before: int
) -> torch.Tensor:
    """
    ## The convolution as an operator
    """
    return convolve(x, weight, bias, before)


@torch.library.custom_op("labml_nn::depth_wise_weight_gradient", mutates_args=())
def depth_wise_weight_gradient(
    x: torch.Tensor, gradient: torch.Tensor, kernel_size: int, before: int
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""
    ## The gradients of weight and bias

    * `x` is the input of the convolution, $x$, of shape `[batch_size, d_model, height, width]`
    * `gradient` is the gradient of its output, $g$, of the same shape
    * `kernel_size` is the edge of the filters, $k$
    * `before` is the number of zeros in front, $r$

    The results have shapes `[d_model, 1, kernel_size, kernel_size]` and `[d_model]`.
    """
    library = native_library(x, kernel_size)
    if library is None:
        return weight_gradient_in_torch(x, gradient, kernel_size, before), gradient.sum((0, 2, 3))

    x = x.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    weight_gradient = x.new_empty(x.shape[1], 1, kernel_size, kernel_size)
    bias_gradient = x.new_empty(x.shape[1])
    function = getattr(library, f"weight_gradient_{native.type_name(x.dtype)}")
    function(
        *map(native.address, (weight_gradient, bias_gradient, x, gradient)),
        *image_sizes(x),
        ctypes.c_int(before),
        ctypes.c_int(torch.get_num_threads()),
    )
    #
    return weight_gradient, bias_gradient


def weight_gradient_in_torch(x: torch.Tensor, gradient: torch.Tensor, kernel_size: int, before: int) -> torch.Tensor:
    """
    The weight's gradient where the loops in C++ can not be had: torch's own in the one case where that is faster
    """
    if x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last):
        padded = zeros_around(x, kernel_size, before)
        shape = (x.shape[1], 1, kernel_size, kernel_size)
        return conv2d_weight(padded, shape, gradient, groups=x.shape[1])
    return weight_gradient_by_matrices(x, gradient, kernel_size, before)


def weight_gradient_by_matrices(x: torch.Tensor, gradient: torch.Tensor, kernel_size: int, before: int) -> torch.Tensor:
    r"""
    ## The weight's gradient as matrix products
    """
    n, channels, height, width = x.shape
    # Channels first, so that they become the batch of the matrix products; then rows, so that a shift by a row is a
    # shift in memory. The input has shape `[d_model, height + k - 1, batch_size, width + k - 1]`
    padded = zeros_around(x, kernel_size, before).permute(1, 2, 0, 3).contiguous()
    # and the gradient `[d_model, height * batch_size, width]`.
    g = gradient.permute(1, 2, 0, 3).reshape(channels, height * n, width)

    rows = []
    for u in range(kernel_size):
        # $X_u^\top$, of shape `[d_model, width + k - 1, height * batch_size]`
        shifted = padded[:, u : u + height].reshape(channels, height * n, -1).transpose(1, 2)
        # $P_u$, of shape `[d_model, width + k - 1, width]`
        product = shifted @ g
        # The tap $v$ is the sum of a diagonal
        rows.append(torch.stack([product.diagonal(-v, 1, 2).sum(-1) for v in range(kernel_size)], -1))
    #
    return torch.stack(rows, 1).unsqueeze(1)


def zeros_around(x: torch.Tensor, kernel_size: int, before: int) -> torch.Tensor:
    """
    Images with the zeros that same padding takes
    """
    behind = kernel_size - 1 - before
    return F.pad(x, (before, behind, before, behind))


def native_library(x: torch.Tensor, kernel_size: int) -> ctypes.CDLL | None:
    """
    ## When the loops in C++ are used

    For 32 and 16 bits, kernels that leave room in the registers, and a number of channels that fills whole vectors
    """
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16) or kernel_size > 16:
        return None
    library = native.load("depth_wise", KERNEL_SIZE=kernel_size)
    return library if library is not None and x.shape[1] % library.lanes() == 0 else None


def image_sizes(x: torch.Tensor) -> tuple[ctypes.c_int64, ...]:
    """
    Number of images, height, width and channels, for a function in C++
    """
    n, channels, height, width = x.shape
    return tuple(ctypes.c_int64(size) for size in (n, height, width, channels))


# <a id="operators"></a>
#
# ## What the operators tell torch
#
# The shapes of their results, for `torch.compile`
@depth_wise_convolution.register_fake
def _(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, before: int) -> torch.Tensor:
    return torch.empty_like(x)


@depth_wise_weight_gradient.register_fake
def _(x: torch.Tensor, gradient: torch.Tensor, kernel_size: int, before: int) -> tuple[torch.Tensor, torch.Tensor]:
    return x.new_empty(x.shape[1], 1, kernel_size, kernel_size), x.new_empty(x.shape[1])


def _remember_operands(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, weight, _, ctx.before = inputs
    ctx.save_for_backward(x, weight)


def _gradients(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    """
    ### The derivative of a convolution

    Both formulas from the top of this page, in terms of the two operators
    """
    x, weight = ctx.saved_tensors
    k = weight.shape[-1]
    x_gradient = weight_gradient = bias_gradient = None
    if ctx.needs_input_grad[0]:
        x_gradient = depth_wise_convolution(gradient, weight.flip(2, 3), None, k - 1 - ctx.before)
    if any(ctx.needs_input_grad[1:3]):
        weight_gradient, bias_gradient = depth_wise_weight_gradient(x, gradient, k, ctx.before)
    return x_gradient, weight_gradient, bias_gradient if ctx.needs_input_grad[2] else None, None


def _remember_images(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, gradient, ctx.kernel_size, ctx.before = inputs
    ctx.save_for_backward(x, gradient)


def _second_gradients(
    ctx: Any, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, None, None]:
    """
    ### The derivative of the weight's gradient

    It is linear in $x$ and in $g$ too, with the same terms. So its derivatives are convolutions with whatever arrives
    for `weight` and `bias`, and these two operators are all that derivatives of any order need.
    """
    x, gradient = ctx.saved_tensors
    x_gradient = depth_wise_convolution(gradient, weight.flip(2, 3), None, ctx.kernel_size - 1 - ctx.before)
    return x_gradient, depth_wise_convolution(x, weight, bias, ctx.before), None, None


depth_wise_convolution.register_autograd(_gradients, setup_context=_remember_operands)
depth_wise_weight_gradient.register_autograd(_second_gradients, setup_context=_remember_images)


class ConvolutionWithInput(torch.autograd.Function):
    """
    ## A convolution whose input is used twice

    The derivative of the pair of a convolution's result and its input. Second derivatives are refused.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, before: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """
        The arguments are those of [the convolution](#convolve).
        """
        ctx.before, ctx.has_bias = before, bias is not None
        ctx.save_for_backward(x, weight)
        #
        return convolve(x, weight, bias, before), x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor, input_gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """
        * `gradient` is the gradient of the convolution's result
        * `input_gradient` is what arrives for the input on its way past the convolution
        """
        x, weight = ctx.saved_tensors
        k = weight.shape[-1]
        x_gradient = convolve(gradient, weight.flip(2, 3), None, k - 1 - ctx.before, input_gradient)
        weight_gradient, bias_gradient = depth_wise_weight_gradient(x, gradient, k, ctx.before)
        return x_gradient, weight_gradient, bias_gradient if ctx.has_bias else None, None
