"""The rules of notifications: retries, decisions, channels, the rate limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notification.application.endpoints import is_email
from services.notification.domain.channel_plan import Contacts, Plans, Step, dump_plan, legs_from, load_plan
from services.notification.domain.delivery import (
    Decision,
    Endpoint,
    Failure,
    FailureKind,
    Outcome,
    Sent,
    UnknownOutcome,
    decide,
)
from services.notification.domain.errors import ChannelNotConfigured, DataTooLarge, NoEndpoint
from services.notification.domain.lane import receiver_of
from services.notification.domain.notification import ChannelName, Draft, Type
from services.notification.domain.rate_limit import RateLimit, Slots
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
        ("Sun, 22 Nov 99999999999999999999 00:01:30 GMT", None),
        ("Sun, 22 Nov 2026 00:01:30 +99999999999", None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(value, NOW) == expected


@given(st.text(max_size=40))
def test_any_retry_after_is_understood_or_ignored(value: str) -> None:
    parsed = parse_retry_after(value, NOW)
    assert parsed is None or parsed >= timedelta(0)


@given(OUTCOMES, st.integers(1, 6), st.sampled_from(UnknownOutcome), st.booleans())
def test_a_decision_follows_from_the_outcome_alone(
    outcome: Outcome, failures: int, unknown: UnknownOutcome, lost: bool
) -> None:
    if isinstance(outcome, Failure) and lost:
        outcome = replace(outcome, unknown=True)
    decision = decide(outcome, failures=failures, schedule=RetrySchedule(), unknown=unknown)
    if isinstance(outcome, Sent):
        assert decision == Decision(sent=True, reached=True)
        return
    assert (decision.sent, decision.failure) == (False, outcome)
    assert decision.reached == outcome.unknown, "it counts for the limit where it may have arrived"
    assert decision.gone == outcome.endpoint_gone
    assert decision.held == (outcome.unknown and unknown is UnknownOutcome.HOLD)
    again = outcome.kind is not FailureKind.PERMANENT and failures <= 3 and not decision.held
    assert (decision.wait is not None) == again
    if decision.wait is not None:
        assert decision.wait >= (outcome.asked or timedelta(0))


FCM, EMAIL, WEBHOOK, CONSOLE = ChannelName.FCM, ChannelName.EMAIL, ChannelName.WEBHOOK, ChannelName.CONSOLE


def points(*channels: ChannelName) -> dict[ChannelName, list[Endpoint]]:
    return {channel: [Endpoint(f"{channel}-{n}", channel, "x") for n in range(2)] for channel in channels}


def chosen(plans: Plans, *reachable: ChannelName, wanted: ChannelName | None = None) -> list[ChannelName]:
    """The channels of the legs."""
    route = plans.route(replace(draft(), channel=wanted), Contacts(points(*reachable), {}))
    return [leg.channel for leg in route.legs]


def test_the_channel_is_chosen_by_wish_then_by_plan_and_address() -> None:
    plan = (Step(FCM), Step(EMAIL), Step(WEBHOOK))
    every = Plans(ChannelName, plan, {})
    assert chosen(every, EMAIL, WEBHOOK) == [EMAIL] * 2
    assert chosen(every, FCM, EMAIL, WEBHOOK) == [FCM] * 2
    assert chosen(Plans((CONSOLE, WEBHOOK), plan, {}), EMAIL, WEBHOOK) == [WEBHOOK] * 2
    assert chosen(every, EMAIL, wanted=CONSOLE) == [CONSOLE]
    for plans in (every, Plans((CONSOLE,), plan, {})):
        with pytest.raises(NoEndpoint) as nobody:
            chosen(plans)
        assert nobody.value.metadata == {"user": "u", "channel": "FCM EMAIL WEBHOOK"}
    with pytest.raises(NoEndpoint):
        chosen(every, EMAIL, wanted=FCM)
    with pytest.raises(ChannelNotConfigured):
        chosen(Plans((CONSOLE,), plan, {}), FCM, wanted=FCM)
    assert chosen(Plans(ChannelName, plan, {"t": (Step(WEBHOOK), Step(EMAIL))}), FCM, EMAIL) == [EMAIL] * 2
    lost = every.route_or_lost(draft(), Contacts({}, {}))
    assert [(leg.channel, leg.endpoint) for leg in lost.legs] == [(FCM, None)]


def test_steps_that_have_some_time_are_followed_by_the_next_ones() -> None:
    minute = timedelta(minutes=1)
    plan = (Step(FCM, minute), Step(WEBHOOK, minute), Step(EMAIL, 2 * minute), Step(CONSOLE))
    legs = legs_from(plan, 0, points(FCM, EMAIL))
    assert [(leg.channel, leg.step, leg.after, leg.standby) for leg in legs] == [
        (FCM, 0, timedelta(0), False),
        (FCM, 0, timedelta(0), False),
        (EMAIL, 2, minute, True),
        (EMAIL, 2, minute, True),
        (CONSOLE, 3, 3 * minute, True),
    ]
    assert legs_from((Step(FCM), Step(EMAIL)), 1, points(FCM)) == ()


@pytest.mark.parametrize("text", ["FCM:30s,EMAIL", "EMAIL", "FCM:5m,EMAIL:2h,WEBHOOK:1d,CONSOLE"])
def test_plans_are_kept_as_text(text: str) -> None:
    plan = load_plan(text)
    assert load_plan(dump_plan(plan)) == plan


@pytest.mark.parametrize("text", ["", "SMS", "FCM,FCM", "FCM:0s", "FCM:8d", "FCM:soon", "FCM:5", "FCM:1e999s"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_plan(text)


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://Hooks.Example/a?b#c", "hooks.example:443"),
        ("http://user:pass@127.0.0.1:9000/x", "127.0.0.1:9000"),
        ("http://[::1]/x", "::1:80"),
        ("http://h:99999/x", "h:80"),
    ],
)
def test_receivers_of_webhooks_are_hosts_and_ports(url: str, receiver: str) -> None:
    assert receiver_of(WEBHOOK, url) == receiver
    assert receiver_of(EMAIL, "a@example.org") == ""


@pytest.mark.parametrize(
    "address", ["ann@example.com", "a.b+c@x-y.example.co", "o'neil@1and1.de", "a@xn--bcher-kva.example"]
)
def test_addresses_that_can_be_mailed_to(address: str) -> None:
    assert is_email(address)


@pytest.mark.parametrize(
    "address",
    [
        "a@b",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@example..com",
        "a@1.2.3.4",
        "a@-x.com",
        "a@x-.com",
        "@example.com",
        "a@",
        "x" * 65 + "@example.com",
        "a@" + "x." * 127 + "com",
        "a b@example.com",
        "\u00e4@example.com",
        "a@example.com\n",
        "=?utf-8?q?=1b=5b31m?=@example.com",
        "x=?utf-8?q?victim=40example.org=2c?=@example.com",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    assert not is_email(address)


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


@pytest.mark.parametrize(
    ("ages", "under_way", "wait"),
    [
        ([], 0, 0),
        ([], 10, 60),
        ([45, 10], 8, 15),
        ([45, 10], 9, 50),  # the limit was lowered: the first to free is none of theirs
        ([5], 10, 60),
        ([59] * 3, 7, 1),
    ],
)
def test_how_long_until_a_slot_frees(ages: list[int], under_way: int, wait: int) -> None:
    slots = Slots(tuple(NOW - timedelta(seconds=age) for age in ages), under_way)
    assert RateLimit().frees_at(slots, NOW) == NOW + timedelta(seconds=wait)


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
