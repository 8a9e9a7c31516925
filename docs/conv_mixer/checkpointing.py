"""
---
title: Gradient checkpointing with batch normalization
summary: >
  Why torch's gradient checkpointing moves the running statistics of batch normalization twice per step,
  and a few lines that keep them exact.
example: |
  import torch
  from labml_nn.conv_mixer import conv_mixer_256_8

  model = conv_mixer_256_8(grad_checkpointing=True)
  logits = model(torch.randn(4, 3, 32, 32))
  logits.square().mean().backward()
  print(model.patch_emb.norm.num_batches_tracked, model.conv_mixer_layers[0].norm1.num_batches_tracked)
---

# Gradient checkpointing with batch normalization

[Gradient checkpointing](https://arxiv.org/abs/1604.06174) forgets what a layer computed inside and computes it once
more in the backward pass. Torch does this in
[`torch.utils.checkpoint`](https://pytorch.org/docs/stable/checkpoint.html), on one condition: the second run must do
what the first did, and no harm besides.

[Batch normalization](../normalization/batch_norm/index.html) does some. In training, each run moves the running mean
and variance a step towards those of the batch. With two runs per step, a momentum of $m = 0.1$ acts like
$1 - (1 - m)^2 = 0.19$: the gradients stay right, but the model that you evaluate is another one. So the second run
has to leave the running statistics alone, and this page is how.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_layer(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """
    ## Run a layer, remembering its input only

    * `layer` is a module that takes and returns one tensor
    * `x` is its input, of any shape
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # Torch enters the first context in the forward pass and the second one for the run that repeats it
        return nullcontext(), running_statistics_kept(layer)

    # A compiled model needs no such care: the compiler sees the update of the running statistics as an output of the
    # forward pass, and does not repeat it
    if torch.compiler.is_compiling():
        return checkpoint(layer, x, use_reentrant=False)
    return checkpoint(layer, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def running_statistics_kept(layer: nn.Module) -> Iterator[None]:
    """
    ## Batch normalization that does not learn its statistics

    Within this context, the batch normalizations inside `layer` compute just what they otherwise would,
    but their running statistics stay.
    """
    norms = [module for module in layer.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # With a momentum of zero the new running value is the old one. The number of batches is counted apart from it,
        # unless there is no counter.
        norm.momentum = 0.0
        norm.num_batches_tracked = None
    try:
        yield
    finally:
        for norm, (momentum, n_batches) in zip(norms, before, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked = n_batches
