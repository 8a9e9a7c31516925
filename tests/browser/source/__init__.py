"""
---
title: A small site
summary: Pages that the browser tests read.
excerpt: layer.py#Layer.__init__
---

# A small site

It has one of each thing that a page can hold.

<div class="actions"><a href="layer.html">Read the layer</a> <a href="readme.html">Overview</a></div>
"""

# ## The first idea
#
# A [layer](layer.html) has a width, $h$.
from .layer import Layer

# Nothing is computed before it is called
layer = Layer(d_model=4, n_layers=2)
