"""
---
title: Navigation
summary: The tree of pages, and from each page the ways onward.
---

# Finding one's way

A site mirrors its folders. Each folder is a page: its `__init__.py` or `index.md`, or else a listing that is made here.
"""

from dataclasses import dataclass, field
from posixpath import basename, dirname, join
from typing import Any

from sidebyside.discover import reading_order
from sidebyside.links import quote_path, relative_url
from sidebyside.page import Page


@dataclass
class Node:
    """
    ## A page or folder in the tree

    * `page` is `None` for a folder that only lists what it holds
    """

    path: str
    url: str
    title: str
    summary: str = ""
    page: Page | None = None
    parent: "Node | None" = field(default=None, repr=False)
    children: "list[Node]" = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """
        ### For the templates
        """
        return {
            "title": self.title,
            "summary": self.summary,
            "url": quote_path(self.url),
            "path": self.path,
            "children": [child.to_dict() for child in self.children],
        }


@dataclass(frozen=True)
class Tree:
    """
    ## All pages

    * `nodes` are in reading order, the home page first
    """

    root: Node
    nodes: list[Node]

    @property
    def by_url(self) -> dict[str, Node]:
        return {node.url: node for node in self.nodes}


def build_tree(pages: list[Page], name: str) -> Tree:
    """
    ## Arrange the pages by folder

    * `name` is the title of a home page that has no source
    """
    by_url = {page.url: page for page in pages}
    folders: dict[str, Node] = {}

    def folder_node(path: str) -> Node:
        if path in folders:
            return folders[path]
        url = join(path, "index.html")
        page = by_url.get(url) or _readme(path, by_url)
        title = page.title if page else basename(path) or name
        node = Node(path, url, title, page.summary if page else "", by_url.get(url))
        folders[path] = node
        if path:
            node.parent = folder_node(dirname(path))
            node.parent.children.append(node)
        return node

    root = folder_node("")
    for page in pages:
        folder = folder_node(dirname(page.url))
        if page.url != folder.url:
            folder.children.append(Node(page.path, page.url, page.title, page.summary, page, folder))
    for node in folders.values():
        node.children.sort(key=lambda child: reading_order(child.url))
    return Tree(root, list(_walk(root)))


def lone_page(page: Page) -> Tree:
    """
    ## The tree of a page that stands for itself
    """
    node = Node(page.path, page.url, page.title, page.summary, page)
    return Tree(node, [node])


def _readme(folder: str, by_url: dict[str, Page]) -> Page | None:
    """
    ### A listing is called what the folder's readme is called
    """
    return by_url.get(join(folder, "readme.html")) or by_url.get(join(folder, "README.html"))


def _walk(node: Node) -> list[Node]:
    found = [node]
    for child in node.children:
        found.extend(_walk(child))
    return found


def breadcrumbs(node: Node) -> list[dict[str, str | None]]:
    """
    ## The path from the home page to this one; the home page has none
    """
    if node.parent is None:
        return []
    steps: list[dict[str, str | None]] = [{"title": node.title, "href": None}]
    parent: Node | None = node.parent
    while parent is not None:
        steps.insert(0, {"title": parent.title, "href": relative_url(parent.url, node.url)})
        parent = parent.parent
    return steps


def neighbours(node: Node) -> list[dict[str, str]]:
    """
    ## Pages and folders beside this one
    """
    siblings = node.parent.children if node.parent else []
    return [
        {"title": each.title, "summary": each.summary, "href": relative_url(each.url, node.url)}
        for each in siblings
        if each is not node
    ]


def step(target: Node | None, node: Node) -> dict[str, str] | None:
    """
    ## Link to the previous or next page
    """
    return {"title": target.title, "href": relative_url(target.url, node.url)} if target else None


def table_of_contents(page: Page) -> list[dict[str, Any]]:
    """
    ## Headings of a page, and documented definitions that have none
    """
    entries: list[dict[str, Any]] = [
        {
            "level": heading.level,
            "text": heading.text,
            "href": relative_url(page.url, page.url, heading.anchor),
            "section": heading.section,
        }
        for heading in page.headings
    ]
    headed = {heading.section for heading in page.headings}
    for definition in page.definitions:
        if definition.sentence and definition.section not in headed:
            headed.add(definition.section)
            level = min(6, 2 + definition.name.count("."))
            href = relative_url(page.url, page.url, definition.name)
            text = definition.name.rpartition(".")[2]
            entries.append({"level": level, "text": text, "href": href, "section": definition.section})
    return sorted(entries, key=lambda entry: entry["section"])
