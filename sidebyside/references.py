"""
---
summary: How a name in the code is resolved to what it stands for
---
# What a name refers to
"""

Reference = tuple[int, int, str]


def find_references(text: str, path: str, package: str) -> list[Reference]:
    """
    ## Find references

    Returns start, end and absolute dotted name of each resolved name.
    """
    return []
