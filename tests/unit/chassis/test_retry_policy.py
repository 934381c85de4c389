from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.nats import RetryPolicy

policies = st.builds(
    lambda base, spread, factor, jitter, attempts: RetryPolicy(
        base=base, cap=base + spread, factor=factor, jitter=jitter, max_attempts=attempts
    ),
    base=st.timedeltas(timedelta(milliseconds=1), timedelta(minutes=1)),
    spread=st.timedeltas(timedelta(0), timedelta(hours=1)),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 0.99),
    attempts=st.integers(1, 100),
)
shares = st.floats(0, 1, exclude_max=True)


@given(policy=policies, failures=st.integers(0, 10**9), share=shares)
def test_a_delay_is_positive_and_never_above_the_cap(policy: RetryPolicy, failures: int, share: float) -> None:
    delay = policy.delay(failures, randomness=share)
    assert timedelta(0) <= delay <= policy.cap
    assert delay >= policy.base * (1 - policy.jitter) - timedelta(microseconds=1)


@given(policy=policies, failures=st.integers(1, 1000), share=shares)
def test_later_failures_never_wait_less(policy: RetryPolicy, failures: int, share: float) -> None:
    assert policy.delay(failures, randomness=share) <= policy.delay(failures + 1, randomness=share)


def test_delays_double_up_to_the_cap() -> None:
    policy = RetryPolicy(base=timedelta(seconds=2), cap=timedelta(seconds=10), jitter=0)
    assert [policy.delay(n).total_seconds() for n in (1, 2, 3, 4, 5)] == [2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": 10, "max_deliveries": 9},
        {"base": timedelta(0)},
        {"base": timedelta(seconds=2), "cap": timedelta(seconds=1)},
        {"factor": 0.5},
        {"jitter": 1.0},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"required|needs"):
        RetryPolicy(**wrong)
