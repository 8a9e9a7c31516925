"""
---
title: Normalization
summary: Batch and layer normalization written out, and which numbers each one takes its mean and variance over.
---

# Normalization

A deep network trains better when the numbers inside it keep a steady mean and size. Normalization sees to that
as part of the network: subtract a mean, divide by a standard deviation, then let a learned scale and shift
undo as much of it as training wants. The kinds differ in one thing only, the numbers that the mean is taken over.
For features of shape `[batch_size, channels, height, width]`:

| | one mean for each | taken over | depends on the rest of the batch |
| --- | --- | --- | --- |
| [batch normalization](batch_norm/index.html) | channel | images and locations | yes, in training |
| [layer normalization](layer_norm/index.html) in a transformer | image and location | channels | no |

[ConvMixer](../conv_mixer/index.html#why_batch_norm) uses the first, [transformers](../transformers/index.html)
and [MLP-Mixer](../transformers/mlp_mixer/index.html) the second.
"""
