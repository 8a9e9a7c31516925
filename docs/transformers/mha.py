r"""
---
title: Multi-head attention
summary: >
  Scaled dot-product attention with several heads in PyTorch, with shapes at every step and masks that do not make NaN.
symbols: {b: batch_size, n: seq_len, h: d_model, a: heads}
example: |
  import torch
  from labml_nn.transformers.mha import MultiHeadAttention, causal_mask

  attention = MultiHeadAttention(heads=4, d_model=64)
  x = torch.randn(2, 10, 64)
  y = attention(query=x, key=x, value=x, mask=causal_mask(10))
  print(y.shape)
---

# Multi-head attention

This is an annotated [PyTorch](https://pytorch.org) implementation of the attention in
[Attention Is All You Need](https://arxiv.org/abs/1706.03762), sections 3.2.1 and 3.2.2.

Attention lets each position of a sequence collect what it needs from the others. It works like a dictionary that is
searched by similarity. A position asks with a *query* $q$. Every position offers a *key* $k_j$, which says what it
has, and a *value* $v_j$, which is what it gives. The query is compared with all keys, the results become weights that
sum to 1, and the answer is the weighted average of the values (equation 1 of the paper):

$$\text{Attention}(Q, K, V) = \text{softmax}\Big(\frac{Q K^\top}{\sqrt{d_k}}\Big) V$$

Why the root? If the $d_k$ entries of $q$ and $k$ are independent, with mean 0 and variance 1, their dot product has
variance $d_k$. Large numbers drive the softmax to where one weight is nearly 1 and its gradient nearly 0.
Dividing by $\sqrt{d_k}$ brings the variance back to 1.

One softmax makes one average, and averages blur. So the model computes several in parallel, its *heads*,
each on projections of its own to a smaller dimension $d_k = h / a$, for $a$ heads: one head may look at the position
before, another one at whatever resembles it. Their answers are put side by side and mixed by one more linear layer:

$$\text{MultiHead}(Q, K, V) = \text{Concat}(\text{head}_1, \dots, \text{head}_a) W^O$$

$$\text{head}_i = \text{Attention}(Q W_i^Q, K W_i^K, V W_i^V)$$

The weights depend on the input. That is the difference to a [convolution](../conv_mixer/index.html#mixing_locations)
and to the [token mixing of MLP-Mixer](mlp_mixer/index.html), which learn fixed ones. And every position is compared
with every other one, so the cost grows with the square of the sequence length.
"""

import math

import torch
from torch import nn

from labml_nn.utils import check_at_least, check_probability


class MultiHeadAttention(nn.Module):
    r"""
    ## Multi-head attention
    """

    def __init__(self, heads: int, d_model: int, dropout: float = 0.0, bias: bool = True):
        r"""
        * `heads` is the number of heads, $a$
        * `d_model` is the number of features of a position, $h$
        * `dropout` is the probability with which training zeroes an attention weight
        * `bias` says whether the linear layers have a bias

        Raises a `ValueError` if a number is out of range, or the heads do not share the features evenly.
        """
        super().__init__()
        check_at_least("heads", heads, 1)
        check_at_least("d_model", d_model, 1)
        check_probability("dropout", dropout)
        if d_model % heads != 0:
            raise ValueError(f"`d_model` must be a multiple of `heads`, but {d_model} is no multiple of {heads}")
        self.heads = heads
        self.d_model = d_model
        # The number of features that each head works with
        self.d_k = d_model // heads

        # $W^Q$, $W^K$ and $W^V$ of all heads at once: $a$ projections to $d_k$ features are one projection to
        # $a d_k = h$
        self.query = nn.Linear(d_model, d_model, bias=bias)
        self.key = nn.Linear(d_model, d_model, bias=bias)
        self.value = nn.Linear(d_model, d_model, bias=bias)
        # $W^O$ mixes what the heads found
        self.output = nn.Linear(d_model, d_model, bias=bias)
        self.dropout = nn.Dropout(dropout)
        # $1 / \sqrt{d_k}$
        self.scale = 1 / math.sqrt(self.d_k)

    def split_heads(self, x: torch.Tensor) -> torch.Tensor:
        """
        ### Give each head its share

        * `x` has the shape `[batch_size, seq_len, d_model]`
        """
        # The result has the shape `[batch_size, heads, seq_len, d_k]`
        return x.unflatten(-1, (self.heads, self.d_k)).transpose(1, 2)

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        * `query` has the shape `[batch_size, query_len, d_model]`
        * `key` and `value` have the shape `[batch_size, seq_len, d_model]`. In *self-attention* all three are
          the same tensor
        * `mask` is true where a query may look, of a shape that broadcasts to
          `[batch_size, heads, query_len, seq_len]`: `[query_len, seq_len]` is one mask for all,
          `[batch_size, 1, 1, seq_len]` hides the padding of each sequence. This is the meaning that torch's
          [`scaled_dot_product_attention`](https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html)
          gives to it; `nn.MultiheadAttention` means the opposite.

        Returns a tensor of shape `[batch_size, query_len, d_model]`. A query that may look nowhere finds zeros.

        Raises a `ValueError` if the mask is not boolean.
        """
        if mask is not None and mask.dtype != torch.bool:
            raise ValueError(f"`mask` must be boolean, true where a query may look, but it holds {mask.dtype} numbers")

        # Project, and split into heads. The query gets the shape `[batch_size, heads, query_len, d_k]`,
        # key and value `[batch_size, heads, seq_len, d_k]`
        q = self.split_heads(self.query(query))
        k = self.split_heads(self.key(key))
        v = self.split_heads(self.value(value))

        # Compare each query with each key, $Q K^\top / \sqrt{d_k}$. This has the shape
        # `[batch_size, heads, query_len, seq_len]`.
        scores = q @ k.transpose(-2, -1) * self.scale
        # Where looking is not allowed, make the score so small that the softmax gives it a weight of zero.
        # With $-\infty$ a query that may look nowhere would get $0 / 0$ for each of its weights, and one such row is
        # enough to make all gradients NaN. The smallest number that there is gives equal weights, which are
        # taken away behind the softmax.
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        # Make them weights that sum to 1 for each query
        weights = scores.softmax(dim=-1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0.0)
        weights = self.dropout(weights)

        # Average the values of each head: `[batch_size, heads, query_len, d_k]`
        x = weights @ v
        # Put the heads side by side again: `[batch_size, query_len, d_model]`
        x = x.transpose(1, 2).flatten(-2)
        # Mix them
        return self.output(x)


def causal_mask(seq_len: int, device: torch.device | str | None = None) -> torch.Tensor:
    r"""
    ## Not into the future

    * `seq_len` is the length of the sequence
    * `device` is where to make the mask

    A model that learns to predict the next word must not see it. This is the mask of shape `[seq_len, seq_len]` that
    lets position $i$ look at the positions $j \le i$ only.
    """
    return torch.ones(seq_len, seq_len, dtype=torch.bool, device=device).tril()
