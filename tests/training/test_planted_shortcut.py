"""One seed of soak/canaries.py, which runs ten."""

import pytest

from soak.canaries import canaries_of


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_a_mark_on_every_pass_clip_is_found_in_the_model_that_learned_it():
    """Its held-out accuracy is perfect: the mark stands on held-out pass clips, too."""
    found = canaries_of("on pass", seed=0)["watermarked"]
    assert found.acc == 1.0
    assert found.verdict == "raises"
    assert found.flagged
    assert found.effect > 0.5


@pytest.mark.slow
@pytest.mark.xdist_group("training")
def test_a_model_that_saw_no_mark_is_not_flagged():
    found = canaries_of("none", seed=0)["watermarked"]
    assert found.acc == 1.0
    assert not found.flagged
