"""
---
title: Errors a user can mend
summary: One exception for mistakes that the person at the keyboard can put right.
---

# Errors a user can mend

A misspelled setting or a folder without pictures is no bug, so nobody wants a traceback for it.
Whoever finds such a mistake raises `UserError` with a sentence that says what is wrong, where,
and what to do; the command line prints that sentence and nothing else.
"""


class UserError(Exception):
    """
    ## A mistake that the user can mend

    Its text is all that is printed. `status` becomes the exit status of the command.
    """

    status = 1
