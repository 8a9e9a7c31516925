r"""
---
title: The layer
summary: A layer with a long note and long lines.
example: |
  from source.layer import Layer

  print(Layer(d_model=4, n_layers=2)([1.0, 2.0]))
---

# The layer

This page is about one layer, and its first note is long enough to scroll while the imports stay in view. Each of its
paragraphs fills several lines, so that the length of a line can be measured on every window.

<img src="diagram.svg" width="400" height="120" alt="Two boxes, joined by an arrow">

A formula stands in the text, like $h^2 + x_h$, and one stands alone:

$$y_{c} = \sum_{u=0}^{k-1} w_{c,u} \, z_{c+u} + \frac{1}{N} \sum_{i,j} z_{i,j}
+ \Big( a + b + c + d + e + f + g + h + i + j \Big)$$

| Name | Meaning |
| --- | --- |
| `d_model` | how wide |
| `n_layers` | how deep |

1. The first of three steps takes the input as it comes and keeps it for later, because the sum at the end needs it.
2. The second step mixes what is near, which takes a little while, and is where the time goes in most of the models.
3. The third step mixes the channels, and then all begins anew with the next layer, until there is no layer any more.

The order of the steps matters less than one would think. What matters is that both of them are there, since neither
can do what the other does. A reader who has come this far has scrolled, and the imports beside this note are still
in view, at the top of the window.

```python
layer = Layer(d_model=4, n_layers=2)
```

```pycon
>>> layer.d_model
4
```
"""

import math
from collections.abc import Iterable

from .more.deep import Deep


class Layer:
    """
    ## One layer

    See [what is deep](more/deep.html#Deep) and the [Python documentation](https://docs.python.org/3/library/math.html).
    """

    def __init__(self, d_model: int, n_layers: int):
        """
        * `d_model` is the width, $h$
        * `n_layers` is the depth, $d$
        """
        self.d_model = d_model
        self.n_layers = n_layers
        self.deep = Deep(d_model)

    def __call__(self, x: Iterable[float]) -> float:
        """
        #### A heading that leaves levels out

        * `x` is what comes in
        """
        # A short note beside long code
        total = 0.0
        for value in x:
            total += value * self.d_model
            total -= math.sin(value) + math.cos(value) + math.tan(value) + math.exp(value) + math.log1p(abs(value))
            total += 1
        if total < 0:
            total = -total
        elif total > 100:
            total = 100.0
        elif total > 50:
            total = 50.0
        elif total > 25:
            total = 25.0
        for _ in range(self.n_layers):
            total = self.deep(total)
            if total > 10:
                break
            total += self.d_model
            total *= 2
            if total > 9:
                total -= 1
            else:
                total += 1
        if total > 8:
            total -= 1
        if total > 7:
            total -= 1
        if total > 6:
            total -= 1
        if total > 5:
            total -= 1
        if total > 4:
            total -= 1
        if total > 3:
            total -= 1
        if total > 2:
            total -= 1
        if total > 1:
            total -= 1
        #
        return total
