"""
---
title: Live preview
summary: Builds while you write, and shows the page where you were reading it.
---

# Live preview

Three threads share one small state: the watcher builds, each request reads what was built, and each open page waits
for news on a stream of [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html).

The server answers on this machine only. It keeps no notion of a path: it knows the list of the files that the
build wrote, and an address is on that list or is not. So there is nothing that `..`, however it is spelled,
could climb. A page on some other site could still make the reader's browser send requests here, under a name
that it made to point here. Requests that call this server by another name than its own are therefore refused.
"""

import errno
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from posixpath import join, splitext
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from sidebyside.discover import printable
from sidebyside.model import Diagnostic
from sidebyside.output import Manifest
from sidebyside.problem import Problem
from sidebyside.site import Report, Site
from sidebyside.theme import theme_folder

HOSTS = {"127.0.0.1", "localhost", "[::1]"}

# Addresses of our own. No page has one of these, since hidden files are never published.
SCRIPT_PATH = "/.sidebyside/preview.js"
EVENTS_PATH = "/.sidebyside/events"

SECONDS_BETWEEN_HEARTBEATS = 10

# Editors save in several steps. So long must it be quiet before a build begins.
MILLISECONDS_OF_QUIET = 20

MILLISECONDS_BETWEEN_LOOKS = 500

CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ipynb": "application/x-ipynb+json",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}

# ## The script in the page
#
# It is added to pages as they are served, and is in no page that `build` writes. After a reload it looks for
# the section that stood at the top of the window, first by its text, since a new section above it would have
# shifted its number. Many editors empty a file and then write it, so the page may be built with half of its
# sections: the place is kept until a page comes that has it, or until the reader moves. Messages are put in as
# text, never as HTML.
SCRIPT = r"""
(() => {
  const key = "sidebyside " + location.pathname;
  const start = section => section.textContent.trim().slice(0, 120);
  const stored = () => JSON.parse(sessionStorage.getItem(key) || "null");
  const sections = () => [...document.querySelectorAll(".section")];
  function remember() {
    // A place that was not found again, or not yet, is still the one to go back to
    if (stored()) return;
    const section = sections().find(each => each.getBoundingClientRect().bottom > 0);
    const place = section
      ? {id: section.id, start: start(section), top: section.getBoundingClientRect().top}
      : {top: -scrollY};
    sessionStorage.setItem(key, JSON.stringify(place));
  }
  function find({id, start: text}) {
    return sections().find(each => each.id === id && start(each) === text)
      || sections().find(each => start(each) === text) || document.getElementById(id);
  }
  function recall(frames = 30) {
    const place = stored();
    if (!place) return;
    const section = place.id && find(place);
    const now = section ? section.getBoundingClientRect().top : -scrollY;
    scrollTo({top: scrollY + now - place.top, behavior: "instant"});
    // Sections get their real height as they come near, so the first jump may land beside the place
    if (frames > 0) requestAnimationFrame(() => recall(frames - 1));
    else if (section || !place.id) forget();
  }
  const forget = () => sessionStorage.removeItem(key);
  if (stored()) {
    history.scrollRestoration = "manual";
    addEventListener("load", () => { recall(); history.scrollRestoration = "auto"; });
    for (const kind of ["wheel", "keydown", "pointerdown"]) addEventListener(kind, forget, {passive: true});
  }

  const host = document.createElement("div");
  host.id = "sidebyside-preview";
  const root = host.attachShadow({mode: "open"});
  const style = document.createElement("style");
  style.textContent = `
    section { position: fixed; inset: auto 0 0 0; max-height: 40vh; overflow: auto; z-index: 2147483647;
      background: #1d1f21; color: #f2f2f2; font: 14px/1.5 ui-monospace, monospace; padding: 12px 56px 12px 16px;
      border-top: 3px solid #e5484d; }
    p { margin: 0 0 4px; overflow-wrap: anywhere; } b { color: #ff9592; } i { color: #ffca16; font-style: normal; }
    button { position: absolute; top: 8px; right: 8px; width: 40px; height: 40px; font: inherit; color: inherit;
      background: none; border: 1px solid #777; border-radius: 6px; cursor: pointer; }`;
  function show(problems) {
    root.replaceChildren(style);
    if (!problems.length) return;
    const panel = document.createElement("section");
    panel.setAttribute("role", "status");
    panel.setAttribute("aria-label", "Problems in the source");
    for (const {place, severity, message} of problems) {
      const line = document.createElement("p");
      const label = document.createElement(severity === "error" ? "b" : "i");
      label.textContent = severity;
      line.append(place + ": ", label, ": " + message);
      panel.append(line);
    }
    const close = document.createElement("button");
    close.textContent = "✕";
    close.setAttribute("aria-label", "Hide the problems");
    close.onclick = () => root.replaceChildren(style);
    panel.append(close);
    root.append(panel);
  }
  addEventListener("DOMContentLoaded", () => document.body.append(host));

  const page = document.currentScript.dataset.page;
  const known = Number(document.currentScript.dataset.version);
  const events = new EventSource("/.sidebyside/events?page=" + encodeURIComponent(page) + "&version=" + known);
  events.onmessage = event => {
    const news = JSON.parse(event.data);
    if (news.reload) { remember(); location.reload(); return; }
    show(news.problems);
  };
  addEventListener("pagehide", () => events.close());
})();
"""


