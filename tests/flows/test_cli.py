"""The `soli` command as users meet it: help, exit codes, one-line errors, JSON, dry runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from flows.__main__ import main, run
from flows.cli import app

TOKEN = "s3cret-t0ken-nobody-may-see"
ROOT = Path(__file__).parents[2]


def commands(group=None, path=()):
    """Every command with its words."""
    group = group or typer.main.get_command(app)
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = {" ".join(path): command for path, command in commands()}
WRITES_ALL_THE_SAME = {
    *("annotate annotators", "annotate server", "demo", "warehouse rebuild"),
    *("flows run", "flows serve"),  # `soli ingest` has the dry run
}
ONLY_READS = {
    "agreement verify",
    "pairs stats",
    "trace",
    "warehouse diff",
    "warehouse open",
    "warehouse quarantine list",
    "warehouse quarantine show",
    "warehouse verify",
}


def options(command):
    return {option for parameter in command.params for option in parameter.opts}


def only_line(err):
    """The one line of an error."""
    assert "Traceback" not in err
    (line,) = err.splitlines()
    assert line.startswith("soli: ")
    return line


# Help


@pytest.mark.parametrize("command", ALL)
def test_every_command_has_help_with_examples_of_itself(soli, command):
    code, out, err = soli(*command.split(), "--help")
    assert (code, err) == (0, "")
    examples = out.split("Examples:")[1]
    assert f"soli {command}" in examples or f"{command} --" in examples
    assert "\x08" not in out


@pytest.mark.parametrize("command", ALL)
def test_every_option_says_what_it_is(command):
    for parameter in ALL[command].params:
        assert parameter.help, f"{command}: {parameter.name}"


def test_the_whole_help_names_every_noun_and_the_exit_codes(soli):
    code, out, _ = soli("--help")
    assert code == 0
    for command in ALL:
        assert command.split()[0] in out
    assert "0 done, 1 failed, 2 usage, 3 a gate said stop" in out


def test_what_reads_speaks_json_and_what_writes_has_a_dry_run():
    for name, command in ALL.items():
        if name not in {"warehouse rebuild", "flows serve"}:
            assert "--json" in options(command), name
        assert ("--dry-run" in options(command)) != (name in ONLY_READS | WRITES_ALL_THE_SAME), name


@pytest.mark.parametrize("words", [[], ["pairs"], ["annotate", "project"]])
def test_a_noun_alone_shows_its_help(capsys, words):
    assert run(words) == 2
    shown = capsys.readouterr()
    assert "Commands:" in shown.out + shown.err


def test_the_version_is_that_of_the_distribution(soli):
    from importlib.metadata import version

    assert soli("--version") == (0, f"soli {version('soli')}\n", "")


# Exit codes and errors


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
    soli, arguments, words
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
        (["trace", "nobody"], "no model, annotator or checkpoint 'nobody'"),
        (["trace", "latest:clip_999"], "no reward for item 'clip_999'"),
        (["warehouse", "open", "-q", "FROM nonsense"], "nonsense"),
        (["warehouse", "open", "-q", "DROP VIEW labels"], "read-only"),
        (["warehouse", "open", "-q", ""], "ask one question"),
        (["train", "--recipe", "paper-1b", "--dry-run"], "--base-model"),
        (["train", "--base-model", "nowhere"], "nowhere"),
    ],
)
def test_unknown_names_are_answered_with_what_there_is(soli, small, arguments, words):
    code, out, err = soli(*arguments)
    assert (code, out) == (1, "")
    assert words in only_line(err)


def test_a_gate_ends_with_3(soli, small, tmp_path):
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


def test_a_traceback_is_shown_with_debug_and_never_holds_the_token(settings, tmp_path):
    wanted = {"LABEL_STUDIO_URL": "http://127.0.0.1:9", "LABEL_STUDIO_API_KEY": TOKEN}
    shown = python("--debug", "ingest", cwd=tmp_path, **wanted)
    assert shown.returncode == 1
    assert "Traceback" in shown.stderr
    assert "http://127.0.0.1:9" in shown.stderr
    assert TOKEN not in shown.stdout + shown.stderr


def test_an_error_nobody_thought_of_is_one_line_too(soli, monkeypatch):
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


def test_an_interrupted_command_says_that_it_can_go_on(soli, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("flows.trace.resolve", interrupted)
    code, _, err = soli("trace", "x")
    assert code == 130
    assert "the same command goes on" in only_line(err)


def test_a_home_that_is_a_file_is_named(soli, settings, export, tasks):
    settings.home.write_text("I am a file")
    code, _, err = soli("ingest", "--export", export(tasks[:1]))
    assert code == 1
    assert f"{settings.home} cannot be the home of a warehouse" in only_line(err)


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


# JSON


READING = [
    ["agreement", "report", "--dry-run"],
    ["agreement", "verify"],
    ["annotate", "annotators"],
    ["consensus", "build", "--dry-run"],
    ["evaluate", "--dry-run"],
    ["pairs", "build", "--dry-run"],
    ["pairs", "stats"],
    ["score", "--dry-run"],
    ["trace", "latest"],
    ["trace", "0123:clip_003"],
    ["train", "--dry-run"],
    ["warehouse", "open", "-q", "SELECT 'nan'::DOUBLE AS a, '-inf'::DOUBLE AS b, now() AS c"],
    ["warehouse", "open", "-q", "FROM disagreement_queue"],
    ["warehouse", "quarantine", "list"],
    ["warehouse", "verify"],
]


def no_constant(name):
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
def test_json_is_json_and_stands_alone_on_stdout(soli, small, unchanged, arguments):
    with unchanged(small.home):
        code, out, _ = soli(*arguments, "--json")
    assert code == 0
    found = json.loads(out, parse_constant=no_constant)
    assert found or "quarantine" in arguments


def test_the_json_of_an_annotator_s_trace_leads_up_to_the_models(soli, small):
    people = json.loads(soli("annotate", "annotators", "--json")[1])
    found = json.loads(soli("trace", people[0]["annotator_id"], "--json")[1])
    assert [model["model_id"][:4] for model in found["models"]] == ["0123"]


# Dry runs


WRITING = [
    ["agreement", "report"],
    ["consensus", "build"],
    ["evaluate"],
    ["pairs", "build"],
    ["score"],
    ["train", "--recipe", "tiny-test"],
    ["annotate", "project", "create"],
]


@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_dry_run_leaves_every_file_and_every_row_as_it_was(soli, small, unchanged, arguments):
    with unchanged(small.home):
        code, out, _ = soli(*arguments, "--dry-run")
    assert code == 0
    assert out


def test_a_dry_ingest_counts_and_makes_no_home(soli, settings, export, tasks, unchanged):
    with unchanged(settings.home):
        code, out, _ = soli("ingest", "--export", export(tasks), "--dry-run", "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert found["events"] == {"seen": 360}
    assert not found["written"]


def test_a_dry_import_of_items_probes_and_makes_no_home(soli, settings, tmp_path, unchanged):
    video = Path(__file__).parents[1] / "data" / "videos" / "example_2_A.mp4"
    (tmp_path / "v.mp4").write_bytes(video.read_bytes())
    rows = [{"item_id": "a", "prompt": "p", "media": "v.mp4"}, {"item_id": "b", "prompt": "p"}]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with unchanged(settings.home):
        code, out, _ = soli("annotate", "items", "clips.jsonl", "--dry-run", "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["items"], len(found["refused"])) == (1, 1)


# Bad input


CUT = '[{"id": 1, "data": {"item_id": "a", "prompt": "p"}, "annotations": ['


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("no JSON at all", "no JSON"),
        ("[1, 2, 3]", "entry 1 is no task"),
        ("[{]", "cut short"),
        (CUT, "cut short"),
        ("<!doctype html><title>Log in</title>", "web page"),
        ('{"detail": "Authentication credentials were not provided."}', "one JSON object"),
    ],
)
def test_a_file_that_is_no_export_is_refused_in_one_line(soli, tmp_path, content, words):
    import re

    path = tmp_path / "bad.json"
    path.write_text(content)
    code, out, err = soli("ingest", "--export", path)
    assert (code, out) == (1, "")
    line = only_line(err)
    assert re.search(words, line)
    assert str(path) in line


@pytest.mark.usefixtures("no_faces")
def test_labels_that_cannot_be_read_are_counted_with_their_reasons(soli, export, tasks):
    def results(position):
        return tasks[position]["annotations"][0]["result"]

    results(0)[0]["value"]["choices"] = ["Unsure"]
    del results(1)[2]
    results(2).append(
        {**results(2)[0], "value": {"choices": ["Pass", "Fail"]}},
    )
    results(3)[1]["value"] = {"rating": 4}
    code, out, err = soli("ingest", "--export", export(tasks), "--json")
    assert (code, err) == (0, "")
    (found,) = json.loads(out)
    assert sum(found["quarantined"].values()) == 4
    assert found["quarantined"]["unknown_choice"] == 1
    assert found["quarantined"]["missing_dimension"] == 1
    assert found["quarantined"]["contradictory"] == 1
    assert sum(found["events"].values()) == 360 - 4
    code, out, _ = soli("warehouse", "quarantine", "list", "--json")
    rows = json.loads(out)
    assert {row["reason"] for row in rows} == set(found["quarantined"])
    assert all(row["detail"] and row["item_id"] for row in rows)


@pytest.mark.usefixtures("no_faces")
def test_mapping_and_reviewers_of_soli_toml_count_for_an_export_too(
    soli, settings, export, tasks, tmp_path
):
    for task in tasks[:4]:
        for annotation in task["annotations"]:
            for result in annotation["result"]:
                if result["from_name"] == "subject_deformity":
                    sound = result["value"]["choices"] == ["Pass"]
                    result["value"]["choices"] = ["Sound" if sound else "Bent"]
    path = export(tasks[:4])
    (found,) = json.loads(soli("ingest", "--export", path, "--json", "--dry-run")[1])
    assert found["quarantined"] == {"unknown_choice": 12}
    mapping = "[mapping.subject_deformity]\nSound = 'pass'\nBent = 'fail'\n"
    (tmp_path / "soli.toml").write_text(mapping)
    (found,) = json.loads(soli("ingest", "--export", path, "--json")[1])
    assert (found["quarantined"], found["events"]) == ({}, {"seen": 36})
    people = settings.store.read("people")["annotator_id"].to_pylist()
    (tmp_path / "soli.toml").write_text(f"reviewers = ['{people[0]}']\n{mapping}")
    (found,) = json.loads(soli("ingest", "--export", path, "--json")[1])
    assert found["events"] == {}
    roles = settings.store.query("SELECT role, annotator_id FROM labels").to_pylist()
    assert {row["annotator_id"] for row in roles if row["role"] == "review"} == {people[0]}
    (tmp_path / "soli.toml").unlink()
    (found,) = json.loads(soli("ingest", "--export", path, "--json")[1])
    assert not found["written"]  # read as it was read before


def test_broken_videos_are_refused_each_with_its_reason_and_the_good_ones_taken(soli, tmp_path):
    video = Path(__file__).parents[1] / "data" / "videos" / "example_2_A.mp4"
    whole = video.read_bytes()
    clips = {
        "good": whole,
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "text": b"#EXTM3U\nhttp://x/",
    }
    for name, content in clips.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
    outside = tmp_path.parent / "outside.mp4"
    outside.write_bytes(whole)
    media = {name: f"{name}.mp4" for name in (*clips, "missing")} | {"away": str(outside)}
    (tmp_path / "clips.jsonl").write_text(
        "\n".join(
            json.dumps({"item_id": name, "prompt": "a dog", "media": path})
            for name, path in media.items()
        )
        + "\nno object\n"
    )
    code, out, err = soli("annotate", "items", "clips.jsonl", "--json")
    assert code == 0
    assert {line.split(":")[0] for line in err.splitlines()} == {"  probing videos"}
    found = json.loads(out)
    assert found["items"] == 1
    reasons = {row["item_id"]: row["reason"] for row in found["refused"]}
    assert set(reasons) == {"cut", "empty", "text", "missing", "away", None}
    assert "0 bytes" in reasons["empty"]
    assert "does not exist" in reasons["missing"]
    assert "outside the media folders" in reasons["away"]
    code, out, err = soli("annotate", "items", "clips.jsonl")
    said = [line for line in err.splitlines() if "probing" not in line]
    assert len(said) == 6
    assert all(line.startswith("refused, row ") for line in said)


@pytest.mark.usefixtures("no_faces")
def test_items_never_change_and_prompts_keep_their_first_attributes(soli, settings, tmp_path):
    video = Path(__file__).parents[1] / "data" / "videos" / "example_2_A.mp4"
    (tmp_path / "v.mp4").write_bytes(video.read_bytes())
    one = {"item_id": "a", "prompt": "a dog", "media": "v.mp4", "attributes": {"subject": "dog"}}
    two = {"item_id": "b", "prompt": "a dog ", "media": "v.mp4", "generator": "x"}

    def add(*rows):
        (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
        code, out, _ = soli("annotate", "items", "clips.jsonl", "--json")
        assert code == 0
        found = json.loads(out)
        return found["items"], found["prompts"], found["refused"]

    assert add(one) == (1, 1, [])
    assert add(one, two) == (1, 0, [])
    *added, refused = add({"item_id": "c"}, one, two | {"generator": "y", "design_k": 7})
    assert added == [0, 0]
    assert [row["row"] for row in refused] == [1, 3]
    assert "item b is known with another design_k, generator" in refused[1]["reason"]
    (prompt,) = settings.store.read("prompts").to_pylist()
    assert json.loads(prompt["attributes"]) == {"subject": "dog"}


def test_no_server_is_one_line_that_names_it(soli, monkeypatch):
    url = "http://no-such-host.invalid:8080"
    monkeypatch.setenv("LABEL_STUDIO_URL", url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    code, out, err = soli("ingest")
    assert (code, out) == (1, "")
    line = only_line(err)
    assert url in line
    assert "unexpected" not in line
    assert TOKEN not in line


def test_a_url_without_a_token_says_where_to_put_it(soli, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    code, _, err = soli("ingest")
    assert code == 1
    assert "LABEL_STUDIO_API_KEY" in only_line(err)


# With the real server


@pytest.fixture
def served(label_studio, monkeypatch, settings):
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)
    return label_studio


@pytest.mark.server
@pytest.mark.parametrize("command", [["ingest"], ["annotate", "project", "create"]])
def test_a_wrong_token_is_one_line_without_the_token(soli, served, monkeypatch, command):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    code, out, err = soli(*command)
    assert (code, out) == (1, "")
    line = only_line(err)
    assert "token" in line
    assert "unexpected" not in line
    assert TOKEN not in line


@pytest.mark.server
@pytest.mark.parametrize(
    "command",
    [
        ["ingest", "--project", "987654"],
        ["annotate", "project", "update", "--project", "987654"],
        ["annotate", "project", "update", "--project", "987654", "--dry-run"],
    ],
)
def test_an_unknown_project_is_one_line_with_its_number(soli, served, command):
    code, out, err = soli(*command)
    assert (code, out) == (1, "")
    line = only_line(err)
    assert "987654" in line
    assert served.token not in line


@pytest.mark.server
def test_a_project_is_made_filled_and_pulled_from_the_command_line(soli, served, tmp_path):
    code, out, _ = soli("annotate", "project", "create", "--title", "From the shell", "--json")
    assert code == 0
    made = json.loads(out)
    rows = [
        {"item_id": f"shell_{n}", "prompt": f"a <b>bold</b> dog & {n}", "media": "https://x/v.mp4"}
        for n in range(3)
    ]
    (tmp_path / "clips.jsonl").write_text("\n".join(map(json.dumps, rows)))
    add = ["annotate", "items", "clips.jsonl", "--project", str(made["id"]), "--json"]
    code, out, err = soli(*add)
    assert (code, "refused" in err) == (0, False)
    assert json.loads(out)["tasks"]["made"] == 3
    again = json.loads(soli(*add)[1])
    assert (again["items"], again["tasks"]["made"]) == (0, 0)
    code, out, err = soli("ingest", "--project", str(made["id"]), "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert found["source"] == made["source"]
    assert found["annotations"] == 0
    assert served.token not in out + err


@pytest.mark.server
def test_a_stranger_s_project_is_adopted_once_and_a_dry_run_leaves_it(soli, served, admin):
    config = (
        '<View><Video name="video" value="$video"/>'
        '<Choices name="q" toName="video"><Choice value="Pass"/><Choice value="Fail"/></Choices>'
        "</View>"
    )
    project = admin.create_project({"title": "Somebody else's", "label_config": config})
    update = ["annotate", "project", "update", "--project", str(project.id), "--json"]
    assert json.loads(soli(*update, "--dry-run")[1])["source"] is None
    assert admin.project(project.id).source is None
    source = json.loads(soli(*update)[1])["source"]
    assert admin.project(project.id).source == source
    assert json.loads(soli(*update)[1])["source"] == source
