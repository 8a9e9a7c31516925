"""
---
title: In Jupyter
summary: Lets labml show its progress in a notebook with today's IPython.
---

# In Jupyter

In a notebook labml shows what it has to say through a function that it takes from `IPython.core.display`.
IPython 9 keeps that function in `IPython.display` only, and labml 0.5.3 fails there with an `ImportError`
as soon as an experiment computes its first configuration.
"""

import sys


def mend_display() -> None:
    """
    ## Put the function where labml looks for it

    Only where IPython runs already, so that nothing else pays for importing it. Where the function is in its old place,
    or labml no longer asks for it, this changes nothing that anybody could notice.
    """
    if "IPython" not in sys.modules:
        return
    from IPython.core import display as old_place  # type: ignore[import-not-found, unused-ignore]
    from IPython.display import display  # type: ignore[import-not-found, unused-ignore]

    if not hasattr(old_place, "display"):
        old_place.display = display  # type: ignore[attr-defined, unused-ignore]
