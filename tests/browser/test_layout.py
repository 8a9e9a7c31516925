"""Where things stand, on every window."""

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import WIDTHS, OpenPage

PAGES = ["index.html", "layer.html", "readme.html", "more/index.html", "more/deep.html", "404.html"]

# Where the first line of an element stands: a box without a size sits on its baseline
BASELINE = """(element) => {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT, {
    acceptNode: (node) => node.data.trim() && !node.parentElement.closest('.section-link, .lineno')
      ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP });
  const text = walker.nextNode();
  const box = document.createElement('span');
  box.style.cssText = 'display:inline-block;width:0;height:0';
  text.before(box);
  const { bottom } = box.getBoundingClientRect();
  box.remove();
  return bottom;
}"""

# Number of characters in each full line of a paragraph
LINE_LENGTHS = """(paragraph) => {
  const range = document.createRange();
  const lines = new Map();
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    for (let at = 0; at < walker.currentNode.length; at++) {
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, at + 1);
      const { bottom } = range.getBoundingClientRect();
      lines.set(Math.round(bottom), (lines.get(Math.round(bottom)) ?? 0) + 1);
    }
  }
  return [...lines.values()].slice(0, -1);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_goes_sideways(open_page: OpenPage, scheme: str) -> None:
    page = open_page("index.html", scheme=scheme)
    home = page.url
    for path in PAGES:
        page.goto(home.replace("index.html", path))
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} at {width}"


@pytest.mark.parametrize("path", ["layer.html", "readme.html"])
def test_lines_of_prose_have_a_readable_length(open_page: OpenPage, path: str) -> None:
    page = open_page(path)
    for width in [768, 1024, 1280, 1600, 1920, 2560]:
        page.set_viewport_size({"width": width, "height": 900})
        lengths = page.locator("#section-0 .docs > p").first.evaluate(LINE_LENGTHS)
        # A line may be short because the next word is long; the text as a whole has the measure
        assert 45 <= sum(lengths) / len(lengths) <= 75, f"{lengths} at {width}"


def test_lines_are_not_tiny_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(width=360, is_mobile=True)
    lengths = page.locator("#section-0 .docs > p").first.evaluate(LINE_LENGTHS)
    assert sum(lengths) / len(lengths) >= 30


@pytest.mark.parametrize("width", [1024, 1280, 1920])
def test_note_and_code_begin_on_one_baseline(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    baselines = page.locator(".section:not(.no-note)").evaluate_all(
        f"(all) => all.map((e) => [e.querySelector('.docs'), e.querySelector('.code code')].map({BASELINE}))"
    )
    assert len(baselines) >= 5
    for note, code in baselines:
        assert note == pytest.approx(code, abs=1)


@pytest.mark.parametrize("width", [*WIDTHS, 1024])
def test_no_empty_column_stands_beside_a_page_of_prose(open_page: OpenPage, width: int) -> None:
    page = open_page("readme.html", width=width)
    text, example = page.locator("#section-0 p").first.bounding_box(), page.locator("#try-it pre").bounding_box()
    assert text and example
    # Its example is no column either, but a block of the text
    assert [example["x"], example["width"]] == pytest.approx([text["x"], text["width"]], abs=1)
    assert page.locator(".sheet").evaluate("(e) => getComputedStyle(e).backgroundImage") == "none"
    if width >= 1024:
        expect(page.get_by_role("navigation", name="On this page")).to_be_visible()


def test_lines_of_prose_and_code_keep_step(open_page: OpenPage) -> None:
    page = open_page()
    prose = page.locator("#section-0 p").first.evaluate("(e) => parseFloat(getComputedStyle(e).lineHeight)")
    code = page.locator(".code pre").first.evaluate("(e) => parseFloat(getComputedStyle(e).lineHeight)")
    assert 3 * prose == pytest.approx(4 * code, abs=0.5)


def is_in_view(page: Page, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    bar = page.locator(".top").bounding_box()
    assert box and bar
    return box["y"] >= bar["height"] and box["y"] < page.viewport_size["height"]  # type: ignore[index]


@pytest.mark.parametrize("width", [1280, 1920])
def test_code_stays_in_view_while_its_long_note_scrolls(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width, height=600)
    page.locator("#section-0 ol").evaluate("(e) => e.scrollIntoView()")
    assert page.evaluate("scrollY") > 400
    assert is_in_view(page, "#section-0 .line")


def test_short_note_stays_in_view_beside_long_code(open_page: OpenPage) -> None:
    page = open_page(height=500)
    note = page.locator(".section", has_text="A short note beside long code")
    note.locator(".line").nth(25).evaluate("(e) => e.scrollIntoView()")
    box = note.locator(".docs p").bounding_box()
    assert box and 0 < box["y"] < 500


def test_code_stays_under_its_note_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(width=360)
    for section in page.locator(".section:not(.no-note)").all():
        docs, code = section.locator(".docs").bounding_box(), section.locator(".code").bounding_box()
        assert docs and code and docs["y"] + docs["height"] <= code["y"] + 1


@pytest.mark.parametrize("width", WIDTHS)
def test_long_lines_scroll_on_their_own(open_page: OpenPage, width: int) -> None:
    page = open_page(width=width)
    pre = page.locator(".code pre", has_text="log1p")
    assert pre.evaluate("(e) => { e.scrollLeft = 1e6; return e.scrollLeft }") > 0 or width > 1600
    assert pre.evaluate("(e) => e.getBoundingClientRect().right") <= width
    # The numbers of the lines stay where they are
    assert (
        pre.evaluate("(e) => e.querySelector('.lineno').getBoundingClientRect().left - e.getBoundingClientRect().left")
        >= -1
    )


@pytest.mark.parametrize("width", [1280, 1920])
def test_the_first_page_shows_on_one_screen_what_this_is(open_page: OpenPage, width: int) -> None:
    page = open_page("index.html", width=width)
    expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("link", name="Read the layer")).to_be_in_viewport(ratio=1)
    excerpt = page.get_by_role("region", name="The layer layer.py")
    note, code = excerpt.locator(".docs").first, excerpt.locator(".code").first
    expect(note).to_be_in_viewport(ratio=1)
    expect(code).to_be_in_viewport(ratio=1)
    left, right = note.bounding_box(), code.bounding_box()
    assert left and right and left["x"] + left["width"] <= right["x"] + 1
    excerpt.get_by_role("link", name="The layer").click()
    expect(page).to_have_url(re.compile("layer.html#"))


def test_wide_windows_use_their_width(open_page: OpenPage) -> None:
    page = open_page(width=1920, height=1080)
    code, contents = page.locator("#section-0 .code").bounding_box(), page.locator(".contents").bounding_box()
    assert code and contents
    assert code["x"] + code["width"] == pytest.approx(1920, abs=20)
    assert contents["x"] < 50 and contents["width"] > 200


@pytest.mark.parametrize("path", PAGES)
def test_fingers_hit_their_targets(open_page: OpenPage, path: str) -> None:
    page = open_page(path, width=360, height=780, has_touch=True, is_mobile=True)
    small = page.evaluate(
        """() => [...document.querySelectorAll('button, nav a, .card-link, .actions a, .bottom a, .brand')]
          .filter((e) => e.checkVisibility({ visibilityProperty: true }))
          .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
          .filter(([, box]) => box.width && box.height < 43.5 || (box.width && box.width < 43.5 && box.height < 43.5))
          .map(([html, box]) => `${html} ${box.width} x ${box.height}`)"""
    )
    assert not small


def test_text_is_readable_on_a_phone_without_zooming(open_page: OpenPage) -> None:
    page = open_page(width=360, is_mobile=True)
    assert page.evaluate("visualViewport.scale") == 1
    assert page.evaluate("innerWidth") == 360
    assert page.locator("#section-0 p").first.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)") >= 16
    assert page.locator(".code pre").first.evaluate("(e) => parseFloat(getComputedStyle(e).fontSize)") >= 12


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_print_is_black_on_white_with_links_spelled_out(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    colours = page.locator(".docs p, .docs a:not(.anchor), .line, .line span").evaluate_all(
        "(all) => [...new Set(all.filter((e) => e.checkVisibility()).map((e) => getComputedStyle(e).color))]"
    )
    assert colours == ["rgb(0, 0, 0)"]
    assert not page.locator(".top").is_visible() and not page.locator(".copy").first.is_visible()
    after = "(e) => getComputedStyle(e, '::after').content"
    assert "https://docs.python.org" in page.get_by_role("link", name="Python documentation").evaluate(after)
    assert page.locator(".code a.ref").first.evaluate(after) == "none"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_moves_while_a_page_loads(open_page: OpenPage, width: int) -> None:
    page = open_page("404.html", width, is_mobile=width < 700)
    # On a slow processor the faces come later than the text, if anything makes them late
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    page.add_init_script(
        """window.shifts = [];
        new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
          .observe({ type: 'layout-shift', buffered: true });"""
    )
    page.goto(page.url.replace("404", "layer"))
    page.evaluate(
        "document.fonts.ready.then(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))))"
    )
    assert page.evaluate("shifts.reduce((sum, value) => sum + value, 0)") < 0.01
