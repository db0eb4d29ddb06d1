import math

import numpy as np
import pytest

from agreement.consensus import annotator_coins
from agreement.labels import code
from agreement.others import answers_of
from agreement.random_test import _honest_coins, _log_random, random_odds


def odds_of(labels):
    coded = code(labels)
    answers = answers_of(coded)
    rank = dict(zip(answers.people.to_pylist(), range(99), strict=False))
    coins = {
        (rank[coded.annotators[person].as_py()], dimension): coin
        for (person, dimension), coin in annotator_coins(coded).items()
    }
    found = random_odds(answers, coins)
    return {name: (found.log_odds[n], found.labels[n]) for name, n in rank.items()}


def judged(rng, make_labels, *, items=60, rates=None, prevalence=0.5, accuracy=0.85):
    """Five people judge all items; the first says pass at these rates, by turns, if any."""
    truth = rng.random(items) < prevalence
    passed = truth[:, None] == (rng.random((items, 5)) < accuracy)
    if rates is not None:
        passed[:, 0] = rng.random(items) < np.resize(rates, items)
    parts = [
        (f"v{item}", f"a{n}", "pass" if passed[item, n] else "fail")
        for item in range(items)
        for n in range(5)
    ]
    return make_labels(parts)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_somebody_who_does_not_look_has_high_odds_after_60_labels(make_labels, rate):
    rng = np.random.default_rng(0)
    found = [odds_of(judged(rng, make_labels, rates=(rate,)))["a0"][0] for _ in range(20)]
    assert np.mean(np.array(found) > math.log(5)) >= 0.9


def test_honest_people_have_low_odds(make_labels):
    rng = np.random.default_rng(1)
    for prevalence in (0.2, 0.5, 0.8) * 3:
        found = odds_of(judged(rng, make_labels, prevalence=prevalence))
        assert max(log for log, _ in found.values()) < 0


def test_a_weak_annotator_is_not_random_however_many_labels_there_are(make_labels):
    rng = np.random.default_rng(2)
    labels = judged(rng, make_labels, items=2_000)
    truth = np.array(labels["value"].to_pylist()).reshape(-1, 5)[:, 1]
    weak = np.where(rng.random(2_000) < 0.64, truth, np.where(truth == "pass", "fail", "pass"))
    said = np.array(labels["value"].to_pylist()).reshape(-1, 5)
    said[:, 0] = weak
    place = labels.schema.get_field_index("value")
    found = odds_of(labels.set_column(place, "value", [said.ravel().tolist()]))
    assert found["a0"][0] < 0


def test_labels_that_nobody_else_gave_say_nothing(make_labels):
    labels = make_labels([(f"v{n}", "a", "pass") for n in range(9)])
    assert odds_of(labels)["a"] == (0.0, 0)


def test_one_key_in_each_dimension_is_as_random_as_one_key():
    one = _log_random(np.array([[[0, 20], [0, 20]]]))
    each = _log_random(np.array([[[20, 0], [0, 20]]]))
    assert each[0] == pytest.approx(2 * math.log(1 / 21) - math.log(2), abs=0.01)
    assert one[0] > each[0] > 40 * math.log(0.5)


def test_the_prior_of_honest_coins_adds_up_to_one():
    assert np.exp(_honest_coins()[2]).sum() == pytest.approx(1)


def test_odds_of_honest_people_are_a_martingale_that_starts_at_one():
    """The mean over honest people of the odds is 1: likelihoods of the same data add up to 1."""
    sensitivity, specificity, log_prior = _honest_coins()
    p = np.array([0.1, 0.9, 0.6])
    total = 0.0
    for code_ in range(8):
        said = (code_ >> np.arange(3)) & 1
        chance = sensitivity * p[:, None] + (1 - specificity) * (1 - p[:, None])
        likelihood = np.where(said[:, None] == 1, chance, 1 - chance).prod(axis=0)
        total += float((likelihood * np.exp(log_prior)).sum())
        total += math.exp(_log_random(np.array([[[3 - said.sum(), said.sum()]]]))[0])
    assert total == pytest.approx(2)
