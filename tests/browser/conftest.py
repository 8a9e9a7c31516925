"""
Sites for the tests to read, a server for them, and one browser per process.

The tests need Chromium: the distribution's, or the one that Playwright installs. Where there is none they are skipped,
but not on a server that sets `CI`, where nobody would notice.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = [360, 768, 1280, 1920]

OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    own = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=own, args=ARGUMENTS)
        except Error as error:
            if os.environ.get("CI") == "true":
                pytest.fail(f"the browser tests need Chromium: {error}")
            pytest.skip("there is no Chromium")
        yield browser
        browser.close()


def build(source: Path, out: Path, *options: str) -> Path:
    command = [sys.executable, "-m", "sidebyside", "build", source, "--out", out, "--no-cache", "--jobs", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert out.exists(), done.stderr
    return out


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small site that has one of each thing that a page can hold."""
    folder = tmp_path_factory.mktemp("small")
    return build(HERE / "source", folder / "site", "--repo-url", "https://github.com/somebody/something")


@pytest.fixture(scope="session")
def real_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site that this repository publishes."""
    folder = tmp_path_factory.mktemp("real")
    return build(REPOSITORY / "labml_nn", folder / "site", "--beside", str(REPOSITORY / "sidebyside"))


class QuietHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serves a folder on a free port of this machine; gives its address."""
    servers: dict[Path, ThreadingHTTPServer] = {}

    def start(folder: Path) -> str:
        if folder not in servers:
            server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
            Thread(target=server.serve_forever, daemon=True).start()
            servers[folder] = server
        return f"http://127.0.0.1:{servers[folder].server_address[1]}"

    yield start
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def open_page(browser: Browser, site: Path, serve: Callable[[Path], str]) -> Iterator[OpenPage]:
    """
    Opens a page of the small site, in a window of its own. At the end of the test no script may have failed,
    and nothing may have been asked for from anywhere but the site.
    """
    contexts, failures, requests = [], [], []

    def start(
        path: str = "layer.html", width: int = 1280, height: int = 900, scheme: str = "light", **options: Any
    ) -> Page:
        address = options.pop("address", None) or serve(site)
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{address}/{path}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert not failures
    assert not [url for url in requests if not url.startswith(("http://127.0.0.1:", "file:", "data:"))]
