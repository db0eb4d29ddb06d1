"""Comparisons end to end: a file taken in, revised, and compared with the labels: Table 1."""

import csv
import json

import krippendorff
import numpy as np
import pyarrow as pa
import pytest
import typer

from flows.commands.compare import compare as command
from flows.commands.compare import show_ingested
from flows.comparisons import ingest_comparisons
from flows.exports import ingest_export
from flows.labelling import Labelling
from warehouse.errors import AgreementError, AnnotationError, PlatformError

DIMENSION = "physical_plausibility"
OTHERS = ("semantic_alignment", "subject_deformity")
CATEGORIES = ("A", "B", "both_good", "both_bad")
FIELDS = ("item_a", "item_b", "dimension", "annotator", "category", "judged_at")
PEOPLE = tuple(f"judge{n}@x.example" for n in range(5))

# The paper's Table 1: 75 units with five annotators each.
UNITS, JUDGES = 75, 5
SINGLE = {"alpha": 0.4939, "kappa": 0.4925, "raw": 580 / 750}
PAIRED = {"alpha": 0.3516, "kappa": 0.3494, "raw": 410 / 750}


@pytest.fixture
def write(tmp_path):
    """Write rows to a CSV file; what a row lacks is empty."""

    def call(rows, name="judged.csv"):
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
        return path

    return call


@pytest.fixture
def soli_compare(settings, capsys):
    """Run `soli agreement compare` in the home; returns its JSON, or what it printed."""

    def call(*arguments):
        app = typer.Typer()
        app.command()(command)
        with pytest.raises(SystemExit) as stop:
            app(list(arguments), obj={"home": settings.home, "log_json": None})
        assert stop.value.code in {0, None}
        shown = capsys.readouterr()
        return json.loads(shown.out) if "--json" in arguments else shown.out

    return call


@pytest.fixture(autouse=True)
def _no_faces(monkeypatch, no_faces):
    """Reading faces have their own tests, and take a third of a step's time."""
    monkeypatch.setattr("flows.comparisons.publish", lambda store: None)


@pytest.fixture
def labelled(settings, tasks, export):
    """A home with 40 clips, two a prompt, that three people labelled in three dimensions."""
    ingest_export(settings.store, export(tasks), labelling=Labelling((DIMENSION, *OTHERS)))
    return settings


def row(annotator=PEOPLE[0], category="A", a="clip_000", b="clip_001", **more):
    pair = {"item_a": a, "item_b": b, "dimension": DIMENSION}
    return {**pair, "annotator": annotator, "category": category, **more}


def stored(settings):
    return settings.store.query(
        "SELECT item_a, item_b, category, swapped, revision FROM comparisons ORDER BY ALL"
    ).to_pylist()


def current(settings):
    rows = settings.store.query("FROM judgements ORDER BY item_a, item_b, annotator_id")
    return rows["category"].to_pylist()


def counts(found):
    return found.read, found.new, found.changed, found.known, found.stale, len(found.refused)


# Taking in


def test_the_same_file_again_writes_nothing(settings, write, unchanged):
    path = write([row(person) for person in PEOPLE])
    assert counts(ingest_comparisons(settings, path)) == (5, 5, 0, 0, 0, 0)
    with unchanged(settings.home / "tables"):
        again = ingest_comparisons(settings, path)
    assert counts(again) == (5, 0, 0, 5, 0, 0)
    assert (again.written, again.annotators) == (False, 0)


def test_a_dry_run_counts_the_same_and_writes_nothing(settings, write, unchanged):
    path = write([row(person) for person in PEOPLE])
    with unchanged(settings.home):
        planned = ingest_comparisons(settings, path, dry_run=True)
    assert not planned.written
    assert counts(planned) == counts(ingest_comparisons(settings, path))


def test_a_changed_judgement_is_a_revision_and_the_view_shows_the_newest(settings, write):
    ingest_comparisons(settings, write([row(), row(PEOPLE[1], "B")]))
    before = settings.store.query("SELECT now() AS t")["t"][0].as_py()
    turned = row(a="clip_001", b="clip_000", category="A")
    found = ingest_comparisons(settings, write([turned]))
    assert counts(found) == (1, 0, 1, 0, 0, 0)
    assert [r["revision"] for r in stored(settings)] == [1, 1, 2]
    assert sorted(current(settings)) == ["B", "B"]
    then = settings.store.query("FROM judgements_as_of($t)", {"t": before})
    assert sorted(then["category"].to_pylist()) == ["A", "B"]
    assert counts(ingest_comparisons(settings, write([row()]))) == (1, 0, 1, 0, 0, 0)
    assert max(r["revision"] for r in stored(settings)) == 3


