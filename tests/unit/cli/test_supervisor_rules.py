"""How long the supervisor waits before it starts a dead part again."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from services.cli.runtime.health import restart_delay


def test_delays_double_from_a_quarter_of_a_second() -> None:
    assert [restart_delay(n) for n in range(1, 5)] == [0.25, 0.5, 1.0, 2.0]


@given(st.integers(min_value=1, max_value=1_000_000))
def test_delays_never_shrink_and_are_bounded(failures: int) -> None:
    assert 0 < restart_delay(failures) <= restart_delay(failures + 1) <= 30.0


def test_the_bound_is_reached_within_minutes() -> None:
    reached = next(n for n in itertools.count(1) if restart_delay(n) == 30.0)
    assert sum(restart_delay(n) for n in range(1, reached)) < 60
