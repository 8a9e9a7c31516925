"""
---
title: sidebyside
summary: Shows code side by side with its explanation. Works on anyone's Python and Markdown.
---

# sidebyside

A module that explains itself has its prose in docstrings and comments. This package sets that prose beside the
code it explains, one page per file, as a site that needs no server.

```sh
sidebyside build my_package --out site
sidebyside serve my_package
```

The [guide](guide.md) is for authors. This package is written in the format itself, and reads best in this order:

1. [`model`](model.py): what passes from one part to the next
2. [`source`](source.py): a file becomes sections of prose and code
3. [`prose`](prose.py), [`math`](math.py), [`highlight`](highlight.py), [`python_lexer`](python_lexer.py),
   [`references`](references.py): sections become HTML
4. [`page`](page.py): all of that for one file
5. [`links`](links.py), [`inventory`](inventory.py), [`navigation`](navigation.py), [`excerpt`](excerpt.py),
   [`images`](images.py): what pages take from each other
6. [`rendering`](rendering.py): templates
7. [`site`](site.py), [`inputs`](inputs.py), [`build`](build.py), [`generated`](generated.py), [`worker`](worker.py),
   [`cache`](cache.py), [`output`](output.py): from a folder to a site
8. [`serve`](serve.py), [`check`](check.py), [`new`](new.py), [`cli`](cli.py): the commands

## From Python

```python
from sidebyside import Settings, Site, render

report = Site("my_package", Settings(title="My package")).build("site")
print(*report.diagnostics, sep="\\n")

html = render("my_module.py")  # one page with everything inside
```
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidebyside.model import Diagnostic, Section
    from sidebyside.page import Page
    from sidebyside.site import Report, Settings, Site, render

__version__ = "1.0.0"
__all__ = ["Diagnostic", "Page", "Report", "Section", "Settings", "Site", "render"]

# Where each name of the API is defined. They are imported when first asked for, so that `import sidebyside`
# costs nothing.
_HOMES = {
    "Diagnostic": "model",
    "Page": "page",
    "Report": "site",
    "Section": "model",
    "Settings": "site",
    "Site": "site",
    "render": "site",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"sidebyside.{_HOMES[name]}"), name)
