"""The page in a real browser: pictures, filters, keys; a verdict corrected by keyboard changes the trend; axe finds
nothing serious; hostile posts run nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not CHROMIUM:
    pytest.skip("no Chromium here to open the page with", allow_module_level=True)
pytest.importorskip("datasette", reason="the page needs the extra `serve`")
pytest.importorskip("playwright", reason="playwright drives the browser")

from paging import NOW, OWN, filled, page_over, served  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402
from playwright.sync_api import Page as Tab  # noqa: E402
from posting import judge, post, save  # noqa: E402
from test_page_door import HOSTILE  # noqa: E402

from listener.store import Store  # noqa: E402

PAGES = ("/", "/posts?q=breakfast", "/posts/1", "/review", "/review/1")
MORE = ("/sources", "/sources/one?name=feed", "/digests", "/brands?query=breakfast", "/data")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    folder: Path = tmp_path_factory.mktemp("page")
    with filled(folder) as store, served(page_over(folder)) as address:
        yield address, store


@pytest.fixture
def tab(browser: Browser, site: tuple[str, Store]) -> Iterator[Tab]:
    """A tab in which every complaint of the browser is a failure."""
    complaints: list[str] = []
    context = browser.new_context(base_url=site[0], viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: asked.url.startswith((site[0], "data:")) or complaints.append(asked.url))
    yield opened
    context.close()
    assert complaints == []


def feedback(tab: Tab) -> str:
    tab.goto("/")
    tab.locator("summary", has_text="As a table").first.click()
    return tab.locator("tr", has=tab.get_by_role("link", name="Feedback", exact=True)).locator("td").nth(1).inner_text()


def test_pictures_are_drawn_by_a_script_of_ours_under_a_strict_policy(tab: Tab) -> None:
    pytest.importorskip("vl_convert")
    tab.goto("/")
    tab.locator("[data-picture=journey] svg").wait_for(timeout=60_000)
    for name in ("phases", "touchpoints", "voice", "net"):  # without scrolling there, as when a page is printed
        tab.locator(f"[data-picture={name}] svg").wait_for(timeout=60_000)
    told = tab.locator("[data-picture=journey]").get_attribute("aria-label")
    assert told and "feedback" in told
    assert not tab.locator("details.table").first.get_attribute("open")
    bar = tab.locator("[data-picture=journey] path[aria-label*=Feedback]").first
    bar.hover()
    tab.locator("#vg-tooltip-element.visible", has_text="Feedback").wait_for()


def test_without_a_script_the_tables_say_it(browser: Browser, site: tuple[str, Store]) -> None:
    context = browser.new_context(base_url=site[0], java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    assert page.locator("details.table[open]").count() == 4 and not page.locator("[data-picture]").first.is_visible()
    page.locator("select[name=brand]").select_option("Rival")
    page.get_by_role("button", name="Show").click()
    assert "12 posts about Rival" in page.locator("h1").inner_text()
    context.close()


def test_a_choice_of_brand_shows_at_once_and_posts_are_found(tab: Tab) -> None:
    tab.goto("/")
    tab.locator("select[name=brand]").select_option("Rival")
    tab.wait_for_url("**brand=Rival**")
    assert "12 posts about Rival" in tab.locator("h1").inner_text()
    tab.get_by_role("link", name="Posts", exact=True).click()
    tab.get_by_label("Words").fill('"number 7"')
    tab.keyboard.press("Enter")
    tab.wait_for_url("**q=**")
    assert tab.locator("li.post").count() == 1
    tab.locator("summary", has_text="Filters").click()
    tab.locator("select[name=sentiment]").select_option("negative")
    tab.get_by_role("button", name="Search").click()
    tab.wait_for_url("**sentiment=negative**")
    assert "No stored post fits" in tab.locator("main").inner_text()


def test_a_verdict_is_corrected_by_keyboard_and_the_trend_changes(tab: Tab, site: tuple[str, Store]) -> None:
    unsure = site[1].connection.execute("SELECT id FROM posts WHERE native_id = 'unsure'").fetchone()[0]
    before = int(feedback(tab))
    tab.goto(f"/review/{unsure}")
    tab.keyboard.press("7")
    tab.keyboard.press("-")
    assert tab.locator("input[name=moment]:checked").get_attribute("value") == "tmot"
    tab.keyboard.press("Enter")
    tab.wait_for_url("**said=1")
    assert "Saved" in tab.locator(".done").inner_text()
    assert int(feedback(tab)) == before + 1
    tab.goto(f"/review/{unsure}?said=1")
    tab.keyboard.press("u")
    tab.wait_for_url(f"**/review/{unsure}")
    assert int(feedback(tab)) == before


def test_the_queue_is_worked_by_keys_alone(tab: Tab) -> None:
    tab.goto("/review")
    first = tab.locator("form.verdict").get_attribute("action")
    tab.keyboard.press("s")
    tab.wait_for_url("**skip=**")
    second = tab.locator("form.verdict").get_attribute("action")
    assert first != second
    for key in ("3", "0", "Enter"):
        tab.keyboard.press(key)
    tab.wait_for_url("**said=**")
    assert "1 post judged today" in tab.locator(".progress").inner_text()
    assert tab.locator("form.verdict").get_attribute("action") not in (first, second)
    tab.keyboard.press("u")
    tab.wait_for_url("**/review/*")


def _axe() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize(("width", "scheme", "pages"), [(1280, "light", (*PAGES, *MORE)), (390, "dark", PAGES)])
def test_nothing_keeps_people_out(
    browser: Browser, site: tuple[str, Store], width: int, scheme: Any, pages: tuple[str, ...]
) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core comes with it")
    # The page's own policy lets no script of a test in.
    context = browser.new_context(
        base_url=site[0], viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    axe, found = _axe(), []
    for address in pages:
        page.goto(address, wait_until="load")
        if address == "/":
            page.locator("[data-picture=phases] svg").wait_for(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{address} is wider than the screen"
        page.evaluate(axe)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            (address, each["id"], each["nodes"][0]["html"][:160], each["nodes"][0]["failureSummary"][:300])
            for each in result["violations"]
            if each["impact"] in ("serious", "critical", "moderate")
        ]
    context.close()
    assert found == []


def test_hostile_posts_run_nothing(browser: Browser, tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        made = [
            post(f"h{number}", text, title=text[:2000], url="javascript:alert(1)", created_at=NOW)
            for number, text in enumerate(HOSTILE)
        ]
        save(store, *made, brands=(OWN, "<img src=x onerror=alert(1)>"))
        judge(store, moment="tmot", sentiment="negative")
        ids = [row[0] for row in store.connection.execute("SELECT id FROM posts WHERE native_id GLOB 'h?'")]
        with served(page_over(tmp_path)) as address:
            context = browser.new_context(base_url=address, viewport={"width": 390, "height": 844})
            page = context.new_page()
            ran: list[str] = []
            page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
            page.on("pageerror", lambda error: ran.append(str(error)))
            page.on("console", lambda said: "Content Security Policy" in said.text and ran.append(said.text))
            named = "/?brand=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E"
            for path in [
                "/",
                "/posts",
                "/review",
                "/data/posts_view?_sort_desc=id",
                named,
                *(f"/{room}/{post_id}" for post_id in ids for room in ("posts", "review")),
            ]:
                page.goto(path, wait_until="load")
                assert page.title() != "owned" and page.locator("h1", has_text="owned").count() <= 1
                assert page.locator("main img, main script").count() == 0, path
                if not path.startswith("/data"):
                    assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            context.close()
        assert ran == []
