"""Batches over HTTP: stored rewards, scored ones, and everything that is neither."""

import os
import threading

import pytest

from flows.rewards_server.worker import Full, Worker
from warehouse.errors import TrainingError

NEW = {"video_path": "new.mp4", "prompt": "a cube"}


def test_stored_rewards_are_answered_without_the_model_and_standardised(make, model):
    answer = make().rewards({"item_id": "v1"}, {"item_id": 'v"2\n🎈'}).json()
    assert answer["failed"] == 0
    assert answer["reference"] == "validation"
    first, second = answer["items"]
    assert first["source"] == "stored"
    assert first["rewards"]["motion"] == {"reward": 1.0, "standardised": 0.0, "percentile": 50.0}
    assert second["item_id"] == 'v"2\n🎈'
    assert second["rewards"]["motion"]["standardised"] == -4.0
    assert model.decoded == []


def test_a_video_is_known_by_its_file_and_its_prompt(make, model, media):
    items = [
        {"video_path": "stored.mp4", "prompt": " a ball "},
        {"video_path": str(media / "stored.mp4"), "prompt": "a ball"},
        {"video_path": "stored.mp4", "prompt": "another"},
    ]
    answers = make().rewards(*items).json()["items"]
    assert [each["source"] for each in answers] == ["stored", "stored", "scored"]
    assert len(model.decoded) == 1


def test_a_file_that_changed_since_it_was_scored_is_scored_anew(make, media):
    (media / "stored.mp4").write_bytes((media / "new.mp4").read_bytes() + b" ")
    answer = make().rewards({"video_path": "stored.mp4", "prompt": "a ball"}).json()
    assert answer["items"][0]["source"] == "scored"


def test_a_video_is_decoded_once_for_all_prompts_and_batches(make, model, media):
    client = make()
    prompts = [{"video_path": "new.mp4", "prompt": text} for text in ("a", "bb", "a")]
    answers = client.rewards(*prompts).json()["items"]
    assert [each["rewards"]["motion"]["reward"] for each in answers] == [1.0, 2.0, 1.0]
    client.rewards(*prompts)
    assert model.decoded == [(str(media / "new.mp4"), ("a", "bb"))]
    os.utime(media / "new.mp4", ns=(1, 1))
    client.rewards(prompts[0])
    assert len(model.decoded) == 2


def test_a_bad_item_loses_no_other(make, media):
    os.mkfifo(media / "pipe.mp4")
    bad = {
        "../secret.mp4": "outside the media folders",
        "/etc/passwd": "outside the media folders",
        "link.mp4": "outside the media folders",
        "https://clips.example/a.mp4": "no path of a local file",
        "file:///etc/passwd": "no path of a local file",
        "a\0b.mp4": "no path of a local file",
        "lost.mp4": "does not exist",
        "pipe.mp4": "is no file",
        ".": "is no file",
        "x" * 4000: "",
        "bad.mp4": "cannot be decoded",
        "crash.mp4": "unexpected RuntimeError",
    }
    items = [{"video_path": path, "prompt": "p"} for path in bad]
    answer = make().rewards(*items, {"item_id": "nobody"}, {"prompt": "p"}, NEW).json()
    *failed, good = answer["items"]
    assert good["source"] == "scored"
    assert answer["failed"] == len(failed) == len(bad) + 2
    for words, each in zip(
        [*bad.values(), "no stored reward", "needs item_id"], failed, strict=True
    ):
        assert words in each["error"]
        assert "Traceback" not in each["error"]


def test_without_a_model_what_is_not_stored_says_what_to_do(make):
    (answer,) = make(scoring=False).rewards(NEW).json()["items"]
    assert "start `soli serve` with --model or --checkpoint" in answer["error"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("{", 400, "Invalid JSON"),
        ("[" * 100_000, 400, "Invalid JSON"),
        ('{"items": ["\\ud800"]}', 400, "Invalid JSON"),
        ("null", 400, "Input should be an object"),
        ("{}", 400, "items: Field required"),
        ('{"items": []}', 400, "items: List should have at least 1 item"),
        ('{"items": [{"item_id": 7}]}', 400, "items.0.item_id: Input should be a valid string"),
        ('{"items": [{"vido_path": "a"}, {}]}', 400, "items.0.vido_path: Extra inputs"),
        ('{"items": [{"item_id": "a", "prompt": "%s"}]}' % ("p" * 20_001), 400, "items.0.prompt"),
        ('{"items": [%s{}]}' % ("{}," * 9_999), 413, "at most 1000 items"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_body_that_makes_no_sense_gets_one_clear_error(make, body, status, words):
    client = make()
    answer = client.post("/rewards", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert client.rewards({"item_id": "v1"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/rewards"), ("GET", "/../etc/passwd"), ("PUT", "/x")]
)
def test_other_addresses_are_json_errors_too(make, method, path):
    (answer,) = make().ask((method, path, {}))
    assert answer.status_code in {404, 405}
    assert answer.json()["error"]


def test_a_batch_waits_no_longer_than_it_may(make, model):
    model.may_go_on.clear()
    (late,) = make(seconds=0.1).rewards(NEW).json()["items"]
    model.may_go_on.set()
    assert late["error"] == "not scored within 0.1 s; ask again"


def test_a_queue_without_room_takes_nothing_and_says_so(make, model):
    client = make(places=2)
    items = [{"video_path": "new.mp4", "prompt": text} for text in "abc"]
    answer = client.rewards(*items)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "no room for 3 more" in answer.json()["error"]
    assert client.rewards(*items[:2]).json()["failed"] == 0


def test_clients_that_ask_at_once_share_what_is_scored(make, model):
    items = {"items": [NEW, {"video_path": "other.mp4", "prompt": "p"}, {"item_id": "v1"}]}
    answers = make().ask(*[("POST", "/rewards", {"json": items})] * 20)
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(model.decoded) == 2


def test_what_nobody_waits_for_is_not_scored(media):
    held, scored = threading.Event(), []

    def score(path, prompts):
        scored.append(path)
        held.wait(10)
        return dict.fromkeys(prompts, (0.0,))

    worker = Worker(score)
    first = worker.ask([(str(media / "new.mp4"), "p")])
    left = worker.ask([(str(media / "other.mp4"), "p")])
    worker.leave(left.values())
    last = worker.ask([(str(media / "stored.mp4"), "p")])
    held.set()
    for jobs in (first, last):
        assert [job.rewards.result(10) for job in jobs.values()] == [(0.0,)]
    worker.close()
    assert str(media / "other.mp4") not in scored


def test_a_prompt_without_a_reward_loses_no_other(media):
    worker = Worker(
        lambda _path, prompts: {p: TrainingError(p) if p == "x" else (1.0,) for p in prompts}
    )
    jobs = worker.ask([(str(media / "new.mp4"), text) for text in "xy"])
    bad, good = (job.rewards for job in jobs.values())
    assert isinstance(bad.exception(10), TrainingError)
    assert good.result(10) == (1.0,)
    worker.close()


def test_a_queue_of_no_places_takes_nothing():
    worker = Worker(lambda _path, _prompts: {}, places=0)
    with pytest.raises(Full):
        worker.ask([("a", "b")])
    worker.close()
