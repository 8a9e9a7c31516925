"""
---
title: Transformers and their relatives
summary: Attention, the feed-forward network, Vision Transformer and MLP-Mixer, annotated to be read beside ConvMixer.
---

# Transformers and their relatives

A transformer layer has two halves, and so have the models that grew out of it. One half mixes *positions*:
the words of a sentence, the patches of an image. The other one mixes *features*, at each position by itself.

* [Multi-head attention](mha.html) mixes positions with weights computed from what is there
* [The feed-forward network](feed_forward.html) mixes the features of one position, plain and gated
* [Vision Transformer](vit/index.html) puts the two together for images cut into patches
* [MLP-Mixer](mlp_mixer/index.html) has feed-forward networks for both halves, one along each axis

[ConvMixer](../conv_mixer/index.html) has convolutions for both; [its overview](../conv_mixer/readme.html) compares
the three.
"""

from labml_nn.transformers.feed_forward import FeedForward
from labml_nn.transformers.mha import MultiHeadAttention

__all__ = ["FeedForward", "MultiHeadAttention"]
