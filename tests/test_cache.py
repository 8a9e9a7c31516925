"""The cache never serves a stale page, survives a kill at any moment, and can be deleted."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidebyside import Settings, Site
from sidebyside.cache import Cache, digest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "readme.md").write_text("# Home\n\n[a](a.py#f)\n")
    (folder / "a.py").write_text('"""\n# A\n"""\n\n\ndef f():\n    """Does it"""\n')
    (folder / "b.py").write_text('"""\n# B\n"""\nfrom a import f\n\nf()\n')
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def clean_build(code: Path, tmp_path: Path, settings: Settings | None = None) -> dict[str, bytes]:
    out = tmp_path / f"clean{random.random()}"
    Site(code, settings, use_cache=False).build(out)
    return files_of(out)


def test_a_second_build_has_nothing_to_do(code: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert Site(code).build(out).changed
    second = Site(code).build(out)
    assert second.changed == () and second.n_pages == 3


def test_diagnostics_come_again_though_nothing_changed(code: Path, tmp_path: Path) -> None:
    (code / "c.md").write_text("[gone](gone.md)\n")
    first = Site(code).build(tmp_path / "out")
    assert Site(code).build(tmp_path / "out").diagnostics == first.diagnostics != ()


def test_every_input_counts(code: Path, tmp_path: Path) -> None:
    """After any change, the next build gives what a clean build gives."""
    out, templates = tmp_path / "out", tmp_path / "templates"
    templates.mkdir()
    settings = Settings(templates=templates)
    steps = [
        lambda: (code / "a.py").write_text('"""\n# A renamed\n"""\n\n\ndef g():\n    """Does it"""\n'),
        lambda: (code / "c.md").write_text("# C\n"),
        lambda: (code / "b.py").unlink(),
        lambda: (code / "sub").mkdir(),
        lambda: (code / "sub/d.md").write_text("---\nsummary: Below\n---\n# D\n"),
        lambda: (templates / "page.html").write_text("{{ page.title }} by hand"),
        lambda: (templates / "page.html").unlink(),
        lambda: (code / "readme.md").write_text("# Home\n\n[c](c.md) ![p](p.png)\n"),
        lambda: (code / "p.png").write_bytes(b"png"),
    ]
    for step in [lambda: None, *steps]:
        step()
        Site(code, settings).build(out)
        assert files_of(out) == clean_build(code, tmp_path, settings)
    for changed in (
        Settings(title="T"),
        Settings(base_url="https://x.org"),
        Settings(repo_url="https://github.com/a/b"),
    ):
        Site(code, changed).build(out)
        assert files_of(out) == clean_build(code, tmp_path, changed)


def test_a_site_that_lives_on_sees_every_change_too(code: Path, tmp_path: Path) -> None:
    site, out = Site(code), tmp_path / "out"
    site.build(out)
    (code / "a.py").write_text('"""\n# A\n"""\n\n\ndef other():\n    """Does it"""\n')
    report = site.build(out)
    assert [each.path for each in report.diagnostics] == ["readme.md"]
    assert files_of(out) == clean_build(code, tmp_path)


def test_it_can_be_deleted_between_builds(code: Path, tmp_path: Path, cache_folder: Path) -> None:
    import shutil

    Site(code).build(tmp_path / "out")
    shutil.rmtree(cache_folder)
    assert Site(code).build(tmp_path / "out").changed == ()


def test_output_changed_by_someone_is_put_right(code: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Site(code).build(out)
    before = files_of(out)
    (out / "a.html").write_text("defaced")
    (out / "b.html").unlink()
    assert set(Site(code).build(out).changed) == {"a.html", "b.html"}
    assert files_of(out) == before


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff\xfe", None])
def test_damaged_entries_are_made_again(code: Path, tmp_path: Path, cache_folder: Path, damage: bytes | None) -> None:
    Site(code).build(tmp_path / "out")
    for file in cache_folder.rglob("*.json"):
        data = file.read_bytes()
        # The last case turns one letter somewhere in the middle
        file.write_bytes(data[: len(data) // 2] + b"#" + data[len(data) // 2 + 1 :] if damage is None else damage)
    Site(code).build(tmp_path / "again")
    assert files_of(tmp_path / "again") == clean_build(code, tmp_path)


def test_a_planted_entry_is_not_believed_for_other_content(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cache.store("a.py", "key of some content", ["planted"])
    assert cache.load("a.py", "key of some content") == ["planted"]
    assert cache.load("a.py", "key of other content") is None


def test_parts_of_a_digest_do_not_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc") != digest("abc")


def test_a_cache_that_cannot_be_written_is_done_without(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "file" / "no folder"))
    Site(code).build(tmp_path / "out")
    assert files_of(tmp_path / "out") == clean_build(code, tmp_path)


def test_nothing_in_the_source_folder_is_taken_for_a_cache(code: Path, tmp_path: Path) -> None:
    before = files_of(code)
    Site(code).build(tmp_path / "out")
    assert files_of(code) == before


def test_a_manifest_that_names_files_outside_removes_none(code: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "precious").write_text("mine")
    (out / ".sidebyside.json").write_text(
        '{"files": {"../precious": "", "/etc/none": "", "a/../../precious": "", "..": "", "": "", "x\\\\..\\\\y": ""}}'
    )
    Site(code).build(out)
    assert (tmp_path / "precious").read_text() == "mine"


def test_nothing_is_written_through_a_symbolic_link_in_the_output(code: Path, tmp_path: Path) -> None:
    from sidebyside.problem import OutputProblem

    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/assets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputProblem, match="symbolic link"):
        Site(code).build(tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_killed_at_any_moment_the_next_build_gives_a_clean_site(code: Path, tmp_path: Path) -> None:
    for n in range(12):
        (code / f"page{n}.py").write_text('"""\n# Page\n"""\n\n\ndef f():\n    # A note\n    return 1\n' * 20)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sidebyside", "build", str(code), "--out", str(out), "--jobs", "2"]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    duration = time.monotonic() - started
    moments = random.Random(0)
    for n in range(6):
        # Each build has something to write, to change and to remove
        (code / f"page{n}.py").unlink()
        (code / f"new{n}.py").write_text('"""\n# New\n"""\nx = 1\n')
        (code / "readme.md").write_text(f"# Home {n}\n\n[a](a.py#f)\n")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(duration * moments.uniform(0.1, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert files_of(out) == clean_build(code, tmp_path)
