r"""
---
title: Batch normalization
summary: >
  Batch normalization written out in PyTorch: batch statistics in training, running statistics in evaluation, and
  which of the two variances goes where.
symbols: {b: batch_size, C: channels, H: height, W: width}
example: |
  import torch
  from labml_nn.normalization.batch_norm import BatchNorm

  norm = BatchNorm(channels=16)
  x = 5 + 2 * torch.randn(8, 16, 12, 12)
  y = norm(x)
  print(y.mean().item(), y.std().item())
---

# Batch normalization

This is an annotated [PyTorch](https://pytorch.org) implementation of [Batch Normalization: Accelerating Deep Network
Training by Reducing Internal Covariate Shift](https://arxiv.org/abs/1502.03167) by Sergey Ioffe and Christian
Szegedy.

Each step of training moves the weights of all layers at once. So what a layer gets to see shifts
from step to step, as the layers before it move, and it has to follow. The paper calls this *internal covariate shift*,
and holds it in check by giving every channel zero mean and unit variance, whatever the layers before it do.
(Why it helps is still debated. [A later study](https://arxiv.org/abs/1805.11604) finds that the loss becomes
smoother, which allows larger steps. *That* it helps is not in doubt.)

For each channel, over all images of the batch and all locations in them, $m$ numbers $x_1, \dots, x_m$ in all
(algorithm 1 of the paper):

$$
\begin{aligned}
\mu &= \frac{1}{m} \sum_{i=1}^m x_i \\
\sigma^2 &= \frac{1}{m} \sum_{i=1}^m (x_i - \mu)^2 \\
\hat{x}_i &= \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} \\
y_i &= \gamma \hat{x}_i + \beta
\end{aligned}
$$

Zero mean and unit variance are not always what the next layer wants: a sigmoid fed with them stays in its
linear part. So each channel learns a scale $\gamma$ and a shift $\beta$, which can undo the whole thing
if that is best. The bias of a convolution right in front of a normalization has no effect, since the mean takes it away
again. In [ConvMixer](../../conv_mixer/index.html) an activation stands between the two, so there it has one.

### Training and evaluation

The mean and variance of a batch depend on who else is in it. In training that is a mild noise, which even helps to
generalize. In evaluation it would be absurd: the answer for a picture should not change with the pictures beside it.
So training keeps running averages of both, and evaluation uses those in place of the statistics of the batch.
A module has to know which of the two it is in: `model.train()` and `model.eval()` tell it.

Names and results are those of
[`torch.nn.BatchNorm2d`](https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html), so that a state dict of
one loads into the other. Torch's is the faster one, since it does all of this in one pass.
"""

import torch
from torch import nn

from labml_nn.utils import check_at_least


class BatchNorm(nn.Module):
    r"""
    ## Batch normalization

    One module serves for features `[batch_size, channels]`, sequences `[batch_size, channels, length]`,
    images `[batch_size, channels, height, width]`, and volumes: whatever comes behind the channels is a location.
    """

    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        r"""
        * `channels` is the number of channels
        * `eps` is $\epsilon$, which keeps the division safe where a channel is constant
        * `momentum` is the weight of the newest batch in the running averages; `None` averages all batches alike
        * `affine` says whether to learn the scale $\gamma$ and the shift $\beta$
        * `track_running_stats` says whether to keep running averages; without them, evaluation uses the batch too
        * `device` and `dtype` say where the parameters live and what kind of numbers they are

        Raises a `ValueError` if `channels` is not a positive integer.
        """
        super().__init__()
        check_at_least("channels", channels, 1)
        self.channels = channels
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        # $\gamma$ and $\beta$ for each channel, which do nothing at first
        if affine:
            self.weight = nn.Parameter(torch.ones(channels, device=device, dtype=dtype))
            self.bias = nn.Parameter(torch.zeros(channels, device=device, dtype=dtype))
        # The running averages belong to the state of the model, but no gradient trains them: they are *buffers*
        if track_running_stats:
            self.register_buffer("running_mean", torch.zeros(channels, device=device, dtype=dtype))
            self.register_buffer("running_var", torch.ones(channels, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long, device=device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        r"""
        * `x` has the shape `[batch_size, channels, *]`, where `*` stands for any number of further dimensions

        Raises a `ValueError` if the number of channels is another one, or if training gets a single number
        for each channel, which has no variance.
        """
        if x.ndim < 2 or x.shape[1] != self.channels:
            raise ValueError(f"`x` must have the shape [batch_size, {self.channels}, *], but it has {list(x.shape)}")

        # Use the statistics of the batch in training, and where there are no others
        if self.training or not self.track_running_stats:
            mean, var = self.batch_statistics(x)
        else:
            mean, var = self.running_mean, self.running_var

        # Line up the channels, `[channels]`, with the second dimension of $x$
        shape = [1, self.channels] + [1] * (x.ndim - 2)
        # $$\hat{x} = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}$$
        x = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + self.eps)
        # $$y = \gamma \hat{x} + \beta$$
        if self.affine:
            x = self.weight.view(shape) * x + self.bias.view(shape)
        #
        return x

    def batch_statistics(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """
        ### Mean and variance of a batch

        * `x` has the shape `[batch_size, channels, *]`

        Returns both with the shape `[channels]`, and moves the running averages if they are kept.
        """
        # $m$, the count of numbers that each channel has
        m = x.numel() // self.channels
        if self.training and m == 1:
            raise ValueError(f"`x` has the shape {list(x.shape)}: one number for each channel has no variance")

        # Bring the channels to the front and all the rest behind them: `[channels, m]`
        x = x.transpose(0, 1).flatten(1)
        # $\mu$, and $\sigma^2$ divided by $m$: this is the variance of these very numbers
        mean = x.mean(dim=1)
        var = x.var(dim=1, unbiased=False)
        if self.training and self.track_running_stats:
            self.update_running_statistics(mean, var, m)
        #
        return mean, var

    @torch.no_grad()
    def update_running_statistics(self, mean: torch.Tensor, var: torch.Tensor, m: int) -> None:
        r"""
        ### Move the running averages

        * `mean` and `var` are those of the batch, of shape `[channels]`
        * `m` is the count of numbers that they were taken from

        $$\mu_\text{new} = (1 - \alpha) \, \mu_\text{old} + \alpha \, \mu_\text{batch}$$

        where $\alpha$ is what torch calls the momentum (elsewhere that word is often used for $1 - \alpha$).

        The running variance is meant for data not seen yet, so it takes the *unbiased* estimate, divided by
        $m - 1$ in place of $m$. The normalization above used the biased one.
        """
        self.num_batches_tracked.add_(1)
        # A step of $1/n$ in the $n$-th batch gives the plain average of all batches
        step = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), step)
        self.running_var.lerp_((var * m / (m - 1)).to(self.running_var), step)