def test_of_two_sources_the_judgement_that_came_last_counts(settings, write):
    ingest_comparisons(settings, write([row(), row(PEOPLE[1])]))
    mine = settings.store.query("FROM comparisons").drop(["observed_at"])
    other = mine.set_column(0, "source", pa.array(["another"] * 2))
    settings.store.append("comparisons", other.set_column(6, "category", pa.array(["B"] * 2)))
    assert current(settings) == ["B", "B"]
    assert ingest_comparisons(settings, write([row()])).known == 1


def test_bad_rows_are_refused_by_number_and_the_others_go_in(settings, write, capsys):
    rows = [
        row(category="tie"),
        row(PEOPLE[1]),
        row(PEOPLE[2], b="clip_000"),
        row(PEOPLE[3], "A"),
        row(PEOPLE[3].upper(), "B"),
        row(PEOPLE[4], judged_at="noon"),
        row(annotator=""),
    ]
    found = ingest_comparisons(settings, write(rows))
    assert counts(found) == (7, 1, 0, 0, 0, 6)
    assert [each.row for each in found.refused] == [1, 3, 4, 5, 6, 7]
    assert settings.store.read("people").num_rows == 1
    with pytest.raises(typer.Exit) as stop:
        show_ingested(found, json=False)
    assert stop.value.exit_code == 1
    shown = capsys.readouterr()
    assert "refused, row 1: category 'tie'" in shown.err
    assert "judge3" not in shown.err + shown.out


def test_without_a_refused_row_the_command_ends_well(settings, write, capsys):
    show_ingested(ingest_comparisons(settings, write([row()])), json=True)
    assert json.loads(capsys.readouterr().out)["new"] == 1


def test_ids_that_break_sql_csv_and_terminals_come_back_as_they_are(settings, write):
    a, b = 'o\'clock "x"; DROP\nTABLE --', "\U0001f3c0 clip"
    ingest_comparisons(settings, write([row(a=b, b=a, category="both_bad")]))
    assert stored(settings) == [
        {"item_a": a, "item_b": b, "category": "both_bad", "swapped": True, "revision": 1}
    ]
    again = ingest_comparisons(settings, write([row(a=a, b=b, category="both_bad")]))
    assert again.known == 1


def test_one_annotator_under_two_spellings_and_two_projects_is_one(settings, write, export, tasks):
    """The e-mail of Label Studio's user 11, in the case that somebody typed."""
    for task in tasks:
        for each in task["annotations"]:
            if each["completed_by"] == 11:
                each["completed_by"] = {"id": 11, "email": "Ann@X.example"}
    ingest_export(settings.store, export(tasks[:3]), labelling=Labelling((DIMENSION,)))
    rows = [row("ANN@x.example"), row("ann@X.EXAMPLE ", a="clip_002"), row("bob@x.example")]
    found = ingest_comparisons(settings, write(rows))
    assert found.annotators == 1
    people = settings.store.read("people").to_pylist()
    (ann,) = {p["annotator_id"] for p in people if (p["email"] or "").lower() == "ann@x.example"}
    judges = settings.store.read("comparisons")["annotator_id"].to_pylist()
    assert judges.count(ann) == 2
    again = ingest_comparisons(settings, write([row(ann)]))
    assert (again.known, again.annotators) == (1, 0)


def test_no_name_and_no_e_mail_is_stored_outside_people(settings, write):
    ingest_comparisons(settings, write([row("Ann Example"), row("bob@x.example")]))
    for path in (settings.home / "tables").rglob("*.parquet"):
        content = path.read_bytes()
        assert b"Ann Example" not in content
        assert b"bob@" not in content
    names = settings.store.read("people").select(["name", "email", "user_id"]).to_pylist()
    assert sorted(names, key=lambda each: each["user_id"]) == [
        {"name": "Ann Example", "email": None, "user_id": 1},
        {"name": None, "email": "bob@x.example", "user_id": 2},
    ]


