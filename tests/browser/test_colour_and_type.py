"""Light, dark, and the faces."""

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import OpenPage

# fmt: off
TOKENS = [
    "n", "nn", "na", "nv", "nb", "ne", "bp", "vm", "nc", "nf", "fm", "nd", "k", "kc", "kd", "kn", "kt", "ow", "s", "s1",
    "s2", "sa", "sd", "se", "si", "mi", "mf", "o", "p", "c", "c1", "cm", "gd", "gr", "gi", "go", "gp", "err", "lineno",
]
# fmt: on

CONTRAST = """([colour, background]) => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const luminance = (css) => {
    context.fillStyle = css;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [luminance(colour), luminance(background)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}"""

PAPER = {"light": "rgb(252, 252, 250)", "dark": "rgb(18, 23, 26)"}


def paper(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme)
    assert paper(page) == PAPER[scheme]
    other = "dark" if scheme == "light" else "light"
    page.emulate_media(color_scheme=other)
    assert paper(page) == PAPER[other]


@pytest.mark.parametrize("how", ["button", "key"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_switch_is_remembered(open_page: OpenPage, scheme: str, how: str) -> None:
    page = open_page(scheme=scheme)
    other = "dark" if scheme == "light" else "light"
    if how == "button":
        page.get_by_role("button", name="Switch between light and dark").click()
    else:
        page.keyboard.press("t")
    expect(page.locator("body")).to_have_css("background-color", PAPER[other])
    page.goto(page.url.replace("layer", "readme"))
    assert paper(page) == PAPER[other]
    page.keyboard.press("t")
    expect(page.locator("body")).to_have_css("background-color", PAPER[scheme])


def test_a_remembered_theme_is_there_before_anything_is_painted(open_page: OpenPage) -> None:
    page = open_page(scheme="light")
    page.keyboard.press("t")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.add_init_script(
        """new MutationObserver((_, observer) => {
          if (!document.body) return;
          window.themeAtBody = document.documentElement.dataset.theme;
          observer.disconnect();
        }).observe(document, { childList: true, subtree: true });"""
    )
    page.reload()
    assert page.evaluate("themeAtBody") == "dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_kind_of_token_is_readable(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme)
    panel = page.locator("#section-0 .lineno").first.evaluate("(e) => getComputedStyle(e).backgroundColor")
    colours = page.locator("#section-0 .line").first.evaluate(
        """(line, tokens) => tokens.map((token) => {
          const span = document.createElement('span');
          span.className = token;
          line.append(span);
          return getComputedStyle(span).color;
        })""",
        TOKENS,
    )
    contrasts = page.evaluate(f"(pairs) => pairs.map({CONTRAST})", [[colour, panel] for colour in colours])
    assert {token: contrast for token, contrast in zip(TOKENS, contrasts, strict=True) if contrast < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_lit_up_is_readable(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme)
    page.locator(".code span.n", has_text=re.compile("^d_model$")).first.click()
    expect(page.locator(".use.now")).to_have_count(1)
    colours = "(all) => all.map((e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor])"
    pairs = page.locator(".use").evaluate_all(colours)
    assert min(page.evaluate(f"(pairs) => pairs.map({CONTRAST})", pairs)) >= 4.5


def test_formulas_are_set_in_stix_at_the_size_of_the_text(open_page: OpenPage) -> None:
    page = open_page()
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('17px \"Sidebyside Math\"'))")
    math = page.locator("#section-0 p math").first
    assert "Sidebyside Math" in math.evaluate("(e) => getComputedStyle(e).fontFamily")
    text = page.locator("#section-0 p").first
    size = "(e) => getComputedStyle(e).fontSize"
    assert math.evaluate(size) == text.evaluate(size)


def test_the_first_paint_has_the_face_of_the_prose(open_page: OpenPage) -> None:
    page = open_page()
    faces = page.evaluate("[...document.fonts].filter((f) => f.family.includes('Serif')).map((f) => f.status)")
    assert "loaded" in faces and "error" not in faces


def test_diagrams_follow_the_switch(open_page: OpenPage) -> None:
    page = open_page(scheme="light")
    image = page.locator("#section-0 img")
    in_light = image.screenshot()
    page.keyboard.press("t")
    assert image.screenshot() != in_light
    # In the dark, the boxes of the diagram are black. The picture is drawn by the browser itself, as a reader sees it.
    page.keyboard.press("t")
    assert image.screenshot() == in_light


def test_motion_stops_for_those_who_ask(open_page: OpenPage) -> None:
    page = open_page(reduced_motion="reduce")
    moving = page.evaluate(
        """[...document.querySelectorAll('*')].map((e) => getComputedStyle(e)).filter((style) =>
          parseFloat(style.transitionDuration) || style.animationName !== 'none' || style.scrollBehavior === 'smooth'
        ).length"""
    )
    assert moving == 0
