r"""
---
title: MLP-Mixer
summary: >
  MLP-Mixer in PyTorch: an image classifier of feed-forward networks alone, one across patches and one across channels.
symbols: {b: batch_size, h: d_model, p: patch_size, n: n_patches, H: height, W: width}
example: |
  import torch
  from labml_nn.transformers.mlp_mixer import mlp_mixer

  model = mlp_mixer(
      d_model=64, n_layers=2, d_token_ff=32, d_channel_ff=256, patch_size=8, image_size=32, n_classes=10
  )
  images = torch.randn(4, 3, 32, 32)
  logits = model(images)
  print(logits.shape)
---

# MLP-Mixer

This is an annotated [PyTorch](https://pytorch.org) implementation of
[MLP-Mixer: An all-MLP Architecture for Vision](https://arxiv.org/abs/2105.01601) by Ilya Tolstikhin and others.

Take a [Vision Transformer](../vit/index.html), and replace [attention](../mha.html) by a second
[feed-forward network](../feed_forward.html), which runs along the *other* axis. What is left has no attention and no
convolution, and still classifies images about as well, if it has much data to learn from.

Think of the embedded image as a table $X$ with a row for each of the $n$ patches and a column for each of the $h$
channels. A layer has two steps (equation 1 of the paper):

$$
\begin{aligned}
U_{:,i} &= X_{:,i} + W_2 \, \sigma\big(W_1 \, \text{LN}(X)_{:,i}\big) && \text{for each channel } i \\
Y_{j,:} &= U_{j,:} + W_4 \, \sigma\big(W_3 \, \text{LN}(U)_{j,:}\big) && \text{for each patch } j
\end{aligned}
$$

*Token mixing* works on the columns: it takes the $n$ values that one channel has over the image, and lets them learn
from each other, with the same weights for every channel. *Channel mixing* works on the rows, as the feed-forward
network of a transformer does.

Token mixing has a weight for each pair of places (by way of the hidden layer), so it tells places apart, and the
model needs no position embeddings. For the same reason it is bound to one number of patches: another image size needs
other weights. [ConvMixer](../../conv_mixer/index.html) does both steps by convolutions, of one layer each: its
weights belong to *offsets* between patches, not to places.
"""

import torch
from torch import nn

from labml_nn.normalization.layer_norm import LayerNorm
from labml_nn.transformers.feed_forward import FeedForward
from labml_nn.transformers.vit import PatchEmbeddings
from labml_nn.utils import check_at_least, clone_module_list


class MLPMixerLayer(nn.Module):
    """
    ## Mixer layer

    The same module serves both steps, and turning the table is all that makes the difference.
    """

    def __init__(self, d_model: int, token_mixing: FeedForward, channel_mixing: FeedForward):
        """
        * `d_model` is the number of channels, $h$
        * `token_mixing` is the network across patches: a feed-forward network for vectors of `n_patches` numbers
        * `channel_mixing` is the network across channels: one for vectors of `d_model` numbers
        """
        super().__init__()
        self.norm_token = LayerNorm(d_model, eps=1e-6)
        self.token_mixing = token_mixing
        self.norm_channel = LayerNorm(d_model, eps=1e-6)
        self.channel_mixing = channel_mixing

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` has the shape `[batch_size, n_patches, d_model]`
        """
        # Normalize each patch, over its channels; both steps do it that way
        z = self.norm_token(x)
        # Turn the table, so that the patches come last: `[batch_size, d_model, n_patches]`
        z = z.transpose(1, 2)
        # Mix the patches of each channel, turn back, and add
        x = x + self.token_mixing(z).transpose(1, 2)

        # Mix the channels of each patch, and add
        x = x + self.channel_mixing(self.norm_channel(x))
        #
        return x


class MLPMixer(nn.Module):
    """
    ## MLP-Mixer
    """

    def __init__(self, mixer_layer: MLPMixerLayer, n_layers: int, patch_emb: PatchEmbeddings, n_classes: int):
        """
        * `mixer_layer` is one [layer](#MLPMixerLayer), the pattern for all of them
        * `n_layers` is the number of layers
        * `patch_emb` makes the [patch embeddings](../vit/index.html#PatchEmbeddings), which are those of ViT
        * `n_classes` is the number of classes

        Raises a `ValueError` if a number is not a positive integer.
        """
        super().__init__()
        check_at_least("n_layers", n_layers, 1)
        check_at_least("n_classes", n_classes, 1)
        d_model = patch_emb.conv.out_channels
        self.patch_emb = patch_emb
        self.layers = clone_module_list(mixer_layer, n_layers)
        self.norm = LayerNorm(d_model, eps=1e-6)
        self.classification = nn.Linear(d_model, n_classes)
        # The number of patches that token mixing was made for
        self.n_patches = mixer_layer.token_mixing.layer1.in_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        Raises a `ValueError` if the images have another number of patches than the model was built for.
        """
        # Embed the patches: `[batch_size, n_patches, d_model]`
        x = self.patch_emb(x)
        if x.shape[1] != self.n_patches:
            raise ValueError(f"`x` makes {x.shape[1]} patches, but token mixing was built for {self.n_patches}")

        # Pass through the layers, which keep the shape
        for layer in self.layers:
            x = layer(x)

        # Normalize, and average over the patches: `[batch_size, d_model]`. There is no class token to read from,
        # and none is needed: every patch has met all others.
        x = self.norm(x).mean(dim=1)
        # The logits have the shape `[batch_size, n_classes]`
        return self.classification(x)


def mlp_mixer(
    d_model: int,
    n_layers: int,
    d_token_ff: int,
    d_channel_ff: int,
    patch_size: int,
    image_size: int,
    n_classes: int,
    *,
    in_channels: int = 3,
    dropout: float = 0.0,
) -> MLPMixer:
    """
    ## An MLP-Mixer from its numbers

    * `d_model` is the number of channels, $h$
    * `n_layers` is the number of layers
    * `d_token_ff` is the number of hidden features of the network across patches
    * `d_channel_ff` is the number of hidden features of the network across channels
    * `patch_size` is the edge of a patch in pixels, $p$
    * `image_size` is the edge of the square images in pixels
    * `n_classes` is the number of classes
    * `in_channels` is the number of channels of the image
    * `dropout` is the probability with which training zeroes a hidden feature

    Raises a `ValueError` that names the argument if one of them is out of range.
    """
    patch_emb = PatchEmbeddings(d_model, patch_size, in_channels)
    check_at_least("image_size", image_size, patch_size)
    n_patches = (image_size // patch_size) ** 2
    layer = MLPMixerLayer(
        d_model,
        FeedForward(n_patches, d_token_ff, dropout, nn.GELU()),
        FeedForward(d_model, d_channel_ff, dropout, nn.GELU()),
    )
    return MLPMixer(layer, n_layers, patch_emb, n_classes)


def mixer_b16_224(n_classes: int = 1000) -> MLPMixer:
    """
    ### Mixer-B/16

    The base model of the paper's table 1, for images of 224 pixels: 12 layers, 768 channels, 59.9 million parameters.
    """
    return mlp_mixer(
        d_model=768, n_layers=12, d_token_ff=384, d_channel_ff=3072, patch_size=16, image_size=224, n_classes=n_classes
    )
