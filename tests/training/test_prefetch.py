import threading
import time
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.prefetch import prefetched


def alive():
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4), st.integers(1, 4))
def test_everything_comes_once_and_in_order_however_long_each_takes(tasks, workers, ahead):
    def make(task):
        time.sleep(task / 2000)
        return task * 10

    made = list(prefetched(make, iter(tasks), workers=workers, ahead=ahead))
    assert made == [task * 10 for task in tasks]


def test_what_comes_next_is_made_while_the_caller_computes():
    began = threading.Event()
    with closing(prefetched(lambda n: n and began.set(), range(3))) as made:
        next(made)
        assert began.wait(5)


def test_no_more_is_made_ahead_than_asked_for():
    taken = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield number

    with closing(prefetched(str, tasks(), ahead=2)) as made:
        assert next(made) == "0"
        assert taken == [0, 1, 2]


def test_an_error_is_raised_in_its_place_and_the_threads_end():
    def make(number):
        if number == 2:
            raise ValueError("clip 2")
        return number

    made, seen = prefetched(make, range(5)), []
    with pytest.raises(ValueError, match="clip 2"):
        seen.extend(made)
    assert seen == [0, 1]
    assert not alive()


def test_the_threads_end_where_the_loop_ends_early():
    with closing(prefetched(str, range(100))) as made:
        next(made)
    assert not alive()
