"""
---
title: Search index
summary: The text of every section, in a file that a page loads when a reader begins to search.
---

# Search index

The index is a script and not JSON, because a page that was opened straight from the disk may load scripts
but may not fetch files. It holds the text itself. Scoring is left to the
script of the theme.
"""

import json
import keyword
import re
from collections.abc import Iterable, Iterator

from sidebyside.model import Document, Prose, Section

IDENTIFIER = re.compile(r"[^\W\d]\w{2,}")
STRING_OR_COMMENT = re.compile(r"'''.*?'''|\"\"\".*?\"\"\"|'[^'\n]*'|\"[^\"\n]*\"|#[^\n]*", re.DOTALL)
EVERYWHERE = frozenset(keyword.kwlist) | {"self", "cls", "args", "kwargs", "int", "str", "float", "bool", "None"}

# Some files are one section of a hundred pages
MAXIMUM_TEXT = 4000
MAXIMUM_IDENTIFIERS = 200


def entries(document: Document, prose_of: list[Prose]) -> list[str]:
    """
    ## What can be found on one page

    For each section: its anchor, the heading it stands under, its text and the identifiers in its code.
    They are written as they will stand in the script, so that putting a large site together is quick.
    """
    found = []
    heading = ""
    for section, rendered in zip(document.sections, prose_of, strict=True):
        anchor = f"section-{section.number}"
        if rendered.headings:
            heading, anchor = rendered.headings[0].text, rendered.headings[0].anchor
        elif section.definitions:
            heading = anchor = section.definitions[0]
        text = " ".join(rendered.text.split())[:MAXIMUM_TEXT]
        identifiers = " ".join(_identifiers(section)) if document.is_python else ""
        if text or identifiers:
            found.append(_script_json([anchor, heading, text, identifiers])[1:-1])
    return found


def _identifiers(section: Section) -> list[str]:
    """
    ### Names in the code of a section, definitions first, each once
    """
    names = [part for name in section.definitions for part in (name, name.rpartition(".")[2])]
    code = STRING_OR_COMMENT.sub(" ", section.code)
    names += [name for name in IDENTIFIER.findall(code) if name not in EVERYWHERE]
    return list(dict.fromkeys(names))[:MAXIMUM_IDENTIFIERS]


def index_script(pages: list[tuple[str, str, str]], entries_of: Iterable[list[str]]) -> Iterator[str]:
    """
    ## The script, piece by piece

    * `pages` are address, title and summary of every page
    * `entries_of` yields the entries of each of them, in the same order, so that a large site is never in
      memory at once
    """
    yield "window.sidebysideSearch={pages:"
    yield _script_json(pages)
    yield ",sections:[\n"
    separator = ""
    for number, found in enumerate(entries_of):
        for entry in found:
            yield f"{separator}[{number},{entry}]"
            separator = ",\n"
    yield "\n]};\n"


def _script_json(value: object) -> str:
    # These two end a line in JavaScript before ES2019, and no line in JSON
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
