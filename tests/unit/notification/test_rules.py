"""The rules of notifications: retries, decisions, channels, the rate limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.domain.delivery import (
    Decision,
    Endpoint,
    Failure,
    FailureKind,
    Outcome,
    Sent,
    decide,
    still_open,
)
from services.notification.domain.errors import ChannelNotConfigured, DataTooLarge, NoEndpoint
from services.notification.domain.notification import ChannelName, Draft, Type, choose_channel
from services.notification.domain.rate_limit import RateLimit
from services.notification.domain.retry_schedule import RetrySchedule, parse_retry_after

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECONDS = st.floats(0, 10_000).map(lambda value: timedelta(seconds=value))


def failure(kind: FailureKind, *, asked: timedelta | None = None, gone: bool = False, unknown: bool = False) -> Failure:
    return Failure(kind=kind, code="X", message="x", asked=asked, endpoint_gone=gone, unknown=unknown)


OUTCOMES = st.one_of(
    st.just(Sent()),
    st.builds(failure, st.sampled_from(FailureKind), asked=st.none() | SECONDS, gone=st.booleans()),
)


@given(st.integers(1, 10), st.none() | SECONDS, st.none() | SECONDS, st.floats(0, 1, exclude_max=True))
def test_the_schedule_is_a_floor(
    failures: int, asked: timedelta | None, floor: timedelta | None, randomness: float
) -> None:
    schedule = RetrySchedule(cap=timedelta(hours=1))
    wait = schedule.wait(failures, asked=asked, floor=floor, randomness=randomness)
    if failures > 3:
        assert wait is None
        return
    assert wait is not None
    least = max(timedelta(seconds=2**failures), asked or timedelta(0), floor or timedelta(0))
    least = min(least, schedule.cap)
    assert least <= wait <= least * 1.1


def test_the_delays_are_two_four_and_eight_seconds() -> None:
    assert [RetrySchedule().wait(n) for n in (1, 2, 3, 4)] == [*(timedelta(seconds=s) for s in (2, 4, 8)), None]
    assert RetrySchedule().max_attempts == 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("Sun, 22 Nov 2026 00:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 00:00:00 GMT", 0),
        ("", None),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 40, None),
        ("Sun, 99 Nov 2026 00:01:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(value, NOW) == expected


@given(st.text(max_size=40))
def test_any_retry_after_is_understood_or_ignored(value: str) -> None:
    parsed = parse_retry_after(value, NOW)
    assert parsed is None or parsed >= timedelta(0)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), OUTCOMES, min_size=1), min_size=1, max_size=6))
def test_decisions_end_and_never_serve_an_address_twice(rounds: list[dict[str, Outcome]]) -> None:
    """Plays attempts until the decision is final: each address is sent to at most once, dead ones are never tried
    again, and whoever was reached anywhere was told."""
    schedule = RetrySchedule()
    points = [Endpoint(name, ChannelName.FCM, name) for name in "abcd"]
    done: frozenset[str] = frozenset()
    served: list[str] = []
    dead: set[str] = set()
    for attempt, script in enumerate(rounds, 1):
        targets = [point.id for point in still_open(points, done)]
        assert not dead & set(targets)
        assert not set(served) & set(targets)
        if not targets:
            break
        outcomes = {name: script.get(name, Sent()) for name in targets}
        decision = decide(outcomes, failures=attempt, done=done, schedule=schedule)
        served += [name for name, outcome in outcomes.items() if isinstance(outcome, Sent)]
        dead |= {
            name
            for name, outcome in outcomes.items()
            if isinstance(outcome, Failure) and outcome.kind is FailureKind.PERMANENT
        }
        done = decision.done
        if decision.wait is None:
            assert decision.sent == bool(served)
            assert (decision.failure is None) == all(isinstance(o, Sent) for o in outcomes.values())
            return
        assert not decision.sent
        assert attempt <= 3
    assert len(served) == len(set(served))


def test_what_one_decision_says() -> None:
    gone = decide(
        {
            "a": failure(FailureKind.PERMANENT, gone=True),
            "b": failure(FailureKind.THROTTLED, asked=timedelta(seconds=9)),
        },
        failures=1,
        done=frozenset(),
        schedule=RetrySchedule(),
    )
    assert gone.wait == timedelta(seconds=9)
    assert gone.gone == frozenset({"a"})
    assert decide({"a": Sent()}, failures=1, done=frozenset(), schedule=RetrySchedule()) == Decision(
        sent=True, reached=True, done=frozenset({"a"})
    )


@pytest.mark.parametrize(
    ("outcomes", "reached"),
    [
        ({"a": Sent(), "b": failure(FailureKind.TRANSIENT)}, True),
        ({"a": Sent(), "b": failure(FailureKind.PERMANENT)}, True),
        ({"a": failure(FailureKind.TRANSIENT), "b": failure(FailureKind.PERMANENT)}, False),
        ({"a": failure(FailureKind.TRANSIENT, unknown=True)}, True),
    ],
)
@pytest.mark.parametrize("done", [frozenset[str](), frozenset({"c"})])
def test_an_attempt_counts_that_may_have_reached_somebody(
    outcomes: dict[str, Sent | Failure], reached: bool, done: frozenset[str]
) -> None:
    for failures in (1, 4):
        assert decide(outcomes, failures=failures, done=done, schedule=RetrySchedule()).reached == reached


def test_the_channel_is_chosen_by_wish_then_address() -> None:
    every = frozenset(ChannelName)
    reachable = frozenset({ChannelName.EMAIL, ChannelName.WEBHOOK})
    assert choose_channel(None, user="u", reachable=reachable, configured=every) is ChannelName.EMAIL
    assert choose_channel(None, user="u", reachable=every, configured=every) is ChannelName.FCM
    only = frozenset({ChannelName.CONSOLE, ChannelName.WEBHOOK})
    assert choose_channel(None, user="u", reachable=reachable, configured=only) is ChannelName.WEBHOOK
    assert choose_channel(None, user="u", reachable=frozenset(), configured=every) is ChannelName.CONSOLE
    assert choose_channel(ChannelName.CONSOLE, user="u", reachable=every, configured=every) is ChannelName.CONSOLE
    with pytest.raises(NoEndpoint):
        choose_channel(ChannelName.FCM, user="u", reachable=reachable, configured=every)
    with pytest.raises(ChannelNotConfigured):
        choose_channel(ChannelName.FCM, user="u", reachable=every, configured=only)


def draft(**more: str) -> Draft:
    return Draft(**{"tenant": "t", "user": "u", "type": Type.INFO, "title": "x", **more})  # pyright: ignore


def test_the_fingerprint_tells_content_apart() -> None:
    assert draft().fingerprint() == draft(idempotency_key="k").fingerprint()
    different = [
        draft(),
        draft(user="v"),
        draft(title="y"),
        draft(body="x"),
        draft(data="{}"),
        draft(title="x", body=""),
    ]
    assert len({one.fingerprint() for one in different}) == 5
    assert draft(title="ab", body="c").fingerprint() != draft(title="a", body="bc").fingerprint()
    with pytest.raises(DataTooLarge):
        draft(data="é" * 2049)


@given(
    st.lists(st.floats(0, 59.9), max_size=14),
    st.integers(0, 5),
    st.integers(1, 40),
    st.integers(0, 30),
)
def test_turns_come_in_order_and_never_before_a_slot_frees(
    ages: list[float], under_way: int, count: int, ahead: int
) -> None:
    limit = RateLimit()
    completed = [NOW - timedelta(seconds=age) for age in ages]
    turns = limit.turns(completed, under_way, NOW, count=count, ahead=ahead)
    assert turns == sorted(turns)
    assert len(turns) == count
    # No minute holds more turns than the limit, those before this call included.
    every = limit.turns(completed, under_way, NOW, count=count + ahead)
    assert every[ahead:] == turns
    for at in every:
        assert sum(1 for other in every if at <= other < at + limit.period) <= limit.limit
    for place, at in enumerate(every[: limit.limit]):
        still = sum(1 for done in completed if done + limit.period > at)
        assert still + place < max(limit.limit, len(completed) + under_way + 1)
