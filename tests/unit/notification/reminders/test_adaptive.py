"""The frequency never leaves its bounds, and a rate that stays the same never moves it both ways."""

import random
from collections.abc import Callable, Iterator
from itertools import count, islice, pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.notification.domain.reminders.adaptive import MOST_EVERY, WINDOW, Adaptive, Opens, adapted

BOUNDS = st.tuples(st.integers(1, MOST_EVERY), st.integers(1, MOST_EVERY)).map(lambda pair: Adaptive(*sorted(pair)))


def frequencies(bounds: Adaptive, opened: Callable[[int], bool], every: int | None = None) -> Iterator[int]:
    """`every` with each notification that is sent; `opened` says which of them are."""
    every = bounds.min_every if every is None else every
    window: list[bool] = []
    for number in count():
        every = adapted(every, bounds, Opens(len(window), sum(window)))
        if len(window) == WINDOW:
            window.clear()
        yield every
        window.append(opened(number))


def evenly(rate: float) -> Callable[[int], bool]:
    """Opens at a constant rate, as evenly as can be."""
    return lambda number: int((number + 1) * rate) > int(number * rate)


@given(BOUNDS, st.lists(st.booleans(), max_size=400), st.integers(1, MOST_EVERY))
def test_it_never_leaves_its_bounds(bounds: Adaptive, opens: list[bool], every: int) -> None:
    for found in islice(frequencies(bounds, lambda number: opens[number], every), len(opens)):
        assert bounds.min_every <= found <= bounds.max_every


@given(BOUNDS, st.floats(0, 1), st.integers(1, MOST_EVERY))
@example(Adaptive(1, 64), 0.2, 8)
@example(Adaptive(1, 64), 0.6, 8)
@example(Adaptive(3, 5), 0.0, 4)
def test_a_constant_rate_moves_it_one_way_only(bounds: Adaptive, rate: float, every: int) -> None:
    found = list(islice(frequencies(bounds, evenly(rate), bounds.bounded(every)), WINDOW * 16))
    steps = {later > before for before, later in pairwise(found) if later != before}
    assert len(steps) <= 1, found


@pytest.mark.parametrize(("rate", "rests_at"), [(0.0, 16), (0.15, 16), (0.4, 4), (0.65, 1), (1.0, 1)])
def test_where_it_comes_to_rest(rate: float, rests_at: int) -> None:
    found = list(islice(frequencies(Adaptive(1, 16), evenly(rate), 4), WINDOW * 16))
    assert found[-1] == rests_at


def test_a_step_takes_a_whole_window() -> None:
    never = list(islice(frequencies(Adaptive(1, 8), evenly(0)), WINDOW * 3 + 1))
    assert [never.index(every) for every in (1, 2, 4, 8)] == [0, WINDOW, WINDOW * 2, WINDOW * 3]


def test_chance_alone_hardly_turns_it_around() -> None:
    """Who opens four of ten by chance, the middle between the thresholds: how often it turns around in 1,000 sent."""
    dice = random.Random(10)
    found = list(islice(frequencies(Adaptive(1, 16), lambda _: dice.random() < 0.4, 4), 100_000))
    steps = [later > before for before, later in pairwise(found) if later != before]
    turns = sum(one != other for one, other in pairwise(steps))
    assert turns / 100 < 4


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1), (1, MOST_EVERY + 1)])
def test_bounds_that_are_none_are_refused(least: int, most: int) -> None:
    with pytest.raises(InvalidArgument):
        Adaptive(least, most)
