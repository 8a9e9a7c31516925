"""
---
title: Metrics
summary: Loss and accuracy of many batches, added up on the device.
---

# Metrics

Asking a GPU for a number makes it finish everything before. So sums stay tensors on the device,
and become numbers only where somebody wants to see them.
"""

import torch
from torch import Tensor


class Metrics:
    """
    ## Loss and accuracy over many batches

    `sums` holds the sum of the losses, the number of right answers and the number of images. Sums of doubles,
    because the state of a run contains them and single precision would lose counts from 16 million images on.
    """

    def __init__(self, device: torch.device):
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums = torch.zeros(3, dtype=dtype, device=device)

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """
        * `loss` is the mean loss of the batch
        * `logits` have shape `[batch_size, n_classes]`, `labels` shape `[batch_size]`
        """
        right = (logits.detach().argmax(dim=1) == labels).sum()
        n_images = torch.full_like(right, len(labels))
        self.sums += torch.stack([loss.detach() * n_images, right, n_images])

    @property
    def n_images(self) -> int:
        """
        How many images were counted
        """
        return int(self.sums[2].item())

    @property
    def loss(self) -> float:
        """
        Mean loss of an image
        """
        return (self.sums[0] / self.sums[2]).item()

    @property
    def accuracy(self) -> float:
        """
        Share of right answers
        """
        return (self.sums[1] / self.sums[2]).item()
