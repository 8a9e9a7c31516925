"""
---
title: Excerpts
summary: A class or function of another page, shown on this one with its notes and its code.
---

# Excerpts

A first page says most by showing some of what it leads to. The front matter names a class or function,
written like a link, and the page shows it as it stands on its own page, notes beside code:

```yaml
excerpt: conv_mixer/__init__.py#ConvMixerLayer.forward
```

It is the real thing, not a copy that ages: when the module changes, so does the excerpt.
"""

import posixpath
import re
from dataclasses import dataclass, field
from typing import Any

from sidebyside.discover import Source
from sidebyside.links import LinkIndex, check_links, is_external, relative_url
from sidebyside.model import Diagnostic, Link
from sidebyside.page import Body, Page

IDENTIFIER = re.compile(r'\sid="[^"]*"')
LOCAL_LINK = re.compile(r'href="#')


@dataclass(frozen=True)
class Excerpt:
    """
    ## What a page needs to show some sections of another

    * `source` and `key` are those of the other page
    * `first` and `last` are the numbers of its sections, the last one included
    * `href` leads to the place on the other page
    * `links` and `references` are those of a plan, seen from the page that shows the excerpt
    """

    source: Source
    key: str
    first: int
    last: int
    title: str
    href: str
    links: dict[str, str | None] = field(default_factory=dict)
    references: dict[str, tuple[str, bool]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def sections(self, body: Body) -> list[dict[str, Any]]:
        """
        ### The sections, without identifiers of their own

        The page has a line 42 of its own. So anchors go, and links within the other page lead there.
        """
        return [
            {**section, "docs": self._moved(section["docs"]), "code": self._moved(section["code"])}
            for section in body.sections[self.first : self.last + 1]
        ]

    def _moved(self, html: str) -> str:
        return LOCAL_LINK.sub(f'href="{self.href.partition("#")[0]}#', IDENTIFIER.sub("", html))


def find_target(index: LinkIndex, page: Page, wanted: str) -> tuple[Page, int, int] | Diagnostic:
    """
    ## The page and the sections that the front matter asks for

    From the signature of the class or function to the last section before another one begins.
    """
    name = wanted.partition("#")[2]
    found = index.resolve(page, Link(wanted, 1))
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page.path), wanted.partition("#")[0]))
    target = index.by_path.get(path) or index.by_url.get(path)
    definition = next((each for each in target.definitions if each.name == name), None) if target else None
    if found.problem or target is None or definition is None:
        reason = found.problem or "it should name a class or function, as in module.py#Class.method"
        return Diagnostic(page.path, 1, f"excerpt {wanted}: {reason}")
    others = [each.section for each in target.definitions if not f"{each.name}.".startswith(f"{name}.")]
    last = min((number for number in others if number > definition.section), default=target.n_sections) - 1
    return target, definition.section, last


def seen_from(page: Page, target: Page, href: str) -> str:
    """
    ## A link of the other page, as the page that shows the excerpt must say it
    """
    if is_external(href):
        return href
    path, hash_sign, anchor = href.partition("#")
    goal = posixpath.join(posixpath.dirname(relative_url(target.url, page.url)), path) if path else None
    place = posixpath.normpath(goal) if goal else relative_url(target.url, page.url)
    return place + hash_sign + anchor


def links_seen_from(index: LinkIndex, page: Page, target: Page) -> dict[str, str | None]:
    """
    ## All links of the other page's prose

    What is wrong with them is reported there.
    """
    targets, _, _ = check_links(index, target)
    return {written: href and seen_from(page, target, href) for written, href in targets.items()}


def references_seen_from(index: LinkIndex, page: Page, target: Page) -> dict[str, tuple[str, bool]]:
    """
    ## All identifiers of the other page's code that lead somewhere
    """
    found = {name: index.reference(target, name) for name in target.references}
    return {name: (seen_from(page, target, each[0]), each[1]) for name, each in found.items() if each}
