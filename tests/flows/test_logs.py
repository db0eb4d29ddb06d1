"""Log lines for machines: one object a line, and nothing in them that nobody may read."""

import json
import sys
from contextlib import contextmanager

import pytest

from flows import logs
from flows.console import progress, say

TOKEN = "s3cret-t0ken-nobody-may-see"
LEGACY = "0123456789abcdef0123456789abcdef01234567"
JWT = "eyJhbGciOi.eyJzdWIi.c2lnbmVk"
SECRETS = {
    TOKEN: f"the token {TOKEN} is refused",
    LEGACY: f"Authorization: Token {LEGACY}",
    JWT: f"Bearer {JWT}",
    "hunter2": "password='hunter2'",
    "pa55": "https://ann:pa55@labels.example.org/api failed",
    "ann@private.example": "project of ann@private.example",
    "Annabella": "Annabella Quist judged it",
    "ball.mp4": "refused: video clips/red/ball.mp4 cannot be decoded",
    "sig=77": "https://clips.example/ball?sig=77 is away",
    "d=clips": "/data/local-files/?d=clips/a.mp4 is gone",
}


@pytest.fixture
def machine(capsys):
    """A block in which log lines are on; gives the list of objects, which are there after it."""

    @contextmanager
    def block():
        lines = []
        logs.turn_on([TOKEN, "Annabella Quist", "Annabella"])
        try:
            yield lines
        finally:
            logs.turn_off()
        lines += [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return block


@pytest.mark.parametrize(("secret", "sentence"), SECRETS.items())
def test_nothing_secret_no_name_and_no_media_is_in_a_line(machine, secret, sentence):
    with machine() as lines:
        say(sentence, "tested", detail=sentence, parts=[{"why": sentence}], email="x@y.example")
        sys.stderr.write(f"{sentence}\n")
    assert len(lines) == 2
    assert secret not in json.dumps(lines, ensure_ascii=False)
    assert "x@y.example" not in json.dumps(lines)


def test_a_line_says_when_how_grave_what_and_the_fields(machine):
    with machine() as lines:
        say('3 labels new\nin "one" pull ✓', "ingest.pulled", level="warning", new=3, error=None)
    (line,) = lines
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "warning",
        "event": "ingest.pulled",
        "message": '3 labels new\nin "one" pull ✓',
        "new": 3,
        "error": None,
    }


def test_the_host_of_a_server_and_our_digests_stay(machine):
    digest = "ab" * 32
    with machine() as lines:
        say(f"no Label Studio answers at http://127.0.0.1:8080; model {digest}")
    (line,) = lines
    assert line["message"].startswith("no Label Studio answers at http://127.0.0.1:8080")
    assert digest in line["message"]


def test_progress_is_lines_even_where_a_person_watches(machine):
    with machine() as lines, progress("reading") as advance:
        advance(50, 100)
    (line,) = lines
    assert (line["event"], line["title"], line["done"], line["total"]) == (
        "progress",
        "reading",
        50,
        100,
    )


def test_what_others_write_piece_by_piece_is_one_object_a_line(machine):
    with machine() as lines:
        for piece in ("half ", "a line\n\n", "and another\n"):
            sys.stderr.write(piece)
    assert [line["message"] for line in lines] == ["half a line", "and another"]


def test_an_object_that_a_process_of_ours_wrote_stays_the_one_it_is(machine):
    child = {"time": "2026-01-02T10:00:00.000+00:00", "level": "info", "event": "ingest.pulled"}
    with machine() as lines:
        sys.stderr.write(json.dumps({**child, "message": "of Annabella", "new": 3}) + "\n")
    assert lines == [{**child, "message": "of …", "new": 3}]


def test_every_line_of_a_command_is_an_object_and_says_how_it_ended(soli, capsys):
    from flows.__main__ import run

    for arguments in (["--log-json", "--bogus"], ["--log-json", "agreement", "report"]):
        assert run(arguments) in (1, 2)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert lines
        assert all({"time", "level", "event"} <= set(line) for line in lines)
    assert lines[-1]["event"] == "failed"
    assert lines[-1]["exit_code"] == 1
    assert not isinstance(sys.stderr, logs.JsonLines)


@pytest.mark.slow
def test_names_that_the_warehouse_knows_and_the_token_that_is_set_are_hidden(
    small, monkeypatch, capsys
):
    import pyarrow as pa

    from flows.unsaid import names_of, turn_on_where_asked

    row = {
        "source": "s", "user_id": 1, "annotator_id": "x",
        "email": "bea@private.example", "name": "Beatrix Kiddo",
    }  # fmt: skip
    monkeypatch.setattr(type(small.store), "read", lambda *_: pa.Table.from_pylist([row]))
    (small.home / "people").mkdir(exist_ok=True)
    assert names_of(small) == {"bea@private.example", "Beatrix Kiddo", "Beatrix", "Kiddo"}
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-key-value")
    turn_on_where_asked(small.model_copy(update={"log_json": True}))
    try:
        say("Beatrix used aws-key-value")
    finally:
        logs.turn_off()
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "… used …"
