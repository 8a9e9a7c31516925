r"""
---
title: ConvMixer
summary: >
  The ConvMixer image classifier in PyTorch, explained line by line: patch embeddings, depth-wise and point-wise
  convolutions, receptive field, parameter count, and the published ImageNet models.
symbols: {b: batch_size, h: d_model, p: patch_size, H: height, W: width}
example: |
  import torch
  from labml_nn.conv_mixer import conv_mixer_256_8

  model = conv_mixer_256_8(n_classes=10)
  images = torch.randn(4, 3, 32, 32)
  features = model.forward_features(images)
  logits = model(images)
  print(features.shape, logits.shape)
---

# ConvMixer

This is an annotated [PyTorch](https://pytorch.org) implementation of the network from
[Patches Are All You Need?](https://arxiv.org/abs/2201.09792) by Asher Trockman and J. Zico Kolter.

When [Vision Transformers](../transformers/vit/index.html) caught up with convolutional networks, attention got most
of the praise. But those models also see an image in a new way: they cut it into patches first, and then
keep the same resolution and the same width from the first layer to the last. The paper asks how much of the success
is due to *that*. Its test is a network as plain as can be that keeps the patches and has nothing but
standard convolutions to work with. It does remarkably well.

![An image is cut into patches, passes the ConvMixer layer d times, and is pooled and classified.
The layer mixes locations with a depth-wise convolution, inside a residual connection,
and then channels with a point-wise convolution.](architecture.svg)

A network on patches has to do two things, over and over:

* **mix locations**: let a patch learn what is around it. Here this is a *depth-wise* convolution, which slides
  one small filter over each channel by itself.
* **mix channels**: combine what is known about one patch into better features. Here this is a *point-wise*
  convolution, which is the same linear layer applied to every patch.

Neither can do the work of the other: the first never looks across channels, and the second never looks sideways.
An ordinary convolution does both at once and needs $h^2 k^2$ weights for it; the two apart need $h k^2 + h^2$.

In the letters of the paper, $p$ is the size of a patch, $h$ the number of channels (the *width* of the network),
$d$ the number of layers (its *depth*), $k$ the size of the depth-wise kernel, and $c_{in}$ the number of channels of
the image. A model is named by width and depth: *ConvMixer-256/8* has $h = 256$ and $d = 8$.

[The overview](readme.html) compares ConvMixer with its neighbours,
[the experiment](experiment.html) trains it on CIFAR-10, and
[another page](weights.html) loads weights that were trained elsewhere.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from labml_nn.conv_mixer.checkpointing import checkpoint_layer
from labml_nn.conv_mixer.depth_wise import DepthWiseConv2d
from labml_nn.utils import check_at_least, check_images, check_probability, clone_module_list


class PatchEmbeddings(nn.Module):
    r"""
    ## Patch embeddings

    This cuts the image into squares of $p \times p$ pixels and describes each one by a vector of $h$ numbers
    (equation 1 of the paper):

    $$z_0 = \text{BN}\Big(\sigma\big(\text{Conv}_{c_{in} \to h}(X,\ \text{kernel} = p,\ \text{stride} = p)\big)\Big)$$

    One would cut out the patches, flatten each of them to $c_{in} p^2$ numbers, and apply one linear layer to all.
    A convolution whose stride is its kernel size does just that in one call: the kernel lands on every patch once,
    and no pixel is seen twice.

    The result is still laid out as an image, of $H/p \times W/p$ patches. ConvMixer needs no position embeddings,
    because the convolutions that follow know which patch is next to which.
    """

    def __init__(
        self,
        d_model: int,
        patch_size: int,
        in_channels: int,
        *,
        activation: Callable[[], nn.Module] = nn.GELU,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        r"""
        * `d_model` is the number of channels of an embedding, $h$
        * `patch_size` is the edge of a patch in pixels, $p$
        * `in_channels` is the number of channels of the image, $c_{in}$: 3 for a colour picture
        * `activation` makes the non-linearity, $\sigma$
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` for a size that is not a positive integer.
        """
        super().__init__()
        check_at_least("d_model", d_model, 1)
        check_at_least("patch_size", patch_size, 1)
        check_at_least("in_channels", in_channels, 1)
        self.d_model = d_model
        self.patch_size = patch_size
        self.in_channels = in_channels

        # One step of the kernel for each patch; this has $h (c_{in} p^2 + 1)$ parameters
        self.conv = nn.Conv2d(
            in_channels, d_model, kernel_size=patch_size, stride=patch_size, device=device, dtype=dtype
        )
        # The activation, $\sigma$
        self.act = activation()
        # Batch normalization, with $2h$ parameters. [Below](#why_batch_norm) it says why.
        self.norm = nn.BatchNorm2d(d_model, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        Where the height or width is no multiple of the patch size, the pixels left over at the bottom and at the right
        belong to no patch and are not seen.

        Raises a `ValueError` if `x` has the wrong number of dimensions or channels, is smaller than one patch,
        or does not hold floating-point numbers.
        """
        check_images(x, self.in_channels, self.patch_size)
        # Embed each patch. The result has shape `[batch_size, d_model, height / patch_size, width / patch_size]`.
        x = self.conv(x)
        # The activation and the normalization keep that shape
        x = self.act(x)
        x = self.norm(x)
        #
        return x


class ConvMixerLayer(nn.Module):
    r"""
    ## ConvMixer layer

    A layer mixes locations first (equation 2 of the paper) and channels second (equation 3):

    $$
    \begin{aligned}
    z' &= \text{BN}\big(\sigma(\text{ConvDepthwise}(z))\big) + z \\
    z'' &= \text{BN}\big(\sigma(\text{ConvPointwise}(z'))\big)
    \end{aligned}
    $$

    Both keep the shape, so that layers stack without any adapter between them. Note the order inside each: convolution,
    then activation, then normalization.
    """

    def __init__(
        self,
        d_model: int,
        kernel_size: int,
        *,
        activation: Callable[[], nn.Module] = nn.GELU,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        r"""
        * `d_model` is the number of channels, $h$
        * `kernel_size` is the edge of the depth-wise kernel in patches, $k$
        * `activation` makes the non-linearity, $\sigma$
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` for a size that is not a positive integer.
        """
        super().__init__()
        check_at_least("d_model", d_model, 1)
        check_at_least("kernel_size", kernel_size, 1)
        self.d_model = d_model
        self.kernel_size = kernel_size

        # <a id="mixing_locations"></a>
        #
        # ### Mixing locations
        #
        # The depth-wise convolution gives each channel $c$ one filter $w_c$ of $k \times k$ weights. With
        # $r = \lfloor (k - 1) / 2 \rfloor$ it computes, at the patch in row $i$ and column $j$,
        #
        # $$y_{c,i,j} = b_c + \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} w_{c,u,v} \, z_{c,\, i+u-r,\, j+v-r}$$
        #
        # These are $h (k^2 + 1)$ parameters, however large the image is. An
        # [MLP-Mixer](../transformers/mlp_mixer/index.html) learns a weight for each pair of patches instead, and
        # [attention](../transformers/mha.html) computes one. The kernels of ConvMixer are large, 5 to 9 patches wide,
        # since this is the only place where patches meet.
        #
        # <a id="same_padding"></a>
        #
        # ### Same padding
        #
        # Beyond the edge of the image, $z$ is taken as zero: the map is padded so that the output has as many rows and
        # columns as the input. This is what lets the residual connection add the two, and the layers be stacked to any
        # depth. It takes $k - 1$ rows of zeros. With an odd kernel half of them go to each side, and the window is
        # centred on its patch.
        #
        # An even kernel has no centre. Its $k - 1$ rows cannot be halved, so one row more goes to the bottom and one
        # column more to the right: with $k = 4$ the window reaches one patch up and two patches down. The output thus
        # leans half a patch to the lower right, in each layer anew, and $d$ layers look around a point $d/2$ patches
        # off. It works, but prefer an odd kernel.
        #
        # [The module](depth_wise.html) is torch's `Conv2d` with one group for each channel, and a faster way to train.
        self.depth_wise_conv = DepthWiseConv2d(d_model, kernel_size, device=device, dtype=dtype)
        # The activation, $\sigma$
        self.act1 = activation()
        # <a id="why_batch_norm"></a>
        #
        # ### Why batch normalization
        #
        # Transformers use [layer normalization](../normalization/layer_norm/index.html), which looks at each patch by
        # itself and takes mean and variance over its channels.
        # [Batch normalization](../normalization/batch_norm/index.html) looks at each *channel* by itself and takes them
        # over all images and locations. That fits a layer that has just worked channel by channel: every
        # channel comes out with the same mean and size, while the differences between places in an image stay.
        # The paper found layer normalization worse here.
        #
        # After training, the statistics are constants. What is left is one multiplication and one addition per channel,
        # which [merge](inference.html) into the convolution behind them, almost everywhere.
        #
        # There are $2h$ parameters, a scale and a shift for each channel.
        self.norm1 = nn.BatchNorm2d(d_model, device=device, dtype=dtype)

        # <a id="mixing_channels"></a>
        #
        # ### Mixing channels
        #
        # The point-wise convolution has a kernel of $1 \times 1$. It sees one patch and all of its channels, so it is a
        # linear layer that is applied to each patch, with $h (h + 1)$ parameters:
        #
        # $$y_{c,i,j} = b_c + \sum_{c'=1}^{h} w_{c,c'} \, z'_{c',i,j}$$
        #
        # The [feed-forward network](../transformers/feed_forward.html) of a transformer does this with two layers,
        # which are wider inside.
        self.point_wise_conv = nn.Conv2d(d_model, d_model, kernel_size=1, device=device, dtype=dtype)
        # Activation and normalization as above, with another $2h$ parameters. For training, each such pair can also run
        # [as one operator](gelu_batch_norm.html).
        self.act2 = activation()
        self.norm2 = nn.BatchNorm2d(d_model, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` are the features, of shape `[batch_size, d_model, height, width]`, where height and width count patches

        The result has the same shape.
        """
        # Keep the input for the residual connection
        residual = x

        # Mix the neighbourhood of each location, in every channel by itself
        x = self.depth_wise_conv(x)
        x = self.act1(x)
        x = self.norm1(x)
        # <a id="one_residual"></a>
        #
        # ### Only one residual connection
        #
        # Transformers and MLP-Mixer put a residual connection around each of the two mixing steps, ConvMixer around the
        # first only. Here it is natural: a patch keeps its own features and adds what its neighbours say, and the
        # filter need not spend effort on passing its centre through. The second step sees all the channels of its
        # patch and can keep of them what it needs. In the paper's ablation on CIFAR-10, a second residual connection
        # around the point-wise convolution made the results worse, and so did removing this one.
        #
        # (`x += residual` would write into a tensor that others may hold, a forward hook for example, and saves nothing
        # once the model is compiled.)
        x = x + residual

        # Mix the channels of each location. There is no residual connection here.
        x = self.point_wise_conv(x)
        x = self.act2(x)
        x = self.norm2(x)
        #
        return x


