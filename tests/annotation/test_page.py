"""The labelling page in a real browser: clips judged, skipped and corrected by keyboard.

With SOLI_SCREENSHOTS=FOLDER the states that docs/annotators.md shows are kept there.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from annotation.labeling import config_dimensions

pytestmark = [pytest.mark.server, pytest.mark.browser]
HELP = "no Chromium: install one (Debian: apt-get install chromium) or set SOLI_CHROMIUM"
SIZES = [(1400, 900), (1280, 720)]
SUBMIT = 'button[aria-label="Submit current annotation"]'
UPDATE = '.lsf-bottombar button:has-text("Update")'


@pytest.fixture(scope="module")
def page():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("SOLI_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(HELP, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": SIZES[0][0], "height": SIZES[0][1]})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


@pytest.fixture(scope="module")
def ana(page, label_studio, annotators):
    """The browser, with Ana logged in."""
    secrets = json.loads((label_studio.home / "annotators.json").read_text())
    page.goto(f"{label_studio.url}/user/login/")
    page.fill("input[name=email]", "ana@annotators.example")
    page.fill("input[name=password]", secrets["Ana"]["password"])
    page.click("button[type=submit]")
    page.wait_for_url("**/")
    return page


@pytest.fixture
def labelling(ana, label_studio, make_project):
    """The stream of a project, opened by Ana."""
    project, _ = make_project()
    ana.goto(f"{label_studio.url}/projects/{project.id}/data?labeling=1")
    ready(ana)
    return ana, project


def ready(page):
    page.wait_for_selector(".lsf-choices")
    page.wait_for_function("document.querySelector('video')?.readyState >= 2")


def press(page, keys, picked):
    """Press keys, and wait until so many answers are picked."""
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function(
        f"document.querySelectorAll('.ant-checkbox-checked').length === {picked}"
    )


def keep(page, name):
    folder = os.environ.get("SOLI_SCREENSHOTS")
    if folder:
        page.wait_for_timeout(500)  # the next clip has faded in
        path = Path(folder, f"page-{name}.png")
        page.screenshot(path=path)
        colours = Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        colours.save(path, optimize=True)  # a third of the size


def sends(method, place="/annotations"):
    return lambda response: response.request.method == method and place in response.url


def by_item(admin, project):
    """Item -> its task."""
    pages = (tasks for tasks, _ in admin.tasks(project.id))
    return {task["data"]["item_id"]: task for tasks in pages for task in tasks}


def answers(annotation):
    return [row["value"]["choices"] for row in annotation["result"]]


def test_everything_is_in_sight_at_both_sizes_and_nothing_overlaps(labelling):
    page, project = labelling
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.reload()
        ready(page)
        boxes = [found.bounding_box() for found in page.query_selector_all(".soli-dimension")]
        assert len(boxes) == len(config_dimensions(project.config))
        bottom = page.query_selector(SUBMIT).bounding_box()["y"]
        assert all(box["y"] + box["height"] < bottom for box in boxes)
        shown = page.query_selector_all(".soli-clip *")
        right = max(box["x"] + box["width"] for e in shown if (box := e.bounding_box()))
        assert right <= min(box["x"] for box in boxes)  # the clip's controls, too
        assert max(box["x"] + box["width"] for box in boxes) <= width
        prompt = page.query_selector(".soli-prompt").bounding_box()
        assert prompt["y"] + prompt["height"] < bottom
    page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})


def test_clips_play_and_are_judged_skipped_and_corrected_by_keyboard(
    labelling, label_studio, admin, annotators
):
    page, project = labelling
    names = config_dimensions(project.config)
    video = "document.querySelector('video')"
    assert page.evaluate(f"{video}.videoWidth") > 0
    assert page.evaluate(f"{video}.error") is None
    assert "a clip 0" in page.inner_text(".soli-prompt")
    assert page.inner_text(".soli-answers").count("[") == 2 * len(names)  # hotkeys shown
    keep(page, "before")
    press(page, "145", len(names))
    keep(page, "answered")
    with page.expect_response(sends("POST")) as answer:
        page.keyboard.press("Control+Enter")
    assert answer.value.status == 201
    page.wait_for_function("document.querySelector('.soli-prompt')?.innerText.includes('a clip 1')")
    ready(page)
    with page.expect_response(sends("POST")) as skip:
        page.keyboard.press("Control+Space")
    assert skip.value.status == 201
    tasks = by_item(admin, project)
    (skipped,) = tasks["v1"]["annotations"]
    assert skipped["was_cancelled"]
    page.goto(f"{label_studio.url}/projects/{project.id}/data?task={tasks['v1']['id']}")
    ready(page)
    keep(page, "skipped")
    (given,) = tasks["v0"]["annotations"]
    assert answers(given) == [["Pass"], ["Fail"], ["Pass"]]
    assert given["completed_by"] == annotators["Ana"].whoami().id
    assert given["lead_time"] > 0
    page.goto(f"{label_studio.url}/projects/{project.id}/data?task={tasks['v0']['id']}")
    ready(page)
    press(page, "3", len(names))
    page.wait_for_selector(UPDATE)
    keep(page, "corrected")
    with page.expect_response(sends("PATCH")) as change:
        page.keyboard.press("Control+Enter")
    assert change.value.status == 200
    (corrected,) = by_item(admin, project)["v0"]["annotations"]
    assert corrected["id"] == given["id"]
    assert answers(corrected) == [["Pass"]] * len(names)


def test_an_open_question_keeps_the_clip_and_is_named(labelling, admin):
    page, project = labelling
    press(page, "1", 1)
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=answer Pass or Fail")
    assert all(not task["annotations"] for task in by_item(admin, project).values())
