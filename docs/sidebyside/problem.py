"""
---
title: Problems
summary: What stops a build and can be mended by its user.
---

# What stops a build

Most mistakes are [diagnostics](model.py), and the build goes on. A few leave nothing to go on with:
a folder that cannot be written, a template that does not parse. Those are raised, and the command line prints
their text.
"""


class Problem(Exception):
    """
    ## Something that the user can mend

    Its text names what is wrong, where, and what to do.
    """


class SettingsProblem(Problem):
    """
    ## A setting that cannot work
    """


class OutputProblem(Problem):
    """
    ## A file that cannot be written
    """


class TemplateProblem(Problem):
    """
    ## A template that cannot be used
    """


class InventoryProblem(Problem):
    """
    ## A file that is no inventory
    """