class ClassificationHead(nn.Module):
    r"""
    ## Classification head

    Averaging over all locations leaves one vector of $h$ numbers for the whole image, wherever in it things were,
    and one linear layer turns that into a score for each class:

    $$\text{logits} = W \Big( \frac{1}{N} \sum_{i,j} z_{:,i,j} \Big) + b$$

    where $N$ is the number of patches. Nothing here, nor anywhere above, depends on the size of the image: a model
    trained at one resolution runs at any other, though it does best near the one it knows.
    """

    def __init__(
        self,
        d_model: int,
        n_classes: int,
        *,
        dropout: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        """
        * `d_model` is the number of channels, $h$
        * `n_classes` is the number of classes; with 0 there is no linear layer, and the head gives the averaged
          features
        * `dropout` is the probability with which training zeroes each of the averaged features
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` for a number out of range.
        """
        super().__init__()
        check_at_least("d_model", d_model, 1)
        check_at_least("n_classes", n_classes, 0)
        check_probability("dropout", dropout)
        self.d_model = d_model
        self.n_classes = n_classes

        # Average over the locations
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        # One score for each class, with $h + 1$ parameters
        self.linear: nn.Module = nn.Identity()
        if n_classes > 0:
            self.linear = nn.Linear(d_model, n_classes, device=device, dtype=dtype)

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """
        * `x` are the features, of shape `[batch_size, d_model, height, width]`
        * `pre_logits` asks for the averaged features in place of the scores
        """
        # Get one vector for each image, of shape `[batch_size, d_model]`
        x = self.pool(x).flatten(1)
        if pre_logits:
            return x
        # Get the logits, of shape `[batch_size, n_classes]`.
        # The loss turns them into probabilities, so there is no softmax here.
        x = self.linear(self.dropout(x))
        #
        return x


class ConvMixer(nn.Module):
    r"""
    <a id="parameters"></a>

    ## ConvMixer

    Patch embeddings, $d$ layers, and the head: nothing else. In all it has these parameters:

    | part | convolution or linear layer | normalization |
    | --- | --- | --- |
    | patch embeddings | $h (c_{in} p^2 + 1)$ | $2h$ |
    | each layer, depth-wise | $h (k^2 + 1)$ | $2h$ |
    | each layer, point-wise | $h (h + 1)$ | $2h$ |
    | head | $C (h + 1)$ | |

    which for $d$ layers and $C$ classes makes

    $$h \big(c_{in} p^2 + 3 + d (k^2 + h + 6) + C\big) + C$$

    For ConvMixer-256/8 with $p = 2$, $k = 7$ and ten classes that is
    $256 \cdot (12 + 3 + 8 \cdot 311 + 10) + 10 = 643{,}338$.
    The point-wise weights are most of it, $d h^2 = 524{,}288$: a larger kernel is cheap, a greater width is not.

    The number of multiplications tells the same story. Every weight of a convolution is used once at each of the
    $HW/p^2$ patches, so an image costs $\frac{HW}{p^2} h \big(c_{in} p^2 + d (k^2 + h)\big)$ of them, 161 million for
    a picture of CIFAR-10. Half the patch size leaves the weights of the layers as they are, and takes four times the
    work.
    """

    def __init__(
        self,
        conv_mixer_layer: ConvMixerLayer,
        n_layers: int,
        patch_emb: PatchEmbeddings,
        classification: ClassificationHead,
        *,
        grad_checkpointing: bool = False,
    ):
        """
        * `conv_mixer_layer` is one [ConvMixer layer](#ConvMixerLayer), the pattern for all of them
        * `n_layers` is the number of layers, $d$
        * `patch_emb` makes the [patch embeddings](#PatchEmbeddings)
        * `classification` is the [head](#ClassificationHead)
        * `grad_checkpointing` saves memory in training; [see below](#ConvMixer.set_grad_checkpointing)

        Raises a `ValueError` if `n_layers` is not a positive integer or the parts differ in `d_model`.
        """
        super().__init__()
        check_at_least("n_layers", n_layers, 1)
        widths = (patch_emb.d_model, conv_mixer_layer.d_model, classification.d_model)
        if len(set(widths)) > 1:
            raise ValueError(
                "`patch_emb`, `conv_mixer_layer` and `classification` must agree in `d_model`, "
                f"but they have {widths[0]}, {widths[1]} and {widths[2]}"
            )
        self.patch_emb = patch_emb
        self.classification = classification
        # <a id="receptive_field"></a>
        #
        # ### Receptive field
        #
        # How many pixels can a feature depend on? After the patch embedding it sees one patch. Each depth-wise
        # convolution lets it see $k - 1$ patches more, in height and in width, and the point-wise convolution none.
        # After $d$ layers that is a square of $1 + d (k - 1)$ patches, whose edge in pixels is
        #
        # $$p \, \big(1 + d (k - 1)\big)$$
        #
        # With $p = 2$, $k = 7$ and $d = 8$ these are 98 pixels, three times the width of a CIFAR-10 picture. In the
        # middle of the picture three layers see all of it. A feature in one corner reaches $(k - 1)/2 = 3$ patches
        # further with every layer, and takes five of them to see the opposite corner, 15 patches away.
        #
        # This is so in evaluation, where batch normalization uses fixed statistics. In training every pixel of the
        # batch touches the mean, and so has a faint influence on everything.
        #
        # So here are the $d$ layers. Each copy [draws weights of its own](../utils.html#clone_module_list).
        self.conv_mixer_layers = clone_module_list(conv_mixer_layer, n_layers)
        self.grad_checkpointing = grad_checkpointing

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """
        ### Features of every patch

        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        This is the network without its head, for those who build something else on top:
        a detector, a segmentation, a nearest-neighbour search.
        """
        # Get the patch embeddings, of shape `[batch_size, d_model, height / patch_size, width / patch_size]`
        x = self.patch_emb(x)

        # Remember the input of each layer only, where [that is wanted](#ConvMixer.set_grad_checkpointing)
        # and a backward pass will come
        keep_inputs_only = self.grad_checkpointing and torch.is_grad_enabled()
        # Pass through the layers; the shape stays
        for layer in self.conv_mixer_layers:
            x = checkpoint_layer(layer, x) if keep_inputs_only else layer(x)
        #
        return x

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """
        ### From features to logits

        * `x` are the features that `forward_features` gave, of shape
          `[batch_size, d_model, height / patch_size, width / patch_size]`
        * `pre_logits` asks for the features averaged over the image, of shape `[batch_size, d_model]`
        """
        return self.classification(x, pre_logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        ### Image to logits

        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`
        """
        x = self.forward_features(x)
        # The logits have shape `[batch_size, n_classes]`
        x = self.forward_head(x)
        #
        return x

    def reset_classifier(self, n_classes: int) -> None:
        """
        ### A new head

        * `n_classes` is the number of classes of the new task; 0 leaves the averaged features

        For fine-tuning: keep what the layers learned, and start over with a linear layer for other classes.
        """
        weight = self.patch_emb.conv.weight
        self.classification = ClassificationHead(
            self.classification.d_model,
            n_classes,
            dropout=self.classification.dropout.p,
            device=weight.device,
            dtype=weight.dtype,
        ).train(self.training)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """
        ### Trade time for memory

        The backward pass needs what each layer computed on the way forward, and for a deep network on large images
        that is what fills the memory. With [gradient checkpointing](checkpointing.html) only the input of each layer is
        kept, and the layer is computed once more when its gradient is due: about a third more time, and memory for
        the insides of one layer in place of $d$. The gradients are the same.
        """
        self.grad_checkpointing = enable


def conv_mixer(
    d_model: int,
    n_layers: int,
    kernel_size: int,
    patch_size: int,
    n_classes: int,
    *,
    in_channels: int = 3,
    activation: Callable[[], nn.Module] = nn.GELU,
    dropout: float = 0.0,
    grad_checkpointing: bool = False,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> ConvMixer:
    """
    <a id="family"></a>

    ## A ConvMixer from its numbers

    * `d_model` is the number of channels, $h$
    * `n_layers` is the number of layers, $d$
    * `kernel_size` is the edge of the depth-wise kernel in patches, $k$
    * `patch_size` is the edge of a patch in pixels, $p$
    * `n_classes` is the number of classes; 0 gives features in place of logits
    * `in_channels` is the number of channels of the image, $c_{in}$
    * `activation` makes the non-linearity
    * `dropout` is the probability of dropout before the last linear layer
    * `grad_checkpointing` saves memory in training
    * `device` and `dtype` say where the parameters live and what kind of numbers they are

    Raises a `ValueError` that names the argument if one of them is out of range.
    """
    return ConvMixer(
        ConvMixerLayer(d_model, kernel_size, activation=activation, device=device, dtype=dtype),
        n_layers,
        PatchEmbeddings(d_model, patch_size, in_channels, activation=activation, device=device, dtype=dtype),
        ClassificationHead(d_model, n_classes, dropout=dropout, device=device, dtype=dtype),
        grad_checkpointing=grad_checkpointing,
    )


def conv_mixer_1536_20(n_classes: int = 1000, **options: Any) -> ConvMixer:
    """
    ### ConvMixer-1536/20

    The most accurate of the three that the paper trained on ImageNet at 224 pixels, with 51.6 million parameters and
    81.37 % of the validation images right at the first guess. `options` are those of [`conv_mixer`](#conv_mixer).
    """
    return conv_mixer(1536, 20, kernel_size=9, patch_size=7, n_classes=n_classes, **options)


def conv_mixer_768_32(n_classes: int = 1000, **options: Any) -> ConvMixer:
    """
    ### ConvMixer-768/32

    Narrower and deeper: 21.1 million parameters, 80.16 %. It was trained with ReLU in place of GELU, so its weights
    need that too.
    """
    options.setdefault("activation", nn.ReLU)
    return conv_mixer(768, 32, kernel_size=7, patch_size=7, n_classes=n_classes, **options)


def conv_mixer_1024_20_ks9_p14(n_classes: int = 1000, **options: Any) -> ConvMixer:
    """
    ### ConvMixer-1024/20 with large patches

    Patches of 14 pixels are a quarter as many as patches of 7, so this is the fast one: 24.4 million parameters,
    76.94 %.
    """
    return conv_mixer(1024, 20, kernel_size=9, patch_size=14, n_classes=n_classes, **options)


def conv_mixer_256_8(n_classes: int = 10, *, kernel_size: int = 7, patch_size: int = 2, **options: Any) -> ConvMixer:
    """
    ### ConvMixer-256/8

    The small one for CIFAR-10, with 643,338 parameters. The paper trained several kernel and patch sizes at this
    width and depth, which is why the two can be chosen here.
    """
    return conv_mixer(256, 8, kernel_size=kernel_size, patch_size=patch_size, n_classes=n_classes, **options)
