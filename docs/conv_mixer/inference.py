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

two convolutions, each with a little arithmetic on its results, where there were seven operations.

## One image at a time

Each of these operations could take the whole batch, as torch's do, and write what it computed to memory for the next
one to read. But in evaluation no image needs another, and the features of one are small: $16 \times 16$ patches
of 256 channels in 16 bits are 128 KB, which fit in the cache of a processor core. So
[loops in C++](native.html), in `inference.cpp` beside this file, take one image through all layers, then the next, and
every core works on images of its own. Activation, scale, shift and sum are done to a number while it is in a register.
One image alone is shared by the cores, each with its part of the channels.

That is one call from Python for the whole network, where a network of modules needs some fifty. For a single small
image this matters as much as the arithmetic.
"""

import copy
import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from labml_nn.conv_mixer import ConvMixer, ConvMixerLayer, native
from labml_nn.conv_mixer.depth_wise import is_exporting
from labml_nn.utils import check_images

Module = TypeVar("Module", bound=nn.Module)


def optimize_for_inference(
    model: ConvMixer, *, dtype: torch.dtype = torch.float32, compile: bool = False
) -> "InferenceConvMixer":
    """
    ## Make a ConvMixer ready for use

    * `model` is a trained ConvMixer
    * `dtype` is the type to compute in. `torch.bfloat16` is right to two or three digits, and faster where the
      processor has instructions for it: 64 images take ConvMixer-256/8 68 milliseconds in place of 124, on two cores
      of an AMD EPYC (Zen 4).
    * `compile` hands the result to `torch.compile`, for devices that our loops in C++ do not serve

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

        embedding = model.patch_emb
        self.embed = copied(embedding.conv, dtype)
        self.activate = NormalizedActivation(embedding.act, *scale_and_shift(embedding.norm))
        layers = [InferenceLayer(layer, dtype) for layer in model.conv_mixer_layers]
        # The head is small, and stays in 32 bits
        head = copied(model.classification.linear, torch.float32)
        # A model without a classifier gives normalized features, and keeps its last normalization
        if isinstance(head, nn.Linear):
            fold_into_head(layers[-1].activate2, head)
        self.layers = nn.ModuleList(layers)
        self.head = head
        # The size of all kernels, if the layers are such as the loops are made for
        self.kernel_size = kernel_size_for_loops(model)

        # Weights in the order that the loops read them in, once they are asked for
        self.packed: Packed | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        The logits have shape `[batch_size, n_classes]` and are 32-bit numbers.

        Raises a `ValueError` where the model would.
        """
        check_images(x, self.in_channels, self.patch_size)
        library = self.native_library(x)
        # Average the features over the image, and get the logits
        features = self.features_in_torch(x) if library is None else self.features_in_loops(x, library)
        return self.head(features).float()

    @property
    def dtype(self) -> torch.dtype:
        """
        The type to compute in. What is added up over many numbers, or is little work, stays in 32 bits.
        """
        return self.embed.weight.dtype

    def features_in_torch(self, x: torch.Tensor) -> torch.Tensor:
        """
        ### The features, in PyTorch

        This is the network as the formulas above have it.
        """
        x = x.to(self.dtype, memory_format=torch.channels_last)
        # Get the patch embeddings, of shape `[batch_size, d_model, height / patch_size, width / patch_size]`
        x = self.activate(self.embed(x))
        for layer in self.layers:
            x = layer(x)
        # The result has shape `[batch_size, d_model]`
        return x.to(self.activate.scale.dtype).mean((2, 3))

    def features_in_loops(self, x: torch.Tensor, library: ctypes.CDLL) -> torch.Tensor:
        """
        ### The same in C++
        """
        if self.packed is None:
            self.packed = pack(self, library.panel())
        n, channels = len(x), self.embed.out_channels
        height, width = (size // self.patch_size for size in x.shape[2:])
        # What is left over at the border makes no patch
        x = x[:, :, : height * self.patch_size, : width * self.patch_size].to(self.dtype).contiguous()
        features = torch.empty(n, channels)
        sizes = (n, height, width, channels, len(self.layers))
        patches = (self.in_channels, self.patch_size, self.packed.patch_length)
        function = getattr(library, f"features_{native.type_name(self.dtype)}")
        function(
            *map(native.address, (features, x, *self.packed.weights)),
            *map(ctypes.c_int64, (*sizes, *patches)),
            ctypes.c_int(type(self.activate.activation) is nn.GELU),
            ctypes.c_int(torch.get_num_threads()),
        )
        return features

    def native_library(self, x: torch.Tensor) -> ctypes.CDLL | None:
        """
        ### When the loops in C++ are used

        On a CPU, for 32 and 16 bits, the activations that the paper has, and numbers of channels that fill whole
        vectors; where nobody asks for a gradient or looks at what the model consists of
        """
        if (
            x.device.type != "cpu"
            or self.embed.weight.device.type != "cpu"
            or self.dtype not in (torch.float32, torch.bfloat16)
            or self.activate.scale.dtype != torch.float32
            or self.kernel_size is None
            or torch.compiler.is_compiling()
            or is_exporting()
            or torch.jit.is_tracing()
            or torch._C._are_functorch_transforms_active()
            or (torch.is_grad_enabled() and x.requires_grad)
        ):
            return None
        library = native.load("inference", KERNEL_SIZE=self.kernel_size)
        return library if library is not None and self.embed.out_channels % library.panel() == 0 else None

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "InferenceConvMixer":
        """
        What was packed is out of date when the weights move to another device or type
        """
        self.packed = None
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        """
        and when others are loaded
        """
        self.packed = None
        super()._load_from_state_dict(*arguments, **options)


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
        x = self.activate1(self.depth_wise_conv(x), residual=x)
        # $z'' = s_2 \odot \sigma(\text{ConvPointwise}'(z')) + t_2$
        return self.activate2(self.point_wise_conv(x))


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
        scale, shift = (vector.to(x.dtype)[:, None, None] for vector in (self.scale, self.shift))
        y = torch.addcmul(shift, self.activation(x), scale)
        return y if residual is None else y + residual


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


class Packed(NamedTuple):
    """
    ## Weights as the loops read them

    * `weights` are the arguments of the C++ function, in order
    * `patch_length` is the length of a patch as a row of numbers, filled up to whole words
    """

    weights: tuple[torch.Tensor, ...]
    patch_length: int


def pack(network: InferenceConvMixer, panel: int) -> Packed:
    """
    ### Pack all weights

    * `network` is the network
    * `panel` is the number of outputs that the loops compute at a time
    """
    embedding = network.embed
    layers = [layer for layer in network.layers if isinstance(layer, InferenceLayer)]
    embedding_weight = pack_dense(embedding.weight.flatten(1), panel)

    def of_layers(get: Callable[[InferenceLayer], torch.Tensor]) -> torch.Tensor:
        return torch.stack([get(layer) for layer in layers]).contiguous()

    def bias_of(conv: nn.Conv2d) -> torch.Tensor:
        return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.float()

    return Packed(
        (
            embedding_weight,
            *(bias_of(embedding), network.activate.scale, network.activate.shift),
            # The taps of all channels one after the other: `[n_layers, kernel_size * kernel_size, d_model]`
            of_layers(lambda layer: layer.depth_wise_conv.weight.flatten(1).t().float()),
            of_layers(lambda layer: bias_of(layer.depth_wise_conv)),
            of_layers(lambda layer: layer.activate1.scale),
            of_layers(lambda layer: pack_dense(layer.point_wise_conv.weight.flatten(1), panel)),
            of_layers(lambda layer: bias_of(layer.point_wise_conv)),
            of_layers(lambda layer: layer.activate2.scale),
            of_layers(lambda layer: layer.activate2.shift),
        ),
        embedding_weight.shape[1] * embedding_weight.shape[3],
    )


def pack_dense(weight: torch.Tensor, panel: int) -> torch.Tensor:
    """
    ### Pack a matrix

    * `weight` has shape `[outputs, inputs]`
    * `panel` is the number of outputs that the loops compute at a time

    The result has shape `[outputs / panel, words, panel, numbers per word]`: for each input the weights to all outputs
    of a panel lie side by side, and a word of 32 bits holds one input in 32 bits, or two in 16.
    """
    per_word = 4 // weight.element_size()
    outputs, inputs = weight.shape
    words = -(-inputs // per_word)
    weight = F.pad(weight, (0, words * per_word - inputs))
    return weight.reshape(outputs // panel, panel, words, per_word).transpose(1, 2).contiguous()


def kernel_size_for_loops(model: ConvMixer) -> int | None:
    """
    The size of all kernels of a model, or `None` where the loops in C++ do not know everything that it is made of:
    different layers, or other activations than the exact GELU and ReLU
    """
    layers = [layer for layer in model.conv_mixer_layers if isinstance(layer, ConvMixerLayer)]
    activations = [model.patch_emb.act, *(act for layer in layers for act in (layer.act1, layer.act2))]
    kinds = {(type(act), getattr(act, "approximate", "none")) for act in activations}
    sizes = {(layer.d_model, layer.kernel_size) for layer in layers}
    ((d_model, kernel_size), *other_sizes) = sizes
    fits = d_model == model.patch_emb.conv.out_channels and kernel_size <= 16
    if fits and not other_sizes and kinds in ({(nn.GELU, "none")}, {(nn.ReLU, "none")}):
        return kernel_size
    return None


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
