"""The page of a pair set: what it is, every figure drawn from its rows, nothing run."""

import json
import os
import re
import stat

import pytest

from flows.pair import read, statistics_of
from flows.pair_page import PairPage, leakage_words, page_of, write_pair_page
from flows.settings import Settings


@pytest.fixture(scope="module")
def made(small_home):
    """Pair set of the small home, its statistics, and its page."""
    store = Settings(home=small_home).store
    pair_set = read(store)
    return pair_set, statistics_of(store, pair_set)


@pytest.fixture(scope="module")
def page(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "pairs.html"
    page_of(*made, path)
    return path.read_text(encoding="utf-8")


def cells(page, table):
    body = re.search(rf'<table id="{table}">(.*?)</table>', page, flags=re.DOTALL)[1]
    rows = body.split("<tr>")[2:]
    return [
        [re.sub(r"<.*", "", cell, flags=re.DOTALL).strip() for cell in re.split("<td[^>]*>", row)]
        for row in rows
    ]


def without_rows(made, **changes):
    """A page without rows, on which no figure costs time."""
    pair_set, tables = made
    return PairPage(pair_set.manifest | changes, {name: [] for name in tables})


@pytest.mark.slow
def test_the_page_says_what_the_set_is(made, page):
    pair_set, _ = made
    assert pair_set.pair_set_id in page
    assert pair_set.digest in page
    assert "seed&#34;: 0" in page
    assert pair_set.manifest["as_of"][:10] in page


@pytest.mark.slow
def test_the_page_has_every_figure(page):
    assert page.count("<svg") == 6
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "Warnings",
        "Leakage",
        "Pairs",
        "Which generators meet",
        "How often items are used",
        "How many prompts are used",
        "How old the labels are",
        "How sure the labels are",
        "Recipe",
    ]


def test_the_counts_are_those_of_the_set(made, page):
    pair_set, _ = made
    sums = [int(row[-1].replace(",", "")) for row in cells(page, "counts")]
    assert sum(sums) == pair_set.pairs.num_rows


def test_splits_stand_in_the_order_that_people_know(page):
    splits = [row[2] for row in cells(page, "exposure") if row[1] == "Physical plausibility"]
    assert list(dict.fromkeys(splits)) == ["train", "validation", "test", "ood"]


def test_each_warning_of_the_manifest_is_on_the_page(made, page):
    pair_set, _ = made
    listed = re.search(r'<ul id="warnings">(.*?)</ul>', page, flags=re.DOTALL)[1]
    assert listed.count("<li>") == len(pair_set.manifest["warnings"]) > 0


def test_no_cell_is_nan_or_none_and_nothing_comes_from_elsewhere(page):
    without = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(nan|None|NaN)\b", without)
    assert not re.search(r"<script|<link|src=", page)


def test_what_strangers_wrote_is_shown_and_not_run(made, tmp_path):
    hostile = "<script>alert('x')</script>"
    recipe = made[0].manifest["recipe"] | {"name": hostile}
    facts = without_rows(
        made, recipe=recipe, warnings=[hostile], code_version=hostile, left_out={hostile: {"a": 1}}
    )
    key = {"dimension": hostile, "split": "train", "kind": "win_lose", "pairs": 3}
    facts.tables["counts"].append(key)
    write_pair_page(tmp_path / "p.html", facts)
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 4


def test_a_set_against_a_gate_says_why_it_was_built(made, tmp_path):
    over = {"reason": "the <b>pilot", "obstacles": [{"dimension": "looks", "reason": "low alpha"}]}
    write_pair_page(tmp_path / "p.html", without_rows(made, override=over, warnings=[]))
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<li>looks: low alpha" in text
    assert "<li>Built all the same, with the reason: the &lt;b&gt;pilot" in text


def test_a_set_without_moment_labels_or_warnings_has_its_page(made, tmp_path):
    write_pair_page(tmp_path / "p.html", without_rows(made, as_of=None, warnings=[]))
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "known at\n an unknown time" in text
    assert "How old the labels are" not in text
    assert "<svg" not in text
    assert "None." in text


def test_a_leak_is_said_and_shared_prompts_out_of_domain_are_allowed():
    row = {"what": "video", "split": "train", "other_split": "ood", "shared": 1}
    leak = {"what": "prompt", "split": "train", "other_split": "test", "shared": 1_200}
    none = leak | {"shared": 0}
    assert leakage_words([row, none]) == [
        (True, "No prompt and no video stands in two of train, validation and test"),
        (True, "1 video stands in train and in ood, which is allowed"),
    ]
    assert leakage_words([leak]) == [(False, "1,200 prompts stand in train and in test")]


@pytest.mark.slow
def test_the_command_writes_the_page_and_counts(small, soli, tmp_path):
    code, shown, _ = soli("pairs", "stats", "--page", tmp_path / "out" / "pairs.html", "--json")
    assert code == 0
    assert "<svg" in (tmp_path / "out" / "pairs.html").read_text(encoding="utf-8")
    said = json.loads(shown)
    assert {"exposure_histogram", "probabilities", "counts"} <= set(said)
    assert {"dimension", "split", "items", "median"} <= set(said["label_age"][0])


def test_the_command_shows_no_histogram_on_the_terminal(small, soli):
    code, shown, _ = soli("pairs", "stats")
    assert code == 0
    assert "Exposure\n" in shown
    assert "histogram" not in shown


def test_a_folder_is_no_page(small, soli, tmp_path):
    code, _, error = soli("pairs", "stats", "--page", tmp_path)
    assert code == 2
    assert "is a folder; name a file in it" in error


def test_a_page_that_cannot_be_written_is_one_line_and_leaves_nothing(small, soli, tmp_path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe")
    code, _, error = soli("pairs", "stats", "--page", tmp_path / "file" / "p.html")
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("soli: page ")
    code, _, error = soli("pairs", "stats", "--page", tmp_path / "pipe")
    assert code == 2
    assert "is there and is no file; name another" in " ".join(error.split())
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))
