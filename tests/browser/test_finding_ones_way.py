"""Breadcrumbs, contents, keys, links to a place, search."""

import re

import pytest
from playwright.sync_api import Page, expect

from .conftest import WIDTHS, OpenPage


def clipboard(page: Page) -> str:
    return page.evaluate("navigator.clipboard.readText()")


def test_breadcrumbs_lead_up(open_page: OpenPage) -> None:
    page = open_page("more/deep.html")
    crumbs = page.get_by_role("navigation", name="Breadcrumbs")
    expect(crumbs.locator("[aria-current=page]")).to_have_text("Deep")
    crumbs.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"/index\.html$"))


def test_previous_and_next_walk_through_all_pages(open_page: OpenPage) -> None:
    page = open_page("index.html")
    seen = [page.url]
    while (following := page.get_by_role("navigation", name="Pages in order").locator("a.next")).count():
        following.click()
        page.wait_for_url(lambda url: url != seen[-1])
        seen.append(page.url)
    assert len(seen) == len(set(seen)) >= 4
    page.get_by_role("navigation", name="Pages in order").locator("a.previous").click()
    expect(page).to_have_url(seen[-2])


def test_neighbours_are_offered(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    expect(page.get_by_role("navigation", name="Nearby").get_by_role("link").first).to_be_visible()


def test_a_folder_lists_what_is_in_it(open_page: OpenPage) -> None:
    page = open_page("more/index.html")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.get_by_role("link", name="Deep").last.click()
    expect(page).to_have_url(re.compile("more/deep.html"))


def test_the_first_page_lists_all_others(open_page: OpenPage) -> None:
    page = open_page("index.html")
    listed = page.locator(".listing .card-link").evaluate_all("(all) => all.map((e) => e.getAttribute('href'))")
    assert set(listed) == {"layer.html", "readme.html", "more/deep.html"}


def test_the_source_can_be_seen_and_taken(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    source = page.get_by_role("navigation", name="Source")
    assert "github.com/somebody/something" in (
        source.get_by_role("link", name="View code on GitHub").get_attribute("href") or ""
    )
    with page.expect_download() as download:
        source.get_by_role("link", name="Download").click()
    assert "class Layer" in download.value.path().read_text()
    with page.expect_download() as download:
        source.get_by_role("link", name="Notebook").click()
    assert download.value.suggested_filename.endswith(".ipynb")


@pytest.mark.parametrize("width", [1920, 1280])
def test_contents_follow_the_scroll_and_the_address_stays(open_page: OpenPage, width: int) -> None:
    page = open_page("layer.html", width=width, height=700)
    address = page.url
    current = page.locator(".contents [aria-current]")
    expect(current).to_have_text("The layer")
    page.locator("#one-layer").evaluate("(e) => e.scrollIntoView()")
    expect(current).to_have_text("One layer")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(current).not_to_have_text("One layer")
    page.evaluate("scrollTo(0, 0)")
    expect(current).to_have_text("The layer")
    assert page.url == address


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_contents_open_in_a_panel_where_there_is_no_room_for_them(open_page: OpenPage, width: int) -> None:
    page = open_page("layer.html", width=width)
    contents = page.locator(".contents")
    expect(contents).to_be_hidden()
    page.get_by_role("button", name="Contents").click()
    expect(contents).to_be_visible()
    contents.get_by_role("link", name="One layer").click()
    expect(contents).to_be_hidden()
    expect(page).to_have_url(re.compile("#one-layer$"))
    assert (page.locator("#one-layer").bounding_box() or {})["y"] >= page.locator(".top").bounding_box()["height"]  # type: ignore[index]


def test_j_and_k_walk_from_section_to_section(open_page: OpenPage) -> None:
    page = open_page("layer.html", height=600)
    address = page.url
    ids = page.locator(".section").evaluate_all("(all) => all.map((e) => e.id)")
    for expected in ids[1:]:
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.id") == expected
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == ids[-1]
    page.keyboard.press("k")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") in ids[-3:-1]
    assert page.url == address


def test_j_stops_below_the_bar(open_page: OpenPage) -> None:
    page = open_page("layer.html", height=600)
    page.keyboard.press("j")
    page.keyboard.press("j")
    box, bar = page.locator(":focus").bounding_box(), page.locator(".top").bounding_box()
    assert box and bar and bar["height"] <= box["y"] <= bar["height"] + 40


def test_help_says_which_keys_there_are(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("next, previous section")
    page.keyboard.press("j")
    assert page.evaluate("scrollY") == 0
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_keys_do_nothing_while_typing_or_with_modifiers(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Control+j")
    page.keyboard.press("Alt+t")
    assert page.evaluate("document.activeElement.localName") == "body"
    assert page.locator("html").get_attribute("data-theme") is None
    page.evaluate("document.querySelector('.docs').append(document.createElement('input'))")
    page.locator(".docs input:not([type])").focus()
    page.keyboard.type("jt?")
    assert page.locator(".docs input:not([type])").input_value() == "jt?"
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize(
    ("hover", "link", "anchor"),
    [
        ("#section-3", "#section-3 .section-link", "#section-3"),
        ("#one-layer", "#one-layer .heading-link", "#one-layer"),
        ("#L46", "#L46 .lineno", "#L46"),
    ],
)
def test_a_place_can_be_linked_to(open_page: OpenPage, hover: str, link: str, anchor: str) -> None:
    page = open_page("layer.html")
    page.locator(hover).hover()
    expect(page.locator(link)).to_have_css("opacity", "1")
    page.locator(link).click()
    expect(page.get_by_role("status")).to_have_text("Link copied")
    assert clipboard(page) == page.url
    assert page.url.endswith(anchor)
    expect(page.locator(anchor)).to_be_in_viewport()


def test_links_to_a_place_show_on_focus(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    link = page.locator("#one-layer .heading-link")
    link.focus()
    expect(link).to_have_css("opacity", "1")


def test_y_copies_a_link_and_leaves_the_address_alone(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    address = page.url
    page.keyboard.press("j")
    page.keyboard.press("y")
    expect(page.get_by_role("status")).to_have_text("Link copied")
    assert clipboard(page) == f"{address}#{page.evaluate('document.activeElement.id')}"
    assert page.url == address


@pytest.mark.parametrize("anchor", ["section-2", "Layer", "Layer.__init__", "one-layer", "L59", "try-it"])
def test_old_and_new_deep_links_lead_to_their_place(open_page: OpenPage, anchor: str) -> None:
    page = open_page(f"layer.html#{anchor}", height=500)
    top = page.evaluate("(id) => document.getElementById(id).getBoundingClientRect().top", anchor)
    assert 0 <= top < 500


def open_search(page: Page, query: str) -> None:
    expect(page.locator(".search-button")).to_be_visible()
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search").fill(query)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("the layer", "The layer"),  # a title
        ("one lay", "One layer"),  # a heading, by the beginning of its words
        ("n_layers", "n_layers"),  # a name in the code
        ("surface", "Deep"),  # a word of the prose, on another page
    ],
)
def test_search_finds(open_page: OpenPage, query: str, first: str) -> None:
    page = open_page("readme.html")
    open_search(page, query)
    expect(page.get_by_role("option").first).to_contain_text(first)
    expect(page.get_by_role("option").first.locator("mark").first).to_be_visible()


def test_search_wants_every_word(open_page: OpenPage) -> None:
    page = open_page("readme.html")
    open_search(page, "layer nonsense")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("Nothing found for “layer nonsense”")


@pytest.mark.parametrize("width", WIDTHS)
def test_search_by_keyboard_alone(open_page: OpenPage, width: int) -> None:
    page = open_page("more/deep.html", width=width)
    open_search(page, "layer")
    box = page.get_by_role("combobox")
    first = box.get_attribute("aria-activedescendant")
    page.keyboard.press("ArrowDown")
    assert box.get_attribute("aria-activedescendant") != first
    page.keyboard.press("ArrowUp")
    assert box.get_attribute("aria-activedescendant") == first
    expect(page.locator(f"#{first}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("layer.html"))


def test_escape_closes_the_search_and_gives_the_focus_back(open_page: OpenPage) -> None:
    page = open_page("readme.html")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Search")).to_be_focused()


def test_without_an_index_there_is_no_search(open_page: OpenPage) -> None:
    page = open_page("404.html")
    page.route("**/search-index.js", lambda route: route.fulfill(status=404))
    with page.expect_response("**/search-index.js"):
        page.goto(page.url.replace("404", "readme"))
    expect(page.locator(".search-button")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.get_by_role("dialog")).to_have_count(0)
