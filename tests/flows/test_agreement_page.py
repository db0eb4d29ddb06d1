"""The agreement page: every figure drawn from real rows, nothing invented, nothing run."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import pytest

from flows import agreement_plots as plots
from flows.agreement_page import PageRows, flag_words, page_of, write_agreement_page
from flows.exports import ingest_export
from flows.labelling import Labelling
from flows.measure import build, measure

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def texts(path):
    return path.read_text(encoding="utf-8")


def headings(path):
    return re.findall(r"<h2>(.*?)</h2>", texts(path))


@pytest.fixture
def page(small, tmp_path):
    path = tmp_path / "agreement.html"
    page_of(small, measure(small, small.store, dry_run=True), path)
    return path


@pytest.mark.slow
def test_the_page_has_a_figure_for_everything_there_are_rows_of(page):
    assert headings(page) == [
        "Gates",
        "Agreement",
        "Week by week",
        "Who agrees with whom",
        "How often each annotator is right",
        "Share of pass",
        "Pass rates over the data",
        "Annotators",
        "Does a shared Pass mean the same quality?",
    ]
    assert texts(page).count("<svg") == 6


@pytest.mark.slow
def test_no_cell_is_nan_or_none_and_nothing_comes_from_elsewhere(page):
    assert not re.search(
        r"\b(nan|None|NaN)\b", re.sub(r"<svg.*?</svg>", "", texts(page), flags=re.DOTALL)
    )
    assert not re.search(r"<script|<link|src=", texts(page))


@pytest.mark.slow
def test_an_interval_that_is_not_defined_is_one_dash(page):
    assert "– – –" not in texts(page)


def test_names_are_shown_and_not_run(tmp_path):
    row = {
        "dimension": "<script>", "slice": "all", "statistic": "alpha", "value": 0.5, "low": 0.4,
        "high": 0.6, "word": "fair", "reason": None, "items": 3, "labels": 9, "annotators": 3,
    }  # fmt: skip
    empty = {name: [] for name in PageRows.__dataclass_fields__}
    write_agreement_page(
        tmp_path / "p.html", PageRows(**(empty | {"agreement": [row]})), NOON, "item"
    )
    assert "<script>" not in texts(tmp_path / "p.html")
    assert "&lt;script&gt;" in texts(tmp_path / "p.html")


@pytest.mark.slow
def test_gold_labels_show_whether_p_is_calibrated(settings, crowd_tasks, tmp_path, export):
    gold = [dict(task) for task in crowd_tasks]
    store = settings.store
    ingest_export(store, export(gold), labelling=Labelling(("is_indigo_bunting",)))
    build(settings, store)
    path = tmp_path / "agreement.html"
    page_of(settings, measure(settings, store), path)
    assert "Who agrees with whom" in headings(path)


@pytest.mark.parametrize(
    ("draw", "rows"),
    [
        (
            plots.drift,
            [
                {"annotator_id": "a" * 32, "dimension": "shape", "kind": "gold", "period": n,
                 "share": share, "centre": 0.9, "lower": 0.7, "upper": 1.0, "signal": share < 0.7}
                for n, share in enumerate([0.9, 0.85, 0.5], 1)
            ],
        ),
        (
            plots.reliability,
            [
                {"dimension": "shape", "mean_p": p, "share": p, "share_low": p / 2,
                 "share_high": (1 + p) / 2, "items": 9}
                for p in (0.1, 0.9)
            ],
        ),
        (
            plots.dispersion,
            [
                {"dimension": "shape", "labels": 2, "passes": n, "observed": 5, "one_state": 4.5,
                 "threshold": 5.5}
                for n in range(3)
            ],
        ),
    ],
)  # fmt: skip
def test_a_figure_is_one_sound_svg_and_always_the_same(draw, rows):
    text = draw(rows)
    assert ET.fromstring(text).tag.endswith("svg")
    assert draw(rows) == text


def test_flags_are_named():
    assert flag_words('[{"flag":"fast","reason":"..."}]') == ["fast"]
    assert flag_words(None) == []
