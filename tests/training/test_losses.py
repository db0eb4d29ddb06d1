import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.losses import (
    bce_loss,
    btt_loss,
    mean_of_means,
    pair_loss,
    regression_loss,
    summed_tie_loss,
    tie_loss,
    win_loss,
)

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


def test_the_summed_tie_has_the_floor_and_the_curvature_of_the_released_code():
    """6.10 and 0.090 at a margin of 3."""
    gap = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    loss = summed_tie_loss(gap, 3.0).sum()
    (slope,) = torch.autograd.grad(loss, gap, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), gap)
    assert loss.item() == pytest.approx(6.10, abs=5e-3)
    assert slope.item() == 0
    assert curvature.item() == pytest.approx(0.090, abs=5e-4)


@given(gaps, st.floats(0.01, 5))
def test_the_summed_tie_is_a_rao_kupper_tie_less_its_constant(gap, margin):
    theta = math.exp(margin)
    ours = summed_tie_loss(at(gap), margin).item() - math.log(theta**2 - 1)
    assert ours == pytest.approx(btt_loss(at(gap), at(0.5), theta).item(), rel=1e-9, abs=1e-9)
    assert ours == pytest.approx(
        softplus(margin - gap) + softplus(margin + gap) - math.log(theta**2 - 1), abs=1e-9
    )


@given(gaps, st.floats(1.01, 50))
def test_rao_kupper_probabilities_sum_to_one_and_are_the_ratios_of_its_definition(gap, theta):
    """pi / (pi + theta pi'), with pi = e^r."""
    win, tie, loss = (math.exp(-btt_loss(at(gap), at(mu), theta).item()) for mu in (1.0, 0.5, 0.0))
    assert win + tie + loss == pytest.approx(1.0, abs=1e-12)
    assert win == pytest.approx(1 / (1 + theta * math.exp(-gap)))
    assert loss == pytest.approx(1 / (1 + theta * math.exp(gap)))


@given(gaps, st.floats(0, 1), st.floats(1.01, 50))
def test_a_soft_rao_kupper_pair_lies_between_a_tie_and_a_win(gap, mu, theta):
    loss = btt_loss(at(gap), at(mu), theta).item()
    side, share = (1.0, 2 * mu - 1) if mu >= 0.5 else (0.0, 1 - 2 * mu)
    ends = [btt_loss(at(gap), at(value), theta).item() for value in (side, 0.5)]
    assert loss == pytest.approx(share * ends[0] + (1 - share) * ends[1], rel=1e-9, abs=1e-9)


LOSSES_OF_PAIRS = {
    "pair": lambda gap, mu: pair_loss(gap, mu, 1.5, 0.1),
    "btt": lambda gap, mu: btt_loss(gap, mu, 4.0),
}


@pytest.mark.parametrize("loss", LOSSES_OF_PAIRS.values(), ids=LOSSES_OF_PAIRS)
@given(gap=gaps, mu=st.floats(0, 1))
def test_naming_the_other_item_first_changes_nothing(loss, gap, mu):
    swapped = loss(at(-gap), at(1 - mu)).item()
    assert loss(at(gap), at(mu)).item() == pytest.approx(swapped, rel=1e-9, abs=1e-9)


EVERY = {
    "win": lambda x: win_loss(x, 3.0),
    "tie": tie_loss,
    "summed tie": lambda x: summed_tie_loss(x, 3.0),
    "soft pair": lambda x: pair_loss(x, torch.full_like(x, 0.7), 3.0, 0.1),
    "btt": lambda x: btt_loss(x, torch.full_like(x, 0.7), 5.0),
    "bce": lambda x: bce_loss(x, torch.full_like(x, 0.3)),
    "regression": lambda x: regression_loss(x, torch.full_like(x, 0.3)),
}


@pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY)
@given(one=gaps, two=gaps, share=st.floats(0, 1))
def test_every_loss_is_convex_in_the_rewards(loss, one, two, share):
    between = loss(at(share * one + (1 - share) * two)).item()
    chord = share * loss(at(one)).item() + (1 - share) * loss(at(two)).item()
    assert between <= chord + 1e-9


@pytest.mark.parametrize("loss", EVERY.values(), ids=EVERY)
def test_gradients_equal_finite_differences(loss):
    x = torch.linspace(-8, 8, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(loss, x)


@given(gaps, st.floats(0, 0.49), st.floats(0, 5))
def test_smoothing_mixes_a_win_with_its_reversal_and_leaves_a_tie(gap, share, margin):
    one, half = at(1.0), at(0.5)
    smooth = pair_loss(at(gap), one, margin, share).item()
    shifted = gap - margin
    expected = (1 - share) * softplus(-shifted) + share * softplus(shifted)
    assert smooth == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert torch.equal(pair_loss(at(gap), half, margin, share), tie_loss(at(gap)))


@given(st.floats(0.05, 0.95))
def test_item_losses_are_least_where_the_reward_says_the_probability(p):
    logit = math.log(p / (1 - p))
    best = bce_loss(at(logit), at(p)).item()
    assert regression_loss(at(p), at(p)).item() == 0
    for step in (-0.1, 0.1):
        assert bce_loss(at(logit + step), at(p)).item() > best


@given(gaps, st.floats(0, 1))
def test_bce_equals_the_cross_entropy_restated(reward, target):
    expected = target * softplus(-reward) + (1 - target) * softplus(reward)
    assert bce_loss(at(reward), at(target)).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_mean_over_nothing_is_zero():
    none = torch.zeros(0)
    assert mean_of_means(none, none, torch.zeros(0, dtype=torch.long)).item() == 0
