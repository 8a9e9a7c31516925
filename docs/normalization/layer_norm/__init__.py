r"""
---
title: Layer normalization
summary: Layer normalization written out in PyTorch, the same in training and evaluation and for a batch of any size.
symbols: {b: batch_size, n: seq_len, h: d_model}
example: |
  import torch
  from labml_nn.normalization.layer_norm import LayerNorm

  norm = LayerNorm(64)
  x = 5 + 2 * torch.randn(8, 10, 64)
  y = norm(x)
  print(y[0, 0].mean().item(), y[0, 0].std().item())
---

# Layer normalization

This is an annotated [PyTorch](https://pytorch.org) implementation of
[Layer Normalization](https://arxiv.org/abs/1607.06450) by Jimmy Lei Ba, Jamie Ryan Kiros and Geoffrey E. Hinton.

[Batch normalization](../batch_norm/index.html) ties together the examples of a batch. That goes badly with small
batches, whose statistics are noise, and with sequences of different lengths; and it computes one thing in training
and another one in evaluation.

Layer normalization turns the table by 90 degrees. It gives each example a mean and a variance of its own, taken over
its *features* (equation 3 of the paper). For a vector $x$ of $h$ features:

$$
\begin{aligned}
\mu &= \frac{1}{h} \sum_{i=1}^h x_i \\
\sigma^2 &= \frac{1}{h} \sum_{i=1}^h (x_i - \mu)^2 \\
y_i &= \gamma_i \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta_i
\end{aligned}
$$

The rest of the batch plays no part, there are no running averages, and training and evaluation are the same.
In a [transformer](../../transformers/index.html) each token is such a vector, and is normalized by itself.

What it costs: the length of the vector and its common offset are gone, apart from what $\gamma$ and $\beta$ put back,
and these two are the same for every token.

Names and results are those of
[`torch.nn.LayerNorm`](https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html), so that a state dict of one
loads into the other.
"""

import torch
from torch import nn

from labml_nn.utils import check_at_least


class LayerNorm(nn.Module):
    r"""
    ## Layer normalization
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        r"""
        * `normalized_shape` is the shape of the features: their number $h$, or the last few dimensions if they are
          laid out in more than one
        * `eps` is $\epsilon$, which keeps the division safe where all features are equal
        * `elementwise_affine` says whether to learn a scale $\gamma$ and a shift $\beta$ for each feature
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` if a size is not a positive integer, or there is none.
        """
        super().__init__()
        self.normalized_shape = normalized_shape if isinstance(normalized_shape, tuple) else (normalized_shape,)
        if not self.normalized_shape:
            raise ValueError("`normalized_shape` must hold at least one size, but it is ()")
        for size in self.normalized_shape:
            check_at_least("normalized_shape", size, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine

        # $\gamma$ and $\beta$, which do nothing at first
        if elementwise_affine:
            self.weight = nn.Parameter(torch.ones(self.normalized_shape, device=device, dtype=dtype))
            self.bias = nn.Parameter(torch.zeros(self.normalized_shape, device=device, dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r"""
        * `x` has the shape `[*, normalized_shape]`; in a transformer that is `[batch_size, seq_len, d_model]`

        Raises a `ValueError` if the last dimensions of `x` are not `normalized_shape`.
        """
        # The dimensions to average over are the last ones: $-1$, $-2$, and so on
        dims = tuple(range(-len(self.normalized_shape), 0))
        if tuple(x.shape[dims[0] :]) != self.normalized_shape:
            raise ValueError(f"`x` must have the shape [*, {list(self.normalized_shape)}], but it has {list(x.shape)}")

        # $\mu$ and $\sigma^2$ of each example. Kept dimensions of size 1 line them up with $x$ again.
        mean = x.mean(dim=dims, keepdim=True)
        var = x.var(dim=dims, unbiased=False, keepdim=True)
        # $$\hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}$$
        x = (x - mean) / torch.sqrt(var + self.eps)
        # $$y = \gamma \hat{x} + \beta$$
        if self.elementwise_affine:
            x = self.weight * x + self.bias
        #
        return x
