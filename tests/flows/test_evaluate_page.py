"""The page of an evaluation and its figures: sound, whole, and nothing of strangers run."""

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from flows import evaluate_plots as plots
from flows.evaluate import Evaluation, evaluate
from flows.evaluate_page import page_of
from flows.evaluate_table import missing_reasons, side_by_side
from flows.settings import Settings

HOSTILE = "<script>alert(1)</script> $ 🎬"
MODELS = [HOSTILE, "b" * 60]
KEYS = [
    {"model": model, "dimension": dimension, "split": split}
    for model in MODELS
    for dimension in ("looks", HOSTILE)
    for split in ("validation", "test", "ood")
]
SCORES = [
    key | {"passed": [1.0, 2.0, 2.0], "failed": [0.0, number], "unlabelled": [0.5],
           "levels": [[2.0, 0.4]], "clustered": True}
    for number, key in enumerate(KEYS)
]  # fmt: skip
BINS = [
    key | {"low": low, "high": low + 0.05, "pairs": 9, "predicted": low + 0.02, "observed": 0.6}
    for key in KEYS
    for low in (0.5, 0.9)
]
RANKS = [
    key | {"rank": rank, "items": 4, "mean": 0.0, "low": -1.0, "quarter": -0.5, "median": 0.0,
           "three_quarters": 0.5, "high": 1.0}
    for key in KEYS
    for rank in (1, 2, 99)
]  # fmt: skip
FIGURES = [
    (plots.distributions, SCORES),
    (plots.pass_and_fail, SCORES),
    (plots.reliability, BINS),
    (plots.advantages, RANKS),
]


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "rows"), FIGURES)
def test_a_figure_is_one_sound_svg_and_the_same_in_any_order_of_rows(draw, rows):
    text = draw(rows, MODELS)
    assert ET.fromstring(text).tag.endswith("svg")
    assert draw(rows[::-1], MODELS) == text
    assert "<script" not in text


@pytest.mark.parametrize(("draw", "rows"), FIGURES)
def test_a_figure_of_one_row_is_drawn_be_it_validation(draw, rows):
    assert ET.fromstring(draw(rows[:1], MODELS[:1])).tag.endswith("svg")


def test_a_part_without_failed_items_is_drawn():
    rows = [SCORES[1] | {"failed": [], "passed": [1.0]}]
    assert ET.fromstring(plots.pass_and_fail(rows, MODELS[:1])).tag.endswith("svg")


METRIC = {"group": None, "metric": "acc", "value": 0.5, "low": 0.25, "high": 1.0, "reason": None}
FOUND = Evaluation(
    HOSTILE,
    MODELS,
    explicit=True,
    metrics=[key | METRIC | {"pairs": 4, "items": 3} for key in KEYS],
    warnings=[HOSTILE],
    notes=[HOSTILE],
)


def test_what_strangers_wrote_is_shown_and_not_run(tmp_path):
    page_of(FOUND, tmp_path / "e.html")
    text = (tmp_path / "e.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 10
    assert "<svg" not in text  # there is no row to draw


def test_stars_are_explained_where_there_is_one(tmp_path):
    for clustered in (True, False):
        scores = [SCORES[0] | {"clustered": clustered, "levels": []}]
        page_of(replace(FOUND, scores=scores), tmp_path / "e.html")
        text = (tmp_path / "e.html").read_text(encoding="utf-8")
        assert ("* Scores cluster" in text) == clustered


def test_models_stand_below_one_another_and_splits_beside(tmp_path):
    rows, columns = side_by_side(FOUND)
    assert columns == ["dimension", "metric", "model", "validation", "test", "ood"]
    acc = [row for row in rows if row["metric"] == "acc"]
    assert [row["model"] for row in acc] == MODELS * 2
    assert acc[0]["ood"] == "0.500 [0.250, 1.000]"
    assert [row["metric"] for row in rows[:3]] == ["pairs", "pairs", "items"]


def test_a_reason_is_said_once_with_its_metrics():
    lost = {"value": None, "reason": "nobody knows"}
    rows = [key | METRIC | lost | {"metric": name} for key in KEYS[:2] for name in ("acc", "auc")]
    assert missing_reasons(Evaluation("p", MODELS, explicit=False, metrics=rows)) == [
        "– in acc, auc: nobody knows"
    ]


@pytest.fixture(scope="module")
def page(small_home, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "evaluation.html"
    page_of(evaluate(Settings(home=small_home).store, by="generator", dry_run=True), path)
    return path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_has_every_figure_and_both_tables(page):
    assert page.count("<svg") == 4 - 1  # two items a prompt: no group advantage
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Warnings",
        "Metrics",
        "How scores are distributed",
        "Pass and fail",
        "Does the win probability come true?",
    ]
    shown = re.findall(r'<table id="([a-z-]+)">', page)
    assert shown == ["metrics", "all-metrics", "reliability"]


@pytest.mark.slow
def test_no_cell_is_nan_or_none_and_nothing_comes_from_elsewhere(page):
    without = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(nan|None|NaN)\b", without)
    assert not re.search(r"<script|<link|src=", page)
    assert "no&lt;b&gt;rth" in page


@pytest.mark.slow
def test_the_command_writes_the_page_unless_it_is_a_rehearsal(small, soli, tmp_path):
    path = tmp_path / "out" / "e.html"
    assert soli("evaluate", "--page", path, "--dry-run")[0] == 0
    assert not path.exists()
    assert soli("evaluate", "--page", path)[0] == 0
    assert "<svg" in path.read_text(encoding="utf-8")


def test_a_folder_is_no_page(small, soli, tmp_path):
    code, _, error = soli("evaluate", "--page", tmp_path)
    assert code == 2
    assert "is a folder; name a file in it" in error
