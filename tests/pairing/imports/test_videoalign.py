"""VideoAlign's CSV and VideoGen-RewardBench, as their own files have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairing.imports import read_foreign
from warehouse.errors import PairingError

EXAMPLE = Path(__file__).parents[2] / "data" / "imports" / "videoalign.csv"
# Of the data set's own README, and one with a tie and a comma in the prompt.
BENCHMARK = """path_A,path_B,A_model,B_model,prompt,VQ,MQ,TA,Overall,fps_A,fps_B
videos/kling1.5/k_1.mp4,videos/minimax/m_1.mp4,kling1.5,minimax,a metal ball rolls,A,A,B,A,30,25
videos/kling1.5/k_2.mp4,videos/sora/s_2.mp4,kling1.5,sora,"a cat, asleep",same,B,same,same,30,30
"""


def said(foreign):
    return [(e.row, Path(e.a.key).stem, e.dimension, e.category) for e in foreign.judged]


def test_the_example_says_what_was_published():
    foreign = read_foreign(EXAMPLE, "videoalign")
    assert foreign.refused == []
    assert [(row, dimension, category) for row, _, dimension, category in said(foreign)] == [
        (1, "subject_deformity", "B"),
        (1, "physical_plausibility", "B"),
        (1, "semantic_alignment", "A"),
        (2, "subject_deformity", "same"),
        (2, "physical_plausibility", "same"),
        (2, "semantic_alignment", "A"),
        (3, "subject_deformity", "A"),
        (3, "physical_plausibility", "same"),
        (3, "semantic_alignment", "same"),
    ]
    assert foreign.judged[0].a.key == "videos/example_1_A.mp4"


def test_the_benchmark_adds_generators_and_an_overall_judgement(tmp_path):
    path = tmp_path / "bench.csv"
    path.write_text(BENCHMARK)
    foreign = read_foreign(path, "videogen-rewardbench")
    assert foreign.refused == []
    assert (foreign.rows, len(foreign.judged)) == (2, 8)
    assert {(e.a.generator, e.b.generator) for e in foreign.judged} == {
        ("kling1.5", "minimax"),
        ("kling1.5", "sora"),
    }
    assert foreign.judged[-1].a.prompt == "a cat, asleep"
    overall = [e.category for e in foreign.judged if e.dimension == "overall"]
    assert overall == ["A", "same"]


def test_only_the_columns_that_are_named_are_read(csv_file):
    path = csv_file(("a", "b", "x", "A", "B", "same"))
    foreign = read_foreign(path, "videoalign", {"MQ": "motion"})
    assert said(foreign) == [(1, "a", "motion", "B")]
    for row in (("a", "b", "x", "A", "B", "same"), ("a", "b", "x", "A", "B", "same", "more")):
        with pytest.raises(PairingError, match="no column Physics; there are: path_A"):
            read_foreign(csv_file(row), "videoalign", {"Physics": "physics"})


def test_a_mark_at_the_start_and_other_line_ends_change_nothing(csv_file):
    row = ("a", "b", "x", "A", "", "invalid")
    plain = said(read_foreign(csv_file(row), "videoalign"))
    assert plain == [(1, "a", "subject_deformity", "A")]
    marked = csv_file(row, newline="\r\n", start="\ufeff")
    assert said(read_foreign(marked, "videoalign")) == plain


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("a", "./a", "x", "A", "", ""), "both videos are 'a'"),
        (("", "b", "x", "A", "", ""), "path_A is ''"),
        (("a", "b", " ", "A", "", ""), "prompt is ' '"),
        (("a", "b", "x", "C", "", ""), "VQ is 'C'; write A, B or same"),
        (("a", "b", "x", "A", "", "", "more"), "more or fewer cells"),
        (("a", "b", "x"), "more or fewer cells"),
    ],
)
def test_a_bad_row_is_refused_alone(csv_file, row, words):
    foreign = read_foreign(csv_file(("c", "d", "y", "B", "", ""), row), "videoalign")
    assert said(foreign) == [(1, "c", "subject_deformity", "B")]
    (refused,) = foreign.refused
    assert refused.row == 2
    assert words in refused.reason


@pytest.mark.parametrize(
    "row",
    [
        ("https://ann:secret@clips.example/a.mp4", "b", "x", "A", "", ""),
        ("b", "s3://ann:secret@bucket/a.mp4", "x", "A", "", ""),
        ("https://ann:secret@[/a.mp4", "https://ann:secret@[/a.mp4", "x", "A", "", ""),
    ],
)
def test_a_password_in_an_address_is_refused_unseen(csv_file, row):
    foreign = read_foreign(csv_file(("c", "d", "y", "B", "", ""), row), "videoalign")
    assert said(foreign) == [(1, "c", "subject_deformity", "B")]
    (refused,) = foreign.refused
    assert "carries a name or password" in refused.reason
    assert "secret" not in refused.reason


def test_of_a_good_row_one_bad_judgement_is_refused_alone(csv_file):
    foreign = read_foreign(csv_file(("a", "b", "x", "A", "maybe", "B")), "videoalign")
    assert [(e.dimension, e.category) for e in foreign.judged] == [
        ("subject_deformity", "A"),
        ("semantic_alignment", "B"),
    ]
    assert "MQ is 'maybe'" in foreign.refused[0].reason


def test_rows_that_judge_nothing_are_counted(csv_file):
    rows = (("a", "b", "x", "", "", ""), ("a", "c", "x", "invalid", "", "A"))
    foreign = read_foreign(csv_file(*rows), "videoalign")
    assert (foreign.silent, foreign.refused) == (1, [])


def test_a_video_with_two_prompts_is_refused_wherever_it_stands(csv_file):
    rows = [
        ("a", "b", "x", "A", "A", ""),
        ("a", "c", "another", "B", "B", ""),
        ("d", "e", "z", "B", "", ""),
    ]
    for order in (rows, rows[::-1]):
        foreign = read_foreign(csv_file(*order), "videoalign")
        assert {e.a.path for e in foreign.judged} == {"d"}
        assert len(foreign.refused) == 2
        assert all("has one prompt in row" in each.reason for each in foreign.refused)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no column path_A, path_B, prompt; there are: none"),
        (b"a,b\n1,2\n", "no column path_A, path_B, prompt; there are: a, b"),
        (b"path_A,path_B,prompt,VQ\n", "holds no pair"),
        (b"path_A,path_B,prompt\na,b,x\n", "no column VQ, MQ, TA"),
        (b"path_A,path_B,prompt,VQ,VQ\na,b,x,A,A\n", "column 'VQ' stands twice"),
        (b'path_A,path_B,prompt,VQ\na,b,"x,A\n', "unexpected end of data"),
        (b"path_A,path_B,prompt,VQ\na,b,\xff,A\n", "no readable videoalign file"),
        (b"[]", "no column"),
    ],
)
def test_a_bad_file_is_one_error(tmp_path, content, words):
    path = tmp_path / "pairs.csv"
    path.write_bytes(content)
    with pytest.raises(PairingError, match=words) as caught:
        read_foreign(path, "videoalign")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_and_an_unknown_form_are_said(tmp_path):
    with pytest.raises(PairingError, match="No such file"):
        read_foreign(tmp_path / "none.csv", "videoalign")
    with pytest.raises(PairingError, match="Is a directory"):
        read_foreign(tmp_path, "videoalign")
    with pytest.raises(PairingError, match=r"'nope'; choose one of videoalign, videogen-reward"):
        read_foreign(tmp_path, "nope")