@dataclass
class Preview:
    """
    ## What was built last

    * `folder` holds the built files, `files` is the list of those that may be served
    * `version` counts the builds
    * `changed_at` maps each file to the version in which it changed last
    """

    folder: Path
    files: frozenset[str] = frozenset()
    first_page: str = "index.html"
    version: int = 0
    changed_at: dict[str, int] = field(default_factory=dict)
    problems: list[dict[str, str]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    is_over: bool = False

    def publish(self, files: Iterable[str], changed: Iterable[str], problems: list[dict[str, str]]) -> None:
        """
        ### Tell every open page about a build
        """
        with self.news:
            self.version += 1
            self.files = frozenset(files)
            self.changed_at.update(dict.fromkeys(changed, self.version))
            self.problems = problems
            self.news.notify_all()

    def complain(self, problems: list[dict[str, str]]) -> None:
        """
        ### Tell about a build that failed; what was built before stays
        """
        self.publish(self.files, (), problems)

    def needs_reload(self, page: str, version: int) -> bool:
        """
        ### Whether a page that was served at some version looks different now

        Style and scripts are part of every page.
        """
        return any(
            at > version and (path == page or (path.startswith("assets/") and path in self.files))
            for path, at in self.changed_at.items()
        )

    def has_news(self, told: int) -> bool:
        return self.is_over or self.version != told

    def end(self) -> None:
        with self.news:
            self.is_over = True
            self.news.notify_all()


class Builder:
    """
    ## Builds into the preview

    * `shown` is how the user named the source
    * `on_report` is told about each build
    """

    def __init__(self, site: Site, preview: Preview, shown: str, on_report: Callable[[Report], None]):
        self.site = site
        self.preview = preview
        self.shown = shown
        self.on_report = on_report

    def build(self) -> None:
        """
        ### Build once

        Nothing that goes wrong ends the preview: not a mistake in a template, nor one of ours.
        """
        try:
            report = self._build_file() if self.site.is_single_file else self.site.build(self.preview.folder)
        except Problem as problem:
            self._fail(str(problem))
        except Exception as error:
            traceback.print_exc()
            self._fail(f"the build failed: {type(error).__name__}: {error}")
        else:
            problems = [self._problem(each) for each in report.diagnostics]
            is_news = report.changed or problems != self.preview.problems or not self.preview.version
            if is_news:
                self.preview.publish(self._files(), self._worth_showing(report), problems)
                self.on_report(report)

    def _files(self) -> Iterable[str]:
        if self.site.is_single_file:
            return [self.preview.first_page]
        return Manifest.load(self.preview.folder).files

    def _build_file(self) -> Report:
        page, report = self.site.html()
        file = self.preview.folder / self.preview.first_page
        before = file.read_text("utf-8") if file.exists() else ""
        file.write_text(page, "utf-8", "replace")
        return Report(1, report.diagnostics, (self.preview.first_page,) if page != before else ())

    def _worth_showing(self, report: Report) -> list[str]:
        """
        ### Pages that changed, less those of files that do not parse at the moment

        Who types half a line wants to keep seeing the page, with the complaint below it.
        """
        broken = {page.url for page in self.site.pages if page.n_sections == 0 and page.diagnostics}
        return [path for path in report.changed if path not in broken]

    def _fail(self, message: str) -> None:
        print(f"error: {message}", file=sys.stderr)
        self.preview.complain([{"place": self.shown, "severity": "error", "message": message}])

    def _problem(self, each: Diagnostic) -> dict[str, str]:
        path = self.shown if self.site.is_single_file else join(self.shown, each.path)
        place = printable(path) + (f":{each.line}" if each.line else "")
        return {"place": place, "severity": each.severity, "message": each.message}


class Handler(BaseHTTPRequestHandler):
    """
    ## Answers one request
    """

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        if not self._is_for_us():
            self._send_text(HTTPStatus.FORBIDDEN, "This preview answers to 127.0.0.1 and localhost only.\n")
            return
        path = urlsplit(self.path).path
        if path == EVENTS_PATH:
            self._stream_events()
        elif path == SCRIPT_PATH:
            self._send(HTTPStatus.OK, CONTENT_TYPES[".js"], SCRIPT.encode())
        else:
            self._send_file(unquote(path))

    do_HEAD = do_GET

    def _is_for_us(self) -> bool:
        host = self.headers.get("Host", "")
        return host.rpartition(":")[0] in HOSTS or host in HOSTS

    def _send_file(self, path: str) -> None:
        """
        ### A file that the build wrote, or the page that says there is none
        """
        preview = self.server.preview
        name = path[1:]
        if not name and preview.first_page != "index.html":
            self._redirect(preview.first_page)
            return
        if name.endswith("/") or not name:
            name += "index.html"
        elif f"{name}/index.html" in preview.files:
            self._redirect(f"{name}/")
            return
        version = preview.version
        data = self._read(name)
        status = HTTPStatus.OK
        if data is None:
            name, status = "404.html", HTTPStatus.NOT_FOUND
            data = self._read(name) or b"There is no such page."
        kind = CONTENT_TYPES.get(splitext(name)[1].lower(), "application/octet-stream")
        if name.endswith(".html"):
            data = with_script(data, name, version)
        self._send(status, kind, data)

    def _read(self, name: str) -> bytes | None:
        if name not in self.server.preview.files:
            return None
        try:
            return (self.server.preview.folder / name).read_bytes()
        except OSError:
            # It went between two builds
            return None

    def _redirect(self, target: str) -> None:
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", "/" + quote(target))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _stream_events(self) -> None:
        """
        ### News for one open page, until it is closed
        """
        query = dict(part.partition("=")[::2] for part in urlsplit(self.path).query.split("&"))
        page = unquote(query.get("page", ""))
        seen = int(query["version"]) if query.get("version", "").isdecimal() else 0
        self.close_connection = True
        self._head(HTTPStatus.OK, "text/event-stream", {"Connection": "close"})
        preview = self.server.preview
        told = -1
        try:
            while not preview.is_over:
                with preview.news:
                    preview.news.wait_for(partial(preview.has_news, told), SECONDS_BETWEEN_HEARTBEATS)
                    news = {"reload": preview.needs_reload(page, seen), "problems": preview.problems}
                    is_new, told = preview.version != told, preview.version
                self.wfile.write(f"data: {json.dumps(news)}\n\n".encode() if is_new else b": still here\n\n")
                self.wfile.flush()
        except OSError:
            # The page was closed
            return

    def _send_text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self._head(status, kind, {"Content-Length": str(len(data))})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: HTTPStatus, kind: str, more: dict[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **more}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are no news to the author."""


class Server(ThreadingHTTPServer):
    """
    ## Listens on this machine only
    """

    daemon_threads = True
    # On Windows this would let two servers share one port
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, port: int, preview: Preview):
        self.preview = preview
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no error."""


def with_script(html: bytes, page: str, version: int) -> bytes:
    """
    ## A page with the preview's script in it
    """
    tag = f'<script src="{SCRIPT_PATH}" data-page="{quote(page)}" data-version="{version}"></script>'.encode()
    head, body, tail = html.rpartition(b"</body>")
    return head + tag + body + tail if body else html + tag


def open_server(port: int, preview: Preview) -> Server:
    """
    ## A server on the wanted port, or the next one that is free
    """
    for candidate in (*range(port, min(port + 20, 65536)), 0):
        try:
            return Server(candidate, preview)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
    raise AssertionError("the system gives out any free port for 0")


def watch(builder: Builder, stop: threading.Event) -> None:
    """
    ## Build after each change, until told to stop

    What matters is the source, the author's templates and the theme itself. For one file it is the folder around it,
    and not the folders below, of which there may be any number.
    """
    from watchfiles import DefaultFilter
    from watchfiles import watch as changes

    site = builder.site
    themes = [folder for folder in (site.settings.templates, theme_folder()) if folder]
    assets = [folder / "assets" for folder in themes if (folder / "assets").is_dir()]
    folders = [*map(Path, site.roots.folders), *themes, *assets]
    stream = changes(
        *folders,
        watch_filter=DefaultFilter(),
        debounce=200,
        step=MILLISECONDS_OF_QUIET,
        stop_event=stop,
        rust_timeout=MILLISECONDS_BETWEEN_LOOKS,
        yield_on_timeout=True,
        recursive=not site.is_single_file,
    )
    # What was saved after the first build and before the watch began shows at the first look
    is_first_look = True
    for changed in stream:
        if changed or is_first_look:
            builder.build()
        is_first_look = False


def preview_of(site: Site) -> Preview:
    """
    ## An empty preview of a site

    It is built into the cache, so that the next one starts where this one ended.
    """
    folder = site.cache.folder / "preview"
    folder.mkdir(parents=True, exist_ok=True)
    first_page = f"{site.source.stem}.html" if site.is_single_file else "index.html"
    return Preview(folder, first_page=first_page)
