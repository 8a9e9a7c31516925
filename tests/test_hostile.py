"""A stranger's folder: names, titles and trees that were made to do harm."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sidebyside import Settings, Site
from sidebyside.discover import discover, printable

EVIL = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;{{ 7*7 }}"


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))


class Elements(HTMLParser):
    """What a browser would see: elements with their attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def elements_of(folder: Path) -> list[tuple[str, dict[str, str | None]]]:
    return [each for file in folder.rglob("*.html") for each in Elements(file.read_text()).found]


def assert_harmless(out: Path, n_scripts: int) -> None:
    """No element or attribute that the theme did not put there."""
    for tag, attributes in elements_of(out):
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not (tag == "img" and attributes.get("src") == "x")
        assert not str(attributes.get("href", "")).lower().startswith("javascript:")
    for file in out.rglob("*.html"):
        assert sum(tag == "script" for tag, _ in Elements(file.read_text()).found) == n_scripts


def scripts_of_a_plain_page(tmp_path: Path) -> int:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/readme.md").write_text("# Plain\n")
    Site(tmp_path / "plain").build(tmp_path / "plain out")
    return sum(tag == "script" for tag, _ in Elements((tmp_path / "plain out/index.html").read_text()).found)


def test_titles_and_summaries_are_text_everywhere(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    quoted = EVIL.replace("\\", "\\\\").replace('"', '\\"')
    front = f'---\ntitle: "{quoted}"\nsummary: "{quoted}"\nother: "{quoted}"\nexample: "{quoted}"\n---\n'
    (code / "readme.md").write_text(front + "# Home\n")
    (code / "a.py").write_text(f"'''\n{front}'''\n\n\ndef f(x={EVIL!r}):\n    '''{EVIL}'''\n\n\nf()\n")
    (code / "b.py").write_text("from a import f\n\nf()\n")
    Site(code, Settings(base_url="https://x.org")).build(tmp_path / "out")
    assert_harmless(tmp_path / "out", scripts_of_a_plain_page(tmp_path))
    assert "{{ 7*7 }}" in (tmp_path / "out/index.html").read_text()


def test_settings_are_text_everywhere(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "readme.md").write_text("# Home\n")
    settings = Settings(title=EVIL, base_url=f"https://x.org/{EVIL}", repo_url=f"https://github.com/a/{EVIL}")
    Site(code, settings).build(tmp_path / "out")
    assert_harmless(tmp_path / "out", scripts_of_a_plain_page(tmp_path))
    assert "<script" not in (tmp_path / "out/sitemap.xml").read_text()


@pytest.mark.parametrize(
    "name",
    ["a b", "50%25", "x#y", "what?", "'single'", '"double"', "<b>", "ünï", "a&b", "{{ 7*7 }}", "a:b", "\\back", "-x"],
)
def test_any_file_name_makes_a_page_that_links_reach(tmp_path: Path, name: str) -> None:
    from urllib.parse import unquote

    code = tmp_path / "code"
    (code / name).mkdir(parents=True)
    (code / "readme.md").write_text("# Home\n")
    (code / name / f"{name}.md").write_text("Text\n")
    (code / f"{name}.py").write_text("x = 1\n")
    out = tmp_path / "out"
    assert Site(code).build(out).diagnostics == ()
    assert (out / name / f"{name}.html").exists() and (out / f"{name}.py").exists()
    for file in out.rglob("*.html"):
        for tag, attributes in Elements(file.read_text()).found:
            href = attributes.get("href") or ""
            if tag == "a" and file.name != "404.html" and href and not href.startswith(("#", "https:")):
                assert (file.parent / unquote(re.split("[?#]", href)[0])).exists(), href
    assert_harmless(out, scripts_of_a_plain_page(tmp_path))


def test_names_cannot_send_commands_to_the_terminal() -> None:
    assert printable("a\x1b[31m\nb\u202e.py") == "a\\x1b[31m\\nb\\u202e.py"


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"bad\xff.md")).write_text("x")
    except OSError:
        pytest.skip("this file system has only names that are text")
    found = discover(str(tmp_path))
    assert found.sources == () and "not valid UTF-8" in found.diagnostics[0].message


def test_symbolic_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("SECRET = 1\n")
    code = tmp_path / "code"
    code.mkdir()
    (code / "readme.md").write_text("# Home\n")
    (code / "folder").symlink_to(tmp_path / "outside")
    (code / "file.py").symlink_to(tmp_path / "outside/secret.py")
    (code / "gone.py").symlink_to(tmp_path / "nowhere")
    report = Site(code).build(tmp_path / "out")
    assert [each.path for each in report.diagnostics] == ["file.py", "folder", "gone.py"]
    assert {each.severity for each in report.diagnostics} == {"warning"}
    assert not any(b"SECRET" in file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/page.md").write_text("x")
    (tmp_path / "a/b/up").symlink_to(tmp_path)
    (tmp_path / "a/b/self").symlink_to(tmp_path / "a/b/self")
    (tmp_path / "also").symlink_to(tmp_path / "a")
    assert [source.path for source in discover(str(tmp_path)).sources] == ["a/b/page.md"]


def test_what_is_no_page_is_skipped(tmp_path: Path) -> None:
    for name in (
        ".git/a.py",
        ".hidden.py",
        "__pycache__/a.py",
        "node_modules/x/a.md",
        "env/pyvenv.cfg",
        "env/a.py",
        "a.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "page.py").write_text("x = 1")
    assert [source.path for source in discover(str(tmp_path)).sources] == ["page.py"]


def test_deep_folders_end_with_a_diagnostic(tmp_path: Path) -> None:
    deep = tmp_path / "code"
    for _ in range(80):
        deep /= "d"
    deep.mkdir(parents=True)
    (tmp_path / "code/page.md").write_text("# P\n")
    (deep / "page.md").write_text("# Deep\n")
    report = Site(tmp_path / "code").build(tmp_path / "out")
    assert report.n_pages == 1 and "deeper" in report.diagnostics[0].message


def test_a_huge_file_is_passed_over_unread(tmp_path: Path) -> None:
    with open(tmp_path / "huge.py", "wb") as stream:
        stream.truncate(60_000_000)
    (tmp_path / "page.md").write_text("# P\n")
    report = Site(tmp_path).check()
    assert [str(each) for each in report.diagnostics] == ["huge.py:1: error: larger than 50 MB; passed over"]


def test_front_matter_that_explodes_is_left_out(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{n}: &{n} [{', '.join([f'*{p}'] * 10)}]" for p, n in zip("abcdefgh", "bcdefghi", strict=True)]
    (tmp_path / "page.md").write_text("---\n" + "\n".join(lines) + "\n---\n# P\n")
    report = Site(tmp_path).check()
    assert len(report.diagnostics) == 1 and "front matter" in report.diagnostics[0].message


def test_prose_cannot_carry_script(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "readme.md").write_text(
        "# Home\n\n<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) "
        "<a href='java&#x0A;script:alert(1)'>y</a> <svg onload=alert(1)> "
        "<div class=\"<a href='javascript:alert(1)'>\">z</div>\n"
    )
    Site(code).build(tmp_path / "out")
    assert_harmless(tmp_path / "out", scripts_of_a_plain_page(tmp_path))


def test_source_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "page.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    Site(tmp_path).build(tmp_path / "out")
    assert not (tmp_path / "ran").exists()
