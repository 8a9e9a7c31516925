"""
---
title: Moving average
summary: Smooths a series of numbers, explained line by line.
example: |
  average = MovingAverage(window_size=3)
  print([average.update(value) for value in [3, 6, 9, 12]])
---

# Moving average

The average of the last $n$ values follows a series, but not its noise:

$$\\bar{x}_t = \\frac{1}{n} \\sum_{i=0}^{n-1} x_{t-i}$$
"""

from collections import deque


class MovingAverage:
    """
    ## The average of the last few values
    """

    def __init__(self, window_size: int):
        """
        * `window_size` is the number of values to average over, $n$
        """
        # A deque with a maximum length forgets the oldest value by itself
        self.values: deque[float] = deque(maxlen=window_size)

    def update(self, value: float) -> float:
        """
        Take in $x_t$ and return $\\bar{x}_t$
        """
        self.values.append(value)
        # At the start there are fewer than $n$ values, and the average is over those there are
        return sum(self.values) / len(self.values)
