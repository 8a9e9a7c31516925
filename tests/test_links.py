"""Links as authors write them, and what is said about those that lead nowhere."""

from pathlib import Path

import pytest

from sidebyside import Site
from sidebyside.links import quote_path, relative_url


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "code"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/__init__.py").write_text('"""\n# Deep\n\n## A part\n"""\n\n\nclass Thing:\n    """A thing"""\n')
    (folder / "deep/er/page.md").write_text('# Page\n\n<a id="spot"></a> Here\n')
    (folder / "readme.md").write_text("# Home\n")
    (folder / "deep/picture.svg").write_text("<svg/>")
    return folder


def href_of(folder: Path, link: str) -> tuple[str | None, list[str]]:
    """The address that a link in `deep/er/links.md` gets, and what is said about it."""
    (folder / "deep/er/links.md").write_text(f"# Links\n\n[here](<{link}>)\n")
    out = folder.parent / "out"
    report = Site(folder).build(out)
    html = (out / "deep/er/links.html").read_text()
    before, _, _ = html.partition(">here</a>")
    tag = before.rpartition("<a")[2]
    href = tag.partition('href="')[2].partition('"')[0] if 'href="' in tag else None
    return href, [str(each) for each in report.diagnostics]


@pytest.mark.parametrize(
    ("written", "reaches"),
    [
        ("../__init__.py", "../index.html"),
        ("../index.html", "../index.html"),
        ("..", "../index.html"),
        ("../", "../index.html"),
        ("/deep/er/page.md", "page.html"),
        ("page.md", "page.html"),
        ("page.html", "page.html"),
        ("page.md#spot", "page.html#spot"),
        ("page.html#page", "page.html#page"),
        ("page.html#section-0", "page.html#section-0"),
        ("page.html?from=here#page", "page.html#page"),
        ("../__init__.py#Thing", "../index.html#Thing"),
        ("../__init__.py#L8", "../index.html#L8"),
        ("../index.html#a-part", "../index.html#a-part"),
        ("../../readme.md", "../../index.html"),
        ("../../index.html", "../../index.html"),
        ("../../readme.html", None),
        ("../picture.svg", "../picture.svg"),
        ("#links", "#links"),
        ("index.html", "index.html"),
        ("https://example.org/a?b=c&d=e", "https://example.org/a?b=c&amp;d=e"),
        ("mailto:someone@example.org", "mailto:someone@example.org"),
    ],
)
def test_links_reach_the_page(folder: Path, written: str, reaches: str | None) -> None:
    href, problems = href_of(folder, written)
    assert href == reaches
    assert bool(problems) == (reaches is None)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("pag.md", "pag.md is not there; did you mean page.md?"),
        ("page.html#spott", "no anchor #spott on deep/er/page.md; did you mean #spot?"),
        ("../__init__.py#Think", "no anchor #Think on deep/__init__.py; did you mean #Thing?"),
        ("page.html#section-7", "no anchor #section-7 on deep/er/page.md"),
        ("../__init__.py#L1", "no anchor #L1 on deep/__init__.py"),
        ("#nothing", "no anchor #nothing on this page"),
        ("../../../outside.md", "../../../outside.md leaves the source folder; give its full address instead"),
        ("../.env", "../.env is a hidden file, which is not published"),
        ("../pictures.svg", "../pictures.svg is not there; did you mean ../picture.svg?"),
    ],
)
def test_broken_links_are_told_with_file_line_and_what_was_meant(folder: Path, written: str, complaint: str) -> None:
    (folder / "deep/.env").write_text("SECRET=1")
    _, problems = href_of(folder, written)
    assert len(problems) == 1
    assert problems[0].startswith(f"deep/er/links.md:3: error: broken link: {complaint}")
    assert not (folder.parent / "out/deep/.env").exists()


def test_a_missing_image_is_told_and_appears_once_it_is_there(folder: Path) -> None:
    (folder / "picture.md").write_text("# P\n\n![A plot](plots/loss.png)\n")
    out = folder.parent / "out"
    report = Site(folder).build(out)
    assert [str(each) for each in report.diagnostics] == [
        "picture.md:3: error: broken image: plots/loss.png is not there"
    ]
    (folder / "plots").mkdir()
    (folder / "plots/loss.png").write_bytes(b"png")
    assert Site(folder).build(out).diagnostics == ()
    assert (out / "plots/loss.png").read_bytes() == b"png"
    (folder / "plots/loss.png").write_bytes(b"other")
    Site(folder).build(out)
    assert (out / "plots/loss.png").read_bytes() == b"other"


def test_a_link_out_of_the_source_by_a_symbolic_link_is_not_copied(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "deep/er/secret.txt").symlink_to(tmp_path / "secret.txt")
    href, problems = href_of(folder, "secret.txt")
    assert href is None and "symbolic link out of the source folder" in problems[0]
    assert not (tmp_path / "out/deep/er/secret.txt").exists()


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a b.html", "a%20b.html"), ("50%#?.html", "50%25%23%3F.html"), ("ä'\"<.html", "%C3%A4%27%22%3C.html")],
)
def test_file_names_are_quoted_in_links(name: str, quoted: str) -> None:
    assert quote_path(name) == quoted


def test_a_colon_in_a_name_is_no_scheme() -> None:
    assert relative_url("a:b.html", "index.html") == "a%3Ab.html"
