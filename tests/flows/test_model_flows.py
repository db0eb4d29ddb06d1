"""What the flows of training, scoring and the night show to decide from."""

import json

import pytest

from flows import pair
from flows.model_flows import scored_page, trained_page
from flows.nightly import markdown
from flows.train import Trained, newest_model


@pytest.fixture
def trained(small):
    """The hand-made run of the small home, as a training returns it."""
    run = newest_model(small.store)
    job = small.home / "runs" / run["run_id"]
    (job / "metrics.json").write_text(json.dumps({"test": {"look|s": {"acc": 0.75}}}))
    where = {"pair_set_id": run["pair_set_id"], "path": job / "checkpoint"}
    return Trained(run["model_id"], run["run_id"], **where, seconds=90, steps=8, peak_rss_bytes=0)


@pytest.mark.slow
def test_a_training_shows_its_numbers_and_its_curve(trained):
    page = trained_page(trained)
    assert f"# Model {trained.model_id[:12]}" in page
    assert "| minutes | 1.5 |" in page
    assert r"| test.look\|s.acc | 0.750 |" in page
    assert "](data:image/svg+xml;base64," in page


@pytest.mark.slow
def test_a_scoring_shows_counts_spread_and_accuracy(small, trained):
    page = scored_page(small, trained.model_id, {"new rewards": 120, "predictions": 0}, ["a", "b"])
    assert "| 120 | 0 |" in page
    assert page.count("| 40 |") == 3  # items in each dimension
    assert "| test | 1.000 |" in page or "| test | 0." in page
    assert page.endswith("- not scored: `a`\n- not scored: `b`")


@pytest.mark.slow
@pytest.mark.parametrize(("new", "words"), [(True, "New; digest"), (False, "The same as before")])
def test_a_night_shows_its_set_with_figures_and_whether_it_is_new(small, new, words):
    pair_set = pair.read(small.store)
    built = pair.Built(
        pair_set.pair_set_id,
        pair_set.digest,
        small.home,
        [{"dimension": "d", "split": "train", "kind": "win_lose", "pairs": 1234}],
    )
    statistics = pair.statistics_of(small.store, pair_set)
    rows = {name: table.to_pylist() for name, table in statistics.items()}
    page = markdown(built, rows, new=new)
    assert words in page
    assert "| d | train | win_lose | 1,234 |" in page
    assert page.count("](data:image/svg+xml;base64,") == 2
