"""A page says how large its images are, so that nothing moves when they arrive."""

from pathlib import Path

import pytest
from PIL import Image

from sidebyside import Site
from sidebyside.images import size_of


@pytest.mark.parametrize(
    "svg, size",
    [
        ('<svg width="30" height="20px" viewBox="0 0 3 2"/>', (30, 20)),
        ('<?xml version="1.0"?>\n<svg\n  viewBox="0 0 640 480.4"\n  role="img">', (640, 480)),
        ('<svg viewBox="-5,-5,10,20"/>', (10, 20)),
        ('<svg width="100%" height="100%" viewBox="0 0 8 6"/>', (8, 6)),
        ('<svg width="100%"/>', None),
        ('<svg viewBox="0 0 0 0"/>', None),
        ("no drawing", None),
    ],
)
def test_size_of_a_drawing(svg: str, size: tuple[int, int] | None, tmp_path: Path):
    (tmp_path / "drawing.svg").write_text(svg)
    assert size_of(tmp_path / "drawing.svg") == size


def test_size_of_a_picture(tmp_path: Path):
    Image.new("RGB", (7, 5)).save(tmp_path / "picture.png")
    assert size_of(tmp_path / "picture.png") == (7, 5)


def test_a_broken_picture_has_none(tmp_path: Path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG and nothing more")
    assert size_of(tmp_path / "picture.png") is None


def test_the_page_says_it_where_the_author_did_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    pages = tmp_path / "pages"
    pages.mkdir()
    Image.new("RGB", (7, 5)).save(pages / "picture.png")
    (pages / "readme.md").write_text('![Sky](picture.png)\n\n<img src="picture.png" alt="Sea" width="70">\n')
    site = Site(pages)
    site.build(tmp_path / "out")
    home = (tmp_path / "out" / "index.html").read_text()
    assert 'src="picture.png" width="7" height="5"' in home
    assert home.count('height="5"') == 1, "what the author wrote stays"

    Image.new("RGB", (9, 4)).save(pages / "picture.png")
    site.build(tmp_path / "out")
    assert 'width="9" height="4"' in (tmp_path / "out" / "index.html").read_text()
