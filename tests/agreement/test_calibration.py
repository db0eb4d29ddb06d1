"""P(pass) held against gold labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from agreement.calibration import (
    SPREAD,
    calibrate,
    calibration_error,
    reliability,
)
from warehouse.errors import AgreementError


def world(items, seed, *, slope=1.0, intercept=0.0, spread=3.0):
    """P whose log odds, times slope plus intercept, are the true ones; and the truth."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.3, spread, items)
    truth = rng.random(items) < 1 / (1 + np.exp(-(slope * odds + intercept)))
    return np.round(1 / (1 + np.exp(-odds)), 6), truth.astype(np.int64)


def gold(truth, known):
    """The truth of the first items alone."""
    return np.where(np.arange(len(truth)) < known, truth, -1)


def brier(p, truth):
    return ((p - truth) ** 2).mean()


def log_odds(p):
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


def mode(p, truth):
    """The same posterior, maximised by somebody else."""
    x = log_odds(p)

    def loss(line):
        odds = line[0] * x + line[1]
        misses = (np.logaddexp(0, odds) - truth * odds).sum()
        return misses + ((line[0] - 1) ** 2 + line[1] ** 2) / (2 * SPREAD**2)

    return minimize(loss, [1, 0], method="BFGS", options={"gtol": 1e-6}).x


def test_many_gold_labels_find_the_line():
    p, truth = world(20_000, 1, slope=0.4, intercept=-0.5)
    found = calibrate(p, truth)
    assert found.slope == pytest.approx(0.4, abs=0.03)
    assert found.intercept == pytest.approx(-0.5, abs=0.05)
    assert found.gold_items == 20_000
    assert found.reason is None


@pytest.mark.parametrize("known", [40, 400])
def test_the_line_is_the_mode_that_an_optimiser_finds(known):
    p, truth = world(known, 2, slope=0.1, intercept=-0.5)
    found = calibrate(p, truth)
    assert [found.slope, found.intercept] == pytest.approx(mode(p, truth), abs=1e-4)
    assert [found.slope, found.intercept] == np.round([found.slope, found.intercept], 6).tolist()


@pytest.mark.parametrize("known", [30, 100, 400])
def test_over_confident_p_gets_better_on_items_without_gold(known):
    gains = []
    for seed in range(20):
        p, truth = world(4_000, seed, slope=0.3)
        fitted = calibrate(p, gold(truth, known)).apply(p)
        gains.append(brier(p[known:], truth[known:]) - brier(fitted[known:], truth[known:]))
    assert np.mean(gains) > 0.02
    assert min(gains) >= 0


@pytest.mark.parametrize("known", [30, 100, 400])
def test_calibrated_p_is_left_nearly_alone(known):
    losses = []
    for seed in range(20):
        p, truth = world(4_000, seed)
        fitted = calibrate(p, gold(truth, known)).apply(p)
        losses.append(brier(fitted[known:], truth[known:]) - brier(p[known:], truth[known:]))
    assert np.mean(losses) < 1e-3
    assert max(losses) < 6e-3


def test_a_line_that_does_not_help_is_not_applied_and_says_so():
    p = np.tile([0.2, 0.8], 50)
    truth = np.tile([0, 1, 0, 1, 0, 1, 0, 1, 1, 0], 10)  # right four times in five, as p says
    found = calibrate(p, truth)
    assert (found.slope, found.intercept) == (1, 0)
    assert "calibrated as it is" in found.reason
    assert found.brier_after >= found.brier_before
    assert found.apply(p) is p


def test_gold_labels_that_contradict_p_do_not_turn_it_round():
    p = np.tile([0.01, 0.99], 50)
    found = calibrate(p, (p < 0.5).astype(np.int64))
    assert (found.slope, found.intercept) == (1, 0)
    assert "contradict" in found.reason


@pytest.mark.parametrize(
    ("truth", "reason"),
    [
        ([-1] * 40, "no gold labels"),
        ([0, 1] * 10 + [-1] * 20, "20 gold items; 30 are needed"),
        ([1] * 40, "all 40 gold labels say pass"),
        ([0] * 40, "all 40 gold labels say fail"),
    ],
)
def test_without_enough_gold_labels_of_both_kinds_there_is_a_reason(truth, reason):
    p = np.linspace(0, 1, 40)
    found = calibrate(p, np.array(truth))
    assert reason in found.reason
    assert found.apply(p) is p
    assert found.brier_after is None
    assert (found.brier_before is None) == (max(truth) < 0)


def test_the_score_of_items_left_out_is_that_of_lines_fitted_without_them():
    p, truth = world(60, 4, slope=0.3)
    left_out = []
    for n in range(60):
        others = np.arange(60) != n
        slope, intercept = mode(p[others], truth[others])
        left_out.append(1 / (1 + np.exp(-(slope * log_odds(p[n]) + intercept))))
    assert calibrate(p, truth).brier_after == pytest.approx(brier(left_out, truth), rel=0.01)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0, 1, -1])), min_size=5, max_size=80),
)
def test_fitted_p_are_rounded_probabilities_in_the_order_of_the_raw_ones(rows):
    p = np.round(np.array([row[0] for row in rows]), 6)
    fitted = calibrate(p, np.array([row[1] for row in rows]), minimum_gold=2).apply(p)
    assert ((fitted >= 0) & (fitted <= 1)).all()
    assert np.array_equal(fitted, np.round(fitted, 6))
    assert (np.diff(fitted[np.argsort(p, kind="stable")]) >= 0).all()


def test_reliability_rows_hold_every_gold_item_once():
    p, truth = world(1_000, 6, slope=0.4)
    known = gold(truth, 700)
    rows = reliability(p, known, bins=7)
    assert sum(row.items for row in rows) == 700
    for row in rows:
        of = (known >= 0) & (p >= row.low) & ((p < row.high) | (row.high == 1))
        assert row.items == of.sum()
        assert row.mean_p == pytest.approx(p[of].mean())
        assert row.share == truth[of].mean()
        assert row.share_low <= row.share <= row.share_high


def test_the_calibration_error_is_the_mean_gap_and_shrinks_when_p_is_mended():
    p, truth = world(4_000, 7, slope=0.3)
    raw = reliability(p, truth)
    assert calibration_error(raw) == pytest.approx(
        sum(abs(row.share - row.mean_p) * row.items for row in raw) / 4_000
    )
    fitted = reliability(calibrate(p, truth).apply(p), truth)
    assert calibration_error(raw) > 0.1
    assert calibration_error(fitted) < 0.03
    assert calibration_error([]) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reliability(np.ones(2), np.ones(2, dtype=int), bins=0), "0 bins"),
        (lambda: calibrate(np.ones(2), np.ones(3, dtype=int)), "shape"),
        (lambda: calibrate(np.array([0.5, 1.5]), np.ones(2, dtype=int)), "1.5"),
        (lambda: calibrate(np.array([0.5, np.nan]), np.ones(2, dtype=int)), "nan"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(call, words):
    with pytest.raises(AgreementError, match=words):
        call()
