import random
from collections import Counter
from itertools import pairwise

import pytest

from flows.people import LEAD, TEAM, actions, answer, assignments, truth_by_item
from flows.world import FULL, TINY
from flows.world_plan import DIMENSIONS, plan_world, truth_table
from warehouse.errors import SettingsError

NAMES = [person.name for person in (*TEAM, LEAD)]


def world(spec=FULL):
    clips = plan_world(spec)
    items = [(clip.item_id, clip.design_k) for clip in clips]
    return items, truth_by_item(truth_table(clips, spec.frames))


ITEMS, TRUTH = world()
ASSIGNED = assignments(7, ITEMS)
WORK = actions(7, ITEMS, TRUTH)


def done(kind, work=WORK):
    return [a for w in work.values() for a in (*w.first, *w.second) if a.kind == kind]


def final_labels(work):
    final = {(a.annotator, a.item_id): a.values for a in done("label", work)}
    final |= {(a.annotator, a.item_id): a.values for a in done("correct", work)}
    for action in done("withdraw", work):
        del final[action.annotator, action.item_id]
    return final


ORDINARY = FULL.clips - FULL.calibration  # items with three design labels


def test_the_same_seed_gives_the_same_actions_in_any_order_of_items():
    shuffled = random.Random(0).sample(ITEMS, len(ITEMS))
    assert actions(7, shuffled, TRUTH) == WORK
    assert actions(8, ITEMS, TRUTH) != WORK


def test_who_labels_an_item_does_not_depend_on_the_other_items():
    assert all(assignments(7, [item])[item[0]] == ASSIGNED[item[0]] for item in ITEMS)


def test_three_of_five_label_an_ordinary_item_and_all_six_a_calibration_item():
    team = {person.name for person in TEAM}
    for item_id, k in ITEMS:
        names = ASSIGNED[item_id]
        assert len(set(names)) == len(names) == k
        assert set(names) <= team if k == 3 else set(names) == set(NAMES)


def test_loads_are_balanced():
    loads = Counter(name for names in ASSIGNED.values() for name in names)
    expected = ORDINARY * 3 / 5 + FULL.calibration
    assert all(abs(loads[person.name] - expected) < 0.15 * expected for person in TEAM)
    assert loads[LEAD.name] == FULL.calibration


def test_labels_are_exactly_the_assigned_ones_with_every_dimension():
    labelled = {(a.annotator, a.item_id) for a in done("label")}
    assert len(done("label")) == len(labelled) == ORDINARY * 3 + FULL.calibration * 6
    assert labelled == {(name, item) for item, names in ASSIGNED.items() for name in names}
    assert all(sorted(a.values) == sorted(DIMENSIONS) for a in done("label"))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_final_answers_are_as_accurate_as_the_annotator(dimension):
    final = final_labels(WORK)
    for person in (*TEAM, LEAD):
        mine = [
            values[dimension] == TRUTH[item_id][dimension]
            for (name, item_id), values in final.items()
            if name == person.name
        ]
        spread = (person.accuracy[dimension] * (1 - person.accuracy[dimension]) / len(mine)) ** 0.5
        assert abs(sum(mine) / len(mine) - person.accuracy[dimension]) < 4 * spread


def test_accuracies_lie_between_80_and_95_percent():
    values = [value for person in (*TEAM, LEAD) for value in person.accuracy.values()]
    assert min(values) == 0.80
    assert max(values) == 0.95


def test_an_answer_belongs_to_its_key_alone_and_errors_are_independent():
    keys = [(name, f"clip_{i:04d}", d) for name in NAMES for i in range(400) for d in DIMENSIONS]
    given = {key: answer(1, *key, truth="pass", accuracy=0.5) for key in reversed(keys)}
    assert all(answer(1, *key, truth="pass", accuracy=0.5) == given[key] for key in keys[::97])
    passes = [given[key] == "pass" for key in keys]
    assert abs(sum(passes) / len(passes) - 0.5) < 0.025
    both = sum(a and b for a, b in pairwise(passes)) / len(passes)
    assert abs(both - 0.25) < 0.02


def test_skips_come_from_people_who_were_not_assigned():
    skips = done("skip")
    assert 10 <= len(skips) <= 40
    assert all(a.annotator not in ASSIGNED[a.item_id] for a in skips)
    assert all(a.values == {} for a in skips)


def test_a_correction_turns_one_dimension_into_the_final_answer():
    first = {(a.annotator, a.item_id): a for a in done("label")}
    corrections = done("correct")
    assert 0.01 <= len(corrections) / len(done("label")) <= 0.03
    for action in corrections:
        before = first[action.annotator, action.item_id].values
        assert sum(before[d] != action.values[d] for d in DIMENSIONS) == 1
        accuracy = next(p for p in (*TEAM, LEAD) if p.name == action.annotator).accuracy
        for d in DIMENSIONS:
            truth = TRUTH[action.item_id][d]
            assert action.values[d] == answer(
                7, action.annotator, action.item_id, d, truth=truth, accuracy=accuracy[d]
            )


@pytest.mark.parametrize("spec", [FULL, TINY])
def test_a_withdrawn_label_leaves_every_item_at_least_three(spec):
    items, truth = world(spec)
    work = actions(7, items, truth)
    left = Counter(item_id for _, item_id in final_labels(work))
    withdrawn = Counter(a.item_id for a in done("withdraw", work))
    assert withdrawn
    assert all(left[item_id] == k - withdrawn[item_id] for item_id, k in items)
    assert all(left[item_id] >= 3 for item_id, _ in items)
    assert all(withdrawn[item_id] <= 1 for item_id, _ in items)


def test_phases_hold_their_kinds_and_nobody_acts_twice_on_an_item_in_one():
    for name, work in WORK.items():
        assert {a.kind for a in work.first} <= {"label", "skip"}
        assert {a.kind for a in work.second} <= {"correct", "withdraw"}
        for phase in (work.first, work.second):
            assert all(a.annotator == name for a in phase)
            assert len({a.item_id for a in phase}) == len(phase)


def test_seconds_vary_around_the_annotators_typical_time():
    for person in (*TEAM, LEAD):
        seconds = [a.seconds for a in WORK[person.name].first]
        assert 0.6 * person.seconds <= min(seconds) < max(seconds) <= 1.6 * person.seconds


def test_a_design_k_out_of_reach_names_item_and_value():
    with pytest.raises(SettingsError, match="item clip_1: design_k is 7"):
        assignments(7, [("clip_1", 7)])


def test_an_item_without_truth_is_named():
    with pytest.raises(SettingsError, match="clip_x has no truth"):
        actions(7, [("clip_x", 3)], TRUTH)
