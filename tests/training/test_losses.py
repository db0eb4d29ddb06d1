import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.losses import bt_wt, pair_loss, tie_loss, win_loss

gaps = st.floats(-30, 30)


def at(gap):
    return torch.tensor([gap], dtype=torch.float64)


def softplus(x):
    """log(1 + e^x), restated in plain floats."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def test_the_win_loss_is_log_2_at_the_margin():
    assert win_loss(at(3.0), margin=3.0).item() == pytest.approx(math.log(2))


def test_the_tie_loss_has_the_papers_floor_and_curvature():
    """0.693 and 0.25 at equal rewards; the reference code's summed term has 6.10 and 0.090."""
    gap = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    loss = tie_loss(gap).sum()
    (slope,) = torch.autograd.grad(loss, gap, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), gap)
    assert loss.item() == pytest.approx(0.693147, abs=1e-6)
    assert slope.item() == 0
    assert curvature.item() == pytest.approx(0.25)


@given(gaps, gaps)
def test_the_win_loss_falls_as_the_gap_grows(one, two):
    small, large = sorted((one, two))
    assert win_loss(at(large), 3.0) <= win_loss(at(small), 3.0)


@given(gaps)
def test_the_tie_loss_is_even_and_least_at_zero(gap):
    assert tie_loss(at(gap)).item() == pytest.approx(tie_loss(at(-gap)).item())
    assert tie_loss(at(gap)).item() >= tie_loss(at(0.0)).item() - 1e-12


@given(gaps, st.floats(0, 1), st.floats(0, 5))
def test_the_pair_loss_equals_equation_2_restated(gap, mu, margin):
    shifted = gap - margin * (2 * mu - 1)
    expected = mu * softplus(-shifted) + (1 - mu) * softplus(shifted)
    loss = pair_loss(at(gap), torch.tensor([mu], dtype=torch.float64), margin)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(gaps, st.floats(0, 5))
def test_hard_labels_give_the_win_and_the_tie_loss_and_ties_have_no_margin(gap, margin):
    one, half = torch.ones(1, dtype=torch.float64), torch.full((1,), 0.5, dtype=torch.float64)
    assert pair_loss(at(gap), one, margin).item() == pytest.approx(win_loss(at(gap), margin).item())
    assert pair_loss(at(gap), half, margin).item() == pytest.approx(tie_loss(at(gap)).item())


def batch(gap, tie, dimension=None, weight=None):
    """Loss parts of hard pairs."""
    gap, tie = torch.tensor(gap, dtype=torch.float64), torch.tensor(tie)
    return bt_wt(
        gap,
        mu=torch.where(tie, 0.5, 1.0).double(),
        weight=torch.ones_like(gap) if weight is None else torch.tensor(weight).double(),
        tie=tie,
        dimension=torch.tensor(dimension or [0] * len(gap)),
        margin=3.0,
        tie_coefficient=0.5,
    )


def test_ten_times_as_many_ties_do_not_change_the_loss():
    few = batch([1.0, -2.0, 0.5], [False, False, True])
    many = batch([1.0, -2.0, *[0.5] * 10], [False, False, *[True] * 10])
    assert few.total.item() == pytest.approx(many.total.item())


def test_pairs_of_weight_zero_count_nowhere():
    masked = batch([1.0, 9.0, 0.5, 7.0], [False, False, True, True], weight=[1, 0, 2, 0])
    alone = batch([1.0, 0.5], [False, True])
    assert masked.total.item() == pytest.approx(alone.total.item())


def test_dimensions_count_alike_whatever_their_number_of_pairs():
    both = batch([1.0, 1.0, 1.0, -1.0], [False] * 4, dimension=[0, 0, 0, 2])
    one, two = batch([1.0], [False]), batch([-1.0], [False])
    assert both.win_lose.item() == pytest.approx((one.win_lose + two.win_lose).item() / 2)


def test_no_pair_at_all_is_a_loss_of_zero_with_a_gradient():
    gap = torch.tensor([1.0], requires_grad=True)
    parts = bt_wt(
        gap,
        mu=torch.ones(1),
        weight=torch.zeros(1),
        tie=torch.zeros(1, dtype=torch.bool),
        dimension=torch.zeros(1, dtype=torch.long),
    )
    parts.total.backward()
    assert parts.total.item() == 0
    assert gap.grad.item() == 0
