"""
---
title: Experiments
summary: What experiments on the same data share.
---

# Experiments

What the experiments of several models share: [image classification, on CIFAR-10 and other pictures](cifar10.html).
"""
