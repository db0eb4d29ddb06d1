"""What reads speaks JSON, what writes has a dry run; whatever the command."""

import json

import pytest

READING = [
    ["agreement", "report", "--dry-run"],
    ["agreement", "verify"],
    ["annotate", "annotators"],
    ["canaries", "--dry-run"],
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


@pytest.mark.slow
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


WRITING = [
    ["agreement", "report"],
    ["canaries"],
    ["consensus", "build"],
    ["evaluate"],
    ["pairs", "build"],
    ["score"],
    ["train", "--recipe", "tiny-test"],
    ["annotate", "project", "create"],
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WRITING, ids=" ".join)
def test_a_dry_run_leaves_every_file_and_every_row_as_it_was(soli, small, unchanged, arguments):
    with unchanged(small.home):
        code, out, _ = soli(*arguments, "--dry-run")
    assert code == 0
    assert out
