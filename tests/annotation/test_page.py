"""The labelling page in a real browser: one clip, judged by keyboard."""

import json
import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

from annotation.labeling import config_dimensions

pytestmark = [pytest.mark.server, pytest.mark.browser]
HELP = "no Chromium: install one (Debian: apt-get install chromium) or set SOLI_CHROMIUM"
WIDTH, HEIGHT = 1400, 900


@pytest.fixture(scope="module")
def page():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("SOLI_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.fail(HELP, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


@pytest.fixture
def labelling(page, label_studio, annotators, make_project):
    """The stream of a project, opened by Ana."""
    project, _ = make_project()
    secrets = json.loads((label_studio.home / "annotators.json").read_text())
    page.goto(f"{label_studio.url}/user/login/")
    page.fill("input[name=email]", "ana@annotators.example")
    page.fill("input[name=password]", secrets["Ana"]["password"])
    page.click("button[type=submit]")
    page.wait_for_url("**/")
    page.goto(f"{label_studio.url}/projects/{project.id}/data?labeling=1")
    page.wait_for_selector(".lsf-choices")
    page.wait_for_function("document.querySelector('video')?.readyState >= 2")
    return page, project


def posts_annotation(response):
    return response.request.method == "POST" and "/annotations" in response.url


def test_a_clip_plays_and_is_judged_by_keyboard_alone(labelling, admin, annotators):
    page, project = labelling
    names = config_dimensions(project.config)
    boxes = [found.bounding_box() for found in page.query_selector_all(".soli-dimension")]
    assert len(boxes) == len(names)
    assert all(box["y"] + box["height"] < HEIGHT - 60 for box in boxes)  # above Submit
    video = "document.querySelector('video')"
    assert page.evaluate(f"{video}.videoWidth") > 0
    assert page.evaluate(f"{video}.error") is None
    assert "a clip 0" in page.inner_text(".soli-prompt")
    assert page.inner_text(".soli-answers").count("[") == 2 * len(names)  # hotkeys shown
    for key in "145":
        page.keyboard.press(key)
    page.wait_for_function("document.querySelectorAll('.ant-checkbox-checked').length === 3")
    with page.expect_response(posts_annotation) as answer:
        page.keyboard.press("Control+Enter")
    assert answer.value.status == 201
    ana = annotators["Ana"].whoami().id
    given = {
        task["data"]["item_id"]: found
        for listed, _ in admin.tasks(project.id)
        for task in listed
        for found in task["annotations"]
    }
    values = {r["from_name"]: r["value"]["choices"] for r in given["v0"]["result"]}
    assert values == dict(zip(names, (["Pass"], ["Fail"], ["Pass"]), strict=True))
    assert given["v0"]["completed_by"] == ana
    assert given["v0"]["lead_time"] > 0
