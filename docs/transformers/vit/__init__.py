r"""
---
title: Vision Transformer
summary: >
  Vision Transformer (ViT) in PyTorch: patch embeddings, class token, learned positions, and a pre-norm encoder.
symbols: {b: batch_size, h: d_model, p: patch_size, H: height, W: width}
example: |
  import torch
  from labml_nn.transformers.vit import vision_transformer

  model = vision_transformer(
      d_model=64, n_layers=2, heads=4, d_ff=256, patch_size=8, image_size=32, n_classes=10
  )
  images = torch.randn(4, 3, 32, 32)
  logits = model(images)
  print(logits.shape)
---

# Vision Transformer

This is an annotated [PyTorch](https://pytorch.org) implementation of
[An Image Is Worth 16x16 Words: Transformers for Image Recognition at Scale](https://arxiv.org/abs/2010.11929)
by Alexey Dosovitskiy and others.

A transformer reads a sequence of vectors. To make it read an image, cut the image into patches, and let each patch be
a word. The rest is the encoder of a text transformer, all but unchanged (equations 1 to 4 of the paper):

$$
\begin{aligned}
z_0 &= [x_\text{class};\ x_1 E;\ x_2 E;\ \dots;\ x_N E] + E_\text{pos} \\
z'_l &= \text{MSA}(\text{LN}(z_{l-1})) + z_{l-1} \\
z_l &= \text{MLP}(\text{LN}(z'_l)) + z'_l \\
y &= \text{LN}(z_L^0)
\end{aligned}
$$

where $x_i$ is patch $i$, flattened, $E$ the linear patch embedding, $E_\text{pos}$ a learned vector for each
position, and $z_L^0$ the class token behind the last layer.

Nothing in a ViT knows that the patches lie in a plane: any patch may look at any other one from the first layer on,
and which are neighbours has to be learned, by the position embeddings. With little data that is a handicap, and with
much it is freedom: the paper trains on up to 300 million images to overtake convolutional networks.
[ConvMixer](../../conv_mixer/index.html) keeps the patches and goes back to convolutions, where neighbourhood is built
in.
"""

import torch
from torch import nn

from labml_nn.normalization.layer_norm import LayerNorm
from labml_nn.transformers.feed_forward import FeedForward
from labml_nn.transformers.mha import MultiHeadAttention
from labml_nn.utils import check_at_least, check_images, clone_module_list


