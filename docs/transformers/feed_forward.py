r"""
---
title: Feed-forward network
summary: >
  The position-wise feed-forward network of the transformer, and its gated variants GLU, Bilinear, ReGLU, GEGLU and
  SwiGLU.
symbols: {b: batch_size, n: seq_len, h: d_model, f: d_ff}
example: |
  import torch
  from torch import nn
  from labml_nn.transformers.feed_forward import FeedForward

  feed_forward = FeedForward(d_model=64, d_ff=256, activation=nn.GELU())
  x = torch.randn(2, 10, 64)
  y = feed_forward(x)
  print(y.shape)
---

# Feed-forward network

This is an annotated [PyTorch](https://pytorch.org) implementation of the feed-forward network in
[Attention Is All You Need](https://arxiv.org/abs/1706.03762), section 3.3, and of its gated variants from
[GLU Variants Improve Transformer](https://arxiv.org/abs/2002.05202).

[Attention](mha.html) moves features from one position to another, but it combines them by averaging only. The
feed-forward network comes behind it and works on what has arrived, at each position by itself and with the same weights
at all positions. It is two linear layers with an activation $\sigma$ between them (equation 2 of the paper):

$$\text{FFN}(x) = \sigma(x W_1 + b_1) W_2 + b_2$$

The first makes the vector wider, from $h$ to usually $4h$ features, and the second one brings it back. One can read
it as a memory: each hidden feature asks one question of $x$, by its column of $W_1$, and adds its row of $W_2$ as far
as the answer is yes. It holds two thirds of the weights of a layer: $8h^2$, where attention has $4h^2$.

A linear layer applied to each position is the same thing as a convolution with a kernel of size 1. So [ConvMixer's
point-wise convolution](../conv_mixer/index.html#ConvMixerLayer) is a feed-forward network of a single layer, that
does not get wider in between.

<a id="gated"></a>

### Gated variants

A *gate* is a second projection of $x$ that the first one is multiplied with, feature by feature:

$$\text{FFN}_\text{gated}(x) = \big(\sigma(x W_1 + b_1) \odot (x V + c)\big) W_2 + b_2$$

So a hidden feature is a product of two views of the input, not one view bent by an activation.
The choice of $\sigma$ gives the variants their names:

| variant | activation $\sigma$ | in this module |
| --- | --- | --- |
| GLU | sigmoid | `activation=nn.Sigmoid()` |
| Bilinear | none | `activation=nn.Identity()` |
| ReGLU | ReLU | `activation=nn.ReLU()` |
| GEGLU | GELU | `activation=nn.GELU()` |
| SwiGLU | Swish, which torch calls SiLU | `activation=nn.SiLU()` |

all with `is_gated=True`. The paper leaves out all three biases, and makes $d_{ff}$ smaller by a third, so that the
three matrices have as many weights as the two had.
"""

import torch
from torch import nn

from labml_nn.utils import check_at_least, check_probability


class FeedForward(nn.Module):
    """
    ## Feed-forward network
    """

    def __init__(
        self,
        d_model: int,
        d_ff: int,
        dropout: float = 0.0,
        activation: nn.Module | None = None,
        is_gated: bool = False,
        bias1: bool = True,
        bias2: bool = True,
        bias_gate: bool = True,
    ):
        r"""
        * `d_model` is the number of features of a position, $h$
        * `d_ff` is the number of features of the hidden layer
        * `dropout` is the probability with which training zeroes a hidden feature
        * `activation` is $\sigma$, ReLU if nothing else is said
        * `is_gated` says whether to multiply the hidden layer with a gate
        * `bias1`, `bias2` and `bias_gate` say whether to learn $b_1$, $b_2$ and the bias of the gate, $c$

        Raises a `ValueError` if a number is out of range.
        """
        super().__init__()
        check_at_least("d_model", d_model, 1)
        check_at_least("d_ff", d_ff, 1)
        check_probability("dropout", dropout)
        # $W_1$ and $b_1$
        self.layer1 = nn.Linear(d_model, d_ff, bias=bias1)
        # $W_2$ and $b_2$
        self.layer2 = nn.Linear(d_ff, d_model, bias=bias2)
        # $V$ and $c$
        self.gate = nn.Linear(d_model, d_ff, bias=bias_gate) if is_gated else None
        self.activation = nn.ReLU() if activation is None else activation
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r"""
        * `x` has the shape `[*, d_model]`; in a transformer that is `[batch_size, seq_len, d_model]`

        The result has the same shape.
        """
        # $\sigma(x W_1 + b_1)$, of shape `[*, d_ff]`
        hidden = self.activation(self.layer1(x))
        # Where there is a gate, multiply with $x V + c$
        if self.gate is not None:
            hidden = hidden * self.gate(x)
        hidden = self.dropout(hidden)
        # Back to `[*, d_model]` by $W_2$
        return self.layer2(hidden)
