"""What must never come out: tokens, passwords, names, e-mails. And odd homes."""

import io
import json
import shutil

import pytest

from flows.pair import newest_pair_set
from flows.train import newest_model
from warehouse.contracts import TABLES
from warehouse.store import Store

TOKEN = "s3cret-t0ken-nobody-may-see"
PEOPLE = {
    11: {"id": 11, "email": "ann@private.example", "first_name": "Annabella", "last_name": "Q"},
    12: {"id": 12, "email": "bob@private.example", "first_name": "Bobbington", "last_name": "R"},
    13: {"id": 13, "email": "cem@private.example", "first_name": "Cemalettin", "last_name": "S"},
}
NAMES = ("private.example", "Annabella", "Bobbington", "Cemalettin")


@pytest.fixture
def named(export, tasks):
    """An export as Label Studio makes it: with whole users, and answers that are quarantined."""
    for task in tasks[:8]:
        for annotation in task["annotations"]:
            annotation["completed_by"] = PEOPLE[annotation["completed_by"]]
    tasks[0]["annotations"][0]["result"][0]["value"]["choices"] = ["Unsure"]
    tasks[1]["annotations"][1]["result"] = []
    del tasks[2]["annotations"][2]["created_at"]
    return export(tasks[:8])


@pytest.mark.slow
def test_names_and_e_mails_are_in_people_and_nowhere_else(soli, settings, named):
    outputs = [soli("ingest", "--export", named, "--json")]
    store = settings.store
    people = store.read("people").to_pylist()
    assert {row["email"] for row in people} == {user["email"] for user in PEOPLE.values()}
    for name, contract in TABLES.items():
        if not contract.private:
            shown = json.dumps(store.read(name).to_pylist(), default=str)
            assert not any(word in shown for word in NAMES), name
    outputs += [
        soli("annotate", "annotators"),
        soli("annotate", "annotators", "--json"),
        soli("warehouse", "quarantine", "list", "--json"),
        soli("trace", people[0]["annotator_id"]),
        soli("warehouse", "verify"),
        soli("warehouse", "open", "-q", "FROM label_events", "--json"),
        soli("warehouse", "open", "-q", "FROM people"),
    ]
    assert [code for code, _, _ in outputs] == [0] * 7 + [1]
    for _, out, err in outputs:
        assert not any(word in out + err for word in NAMES)


@pytest.mark.slow
def test_people_and_the_lock_are_readable_by_the_owner_alone(soli, settings, named):
    soli("ingest", "--export", named)
    assert (settings.home / "people").stat().st_mode & 0o077 == 0
    assert (settings.home / "writer.lock").stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_token_is_in_no_file_of_the_home_and_in_no_output(soli, settings, named, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", TOKEN)
    outputs = [
        soli("ingest", "--export", named),
        soli("agreement", "report"),
    ]
    assert not any(TOKEN in out + err for _, out, err in outputs)
    for path in settings.home.rglob("*"):
        assert not (path.is_file() and TOKEN.encode() in path.read_bytes()), path


def test_a_password_in_the_address_of_a_video_is_in_no_output(soli, settings, tmp_path):
    file = tmp_path / "pairs.csv"
    rows = (f"https://ann:{TOKEN}@clips.example/a.mp4,b.mp4", f"s3://{TOKEN}@b/a,s3://{TOKEN}@b/a")
    lines = ("path_A,path_B,prompt,VQ", *(f"{row},x,A" for row in (*rows, "a.mp4,b.mp4")))
    file.write_text("\n".join(lines))
    for more in ((), ("--json",)):
        code, out, err = soli("pairs", "import", "videoalign", file, *more)
        assert code == 1
        assert "carries a name or password" in out + err
        assert TOKEN not in out + err


# A session, question after question


def test_a_session_answers_question_after_question_and_survives_mistakes(
    soli, small, monkeypatch, capsys, unchanged
):
    questions = "SELECT 6 * 7 AS a;\nSELEC 1;\nDROP VIEW labels;\nFROM label_progress LIMIT 1\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(questions))
    with unchanged(small.home):
        code, out, err = soli("warehouse", "open")
    assert code == 0
    assert "42" in out
    assert "clip_0" in out
    assert "read-only; tables and views: " in err
    assert "query failed" in err
    assert "people" not in err.split("a query ends")[0]


@pytest.mark.parametrize("end", [";\n", "\n\n", ""])
def test_a_query_of_several_lines_can_be_pasted(soli, small, monkeypatch, end):
    pasted = f"-- its question\nSELECT 6 * 7 AS the_answer,\n  'x' AS b{end}"
    monkeypatch.setattr("sys.stdin", io.StringIO(pasted))
    code, out, err = soli("warehouse", "open")
    assert code == 0
    assert "42" in out
    assert "the_answer" in out
    assert "failed" not in err


# Homes


@pytest.mark.parametrize("character", ["[", "|", "?", "^", "%20", "\\"])
def test_a_home_that_the_tables_cannot_lie_in_is_refused(tmp_path, capsys, named, character):
    from flows.__main__ import run

    home = tmp_path / f"a{character}b"
    assert run(["--home", str(home), "ingest", "--export", str(named)]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith(f"soli: {home} cannot be the home of a warehouse")
    assert not home.exists()


@pytest.mark.slow
def test_a_home_may_have_almost_any_name(soli, settings, small_home, tmp_path):
    from flows.__main__ import run

    home = tmp_path / 'it\'s a "home"; DROP TABLE x -- 100% ünï #&*'
    shutil.copytree(small_home, home, symlinks=True)
    assert run(["--home", str(home), "warehouse", "rebuild"]) == 0
    assert run(["--home", str(home), "warehouse", "open", "-q", "FROM labels LIMIT 1"]) == 0
    assert run(["--home", str(home), "agreement", "report"]) == 0
    assert run(["--home", str(home), "pairs", "build"]) == 0


@pytest.mark.slow
def test_a_home_moved_elsewhere_is_read_there_after_a_rebuild(soli, small, tmp_path):
    moved = tmp_path / "moved"
    small.home.rename(moved)
    from flows.__main__ import run

    assert run(["--home", str(moved), "warehouse", "rebuild"]) == 0
    assert run(["--home", str(moved), "warehouse", "open", "-q", "FROM labels LIMIT 1"]) == 0
    assert run(["--home", str(moved), "pairs", "stats"]) == 0
    assert newest_pair_set(Store(moved))["path"].startswith(str(moved))
    assert newest_model(Store(moved))["path"] == f"{moved}/runs/feedfacefeedface/checkpoint"


@pytest.mark.parametrize("damage", ["file", "log", "face"])
def test_a_damaged_home_is_one_line_and_no_traceback(soli, small, damage):
    home = small.home
    if damage == "face":
        (home / "warehouse.duckdb").resolve().chmod(0o600)
        (home / "warehouse.duckdb").resolve().write_bytes(b"no database")
    else:
        pattern = {"file": "*.parquet", "log": "_delta_log/*.json"}[damage]
        for path in (home / "tables" / "label_events").glob(pattern):
            path.write_bytes(b"damaged")
    asked = {"face": ["warehouse", "open", "-q", "FROM labels"]}.get(
        damage, ["agreement", "report"]
    )
    code, out, err = soli(*asked)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "label_events" in line or "warehouse rebuild" in line
