"""
---
title: Helpers
summary: What every experiment needs, in modules of one job each.
---

# Helpers

What every experiment needs. Each module does one job and is short enough to read in one go.

* **Data**: [images in memory](images.html), from [CIFAR-10](cifar10.html), [any folder of pictures](image_folder.html)
  or [ten shapes](shapes.html) drawn on the spot; [augmentation](augmentation.html) of whole batches
* **Training**: [the loop](training.html), its [schedule](schedule.html), [metrics](metrics.html),
  [progress](progress.html), [checkpoints](checkpoints.html) and [stopping cleanly](interruption.html)
* **Running**: [settings](settings.html) on the command line, [where and how to compute](device.html),
  [runs](runs.html) and their folders, [errors](errors.html) a user can mend, [in Jupyter](jupyter.html) too
"""
