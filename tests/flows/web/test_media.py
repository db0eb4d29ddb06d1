"""Which files are shown as clips, and in which parts."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("web")]  # one page for all


def clip(site, item, **headers):
    return site.get("/media", params={"item": item}, headers=headers)


@pytest.mark.parametrize("item", ["hostile", "absolute", "staying"])
def test_a_clip_below_the_root_is_shown(site, item):
    answer = clip(site, item)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ("up", 403), ("outside", 403), ("leaving", 403), ("away", 403), ("passwd", 403),
        ("notes", 403), ("nul", 403), ("folder", 403), ("pipe", 403), ("gone", 404),
        ("scheme", 404), ("remote", 404), ("../../etc/passwd", 404), ("clips/a.mp4", 404),
        ("", 404), ("..", 404), ("%2e%2e", 404), ("a\0b", 404),
    ],
)  # fmt: skip
def test_nothing_else_is_shown(site, item, status):
    answer = clip(site, item)
    assert answer.status_code == status
    assert b"secret" not in answer.content.replace(b"secret.mp4", b"")
    assert b"root:" not in answer.content


def test_parts_of_a_clip_are_answered_as_parts(site):
    whole = clip(site, "hostile").content
    for asked, start, stop in (
        ("bytes=0-", 0, None), ("bytes=10-19", 10, 20), ("bytes=-5", -5, None),
    ):  # fmt: skip
        answer = clip(site, "hostile", Range=asked)
        assert answer.status_code == 206
        assert answer.content == whole[start:stop]
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")
    assert clip(site, "hostile", Range=f"bytes={len(whole)}-").status_code == 416
    assert clip(site, "hostile", Range="bytes=x").status_code in {200, 400}
    assert clip(site, "hostile", Range="bytes=" + ",".join(["0-1"] * 5000)).status_code in {
        200,
        400,
        416,
        431,
    }
