"""Names, symbols, cards, images, copying."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from .conftest import WIDTHS, OpenPage


def name(page: Page, text: str, within: str = ".code") -> Locator:
    return page.locator(f"{within} :is(span, a):is(.n, .nc, .nf)", has_text=re.compile(f"^{text}$"))


def lit(page: Page) -> list[str]:
    return page.locator(".use").evaluate_all("(all) => all.map((e) => e.textContent)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_click_a_name_and_all_its_uses_light_up(open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(width=width, scheme=scheme)
    name(page, "total").first.click()
    uses = name(page, "total").count()
    assert lit(page) == ["total"] * uses
    expect(page.locator(".walk .count")).to_have_text(re.compile(rf"^1 of {uses} · line \d+$"))
    page.keyboard.press("Escape")
    expect(page.locator(".use")).to_have_count(0)
    expect(page.locator(".walk")).to_have_count(0)


def test_walk_from_use_to_use(open_page: OpenPage) -> None:
    page = open_page(height=600)
    address = page.url
    name(page, "total").first.click()
    count = page.locator(".walk .count")
    page.keyboard.press("n")
    expect(count).to_have_text(re.compile("^2 of"))
    page.get_by_role("button", name="Next use").click()
    expect(count).to_have_text(re.compile("^3 of"))
    expect(page.locator(".use.now")).to_be_in_viewport()
    page.keyboard.press("N")
    page.keyboard.press("N")
    page.keyboard.press("N")
    last = name(page, "total").count()
    expect(count).to_have_text(re.compile(f"^{last} of {last}"))
    expect(page.locator(".use.now")).to_be_in_viewport()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".use")).to_have_count(0)
    assert page.url == address


def test_a_name_lights_up_its_symbol_and_the_prose(open_page: OpenPage) -> None:
    page = open_page()
    name(page, "d_model").first.click()
    found = lit(page)
    assert found.count("d_model") >= 5
    # h stands for it: as a factor, as the index of x_h, in the long formula, and in the bullet that binds the two
    assert found.count("h") == 4
    assert page.locator(".docs code.use").count() >= 2


def test_a_symbol_lights_up_its_name(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("li math mi", has_text="d").click()
    assert {"d", "n_layers"} == set(lit(page))
    expect(page.locator(".walk")).to_contain_text("n_layers")


def test_an_index_belongs_to_its_symbol(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#section-0 math").first.locator("msub mi").first.click()
    assert lit(page) == ["xh"]


def test_a_symbol_that_stands_for_nothing_still_lights_up(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#section-0 div.math mi", has_text="N").click()
    assert lit(page) == ["N"]


def test_touch_lights_up_a_name(open_page: OpenPage) -> None:
    page = open_page(width=360, has_touch=True, is_mobile=True)
    name(page, "n_layers").first.tap()
    assert "n_layers" in lit(page)
    page.get_by_role("button", name="Clear").tap()
    expect(page.locator(".use")).to_have_count(0)


def test_by_keyboard_step_into_the_code_walk_and_light_up(open_page: OpenPage) -> None:
    page = open_page()
    block = page.locator("#section-3 .code pre")
    block.focus()
    page.keyboard.press("Enter")
    expect(block.locator(":focus")).to_have_text("d_model")
    page.keyboard.press("ArrowDown")
    expect(block.locator(":focus")).to_have_text("n_layers")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(block.locator(":focus")).to_have_text("d_model")
    page.keyboard.press("Space")
    assert {"d_model", "h"} <= set(lit(page))
    page.keyboard.press("Escape")
    expect(page.locator(".use")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(block).to_be_focused()


def test_a_section_can_be_stepped_into_and_its_symbols_light_up(open_page: OpenPage) -> None:
    page = open_page()
    while page.evaluate("document.activeElement.id") != "section-2":
        page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.localName") == "mi"
    page.keyboard.press("Enter")
    assert {"d_model", "h"} <= set(lit(page))


def test_the_tab_key_stops_once_at_each_block_of_code(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.locator(".code a:not([tabindex='-1'])")).to_have_count(0)
    assert page.locator(".code pre").count() == page.locator(".code pre[tabindex='0']").count() > 5


def test_a_link_in_the_code_still_leads_there(open_page: OpenPage) -> None:
    page = open_page()
    name(page, "Deep").last.click()
    expect(page).to_have_url(re.compile(r"more/deep\.html#Deep$"))


def test_alt_click_on_a_link_lights_up_its_uses(open_page: OpenPage) -> None:
    page = open_page()
    address = page.url
    name(page, "Deep").last.click(modifiers=["Alt"])
    assert lit(page).count("Deep") >= 2
    assert page.url == address


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_card_says_what_a_name_is(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme)
    name(page, "Deep").last.hover()
    card = page.locator(".hover-card")
    expect(card).to_contain_text("class Deep")
    expect(card).to_contain_text("It goes deeper than the others.")
    expect(card).not_to_contain_text("second sentence")
    expect(card).to_be_in_viewport(ratio=1)
    # The pointer may move on to the card; there it can ask for the uses
    card.get_by_role("button", name="Show its uses here").click()
    assert "Deep" in lit(page)
    expect(card).to_have_count(0)


def test_a_card_shows_on_focus_and_goes_with_escape(open_page: OpenPage) -> None:
    page = open_page()
    block = page.locator("#section-3 .code pre")
    block.focus()
    page.keyboard.press("Enter")
    for _ in range(20):
        if page.locator(".hover-card").count():
            break
        page.keyboard.press("ArrowRight")
    expect(page.locator(".hover-card")).to_contain_text("class Deep")
    page.keyboard.press("Escape")
    expect(page.locator(".hover-card")).to_have_count(0)
    expect(page.locator(":focus")).to_have_text("Deep")


def test_a_finger_gets_the_card_first(open_page: OpenPage) -> None:
    page = open_page(width=360, has_touch=True, is_mobile=True)
    address = page.url
    name(page, "Deep").last.tap()
    expect(page.locator(".hover-card")).to_contain_text("class Deep")
    assert page.url == address
    page.locator(".hover-card").get_by_role("link", name="Go there").tap()
    expect(page).to_have_url(re.compile(r"more/deep\.html#Deep$"))


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_an_image_enlarges_and_gives_the_focus_back(open_page: OpenPage, how: str) -> None:
    page = open_page()
    image = page.get_by_role("button", name="Two boxes, joined by an arrow")
    small = image.locator("img").bounding_box()
    if how == "click":
        image.click()
    else:
        image.focus()
        page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog", name="Two boxes, joined by an arrow")
    large = viewer.get_by_role("img").bounding_box()
    assert small and large and large["width"] > 1.5 * small["width"]
    page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)
    expect(image).to_be_focused()


def test_copy_a_section_without_numbers(open_page: OpenPage) -> None:
    page = open_page()
    section = page.locator("#section-3")
    section.hover()
    section.get_by_role("button", name="Copy this code").click()
    expect(page.get_by_role("status")).to_have_text("Code copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied
        == "        self.d_model = d_model\n        self.n_layers = n_layers\n        self.deep = Deep(d_model)\n"
    )


def test_copy_a_session_without_prompts_and_output(open_page: OpenPage) -> None:
    page = open_page()
    frame = page.locator(".code-frame", has_text=">>>")
    frame.hover()
    frame.get_by_role("button", name="Copy this code").click()
    expect(page.get_by_role("status")).to_have_text("Code copied")
    assert page.evaluate("navigator.clipboard.readText()").strip() == "layer.d_model"


def test_c_copies_the_code_of_the_section(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#section-2").evaluate("(e) => { e.tabIndex = -1; e.focus() }")
    page.keyboard.press("c")
    expect(page.get_by_role("status")).to_have_text("Code copied")
    assert page.evaluate("navigator.clipboard.readText()").startswith("    def __init__(self, d_model: int")


def test_selected_code_has_no_numbers(open_page: OpenPage) -> None:
    page = open_page()
    page.locator("#section-3 pre").evaluate("(e) => getSelection().selectAllChildren(e)")
    page.keyboard.press("Control+c")
    page.wait_for_function("navigator.clipboard.readText().then((text) => text.includes('self.deep'))")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert (
        copied.strip("\n")
        == "        self.d_model = d_model\n        self.n_layers = n_layers\n        self.deep = Deep(d_model)"
    )


def test_the_example_is_shown(open_page: OpenPage) -> None:
    page = open_page()
    expect(page.get_by_role("heading", name="Try it")).to_be_visible()
    expect(page.locator("#try-it pre")).to_contain_text("print(Layer(d_model=4, n_layers=2)([1.0, 2.0]))")
