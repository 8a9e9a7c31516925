"""
---
title: Annotated deep learning
summary: Papers of deep learning as PyTorch modules that run, each line beside the note that explains it.
excerpt: conv_mixer/__init__.py#ConvMixerLayer.forward
---

# Read the paper beside the code that runs

Every page here is a PyTorch module, whole and unchanged: its notes on the left, with the formulas and the letters of
the paper, and the code they speak of on the right. You can read it, run it, and `pip install` it, and it is one file
that does all three.

* **Read**: [what ConvMixer is](conv_mixer/readme.md), then [the model, line by line](conv_mixer/__init__.py)
* **Run**: [the experiment](conv_mixer/experiment.py) trains it on CIFAR-10, on your own pictures, or in a minute on
  drawings
* **Write**: [the renderer](sidebyside/guide.md) makes such pages of any Python code
"""
