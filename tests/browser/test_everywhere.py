"""What holds for every page: it can be read by everybody, on anything, at little weight."""

import gzip
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from .conftest import OpenPage, build

N_PARTS = 4
OF_THE_RENDERER = {"sidebyside/index.html", "sidebyside/guide.html"}


def violations(page: Page, **options: Any) -> list[str]:
    found = Axe().run(page, **options).response["violations"]
    return [
        f"{each['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for each in found
        for node in each["nodes"][:3]
    ]


def check_accessibility(page: Page, paths: list[str], base: str) -> None:
    failures = {}
    for path in paths:
        page.emulate_media(color_scheme="light")
        page.goto(f"{base}/{path}")
        failures[f"{path} in light"] = violations(page)
        page.emulate_media(color_scheme="dark")
        # Only colours differ in the dark. Those of code are measured one by one, in `test_colour_and_type.py`.
        colours = {"runOnly": ["color-contrast", "link-in-text-block"]}
        failures[f"{path} in dark"] = violations(page, context={"exclude": [[".line"]]}, options=colours)
    assert {place: found for place, found in failures.items() if found} == {}


@pytest.mark.parametrize("part", range(N_PARTS))
def test_axe_finds_nothing_on_the_real_pages(
    open_page: OpenPage, real_site: Path, serve: Callable[[Path], str], part: int
) -> None:
    paths = sorted(file.relative_to(real_site).as_posix() for file in real_site.rglob("*.html"))
    # The renderer's own pages are many and long, and of the same kind: two of them will do
    paths = [path for path in paths if not path.startswith("sidebyside/") or path in OF_THE_RENDERER]
    page = open_page("index.html", address=serve(real_site), reduced_motion="reduce")
    check_accessibility(page, paths[part::N_PARTS], serve(real_site))


@pytest.mark.parametrize("width", [360, 1920])
def test_axe_finds_nothing_on_the_small_pages(
    open_page: OpenPage, site: Path, serve: Callable[[Path], str], width: int
) -> None:
    page = open_page("index.html", width=width, is_mobile=width < 700, reduced_motion="reduce")
    check_accessibility(page, [file.relative_to(site).as_posix() for file in site.rglob("*.html")], serve(site))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens(open_page: OpenPage, scheme: str) -> None:
    page = open_page(scheme=scheme, reduced_motion="reduce")
    page.keyboard.press("?")
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator(".code span.n", has_text=re.compile("^total$")).first.click()
    page.locator(".code a.ref", has_text=re.compile("^Deep$")).last.hover()
    expect(page.locator(".hover-card")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Contents").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Two boxes, joined by an arrow").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("layer")
    expect(page.get_by_role("option").first).to_be_visible()
    assert violations(page) == []


def test_headings_leave_no_level_out(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    levels = page.locator("main :is(h1, h2, h3, h4, h5, h6)").evaluate_all(
        "(all) => all.map((e) => Number(e.ariaLevel ?? e.localName[1]))"
    )
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_there_are_landmarks_and_a_way_past_the_bar(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    for role in ("banner", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_focus_can_be_seen(open_page: OpenPage) -> None:
    page = open_page("layer.html")
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outline")
        assert "none" not in outline and " 0px" not in outline, page.evaluate("document.activeElement.outerHTML")


def test_a_screen_reader_reads_the_note_first_and_may_skip_the_code(open_page: OpenPage) -> None:
    page = open_page("layer.html", java_script_enabled=False)
    section = page.locator("#section-2")
    order = section.locator("xpath=./*").evaluate_all("(all) => all.map((e) => e.className)")
    assert order == ["docs", "code"]
    expect(section.get_by_role("group", name="Code of section 2")).to_be_visible()
    skip = section.get_by_role("link", name="Skip the code")
    skip.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#section-3$"))


def test_every_image_has_a_description(real_site: Path) -> None:
    images = [tag for file in real_site.rglob("*.html") for tag in re.findall(r"<img [^>]*>", file.read_text())]
    assert images
    assert not [tag for tag in images if not re.search(r'alt="[^"]{10,}"', tag)]


def test_without_scripts_everything_is_there(open_page: OpenPage) -> None:
    page = open_page("layer.html", java_script_enabled=False)
    expect(page.get_by_text("A short note beside long code")).to_be_visible()
    expect(page.locator("#L77")).to_be_visible()
    for name in ("Search", "Keyboard shortcuts", "Switch between light and dark"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    # What needs no script works: the panel with the contents, and the links
    page.get_by_role("button", name="Contents").click()
    page.locator(".contents").get_by_role("link", name="One layer").click()
    expect(page).to_have_url(re.compile("#one-layer$"))


def test_without_a_server_pages_look_and_work_the_same(open_page: OpenPage, site: Path) -> None:
    page = open_page("layer.html", address=site.as_uri())
    page.locator(".code span.n", has_text=re.compile("^total$")).first.click()
    expect(page.locator(".walk")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".search-button")).to_be_visible()
    page.keyboard.press("/")
    page.get_by_role("combobox").fill("surface")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("^file:.*more/deep.html"))
    faces = page.evaluate("[...document.fonts].filter((f) => f.family.includes('Serif')).map((f) => f.status)")
    assert "loaded" in faces


def test_a_single_file_carries_everything_inside(open_page: OpenPage, tmp_path: Path) -> None:
    source = Path(__file__).parent / "source" / "layer.py"
    out = build(source, tmp_path / "layer.html")
    page = open_page(out.name, address=tmp_path.as_uri())
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.reload()
    assert [url for url in requests if url.startswith("file:")] == [page.url]
    page.locator(".code span.n", has_text=re.compile("^total$")).first.click()
    expect(page.locator(".walk")).to_be_visible()
    expect(page.locator("body")).to_have_css("font-family", re.compile("Sidebyside Serif"))


def test_a_missing_font_costs_nothing(open_page: OpenPage) -> None:
    page = open_page("404.html")
    page.route("**/*.woff2*", lambda route: route.fulfill(status=404))
    page.goto(page.url.replace("404", "layer"))
    math = page.locator("#section-0 p math").first
    box = math.bounding_box()
    assert box and 5 < box["height"] < 40


def weigh(page: Page, path: str) -> dict[str, int]:
    """Bytes over the wire with gzip, by what a page asks for, as long as nobody searches."""
    sizes: dict[str, int] = {}

    def add(response: Any) -> None:
        if response.request.method == "GET" and response.url.startswith("http"):
            body = response.body()
            compressed = response.url.split("?")[0].endswith((".woff2", ".png"))
            sizes[response.url.split("?")[0]] = len(body) if compressed else len(gzip.compress(body, mtime=0))

    page.on("response", add)
    page.goto(path, wait_until="networkidle")
    return sizes


def test_the_model_page_is_light(open_page: OpenPage, real_site: Path, serve: Callable[[Path], str]) -> None:
    base = serve(real_site)
    page = open_page("404.html", address=base)
    sizes = weigh(page, f"{base}/conv_mixer/index.html")
    assert sum(sizes.values()) <= 120_000, sizes
    assert sum(size for url, size in sizes.items() if url.endswith(".js")) <= 15_000, sizes


def test_the_first_paint_waits_for_no_script(open_page: OpenPage) -> None:
    page = open_page("404.html")
    page.route("**/script.js*", lambda route: None)
    page.goto(page.url.replace("404", "layer"), wait_until="commit")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    expect(page.get_by_role("heading", name="The layer", exact=True)).to_be_visible()