def test_own_categories_come_from_the_settings(settings, write):
    own = settings.model_copy(update={"comparisons": {"categories": ["left", "right", "tie"]}})
    found = ingest_comparisons(own, write([row(category="tie"), row(PEOPLE[1], "A")]))
    assert counts(found) == (2, 1, 0, 0, 0, 1)
    assert "left, right, tie" in found.refused[0].reason
    for wrong in (["A"], ["A", "A"], "A", [1, 2]):
        bad = settings.model_copy(update={"comparisons": {"categories": wrong}})
        with pytest.raises(PlatformError, match="categories"):
            ingest_comparisons(bad, write([row()]))


def test_a_file_that_is_none_writes_nothing(settings, tmp_path):
    with pytest.raises(AnnotationError, match="no such file"):
        ingest_comparisons(settings, tmp_path / "none.csv")
    assert not settings.home.exists()


# Table 1


def agreeing(counts):
    """Agreeing pairs of answers over all units: counts (..., N, K) -> (...)."""
    return (counts * (counts - 1) // 2).sum(axis=(-1, -2))


def kappas(counts):
    """Fleiss' kappa of (..., N, K) counts, by its formula of 1971."""
    raw = agreeing(counts) / (UNITS * JUDGES * (JUDGES - 1) / 2)
    chance = ((counts.sum(axis=-2) / (UNITS * JUDGES)) ** 2).sum(axis=-1)
    return (raw - chance) / (1 - chance)


def simulated(target, shares, accuracy):
    """(75, 5) answers with the table's raw agreement exactly and its kappa within 0.002.

    Units have a true category by `shares`; a judge says it with `accuracy`, else any by `shares`.
    Such annotators are drawn again until the numbers are met.
    """
    rng, k = np.random.default_rng(0), len(shares)
    while True:
        truth, other = (rng.choice(k, p=shares, size=(500, UNITS, n)) for n in (1, JUDGES))
        answers = np.where(rng.random(other.shape) < accuracy, truth, other)
        found = np.stack([(answers == c).sum(axis=-1) for c in range(k)], axis=-1)
        exact = agreeing(found) == round(target["raw"] * 750)
        near = np.flatnonzero(exact & (np.abs(kappas(found) - target["kappa"]) < 0.002))
        if len(near):
            return answers[near[0]]


@pytest.fixture(scope="module")
def table_1():
    """Answers of both tasks: 0 is pass and A."""
    single = simulated(SINGLE, (0.66, 0.34), SINGLE["kappa"] ** 0.5)
    return single, simulated(PAIRED, (0.42, 0.29, 0.15, 0.14), PAIRED["kappa"] ** 0.5)


def task_of(item, answers, number):
    """Task of a Label Studio export: one dimension, judged by five people who have e-mails."""
    when = "2026-01-02T10:00:00.000000Z"
    choices = {"from_name": DIMENSION, "to_name": "video", "type": "choices"}
    annotations = [
        {
            "id": 10 * number + person,
            "completed_by": {"id": person + 1, "email": PEOPLE[person]},
            "created_at": when,
            "updated_at": when,
            "result": [{**choices, "value": {"choices": [("Pass", "Fail")[answer]]}}],
        }
        for person, answer in enumerate(answers.tolist())
    ]
    data = {"item_id": item, "prompt": f"prompt of {item}", "video": "https://x.example/v.mp4"}
    task = {"id": number, "project": 1, "created_at": when, "updated_at": when, "data": data}
    return {**task, "annotations": annotations}


@pytest.fixture
def both_tasks(settings, table_1, export, write):
    """A home that holds both tasks of Table 1."""
    single, paired = table_1
    made = [task_of(f"clip_{n:03d}", answers, n + 1) for n, answers in enumerate(single)]
    ingest_export(settings.store, export(made), labelling=Labelling((DIMENSION,)))
    shown = [
        row(PEOPLE[person], CATEGORIES[choice], f"left_{pair:03d}", f"right_{pair:03d}")
        for pair, answers in enumerate(paired)
        for person, choice in enumerate(answers)
    ]
    assert ingest_comparisons(settings, write(shown)).new == UNITS * JUDGES
    return settings


@pytest.mark.slow
def test_table_1_is_repeated_by_the_command(both_tasks, soli_compare, table_1):
    found = soli_compare("--json")
    rows = {(r["task"], r["statistic"]): r for r in found["tasks"]}
    for task, expected, most in (("single_item", SINGLE, 0.01), ("comparison", PAIRED, 0.02)):
        for statistic, value in expected.items():
            assert rows[task, statistic]["value"] == pytest.approx(value, abs=most)
        shape = {name: rows[task, "raw"][name] for name in ("items", "labels", "annotators")}
        assert shape == {"items": UNITS, "labels": UNITS * JUDGES, "annotators": JUDGES}
        assert rows[task, "raw"]["value"] == pytest.approx(expected["raw"], abs=1e-12)
    words = [rows[task, "alpha"]["word"] for task in ("single_item", "comparison")]
    assert words == ["moderate", "fair"]
    for name, answers in zip(("single_item", "comparison"), table_1, strict=True):
        alpha = krippendorff.alpha(answers.T, level_of_measurement="nominal")
        assert rows[name, "alpha"]["value"] == pytest.approx(alpha, abs=1e-9)


def test_the_differences_of_table_1_come_with_intervals(both_tasks, soli_compare):
    found = soli_compare("--json")
    rows = {row["statistic"]: row for row in found["differences"]}
    assert rows["raw"]["value"] == pytest.approx(170 / 750, abs=1e-12)
    assert rows["raw"]["low"] > 0.1
    assert rows["kappa"]["low"] < 0.1431 < rows["kappa"]["high"]
    assert {row["shared_annotators"] for row in rows.values()} == {JUDGES}
    assert sum(r["labels"] for r in found["answers"] if r["task"] == "comparison") == 375
    assert found["alone"] == {}


@pytest.mark.slow
def test_the_table_is_printed_like_the_papers(both_tasks, soli_compare):
    out = soli_compare("--dimension", DIMENSION)
    for words in ("single_item", "comparison", "0.7733 [", "0.5467 [", "moderate", "fair"):
        assert words in out
    (difference,) = (line for line in out.splitlines() if line.startswith(" difference"))
    assert "0.2267 [" in difference
    assert "5 in both" in difference
    assert "both_good" in out


@pytest.mark.slow
def test_prompts_are_drawn_for_both_tasks_where_the_pairs_items_are_known(
    labelled, write, soli_compare
):
    """Two clips a prompt, compared by three people."""
    rows = [
        row(
            f"judge {p}",
            CATEGORIES[(n + p * (n % 3 == 0)) % 4],
            f"clip_{n:03d}",
            f"clip_{n + 1:03d}",
        )
        for n in range(0, 40, 2)
        for p in range(3)
    ]
    ingest_comparisons(labelled, write(rows))
    joint, apart = (soli_compare("--json", "--unit", unit) for unit in ("prompt", "item"))
    for one, other in zip(joint["differences"], apart["differences"], strict=True):
        assert one["value"] == other["value"]
        assert one["low"] < one["value"] < one["high"]
    assert joint["differences"][0]["low"] != apart["differences"][0]["low"]
    assert joint["alone"] == dict.fromkeys(OTHERS, "single_item")


# Bad input


@pytest.mark.slow
def test_pairs_of_unknown_items_or_of_two_prompts_need_the_unit_item(labelled, write, soli_compare):
    ingest_comparisons(labelled, write([row(p, a="x", b="y") for p in PEOPLE]))
    with pytest.raises(AgreementError, match=r"not known here.*--unit item"):
        soli_compare("--unit", "prompt")
    assert "1.0000" in soli_compare("--unit", "item")  # one pair, on which nobody disagrees


def test_a_dimension_that_does_not_exist_is_named_with_those_that_do(both_tasks, soli_compare):
    with pytest.raises(AgreementError, match=rf"dimension colour was not.*{DIMENSION}"):
        soli_compare("--dimension", "colour")


def test_without_overlap_or_comparisons_the_next_step_is_said(labelled, write, soli_compare):
    with pytest.raises(AgreementError, match="soli ingest --comparisons FILE"):
        soli_compare()
    ingest_comparisons(labelled, write([{**row(), "dimension": "sound"}]))
    with pytest.raises(AgreementError, match=r"no dimension was judged.*comparisons of sound"):
        soli_compare()


def test_a_category_that_the_settings_no_longer_name_is_refused(both_tasks, soli_compare, tmp_path):
    (tmp_path / "soli.toml").write_text('[comparisons]\ncategories = ["A", "B", "tie"]\n')
    with pytest.raises(AgreementError, match=r"outside A, B, tie .*soli.toml"):
        soli_compare()
