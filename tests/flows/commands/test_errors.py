"""What goes wrong ends in one line with the next step, and in the exit code of its kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.__main__ import main, run

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "arguments",
    [
        ["pear"],
        ["pairs", "bulid"],
        ["ingest", "--exprot", "x"],
        ["pairs", "build", "--recipe"],
        ["annotate", "items"],
        ["annotate", "server", "--port", "eighty"],
        ["annotate", "server", "--port", "70000"],
        ["annotate", "items", "x.jsonl", "--design-k", "0"],
        ["demo", "--world", "huge"],
        ["train", "--seed", "-1"],
        ["ingest", "--debug"],
    ],
)
def test_wrong_usage_ends_with_2_and_names_the_word(soli, settings, arguments):
    code, out, err = soli(*arguments)
    assert (code, out) == (2, "")
    assert "Error: " in err
    assert "Traceback" not in err
    assert not settings.home.exists()


EMPTY_HOME = [
    (["agreement", "report"], "no labels"),
    (["agreement", "report", "--dry-run"], "no labels"),
    (["agreement", "verify"], "no labels"),
    (["consensus", "build"], "no labels"),
    (["pairs", "build"], "soli consensus build"),
    (["pairs", "stats"], "soli pairs build"),
    (["pairs", "stats", "4be1"], "4be1"),
    (["train"], "soli pairs build"),
    (["train", "--recipe", "enormous"], "tiny-test"),
    (["score"], "soli train"),
    (["score", "--dry-run"], "soli train"),
    (["evaluate"], "soli train"),
    (["canaries"], "soli train"),
    (["score", "--list", "nowhere.json", "--out", "a.csv"], "nowhere.json"),
    (["score", "--folder", "nowhere", "--out", "a.csv"], "nowhere"),
    (["trace", "latest"], "soli train"),
    (["trace", "latest:clip_1"], "soli train"),
    (["trace", ""], "soli train"),
    (["warehouse", "open", "-q", "FROM labels"], "no warehouse"),
    (["ingest"], "soli annotate server"),
    (["ingest", "--project", "3"], "soli annotate server"),
    (["ingest", "--export", "nowhere.json"], "nowhere.json"),
    (["ingest", "--export", "."], "no such file"),
    (["annotate", "project", "create"], "soli annotate server"),
    (["annotate", "project", "update", "--project", "3"], "soli annotate server"),
    (["annotate", "items", "nowhere.jsonl"], "nowhere.jsonl"),
    (["annotate", "items", "clips.txt"], ".txt"),
    (["annotate", "annotators", "--sign-up", "ann@example.org"], "soli annotate server"),
    (["pairs", "build", "--recipe", "nowhere.toml"], "nowhere.toml"),
]


@pytest.mark.parametrize(("arguments", "words"), EMPTY_HOME, ids=str)
def test_in_an_empty_home_every_command_ends_with_one_line_and_the_next_step(
    soli, arguments, words, only_line
):
    code, out, err = soli(*arguments)
    assert (code, out) == (1, "")
    line = only_line(err)
    assert words in line
    assert "unexpected" not in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pairs", "stats", "ffff"], "no pair set 'ffff'"),
        (["evaluate", "--model", "ffff"], "no model 'ffff'; there is 0123456789abcdef"),
        (["trace", "nobody"], "no model, annotator, item or checkpoint 'nobody'"),
        (["trace", "latest:clip_999"], "no reward for item 'clip_999'"),
        (["warehouse", "open", "-q", "FROM nonsense"], "nonsense"),
        (["warehouse", "open", "-q", "DROP VIEW labels"], "read-only"),
        (["warehouse", "open", "-q", ""], "ask one question"),
        (["train", "--recipe", "paper-1b", "--dry-run"], "--base-model"),
        (["train", "--base-model", "nowhere"], "nowhere"),
    ],
)
def test_unknown_names_are_answered_with_what_there_is(soli, small, arguments, words, only_line):
    code, out, err = soli(*arguments)
    assert (code, out) == (1, "")
    assert words in only_line(err)


@pytest.mark.slow
def test_a_gate_ends_with_3(soli, small, tmp_path, only_line):
    (tmp_path / "soli.toml").write_text('[[gates]]\nstatistic = "alpha"\nthreshold = 0.95\n')
    code, out, err = soli("agreement", "report", "--dry-run")
    assert code == 3
    assert "Agreement" in out
    assert "gate says stop" in only_line(err)


def test_main_exits_with_the_code(monkeypatch, settings):
    for arguments, code in ((["--version"], 0), (["--home", "x", "pairs", "stats"], 1)):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == code
    monkeypatch.setattr(sys, "argv", ["soli", "pear"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2


def python(*arguments, cwd, **environment):
    import os

    plain = {k: v for k, v in os.environ.items() if not k.startswith(("SOLI_", "LABEL_STUDIO"))}
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=plain | {"PYTHONPATH": str(ROOT)} | environment,
        check=False,
    )


@pytest.mark.slow
def test_a_traceback_is_shown_with_debug_and_never_holds_the_token(settings, tmp_path, token):
    wanted = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": token}
    shown = python("--debug", "ingest", cwd=tmp_path, **wanted)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    assert "http://127.0.0.1:9" in shown.stderr
    assert token not in shown.stdout + shown.stderr


def test_an_error_nobody_thought_of_is_one_line_too(soli, monkeypatch, only_line):
    def broken(*_arguments, **_options):
        raise ZeroDivisionError("first line\nsecond line")

    monkeypatch.setattr("flows.trace.resolve", broken)
    code, _, err = soli("trace", "x")
    assert code == 1
    assert only_line(err) == (
        "soli: unexpected: ZeroDivisionError: first line"
        " (run again with --debug for the whole story)"
    )
    with pytest.raises(ZeroDivisionError):
        run(["--debug", "trace", "x"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("Query interrupted")])
def test_an_interrupted_command_says_that_it_can_go_on(soli, monkeypatch, only_line, error):
    def interrupted(*_arguments, **_options):
        raise error

    monkeypatch.setattr("flows.trace.resolve", interrupted)
    code, _, err = soli("trace", "x")
    assert code == 130
    assert "the same command goes on" in only_line(err)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_home_that_is_a_file_is_named(settings, capsys, only_line, below):
    settings.home.write_text("I am a file")
    home = settings.home / below
    for command in (("ingest", "--export", "any.json"), ("pairs", "build")):
        assert run(["--home", str(home), *command]) == 1
        told = only_line(capsys.readouterr().err)
        assert f"{home} cannot be the home of a warehouse: {settings.home} is no folder" in told


@pytest.mark.slow
def test_control_characters_of_strangers_do_not_reach_the_terminal(soli, export, tasks):
    tasks[0]["data"]["item_id"] = "clip\x1b[2J\x1b]0;owned\x07"
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["Un\x1b[31msure"]
    assert soli("ingest", "--export", export(tasks[:3]))[0] == 0
    for arguments in (
        ["warehouse", "quarantine", "list"],
        ["warehouse", "open", "-q", "SELECT item_id FROM items"],
        ["trace", "\x1b[2J"],
    ):
        _, out, err = soli(*arguments)
        assert "\x1b" not in out + err
        assert "\x07" not in out + err
        assert "\\x1b" in out + err


@pytest.mark.parametrize("command", ["canaries", "evaluate"])
@pytest.mark.parametrize(("place", "words"), [(".", "is a folder"), ("/dev/full", "is no file")])
def test_a_page_that_can_be_no_file_is_refused_before_the_work(
    soli, settings, command, place, words
):
    code, _, error = soli(command, "--page", place)
    assert code == 2
    assert words in error
