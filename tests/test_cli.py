"""The command line, as a user types it."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sidebyside import check as external
from sidebyside.cli import main


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/readme.md").write_text("# Home\n\n[the module](module.py)\n")
    (tmp_path / "code/module.py").write_text('"""\n# Module\n"""\n\nx = 1\n')
    return tmp_path / "code"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_build_writes_the_site_and_one_line(code: Path) -> None:
    result = run("build", "code", "--out", "out")
    assert result.exit_code == 0 and result.stdout == ""
    assert re.fullmatch(r"2 pages, no problems, \d+ files written in [\d.]+ s → out\n", result.stderr)
    assert Path("out/index.html").exists()
    assert "nothing changed" in run("build", "code", "--out", "out").stderr


def test_quiet_prints_only_diagnostics(code: Path) -> None:
    assert run("build", "code", "--quiet").output == ""
    assert Path("site/index.html").exists()
    (code / "bad.md").write_text("[x](gone.md)\n")
    assert run("build", "code", "--quiet").stderr == "code/bad.md:1: error: broken link: gone.md is not there\n"


def test_errors_fail_and_warnings_do_only_if_strict(code: Path, tmp_path: Path) -> None:
    (code / "link.md").symlink_to(tmp_path / "elsewhere.md")
    (tmp_path / "elsewhere.md").write_text("x")
    result = run("check", "code")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "code/link.md: warning: symbolic link leaves the source folder; not followed",
        "2 pages, 1 warning",
    ]
    strict = run("check", "code", "--strict")
    assert strict.exit_code == 1 and "link.md: error:" in strict.stderr and "1 error" in strict.stderr
    (code / "bad.md").write_text("[x](gone.md)\n")
    assert run("check", "code").exit_code == run("build", "code").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["build", "nowhere"], "there is no nowhere"),
        (["build", "code", "--base-url", "example.org"], "--base-url 'example.org' is no address"),
        (["build", "code", "--templates", "nowhere"], "--templates 'nowhere' is no folder"),
        (["build", "code", "--inventory", "x"], "should look like https://docs.example.org/=objects.inv"),
        (["build", "code", "--inventory", "https://x.org/=gone.inv"], "there is no such file"),
        (["build", "code", "--jobs", "0"], "--jobs"),
        (["build", "code", "--analytics", "<script>"], "--analytics '<script>' is no measurement ID"),
        (["new", "code"], "code is not empty"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_use_is_told_without_a_traceback(code: Path, arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr and "Traceback" not in result.output


def test_an_output_that_cannot_be_written_is_told(code: Path) -> None:
    Path("file").write_text("")
    result = run("build", "code", "--out", "file/out")
    assert result.exit_code == 1 and result.stderr.startswith("error: cannot make the folder file/out: ")


def test_a_damaged_inventory_is_told(code: Path) -> None:
    Path("bad.inv").write_bytes(b"nonsense")
    (code / "use.py").write_text("import mylib\n\nmylib.f()\n")
    result = run("build", "code", "--inventory", "https://x.org=bad.inv")
    assert result.exit_code == 1 and "bad.inv: not a Sphinx inventory" in result.stderr


def test_one_file_makes_one_page(code: Path) -> None:
    assert run("build", "code/module.py").exit_code == 0
    assert "x = 1" in re.sub(r"<[^>]+>", "", Path("module.html").read_text())
    assert run("build", "code/module.py", "--out", "pages").exit_code == 0
    assert run("build", "code/module.py", "--out", "other/name.html").exit_code == 0
    assert (
        Path("pages/module.html").read_text() == Path("other/name.html").read_text() == Path("module.html").read_text()
    )
    assert not [file for file in Path("pages").iterdir() if file.name != "module.html"]


def test_help_describes_every_option() -> None:
    for name, command in main.commands.items():
        assert name in run("--help").output
        assert command.help and run(name, "--help").exit_code == 0
        assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_the_same_as_a_module_of_python() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sidebyside", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.startswith("sidebyside, version 1.")


def test_a_build_without_changes_imports_no_renderer(code: Path) -> None:
    run("build", "code")
    script = (
        "import sys; sys.argv = ['sidebyside', 'build', 'code', '--quiet']\n"
        "from sidebyside.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'jinja2', 'markdown_it', 'pygments', 'nh3', 'fontTools', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"


def test_new_writes_a_project_that_builds_without_a_warning() -> None:
    assert run("new", "project").exit_code == 0
    result = run("build", "project/pages", "--templates", "project/templates", "--strict", "--out", "site")
    assert result.exit_code == 0, result.output
    page = Path("site/moving_average.html").read_text()
    assert "Written beside the code." in page and "<math" in page
    workflow = Path("project/.github/workflows/pages.yml").read_text()
    assert "sidebyside build pages --out site --templates templates --strict" in workflow
    assert run("new", "project").exit_code == 2


def test_the_example_of_the_new_project_runs() -> None:
    run("new", "project")
    import yaml

    text = Path("project/pages/moving_average.py").read_text()
    example = yaml.safe_load(text.split("---")[1])["example"]
    code = text + "\n" + example
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[3.0, 4.5, 6.0, 9.0]\n"


def test_external_links_are_listed_and_dead_ones_are_errors(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code / "out.md").write_text("[a](https://a.example)\n\n[b](https://b.example)\n\n[c](https://c.example)\n")
    answers = {
        "https://a.example": external.Answer("https://a.example", True, "200"),
        "https://b.example": external.Answer("https://b.example", False, "answers 404 Not Found"),
        "https://c.example": external.Answer("https://c.example", None, "answers 403 Forbidden"),
    }
    monkeypatch.setattr(external, "ask", answers.__getitem__)
    result = run("check", "code", "--external")
    assert result.stdout.splitlines() == [
        "code/out.md:1: alive: https://a.example",
        "code/out.md:3: dead: https://b.example",
        "code/out.md:5: unsure: https://c.example",
    ]
    assert "code/out.md:3: error: external link: https://b.example answers 404 Not Found" in result.stderr
    assert "code/out.md:5: warning: external link: https://c.example answers 403 Forbidden" in result.stderr
    assert result.exit_code == 1


def test_without_a_network_external_links_are_said_to_be_unchecked(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code / "out.md").write_text("[a](https://a.example)\n")
    monkeypatch.setattr(external, "ask", lambda url: external.Answer(url, False, "has no such host", is_offline=True))
    result = run("check", "code", "--external")
    assert result.exit_code == 1 and "there seems to be no network here" in result.stderr


def test_a_real_server_is_asked_head_first_and_then_for_the_page() -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append((self.command, self.path))
            good = self.path == "/good" or (self.path == "/no-head" and self.command == "GET")
            self.send_response(200 if good else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_address[1]}"
        alive = [each.is_alive for each in external.ask_all([f"{root}/good#x", f"{root}/no-head", f"{root}/gone"])]
        server.shutdown()
    assert alive == [True, True, False]
    assert ("HEAD", "/good") in asked and ("GET", "/good") not in asked and ("GET", "/no-head") in asked
    assert external.ask("http://127.0.0.1:1/").is_alive is False
