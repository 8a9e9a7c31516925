"""
---
title: python -m sidebyside
summary: The command line, for an interpreter without the script on its path.
---

# `python -m sidebyside`
"""

from sidebyside.cli import main

if __name__ == "__main__":
    main(prog_name="sidebyside")
