"""The pages in a real browser."""

import os
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("web")]
HELP = "no Chromium: install one (Debian: apt-get install chromium) or set SOLI_CHROMIUM"
PAGES = ["/", "/agreement", "/annotators", "/items", "/item?id=hostile", "/disagreements",
         "/disagreements?between=people", "/pair-sets", "/models", "/query/annotators",
         "/nowhere"]  # fmt: skip


NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, video, svg")]
  .filter((thing) => !(thing.ariaLabel || thing.labels?.[0]?.textContent
    || thing.textContent).trim()).map((thing) => thing.outerHTML)"""


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("SOLI_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(HELP, pytrace=False)
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", rebound])
        yield opened
        opened.close()


@contextmanager
def opened(browser, site, complaints):
    """An empty page; what its console says is added to the complaints."""
    size = {"width": 1280, "height": 720}
    with browser.new_context(viewport=size, base_url=str(site.base_url)) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page


@pytest.fixture
def page(browser, site):
    with opened(browser, site, []) as page:
        yield page


def until(page, condition):
    """Wait in the page itself: its policy forbids playwright's wait_for_function a second look."""
    page.evaluate(
        f"async () => {{ while (!({condition})) await new Promise(requestAnimationFrame) }}"
    )


def test_a_clip_plays_and_seeks_beside_its_prompt(page):
    page.goto("/item?id=hostile")
    until(page, "document.querySelector('video').readyState >= 2")
    assert page.evaluate("document.querySelector('video').videoWidth") > 0
    page.evaluate(
        """async () => {
          const clip = document.querySelector("video");
          const moved = new Promise((done) => clip.addEventListener("seeked", done));
          clip.currentTime = clip.duration / 2;
          await moved;
          await clip.play();
        }"""
    )
    until(page, "!document.querySelector('video').paused")
    assert page.evaluate("document.querySelector('video').error") is None
    assert "DROP TABLE items" in page.inner_text(".prompt")
    assert page.evaluate("window.hit") is None


def test_labels_consensus_and_rewards_stand_beside_the_clip(page):
    page.goto("/item?id=clip_000000")
    clip = page.query_selector("video").bounding_box()
    votes = page.query_selector("#votes").bounding_box()
    assert votes["x"] > clip["x"] + clip["width"]
    assert votes["y"] + votes["height"] < 720
    shown = page.inner_text("#votes")
    assert all(word in shown for word in ("Dawid–Skene", "majority", "rewards", "above"))


@pytest.mark.parametrize("place", ["/items", "/", "/disagreements"])
def test_items_are_found_by_keyboard(page, place):
    page.goto(place)
    page.keyboard.press("/")
    page.wait_for_selector("input[type=search]:focus")
    page.keyboard.type("clip_00007")
    page.keyboard.press("Enter")
    page.wait_for_url("**/items?search=clip_00007*")
    assert page.inner_text("#found").startswith("10 items")
    page.click("#items a")
    page.wait_for_url("**/item?id=clip_000070")


def test_a_number_leads_to_its_sql_which_can_be_copied(page):
    page.goto("/")
    number = page.inner_text("#agreement a.q >> nth=0")
    page.click("#agreement a.q >> nth=0")
    page.wait_for_url("**/query/overview_agreement#0-value")
    assert float(page.inner_text("#answer td:target")) == pytest.approx(float(number), abs=0.0005)
    page.click("summary")
    page.click("button[data-copy=command]")
    page.wait_for_selector("button[data-copy=command]:text-is('Copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.text_content("#command")
    assert copied.startswith("duckdb -readonly")


def test_a_clip_of_the_gallery_plays_by_keyboard(page):
    page.goto("/disagreements")
    clip = "document.activeElement"
    page.focus("button")
    page.keyboard.press("Tab")
    assert page.evaluate(f"{clip}.tagName") == "VIDEO"
    for key in ("Enter", "Space"):
        page.keyboard.press(key)
        until(page, f"!{clip}.paused && {clip}.currentTime > 0")
        page.keyboard.press(key)
        until(page, f"{clip}.paused")
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("item", ["gone", "outside", "hostile"])
def test_a_clip_that_cannot_be_shown_says_where_to_read_why(page, item):
    page.goto(f"/item?id={item}")
    if item == "hostile":
        until(page, "document.querySelector('video').readyState >= 2")
        assert page.query_selector(".missing") is None
    else:
        page.click(".missing")
        page.wait_for_selector("#error")
        assert any(word in page.inner_text("#error") for word in ("cannot be read", "outside"))


@pytest.fixture(scope="module")
def visited(browser, site):
    """What was seen on each page: its widths, what has no name, and what the console said."""
    seen, complaints = {}, []
    with opened(browser, site, complaints) as page:
        for path in PAGES:
            page.goto(path)
            wide = page.evaluate("document.documentElement.scrollWidth")
            page.set_viewport_size({"width": 1400, "height": 900})
            wider = page.evaluate("document.documentElement.scrollWidth")
            page.set_viewport_size({"width": 1280, "height": 720})
            seen[path] = wide, wider, page.evaluate(NAMELESS)
    return seen, complaints


def test_no_page_is_too_wide(visited):
    assert [seen[:2] for seen in visited[0].values()] == [(1280, 1400)] * len(PAGES)


def test_whatever_takes_the_keyboard_has_a_name_of_its_own(visited):
    assert [seen[2] for seen in visited[0].values()] == [[]] * len(PAGES)


def test_no_page_breaks_its_own_policy(visited):
    expected = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    assert [text for text in visited[1] if text != expected] == []


def test_a_name_rebound_to_this_machine_is_refused(page, site):
    answer = page.goto(f"http://evil.example:{site.base_url.port}/")
    assert answer.status == 403
    assert "label events" not in page.content()


def test_the_token_opens_the_page_for_a_browser(browser, guarded):
    url, token = guarded
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        assert page.goto(url).status == 401
        page.fill("input[name=token]", token)
        page.keyboard.press("Enter")
        page.wait_for_selector(".facts")
        assert token not in page.url
        assert page.goto(url + "items").status == 200
