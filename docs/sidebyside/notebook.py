"""
---
title: Notebooks
summary: A module as a Jupyter notebook that runs from top to bottom.
---

# A module as a notebook

Prose becomes Markdown cells and code becomes code cells. A cell must run, so that it holds whole statements only:
a class stays in one piece, with the notes inside it as the comments they are.

Three things differ between a module and a notebook:

* `from .depth_wise import …` means nothing in a notebook, so relative imports become absolute.
* `__name__` is `"__main__"` in a notebook too. The block that starts a command there would run
  with the arguments of Jupyter, so it is left out. The page's example takes its place.
* The package may be missing, on Colab say. A first cell installs it, where the site knows from where.

A notebook leaves the site, so that links and images need their full addresses there.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import unquote

from sidebyside.model import Document, Section

RELATIVE_IMPORT = re.compile(r"from(\s+)(\.[.\s]*)([\w.]*)(\s*)import\b")

# Where Markdown names a target: behind the text of a link or image, in a definition, in raw HTML.
# Code comes first, since what looks like a link in there is none.
LINK_TARGET = re.compile(
    r"""
    (?P<code>
        ^[ ]{0,3} (?P<fence> `{3,} | ~{3,} ) .*? (?: ^[ ]{0,3} (?P=fence) [`~]* [ ]*$ | \Z )
        | (?<!`) (?P<ticks> `+ ) (?!`) .+? (?<!`) (?P=ticks) (?!`)
    )
    | (?P<before> \]\( [ ]* <? | ^[ ]{0,3} \[ [^\]\n]+ \]: [ ]* <? | \s (?:href|src) = ["'] )
      (?P<target> (?<=<) [^<>\n]+ | [^\s<>()"']+ )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
MAIN_GUARD = "__name__ == '__main__'"

METADATA = json.dumps(
    {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
)


@dataclass(frozen=True)
class Statement:
    """
    ## A statement at the top of the module, decorators included

    * `docstring` is the range of lines of its docstring where that can be taken out, since other statements follow
    """

    first: int
    last: int
    docstring: tuple[int, int] | None = None
    is_main_guard: bool = False


def cells(document: Document, tree: ast.Module, package: str = "", example: str = "") -> list[str]:
    """
    ## The cells of a module's notebook, each a line of JSON

    * `tree` is its syntax tree
    * `package` is the dotted name of the source folder, for relative imports
    * `example` is the code of the front matter's example; it becomes the last cell

    The identifiers of the cells come from the sections, so that the same source makes the same notebook.
    """
    lines = document.text.split("\n")
    if package:
        _make_imports_absolute(lines, tree, document.path, package)
    has_docstring = ast.get_docstring(tree, clean=False) is not None
    statements = [_statement(node) for node in tree.body[has_docstring:]]
    made: list[dict[str, object]] = []
    done = 0
    for section in document.sections:
        inside = _statement_at(statements, section)
        if section.prose.strip() and (inside is None or _is_docstring(section, inside)):
            made.append(_cell("markdown", f"section-{section.number}", section.prose))
        group = [each for each in statements if done < each.first and _starts_in(each, section)]
        if not group:
            continue
        # The section's own first lines may be the end of a statement that began in an earlier one
        first = section.code_line if section.code_line > done else group[0].first
        # So may be the first lines of a later section the end of this one
        done = max(each.last for each in group)
        runs = [each for each in group if not each.is_main_guard]
        if runs:
            made.append(_cell("code", f"code-{section.number}", _cut(lines, first, runs[-1].last, runs)))
    if example:
        made.append(_cell("markdown", "try-it", "## Try it"))
        made.append(_cell("code", "example", example))
    return [json.dumps(cell, ensure_ascii=False) for cell in made]


def installation(package: str, repository: str) -> str:
    """
    ## A cell that installs the package where it is missing

    * `repository` is an address that pip can install from
    """
    top = package.partition(".")[0]
    code = (
        "# Installs the package where it is missing\n"
        "import importlib.util\n\n"
        f'if importlib.util.find_spec("{top}") is None:\n'
        f"    %pip install --quiet {repository}"
    )
    return json.dumps(_cell("code", "install", code), ensure_ascii=False)


def with_links(cell: str, addresses: Mapping[str, str]) -> str:
    """
    ## A cell whose links have other addresses

    * `addresses` maps targets as Markdown understood them to what stands in their place; others stay
    """
    content = json.loads(cell)
    if content["cell_type"] != "markdown" or not addresses:
        return cell
    by_meaning = {unquote(target): address for target, address in addresses.items()}

    def replace(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        address = by_meaning.get(unquote(unescape(match["target"])))
        return match[0] if address is None else match["before"] + escape(address)

    text = LINK_TARGET.sub(replace, "".join(content["source"]))
    return json.dumps({**content, "source": text.splitlines(keepends=True)}, ensure_ascii=False)


def assemble(cells: list[str]) -> str:
    """
    ## The file, one cell on each line, so that a difference shows which one
    """
    return (
        '{"cells": [\n'
        + ",\n".join(cells)
        + '\n],\n"metadata": '
        + METADATA
        + ',\n"nbformat": 4, "nbformat_minor": 5}\n'
    )


def _statement(node: ast.stmt) -> Statement:
    first = node.lineno
    docstring = None
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
        if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
            text = node.body[0]
            on_its_own = text.lineno > node.lineno and node.body[1].lineno > (text.end_lineno or text.lineno)
            docstring = (text.lineno, text.end_lineno or text.lineno) if on_its_own else None
    is_main_guard = isinstance(node, ast.If) and ast.unparse(node.test) == MAIN_GUARD and not node.orelse
    return Statement(first, node.end_lineno or node.lineno, docstring, is_main_guard)


def _make_imports_absolute(lines: list[str], tree: ast.Module, path: str, package: str) -> None:
    """
    ### Relative imports, inside functions too
    """
    folder = [*package.split("."), *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or node.level > len(folder):
            continue
        base = ".".join(folder[: len(folder) - node.level + 1])
        module = f"{base}.{node.module}" if node.module else base
        line = lines[node.lineno - 1]
        # The column counts bytes
        start = len(line.encode()[: node.col_offset].decode())
        lines[node.lineno - 1] = line[:start] + RELATIVE_IMPORT.sub(f"from {module} import", line[start:], count=1)


def _statement_at(statements: list[Statement], section: Section) -> Statement | None:
    """
    ### The statement inside which the prose of a section stands
    """
    if not section.prose_lines:
        return None
    line = section.prose_lines[0]
    return next((each for each in statements if each.first <= line <= each.last), None)


def _is_docstring(section: Section, statement: Statement) -> bool:
    if statement.docstring is None:
        return False
    first, last = statement.docstring
    return first <= section.prose_lines[0] and section.prose_lines[-1] <= last


def _starts_in(statement: Statement, section: Section) -> bool:
    return bool(section.code) and section.code_line <= statement.first <= section.code_line + section.code.count("\n")


def _cut(lines: list[str], first: int, last: int, statements: list[Statement]) -> str:
    """
    ### Lines of a cell, less the docstrings that went into a Markdown cell
    """
    dropped = {
        line for each in statements if each.docstring for line in range(each.docstring[0], each.docstring[1] + 1)
    }
    return "\n".join(lines[n - 1] for n in range(first, last + 1) if n not in dropped).strip("\n")


def _cell(kind: str, identifier: str, text: str) -> dict[str, object]:
    source = text.splitlines(keepends=True)
    if kind == "markdown":
        return {"cell_type": kind, "id": identifier, "metadata": {}, "source": source}
    return {
        "cell_type": kind,
        "execution_count": None,
        "id": identifier,
        "metadata": {},
        "outputs": [],
        "source": source,
    }
