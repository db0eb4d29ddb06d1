"""The page of canaries and its figures: sound, whole, and nothing of strangers run."""

import xml.etree.ElementTree as ET

import pytest

from flows import canaries_plots as plots
from flows.canaries import CanaryPlan, CanaryReport, _check_known, keep
from flows.canaries_page import page_of
from training.canary_verdicts import SAID, judge
from warehouse.errors import StoreError

HOSTILE = "<script>alert(1)</script> $ 🎬"


def report(labels=(True, False, None), far=1.0):
    """Seven changes in two dimensions; every one moves the rewards further up."""
    rows = [
        judge(name, dimension, [0.0, 1.0, 2.0], [0.0, 1.0, 2.0 + number * far],
              prompts=["a", "b", "c"], passed=labels, std=1.0, notices=dimension == "looks")
        for dimension in ("looks", HOSTILE)
        for number, name in enumerate(SAID)
    ]  # fmt: skip
    return CanaryReport("0123456789abcdef", HOSTILE, 0.2, rows, {HOSTILE: HOSTILE})


def drawn(found):
    return [vars(row) for row in found.rows]


@pytest.mark.parametrize("far", [0.01, 1.0, 1e6])
def test_effects_of_every_size_are_one_sound_figure(far):
    text = plots.effects(drawn(report(far=far)), 0.2)
    assert ET.fromstring(text).tag.endswith("svg")
    assert "mathdefault" not in text
    assert "<script" not in text


def test_items_of_one_prompt_are_drawn_without_an_interval():
    (row, *_) = drawn(report())
    text = plots.effects([row | {"low": None, "high": None}], 0.2)
    assert ET.fromstring(text).tag.endswith("svg")


def test_what_strangers_wrote_is_shown_and_not_run(tmp_path):
    page_of(report(), tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") > 3
    assert text.count("<svg") == 2
    assert "None" not in text


def test_each_flag_stands_above_with_its_reason(tmp_path):
    found = report()
    page_of(found, tmp_path / "c.html")
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert text.count("<li><b>") == sum(row.flagged for row in found.rows) > 0
    assert text.count("<tr><td>") == len(found.rows)


def test_items_without_labels_have_no_accuracies_to_draw(tmp_path):
    page_of(report(labels=(None, None, None)), tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text(encoding="utf-8").count("<svg") == 1


def test_a_dimension_that_the_model_lacks_is_answered_with_those_it_has():
    with pytest.raises(StoreError, match="no dimension 'grace'; it has looks, motion"):
        _check_known(["motion", "grace"], ["looks", "motion"])


def test_a_full_disk_is_one_line_and_the_earlier_result_stays_whole(tmp_path, monkeypatch):
    planned = CanaryPlan({"path": str(tmp_path / "checkpoint")}, None, None)
    before = keep(planned, report()).read_bytes()

    def full(_path, _text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(StoreError, match=r"canaries\.json cannot be written \(No space left"):
        keep(planned, report(far=2.0))
    assert (tmp_path / "canaries.json").read_bytes() == before
