"""
---
title: Templates
summary: The last step, to HTML, by Jinja templates that can be replaced one block at a time.
---

# From a page to HTML

The theme lives in `templates/`. A folder given with `--templates` is looked into first, file by file.
A template there can replace a whole file, or extend the one it replaces, which stays within reach
under `default/`, and change one block of it:

```jinja
{% extends "default/page.html" %}
{% block footer %}<footer>Made by hand</footer>{% endblock %}
```

Whatever comes from an author is escaped by Jinja itself. The only exceptions are the prose, which the
sanitizer has seen, and the code, of which every token was escaped as it was highlighted.
"""

import base64
import html
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sidebyside.cache import digest
from sidebyside.excerpt import Excerpt
from sidebyside.links import is_external, quote_path, root_prefix
from sidebyside.page import REFERENCE, Body
from sidebyside.problem import TemplateProblem
from sidebyside.theme import FONT, theme_files, theme_folder

if TYPE_CHECKING:
    from jinja2 import Environment

# A tag with its attributes, whole, so that what looks like a tag inside an attribute is not taken for one
TAG = re.compile(r'<([a-zA-Z][\w-]*)((?:\s+[^\s=>"/]+(?:="[^"]*")?)*)\s*/?>')
ADDRESS = re.compile(r'(\s)(href|src)="([^"]*)"')
STYLE_URL = re.compile(r"""url\((["']?)([^"')]+)\1\)""")

# What a template may be given in an asset's place: a file's bytes by its path below the site
ReadFile = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Plan:
    """
    ## All that a page needs besides its own body

    It is plain data, small enough to be sent to another process, and its hash says whether the page must be
    rendered again.

    * `template` is the file that renders the page
    * `context` is what the template gets as `page`, less the sections
    * `links` maps each link of the prose, as written, to what the page says in its place
    * `references` maps each dotted name of the code to its link and whether that leaves the site
    * `excerpt` says what to show of another page
    * `sizes` maps each image of the prose, as written, to its width and height
    """

    url: str
    template: str
    context: dict[str, Any]
    links: dict[str, str | None] = field(default_factory=dict)
    references: dict[str, tuple[str, bool]] = field(default_factory=dict)
    excerpt: Excerpt | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)


class Renderer:
    """
    ## The templates, ready to use

    * `site` is what every template gets as `site`
    * `overrides` is the author's own folder of templates
    * `font_hash` changes with the characters of the math font, which is no file of the theme
    * `inline` reads a file of the site, for a page that carries everything inside itself
    """

    def __init__(
        self,
        site: dict[str, Any],
        overrides: Path | None = None,
        font_hash: str = "",
        inline: ReadFile | None = None,
    ):
        self.site = site
        self.font_hash = font_hash
        self.overrides = overrides
        self.inline = inline
        self.files = theme_files(overrides)

    @cached_property
    def asset_hashes(self) -> dict[str, str]:
        hashes = {
            name: digest(file.read_bytes())[:8] for name, file in self.files.items() if name.startswith("assets/")
        }
        return {**hashes, FONT: self.font_hash}

    def page(self, plan: Plan, body: Body, excerpt_body: Body | None = None) -> str:
        """
        ### A page of the site

        * `excerpt_body` is the body of the page that the plan's excerpt is from
        """
        from markupsafe import Markup

        carried = self.inline is not None
        context = {
            **plan.context,
            "sections": self._sections(body.sections, plan),
            "excerpt": self._excerpt(plan.excerpt, excerpt_body) if plan.excerpt and excerpt_body else None,
            "example": Markup(body.example) if body.example else None,
            "data": Markup(script_json(plan.context["data"])),
            "self_contained": carried,
            "inline_style": Markup(self._inline_style()) if carried else "",
            "inline_script": Markup(self._inline_script()) if carried else "",
        }
        return self.file(plan.template, plan.url, page=context)

    def _sections(self, sections: list[dict[str, Any]], linked: Plan | Excerpt) -> list[dict[str, Any]]:
        from markupsafe import Markup

        return [
            {
                **section,
                "docs": Markup(self._inline_images(link_prose(section["docs"], linked.links, linked.sizes))),
                "code": Markup(link_code(section["code"], linked.references)),
            }
            for section in sections
        ]

    def _excerpt(self, excerpt: Excerpt, body: Body) -> dict[str, Any]:
        sections = self._sections(excerpt.sections(body), excerpt)
        return {"title": excerpt.title, "href": excerpt.href, "path": excerpt.source.path, "sections": sections}

    def file(self, template: str, url: str, root: str | None = None, **context: Any) -> str:
        """
        ### Any other file made from a template

        * `root` is what leads to the root of the site, where that is not to be worked out from `url`
        """
        from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

        prefix = root_prefix(url) if root is None else root

        def asset(name: str) -> str:
            return self._asset(name, prefix)

        try:
            return environment(self.overrides).get_template(template).render(site=self.site, asset=asset, **context)
        except TemplateSyntaxError as error:
            raise TemplateProblem(f"{error.filename or error.name}:{error.lineno}: error: {error.message}") from None
        except TemplateNotFound as error:
            raise TemplateProblem(f"{template}: error: there is no template {error.message}") from None
        except (TemplateError, TypeError, ValueError, KeyError, ZeroDivisionError) as error:
            raise TemplateProblem(f"{_place(error, template)}: error: {error}") from None

    def _asset(self, name: str, prefix: str) -> str:
        """
        ### Address of a file of the theme

        Its content's hash is part of the address, so that a browser that kept an older one asks again.
        """
        if self.inline is not None:
            data = self._style(name).encode() if name.endswith(".css") else self.inline(f"assets/{name}")
            return data_uri(name, data) if data is not None else ""
        return f"{prefix}assets/{quote_path(name)}?h={self.asset_hashes.get(f'assets/{name}', '')}"

    def _style(self, name: str) -> str:
        """
        ### A style sheet with its fonts and images inside
        """
        assert self.inline is not None
        read = self.inline

        def replace(match: re.Match[str]) -> str:
            path = posixpath.normpath(posixpath.join("assets", posixpath.dirname(name), match[2]))
            data = None if is_external(match[2]) else read(path)
            return match[0] if data is None else f'url("{data_uri(path, data)}")'

        return STYLE_URL.sub(replace, (read(f"assets/{name}") or b"").decode())

    def _inline_style(self) -> str:
        return self._style("style.css").replace("</", "<\\/")

    def _inline_script(self) -> str:
        assert self.inline is not None
        script = (self.inline("assets/script.js") or b"").decode()
        return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")

    def _inline_images(self, prose: str) -> str:
        if self.inline is None:
            return prose
        read = self.inline

        def embed(address: str, attribute: str) -> str | None:
            data = read(address) if attribute == "src" and not is_external(address) else None
            return address if data is None else data_uri(address, data)

        return _rewrite_addresses(prose, embed)


