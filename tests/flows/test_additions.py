import pytest

from annotation.items import Items
from annotation.tables import from_rows
from flows.additions import additions

FACTS = {
    "codec": "h264",
    "width": 96,
    "height": 96,
    "fps": 8.0,
    "frames": 16,
    "duration": 2.0,
    "media_sha256": "ab" * 32,
}
NO_FACTS = dict.fromkeys(FACTS)
PULLED = {"uri": "/data/local-files/?d=a.mp4", "generator": "unknown", **NO_FACTS}


def item(**changes):
    return {
        "item_id": "v1",
        "prompt_id": "p1",
        "uri": "/clips/a.mp4",
        "generator": "g1",
        "attributes": "{}",
        "design_k": 3,
        **FACTS,
        **changes,
    }


def prompt(attributes="{}"):
    return {"prompt_id": "p1", "text": "a ball", "attributes": attributes}


def beside(row, known=None, *, given=None, prompts=None):
    found = Items(
        from_rows("prompts", [given or prompt()]), from_rows("items", [row]), [], rows=(7,)
    )
    items = {"v1": {**known, "revision": known.get("revision")}} if known else {}
    return additions(found, items, prompts or {})


def test_an_item_never_seen_is_new():
    added = beside(item())
    assert added.items.to_pylist() == [item()]
    assert added.every == added.items
    assert added.media.num_rows == 0


def test_an_item_known_as_it_is_adds_nothing():
    added = beside(item(), item())
    assert (added.items.num_rows, added.media.num_rows, added.refused) == (0, 0, [])
    assert added.every.to_pylist() == [item()]


def test_an_item_first_seen_through_a_pull_gets_its_video_and_generator():
    added = beside(item(attributes='{"batch":1}'), item(**PULLED))
    assert added.items.num_rows == 0
    (row,) = added.media.to_pylist()
    assert row == {
        key: value
        for key, value in item(attributes='{"batch":1}', revision=1).items()
        if key not in ("prompt_id", "design_k")
    }


def test_what_the_row_does_not_say_stays_as_it_is_known():
    known = item(generator="g2", attributes='{"batch":1}')
    added = beside(item(generator="unknown"), known)
    assert added.every.to_pylist() == [known]
    assert added.media.num_rows == 0


def test_a_video_that_moved_is_known_at_its_new_place():
    added = beside(item(uri="/elsewhere/a.mp4", fps=8.001), item(revision=2))
    (row,) = added.media.to_pylist()
    assert (row["uri"], row["revision"]) == ("/elsewhere/a.mp4", 3)
    assert row["fps"] == 8.0  # the same bytes: the facts stay


def test_a_url_may_move_while_no_file_is_known():
    known = item(uri="s3://old/a.mp4", **NO_FACTS)
    added = beside(item(uri="s3://new/a.mp4", **NO_FACTS), known)
    assert added.media["uri"].to_pylist() == ["s3://new/a.mp4"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"prompt_id": "p2"}, "another prompt;"),
        ({"design_k": 5}, "another design_k: design_k 3, here 5"),
        ({"generator": "g2"}, "another generator: generator 'g1', here 'g2'"),
        ({"attributes": '{"batch":2}'}, "another attributes"),
        ({"media_sha256": "cd" * 32}, "another video (by its digest)"),
        ({"uri": "s3://b/a.mp4", **NO_FACTS}, "a URL cannot be compared"),
    ],
)
def test_other_content_is_refused_with_the_row_of_the_file(change, words):
    given = {**prompt(), "prompt_id": change.get("prompt_id", "p1")}
    added = beside(item(**change), item(attributes='{"batch":1}'), given=given)
    (refused,) = added.refused
    assert (refused.row, refused.item_id) == (7, "v1")
    assert words in refused.reason
    assert added.every.num_rows == added.media.num_rows == added.prompts.num_rows == 0


def test_a_known_prompt_keeps_its_attributes_and_that_is_counted():
    known = {"p1": prompt('{"subject":"cat"}')}
    added = beside(item(), given=prompt('{"subject":"dog"}'), prompts=known)
    assert added.prompts.to_pylist() == [known["p1"]]
    assert added.kept == 1
    assert beside(item(), given=prompt(), prompts=known).kept == 0