class PatchEmbeddings(nn.Module):
    r"""
    ## Patch embeddings

    Cutting the image into patches, flattening them, and applying one linear layer $E$ to each is the same as a
    convolution whose stride is its kernel size, as in [ConvMixer](../../conv_mixer/index.html#PatchEmbeddings), but
    here with no activation or normalization behind it.
    """

    def __init__(self, d_model: int, patch_size: int, in_channels: int):
        r"""
        * `d_model` is the number of features of an embedding, $h$
        * `patch_size` is the edge of a patch in pixels, $p$
        * `in_channels` is the number of channels of the image

        Raises a `ValueError` for a size that is not a positive integer.
        """
        super().__init__()
        check_at_least("d_model", d_model, 1)
        check_at_least("patch_size", patch_size, 1)
        check_at_least("in_channels", in_channels, 1)
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.conv = nn.Conv2d(in_channels, d_model, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        Raises a `ValueError` if `x` is no such batch or is smaller than a patch.
        """
        check_images(x, self.in_channels, self.patch_size)
        # The convolution gives `[batch_size, d_model, height / patch_size, width / patch_size]`
        x = self.conv(x)
        # Line the patches up, row by row, to `[batch_size, patches, d_model]`
        return x.flatten(2).transpose(1, 2)


class TransformerLayer(nn.Module):
    r"""
    ## Encoder layer

    [Attention](../mha.html) mixes positions, [the feed-forward network](../feed_forward.html) mixes features, and
    each has a residual connection around it.

    The first transformer normalized *behind* each addition. Here the [layer
    normalization](../../normalization/layer_norm/index.html) stands *inside* the branch, before attention and before
    the feed-forward network. This *pre-norm* order leaves a path of additions only from the last layer back to the
    first, along which gradients travel unchanged, and deep stacks train without much care for the learning rate.
    """

    def __init__(self, d_model: int, self_attn: MultiHeadAttention, feed_forward: FeedForward, dropout: float = 0.0):
        """
        * `d_model` is the number of features of a position, $h$
        * `self_attn` is the attention
        * `feed_forward` is the feed-forward network
        * `dropout` is the probability with which training zeroes what the two branches add
        """
        super().__init__()
        self.norm_self_attn = LayerNorm(d_model, eps=1e-6)
        self.self_attn = self_attn
        self.norm_ff = LayerNorm(d_model, eps=1e-6)
        self.feed_forward = feed_forward
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """
        * `x` has the shape `[batch_size, seq_len, d_model]`
        * `mask` is the [attention mask](../mha.html#MultiHeadAttention.forward); for images there is none
        """
        # Collect from other positions, $z' = \text{MSA}(\text{LN}(z)) + z$
        z = self.norm_self_attn(x)
        x = x + self.dropout(self.self_attn(query=z, key=z, value=z, mask=mask))
        # Work on each position, $\text{MLP}(\text{LN}(z')) + z'$
        x = x + self.dropout(self.feed_forward(self.norm_ff(x)))
        #
        return x


class VisionTransformer(nn.Module):
    """
    ## Vision Transformer
    """

    def __init__(
        self,
        transformer_layer: TransformerLayer,
        n_layers: int,
        patch_emb: PatchEmbeddings,
        image_size: int | tuple[int, int],
        n_classes: int,
    ):
        r"""
        * `transformer_layer` is one [encoder layer](#TransformerLayer), the pattern for all of them
        * `n_layers` is the number of layers
        * `patch_emb` makes the [patch embeddings](#PatchEmbeddings)
        * `image_size` is the height and width of the images, or their edge if they are square: the number of patches
          decides how many position embeddings there are
        * `n_classes` is the number of classes

        Raises a `ValueError` if a number is out of range or the image cannot be cut into whole patches.
        """
        super().__init__()
        check_at_least("n_layers", n_layers, 1)
        check_at_least("n_classes", n_classes, 1)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        patch_size = patch_emb.patch_size
        check_at_least("image_size", height, patch_size)
        check_at_least("image_size", width, patch_size)
        if height % patch_size or width % patch_size:
            raise ValueError(f"`image_size` must be a multiple of `patch_size={patch_size}`, but it is {image_size!r}")
        self.image_size = (height, width)
        d_model = patch_emb.conv.out_channels

        self.patch_emb = patch_emb
        # The class token is one more word at the front. It starts as the same vector for every image, and attention
        # fills it with what the patches have to say about the class.
        self.class_token = nn.Parameter(torch.zeros(1, 1, d_model))
        # One learned vector for each position, the class token's included. Without it, attention would take the
        # patches as a set: shuffling them would change nothing.
        n_patches = (height // patch_size) * (width // patch_size)
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + n_patches, d_model))
        self.layers = clone_module_list(transformer_layer, n_layers)
        # Since each layer normalizes what goes *into* its branches, what comes out of the last one needs a
        # normalization of its own
        self.norm = LayerNorm(d_model, eps=1e-6)
        # One linear layer, as the paper has it for fine-tuning. (For pre-training it puts a hidden layer before that.)
        self.classification = nn.Linear(d_model, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """
        * `x` is the batch of images, of shape `[batch_size, in_channels, height, width]`

        Raises a `ValueError` if the images have another size than the model was built for.
        """
        if x.ndim == 4 and tuple(x.shape[2:]) != self.image_size:
            raise ValueError(
                f"`x` is {x.shape[2]} × {x.shape[3]} pixels, but the position embeddings were made for "
                f"`image_size={self.image_size}`"
            )
        # Embed the patches: `[batch_size, patches, d_model]`
        x = self.patch_emb(x)
        # Put the class token in front of each sequence: `[batch_size, 1 + patches, d_model]`
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        # Say where each patch is
        x = x + self.positions

        # Pass through the layers, which keep the shape
        for layer in self.layers:
            x = layer(x)

        # Read the class off the class token, of shape `[batch_size, d_model]`
        x = self.norm(x[:, 0])
        # The logits have the shape `[batch_size, n_classes]`
        return self.classification(x)


def vision_transformer(
    d_model: int,
    n_layers: int,
    heads: int,
    d_ff: int,
    patch_size: int,
    image_size: int | tuple[int, int],
    n_classes: int,
    *,
    in_channels: int = 3,
    dropout: float = 0.0,
) -> VisionTransformer:
    """
    ## A ViT from its numbers

    * `d_model` is the number of features of a position, $h$
    * `n_layers` is the number of layers
    * `heads` is the number of attention heads
    * `d_ff` is the number of hidden features of the feed-forward network, whose activation is GELU
    * `patch_size` is the edge of a patch in pixels, $p$
    * `image_size` is the height and width of the images, or their edge if they are square
    * `n_classes` is the number of classes
    * `in_channels` is the number of channels of the image
    * `dropout` is the probability of dropout in the feed-forward network and behind each branch

    Raises a `ValueError` that names the argument if one of them is out of range.
    """
    layer = TransformerLayer(
        d_model,
        MultiHeadAttention(heads, d_model),
        FeedForward(d_model, d_ff, dropout, nn.GELU()),
        dropout,
    )
    return VisionTransformer(layer, n_layers, PatchEmbeddings(d_model, patch_size, in_channels), image_size, n_classes)


def vit_base_patch16_224(n_classes: int = 1000) -> VisionTransformer:
    """
    ### ViT-B/16

    The base model of the paper's table 1, for images of 224 pixels: 12 layers, 768 features, 12 heads, 86.6 million
    parameters.
    """
    return vision_transformer(
        d_model=768, n_layers=12, heads=12, d_ff=3072, patch_size=16, image_size=224, n_classes=n_classes
    )
