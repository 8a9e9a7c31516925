"""
---
title: Learning-rate schedule
summary: A learning rate that is piecewise linear over the run, as the authors of ConvMixer train on CIFAR-10.
example: |
  from labml_nn.helpers.schedule import learning_rate

  print([learning_rate(progress, peak=0.05) for progress in (0.0, 0.2, 0.4, 0.8, 1.0)])
---

# Learning-rate schedule

The rate climbs, falls, and fades out, each along a straight line: from 0 to its peak at two fifths of the run,
down to a twentieth of the peak at four fifths, and to 0 at the end. Climbing slowly lets the batch norms find
their statistics before the steps get large. This is the schedule of the ConvMixer authors' CIFAR-10 script.
"""

import itertools

from torch.optim import Optimizer

# Corners of the schedule: (share of the run, share of the peak)
CORNERS = ((0.0, 0.0), (0.4, 1.0), (0.8, 0.05), (1.0, 0.0))


def learning_rate(progress: float, peak: float) -> float:
    """
    ## The rate at a moment of the run

    * `progress` is how much of the run is done, from 0 to 1
    * `peak` is the highest rate
    """
    for (start, low), (end, high) in itertools.pairwise(CORNERS):
        if progress <= end:
            return peak * (low + (high - low) * (progress - start) / (end - start))
    return 0.0


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """
    ## Hand it to the optimizer
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
