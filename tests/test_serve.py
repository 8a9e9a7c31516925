"""The live preview, as a process of its own."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from served import Served


def make_code(top: Path) -> Path:
    folder = top / "code"
    (folder / "sub").mkdir(parents=True)
    (folder / "readme.md").write_text("# Home\n")
    (folder / "sub/page.py").write_text('"""\n# Page\n"""\n\nx = 1\n')
    (folder / "sub/50% ü.md").write_text("# Odd name\n")
    (top / "secret.txt").write_text("SECRET")
    return folder


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    return make_code(tmp_path)


@pytest.fixture
def served(code: Path) -> Iterator[Served]:
    server = Served(code, "--port", "0", "--quiet")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A preview that no test changes, and the folder that holds its source and its cache."""
    top = tmp_path_factory.mktemp("still")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIDEBYSIDE_CACHE", str(top / "cache"))
        server = Served(make_code(top), "--port", "0", "--quiet")
    yield server, top
    server.stop()


def next_problem(news: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The next news with a problem; others may come before, from whatever else changed meanwhile."""
    return next(told for told in news if told["problems"])


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_pages_folders_and_files(still: tuple[Served, Path]) -> None:
    served, _ = still
    status, body, headers = served.get("/")
    assert status == 200 and "Home" in body and headers["Content-Type"] == "text/html; charset=utf-8"
    assert served.get("/sub/")[0] == 200
    status, _, headers = served.get("/sub")
    assert status == 302 and headers["Location"] == "/sub/"
    assert served.get("/sub/50%25%20%C3%BC.html")[0] == 200
    assert served.get("/assets/style.css?h=1")[2]["Content-Type"].startswith("text/css")
    assert served.get("/sub/page.html", method="HEAD")[1] == ""
    status, body, _ = served.get("/nothing.html")
    assert status == 404 and "<html" in body


def test_the_script_is_in_served_pages_only(still: tuple[Served, Path]) -> None:
    served, top = still
    assert '<script src="/.sidebyside/preview.js"' in served.get("/sub/page.html")[1]
    built = list((top / "cache").rglob("preview/sub/page.html"))
    assert built and "preview.js" not in built[0].read_text()


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/%252e%252e%252fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/sub/../../../../../../../../etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/etc/passwd%00.html",
        "/index.html%00",
        "/./index.html",
        "/.sidebyside.json",
        "/link.txt",
        "/assets/%2e%2e/.sidebyside.json",
        "/%c0%ae%c0%ae/secret.txt",
        "/file:///etc/passwd",
        "http://evil.example/etc/passwd",
    ],
)
def test_no_path_leaves_the_built_files(still: tuple[Served, Path], path: str) -> None:
    served, top = still
    preview = next((top / "cache").rglob("preview"))
    if not (preview / "link.txt").is_symlink():
        (preview / "link.txt").symlink_to(top / "secret.txt")
    status, body, _ = served.get(path)
    assert status == 404 and "SECRET" not in body and "root:" not in body


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_other_names_are_refused(still: tuple[Served, Path], host: str) -> None:
    served, _ = still
    assert served.get("/", host=host)[0] == 403
    assert served.get("/.sidebyside/events", host=host)[0] == 403


def test_own_names_are_answered(still: tuple[Served, Path]) -> None:
    served, _ = still
    for host in ("localhost", f"localhost:{served.port}", f"127.0.0.1:{served.port}"):
        assert served.get("/", host=host)[0] == 200


def test_only_this_machine_can_connect(still: tuple[Served, Path]) -> None:
    served, _ = still
    addresses = {each[4][0] for each in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in addresses - {"127.0.0.1", "127.0.1.1"}:
        with pytest.raises(OSError):
            socket.create_connection((str(address), served.port), timeout=2)


def test_a_saved_file_reloads_its_page_and_no_other(served: Served, code: Path) -> None:
    page, other = served.events("sub/page.html"), served.events("index.html")
    assert next(page) == {"reload": False, "problems": []} == next(other)
    (code / "sub/page.py").write_text('"""\n# Page\n"""\n\nx = 2  # changed\n')
    assert next(page)["reload"] is True
    assert next(other)["reload"] is False
    assert "changed" in served.get("/sub/page.html")[1]


def test_a_syntax_error_is_shown_over_the_page_as_it_was(served: Served, code: Path) -> None:
    news = served.events("sub/page.html")
    next(news)
    (code / "sub/page.py").write_text("def <b>(:\n")
    told = next_problem(news)
    assert told["reload"] is False
    assert told["problems"][0]["severity"] == "error" and told["problems"][0]["place"].endswith("sub/page.py:1")
    (code / "sub/page.py").write_text('"""\n# Better\n"""\n')
    assert next(told for told in news if not told["problems"])["reload"] is True


def test_new_and_deleted_files(served: Served, code: Path) -> None:
    (code / "new.md").write_text("# New\n")
    until(lambda: served.get("/new.html")[0] == 200)
    (code / "new.md").unlink()
    until(lambda: served.get("/new.html")[0] == 404)


def test_a_mistake_in_a_template_does_not_end_it(code: Path, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    server = Served(code, "--port", "0", "--templates", str(templates))
    try:
        news = server.events("sub/page.html")
        next(news)
        (templates / "page.html").write_text("{% broken %}")
        told = next_problem(news)
        assert told["problems"][0]["message"].endswith("Encountered unknown tag 'broken'.")
        (templates / "page.html").write_text("{{ page.title }} anew")
        assert next(told["reload"] for told in news if not told["problems"])
        assert "Page anew" in server.get("/sub/page.html")[1]
    finally:
        server.stop()


def test_a_taken_port_gives_way_to_a_free_one(code: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Served(code, "--port", str(taken.getsockname()[1]))
        try:
            assert server.port != taken.getsockname()[1]
            assert server.get("/")[0] == 200
        finally:
            server.stop()


def test_one_file_is_served_at_the_root(code: Path) -> None:
    server = Served(code / "sub/page.py", "--port", "0")
    try:
        status, _, headers = server.get("/")
        assert status == 302 and headers["Location"] == "/page.html"
        assert "preview.js" in server.get("/page.html")[1]
        news = server.events("page.html")
        next(news)
        (code / "sub/page.py").write_text("y = 3\n")
        assert next(news)["reload"] is True
    finally:
        server.stop()


def test_ctrl_c_ends_it_without_a_traceback(code: Path) -> None:
    server = Served(code, "--port", "0")
    os.kill(server.process.pid, signal.SIGINT)
    errors = server.wait()
    assert server.process.returncode == 0 and "Traceback" not in errors