def environment(overrides: Path | None) -> "Environment":
    """
    ## Jinja with the templates of an author before those of the theme

    It is kept, and loads a template again when its file has changed. It would not notice
    that a file has come or gone in the author's folder, so that those files are part of what it is kept under.
    """
    own = tuple(sorted(file.name for file in overrides.iterdir())) if overrides else ()
    return _environment(overrides, own)


@lru_cache(maxsize=2)
def _environment(overrides: Path | None, own: tuple[str, ...]) -> "Environment":
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader

    default = FileSystemLoader(theme_folder())
    first = [FileSystemLoader(overrides)] if overrides else []
    loader = ChoiceLoader([*first, default, PrefixLoader({"default": default})])
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def compile_templates(overrides: Path | None) -> None:
    """
    ## Have the templates ready before they are needed

    A mistake in one of them shows when it is used.
    """
    from jinja2 import TemplateError

    for name in theme_files(overrides):
        if name.endswith(".html"):
            with suppress(TemplateError):
                environment(overrides).get_template(name)


def link_prose(
    prose: str, links: Mapping[str, str | None], sizes: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> str:
    """
    ## Links of the prose, as they reach

    A broken link loses its address and stays as text, so that no reader follows it.
    An image says how large it is.
    """
    return _rewrite_addresses(prose, lambda address, _: links.get(address, address), sizes)


def _rewrite_addresses(
    prose: str,
    rewrite: Callable[[str, str], str | None],
    sizes: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> str:
    def address(match: re.Match[str]) -> str:
        written = html.unescape(match[3])
        new = rewrite(written, match[2])
        if new is None:
            return ""
        size = sizes.get(written) if match[2] == "src" and " width=" not in match.string else None
        attributes = ' width="{}" height="{}"'.format(*size) if size else ""
        return f'{match[1]}{match[2]}="{html.escape(new)}"{attributes}'

    def tag(match: re.Match[str]) -> str:
        if match[1] not in ("a", "img"):
            return match[0]
        return ADDRESS.sub(address, match[0])

    return TAG.sub(tag, prose)


def link_code(code: str, references: Mapping[str, tuple[str, bool]]) -> str:
    """
    ## Identifiers of the code, with links where they are known
    """

    def replace(match: re.Match[str]) -> str:
        css_class, name, text = match.groups()
        if (found := references.get(html.unescape(name))) is None:
            return f'<span class="{css_class}">{text}</span>' if css_class else text
        href, external = found
        classes = f"{css_class} ref".strip()
        rel = ' rel="noopener"' if external else ""
        return f'<a class="{classes}" href="{html.escape(href)}"{rel}>{text}</a>'

    return REFERENCE.sub(replace, code)


def script_json(value: Any) -> str:
    """
    ## JSON that cannot end the script element it stands in
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


# What can stand inside a page. The system's own list of types differs from machine to machine.
MEDIA_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}


def data_uri(name: str, data: bytes) -> str:
    """
    ## A file as an address that holds it
    """
    kind = MEDIA_TYPES.get(posixpath.splitext(name)[1].lower(), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _place(error: BaseException, template: str) -> str:
    """
    ### Template and line where rendering failed

    Jinja gives the frames of a template the names and lines of the template.
    """
    place, trace = template, error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file.endswith((".html", ".xml", ".txt")):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
