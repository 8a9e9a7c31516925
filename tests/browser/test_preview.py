"""The live preview in a browser: what an author sees while writing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from served import Served

MODULE = '"""\n# Long page\n"""\n' + "".join(
    f'\n\ndef step_{n}():\n    """\n    ## Step {n}\n\n    What step {n} does.\n    """\n    return {n}\n'
    for n in range(40)
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/readme.md").write_text("# Home\n")
    file = tmp_path / "code/steps.py"
    file.write_text(MODULE)
    return file


@pytest.fixture
def page(browser: Browser, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The page of the module in the preview, open in a window of its own."""
    monkeypatch.setenv("SIDEBYSIDE_CACHE", str(tmp_path / "cache"))
    served = Served(file.parent, "--port", "0", "--quiet")
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(30_000)
    try:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{served.port}/steps.html")
        expect(page.locator("#sidebyside-preview")).to_be_attached()
        yield page
    finally:
        context.close()
        served.stop()


def go_to(page: Page, anchor: str) -> float:
    """Scroll there, and give where it stands once the sections around have their real height."""
    scroll = """async id => {
        const element = document.getElementById(id);
        for (let still = 0, top = NaN; still < 10;) {
            element.scrollIntoView();
            await new Promise(requestAnimationFrame);
            const now = element.getBoundingClientRect().top;
            still = now === top ? still + 1 : 0;
            top = now;
        }
        return element.getBoundingClientRect().top;
    }"""
    return float(page.evaluate(scroll, anchor))


def stays_at(page: Page, anchor: str, top: float) -> None:
    """Wait until it stands where it stood; what the page does after it has loaded takes some frames."""
    page.wait_for_function(
        "([id, top]) => Math.abs(document.getElementById(id).getBoundingClientRect().top - top) < 60",
        arg=[anchor, top],
    )


def test_a_saved_file_shows_at_once_and_the_reader_stays_where_they_were(page: Page, file: Path) -> None:
    before = go_to(page, "step-25")
    assert page.evaluate("scrollY") > 1000
    # What comes new stands above, so that everything moves down
    longer = MODULE.replace("What step 3 does.", "A line more.\n\n    " * 20)
    file.write_text(longer.replace("What step 25 does.", "Written anew."))
    expect(page.get_by_text("Written anew.")).to_be_in_viewport(timeout=30_000)
    stays_at(page, "step-25", before)


def test_a_file_that_is_emptied_before_it_is_written_does_not_lose_the_place(page: Page, file: Path) -> None:
    before = go_to(page, "step-25")
    file.write_text("")
    expect(page.locator("#step-25")).to_have_count(0, timeout=30_000)
    file.write_text(MODULE.replace("What step 25 does.", "Written anew."))
    expect(page.get_by_text("Written anew.")).to_be_in_viewport(timeout=30_000)
    stays_at(page, "step-25", before)


def test_a_syntax_error_lies_over_the_page_until_it_is_mended(page: Page, file: Path) -> None:
    file.write_text(MODULE + "\n\ndef half(:\n")
    overlay = page.get_by_role("status", name="Problems in the source")
    expect(overlay).to_be_visible(timeout=30_000)
    line = MODULE.count("\n") + 3
    expect(overlay).to_contain_text(f"steps.py:{line}: error: the file does not parse")
    # What was there before is still there to be read
    expect(page.get_by_role("heading", name="Step 25", exact=True)).to_be_attached()
    file.write_text(MODULE.replace("What step 1 does.", "Mended."))
    expect(page.get_by_text("Mended.")).to_be_visible(timeout=30_000)
    expect(overlay).to_have_count(0)


def test_a_message_is_shown_as_text_and_can_be_put_away(page: Page, file: Path) -> None:
    file.with_name("bad.md").write_text("[x](readme.md#%3Cscript%3Ewindow.harmed=1%3C/script%3E)\n")
    overlay = page.get_by_role("status", name="Problems in the source")
    expect(overlay).to_contain_text("<script>window.harmed=1</script>", timeout=30_000)
    assert page.evaluate("window.harmed") is None
    assert overlay.locator("script, img").count() == 0
    overlay.get_by_role("button", name="Hide the problems").click()
    expect(overlay).to_have_count(0)
