"""`DeliveryQueue`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.notification.application.claimed_delivery import Claimed, Completion, EventMessage
from services.notification.application.ports.notifications import NotificationFilter
from services.notification.application.ports.webhooks import PublicEvent
from services.notification.domain.delivery import CONSOLE, Decision, Failure, FailureKind, Outgoing
from services.notification.domain.lane import Lane
from services.notification.domain.notification import HISTORY_LIMIT, Attempt, ChannelName, Status, Type
from services.notification.domain.webhook import GONE, Subscription
from tests.contract.notification.conftest import BUSY, GIVEN_UP, LEASE, LIMIT, SENT, OpenRig, Rig, again, draft
from tests.contract.notification.conftest import GONE as GONE_FOR_GOOD

PROBED = "tocsin.events.v1.VideoProbed"
BODY = '{"specversion":"1.0","data":{"uid":"cam-1"}}'


def titles(claimed: list[Claimed]) -> list[str]:
    return [one.message.title for one in claimed if isinstance(one.message, Outgoing)]


async def test_a_claim_has_what_an_attempt_needs(rig: Rig) -> None:
    ours = [
        (await rig.endpoints.register("test", "ada", ChannelName.WEBHOOK, address, secret))[0]
        for address, secret in (("https://A.example/x", "s1"), ("http://b.example:8080", "s2"))
    ]
    await rig.endpoints.register("test", "ada", ChannelName.EMAIL, "ada@example.org", "")
    await rig.endpoints.register("test", "bob", ChannelName.WEBHOOK, "https://bob.example", "s3")
    await rig.endpoints.register("wellness", "ada", ChannelName.WEBHOOK, "https://w.example", "s4")
    [one] = await rig.enqueue(draft(body="b"), channel=ChannelName.WEBHOOK)
    claimed = {leg.receiver: leg for leg in await rig.claim()}
    for receiver, point in zip(("a.example:443", "b.example:8080"), ours, strict=True):
        leg = claimed.pop(receiver)
        assert leg == Claimed(
            id=leg.id,
            lease=leg.lease,
            lane=Lane.WEBHOOK,
            receiver=receiver,
            tenant="test",
            reference=one.id,
            channel=ChannelName.WEBHOOK,
            message=Outgoing(
                id=one.id,
                tenant="test",
                user="ada",
                type=Type.ALERT,
                title="Fire",
                body="b",
                data="",
                created_at=one.created_at,
            ),
            endpoint=point,
        )
    assert claimed == {}
    await rig.enqueue(draft(user="bob"))
    [console] = await rig.claim()
    assert (console.channel, console.receiver, console.endpoint) == (ChannelName.CONSOLE, "", CONSOLE)


async def test_claims_at_once_share_the_work(rig: Rig) -> None:
    await rig.enqueue(*(draft(user=f"u{n}") for n in range(12)))
    # Whoever finds a user busy leaves that user's work to the other, so what is missed comes in the next round.
    claims = await asyncio.gather(*(rig.claim(5) for _ in range(3)))
    found = [one.reference for claim in (*claims, await rig.claim()) for one in claim]
    assert len(found) == len(set(found)) == 12


async def test_what_was_accepted_first_goes_first(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"a{n}") for n in range(3)))
    rig.advance(0.001)
    await rig.enqueue(*(draft(f"b{n}", user="bob") for n in range(3)))
    assert titles(await rig.claim(2)) == ["a0", "a1"]
    assert sorted(titles(await rig.claim(2))) == ["a2", "b0"]
    assert titles(await rig.claim(9)) == ["b1", "b2"]


async def test_what_is_urgent_goes_before_all_that_waits(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"a{n}") for n in range(3)))
    await rig.enqueue(draft("critical", user="bob", urgent=True))
    assert titles(await rig.claim(1)) == ["critical"]


async def test_what_is_urgent_has_the_next_turn_of_its_user(rig: Rig) -> None:
    """More for one user than the limit allows, the urgent one last: it is the first of those that wait."""
    await rig.enqueue(*(draft(f"a{n}") for n in range(17)))
    sent = await rig.claim(99)
    assert len(sent) == 3
    for one in sent:
        await rig.complete(SENT, one)
    await rig.enqueue(draft("critical", urgent=True))
    assert await rig.claim(99) == []
    rig.advance(60)
    assert titles(await rig.claim(99))[0] == "critical"


async def test_an_empty_queue_tells_when_to_look_again(rig: Rig) -> None:
    assert await rig.next_due() is None
    await rig.enqueue(draft())
    [claimed] = await rig.claim()
    assert await rig.next_due() == LEASE
    await rig.complete(again(7), claimed)
    assert await rig.next_due() == timedelta(seconds=7)


async def test_a_lease_that_ended_is_lost(rig: Rig) -> None:
    await rig.enqueue(draft())
    [lost] = await rig.claim()
    rig.advance(LEASE.total_seconds() - 0.001)
    assert await rig.claim() == []
    rig.advance(0.001)
    [taken] = await rig.claim()
    assert (taken.id, taken.claims, taken.attempts, taken.crashed) == (lost.id, 2, 0, True)
    assert taken.lease != lost.lease
    await rig.queue.release([lost])
    assert await rig.claim() == []
    assert await rig.complete(GIVEN_UP, lost) == [None]
    # Both may report in one breath: only who holds the lease is heard.
    [none, sent] = await rig.queue.complete([Completion(lost, GIVEN_UP), Completion(taken, replace(SENT, repeat=True))])
    assert none is None
    assert sent is not None
    [attempt] = (await rig.notifications.get("test", taken.reference)).history
    assert attempt.repeat
    assert (sent.status, sent.attempts) == (Status.SENT, 1)
    assert await rig.letters() == []
    assert await rig.complete(SENT, taken) == [None]


async def test_an_attempt_that_never_reported_is_known_also_after_it_has_waited_for_its_turn(rig: Rig) -> None:
    await rig.enqueue(draft(), draft(), draft())
    first = await rig.claim()
    assert len(first) == LIMIT.limit
    rig.advance(LEASE.total_seconds() + 1)
    assert await rig.claim() == []  # they may have been sent, and count
    [told] = await rig.complete(SENT, first[0])
    assert told is not None
    assert told.status is Status.SENT
    rig.advance(LIMIT.period.total_seconds())
    taken = await rig.claim()
    assert {one.id for one in taken} == {one.id for one in first[1:]}
    assert all(one.crashed for one in taken)


async def test_sent(rig: Rig) -> None:
    [one] = await rig.enqueue(draft())
    [claimed] = await rig.claim()
    rig.advance(1)
    partly = Decision(sent=True, reached=True, failure=BUSY)
    [sent] = await rig.complete(partly, claimed)
    assert sent is not None
    assert sent == await rig.notifications.get("test", one.id)
    assert (sent.status, sent.attempts, sent.error, sent.sent_at, sent.version, sent.next_attempt_at) == (
        Status.SENT,
        1,
        "HTTP_503: busy",
        rig.clock.time,
        2,
        None,
    )
    assert await rig.told() == [(one.id, "PENDING", 1), (one.id, "SENT", 2)]
    assert await rig.next_due() is None


@pytest.mark.parametrize("reached", [True, False])
async def test_an_attempt_that_may_have_reached_somebody_counts_for_the_limit(rig: Rig, reached: bool) -> None:
    await rig.enqueue(*(draft() for _ in range(3)))
    claimed = await rig.claim()
    assert len(claimed) == 3, "as many as the limit of these tests allows"
    await rig.complete(again(600, reached=reached), *claimed)
    await rig.enqueue(draft())
    assert len(await rig.claim()) == (0 if reached else 1)
    if reached:
        rig.advance(61)
        assert len(await rig.claim()) == 1


async def test_tried_again_then_given_up(rig: Rig) -> None:
    [one] = await rig.enqueue(draft())
    [claimed] = await rig.claim()
    start = rig.clock.time
    [waiting] = await rig.complete(again(2), claimed)
    assert waiting == await rig.notifications.get("test", one.id)
    assert waiting is not None
    assert (waiting.status, waiting.attempts, waiting.version) == (Status.PENDING, 1, 2)
    assert waiting.next_attempt_at == start + timedelta(seconds=2)
    assert await rig.claim() == []
    rig.advance(2)
    [claimed] = await rig.claim()
    assert (claimed.attempts, claimed.claims, claimed.crashed) == (1, 2, False)
    gone = Failure(kind=FailureKind.PERMANENT, code="HTTP_410", message="gone")
    [failed] = await rig.complete(Decision(sent=False, failure=gone), claimed)
    assert failed is not None
    assert (failed.status, failed.attempts, failed.error) == (Status.FAILED, 2, "HTTP_410: gone")
    assert failed.history == (
        Attempt(start, "HTTP_503", "busy", ChannelName.CONSOLE, "console"),
        Attempt(rig.clock.time, "HTTP_410", "gone", ChannelName.CONSOLE, "console"),
    )
    assert failed == await rig.notifications.get("test", one.id)
    assert await rig.told() == [(one.id, "PENDING", 1), (one.id, "FAILED", 3)]
    assert await rig.letters() == [(f"notification/test/{one.id}", ["HTTP_503", "HTTP_410"])]


async def test_the_history_keeps_the_latest(rig: Rig) -> None:
    made = await rig.subscribe(PROBED)
    event = PublicEvent(id="e1", type=PROBED, body=BODY, published_at=rig.clock.time)
    await rig.subscriptions.fan_out([event])
    [one] = await rig.enqueue(draft())
    for number in range(HISTORY_LIMIT + 2):
        failure = Failure(kind=FailureKind.TRANSIENT, code=f"C{number}", message="")
        claimed = await rig.claim()
        assert len(claimed) == 2
        await rig.complete(Decision(sent=False, wait=timedelta(0), failure=failure), *claimed)
    found = [(await rig.notifications.get("test", one.id)).history]
    found += [claimed.history for claimed in await rig.claim() if claimed.reference == made.id]
    for history in found:
        assert [attempt.code for attempt in history] == [f"C{n}" for n in range(2, HISTORY_LIMIT + 2)]


async def test_dead_addresses_are_forgotten(rig: Rig) -> None:
    one, two = [(await rig.endpoints.register("test", "ada", ChannelName.FCM, token, ""))[0] for token in ("t1", "t2")]
    await rig.enqueue(draft(), channel=ChannelName.FCM)
    claimed = {leg.endpoint: leg for leg in await rig.claim()}
    await rig.complete(GONE_FOR_GOOD, claimed[one])
    await rig.complete(again(0), claimed[two])
    [leg] = await rig.claim()
    assert leg.endpoint == two
    assert [point.id for point, _ in await rig.endpoints.page("test", "ada", limit=9, after="")] == [two.id]


async def test_an_address_that_was_registered_anew_during_the_attempt_stays(rig: Rig) -> None:
    await rig.endpoints.register("test", "ada", ChannelName.FCM, "t1", "")
    await rig.enqueue(draft(), channel=ChannelName.FCM)
    [leg] = await rig.claim()
    anew, _, _ = await rig.endpoints.register("test", "ada", ChannelName.FCM, "t1", "")
    await rig.complete(GONE_FOR_GOOD, leg)
    assert [point for point, _ in await rig.endpoints.page("test", "ada", limit=9, after="")] == [anew]


async def test_the_limit_is_kept_and_everybody_gets_a_turn_in_order(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"n{n}") for n in range(8)), draft("w", tenant="wellness"), draft("b", user="bob"))
    first = await rig.claim()
    assert sorted(titles(first)) == ["b", "n0", "n1", "n2", "w"]
    await rig.complete(SENT, *first)
    assert await rig.claim() == []
    waiting = await rig.notifications.page(NotificationFilter(tenant="test", user="ada"), limit=5, after=None)
    assert [one.next_attempt_at for one in waiting] != [None] * 5
    sent: list[str] = []
    for _ in range(62):
        rig.advance(1)
        going = await rig.claim()
        sent += titles(going)
        await rig.complete(SENT, *going)
    assert sent == ["n3", "n4", "n5"]
    rig.advance(58)
    going = await rig.claim()
    rig.advance(2)
    assert titles(going) + titles(await rig.claim()) == ["n6", "n7"]


async def test_only_what_was_sent_counts(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"n{n}") for n in range(7)))
    failed, released, kept = await rig.claim()
    await rig.complete(again(100), failed)
    await rig.queue.release([released])
    rig.advance(1)  # those over the limit look again when something under way may have ended
    going = await rig.claim()
    assert titles(going) == ["n1", "n3"]
    await rig.complete(SENT, kept, *going)
    rig.advance(59.999)
    assert await rig.claim() == []
    rig.advance(0.001)
    assert titles(await rig.claim()) == ["n4", "n5", "n6"]


async def test_what_never_reported_counts(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"n{n}") for n in range(3)))
    assert len(await rig.claim()) == 3
    rig.advance(LEASE.total_seconds())
    assert await rig.claim() == []  # they may have been sent just now
    rig.advance(60)
    assert titles(await rig.claim()) == ["n0", "n1", "n2"]


async def test_those_under_way_are_not_waited_for_twice(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"n{n}") for n in range(6)))
    await rig.complete(SENT, *await rig.claim())
    assert await rig.claim() == []
    rig.advance(60)
    going = await rig.claim()
    assert titles(going) == ["n3", "n4", "n5"]
    [late] = await rig.enqueue(draft("late"))
    assert await rig.claim() == []
    await rig.complete(GIVEN_UP, *going)
    found = await rig.notifications.get("test", late.id)
    assert found.next_attempt_at == rig.clock.time + timedelta(seconds=1)
    rig.advance(1)
    assert titles(await rig.claim()) == ["late"]


async def fanned(rig: Rig, *ids: str) -> tuple[Subscription, list[Claimed]]:
    made = await rig.subscribe(PROBED)
    events = [PublicEvent(id=id_, type=PROBED, body=BODY, published_at=rig.clock.time) for id_ in ids]
    assert await rig.subscriptions.fan_out(events) == [1] * len(ids)
    return made, await rig.claim()


async def test_events_have_no_limit_and_no_notification(rig: Rig) -> None:
    made, claimed = await fanned(rig, *(f"e{n}" for n in range(5)))
    assert len(claimed) == 5
    one = min(claimed, key=lambda one: one.id)
    assert isinstance(one.message, EventMessage)
    assert (one.message.id, one.message.type, one.message.body) == (one.id, PROBED, BODY)
    assert (one.reference, one.tenant, one.channel, one.blocked) == (made.id, "", ChannelName.WEBHOOK, None)
    assert (one.lane, one.receiver) == (Lane.EVENT, made.id)
    assert one.endpoint is not None
    assert (one.endpoint.id, one.endpoint.address, one.endpoint.secret) == (made.id, made.url, "whsec_s")
    assert await rig.complete(SENT, *claimed) == [None] * 5
    assert await rig.told() == []
    assert await rig.next_due() is None


async def test_an_event_given_up_is_a_dead_letter(rig: Rig) -> None:
    made, [claimed] = await fanned(rig, "e1")
    assert await rig.complete(again(0), claimed) == [None]
    [claimed] = await rig.claim()
    await rig.complete(GIVEN_UP, claimed)
    assert await rig.letters() == [(f"event/{made.id}/e1", ["HTTP_503", "HTTP_503"])]
    assert await rig.claim() == []


async def test_a_subscription_that_only_fails_is_disabled(rig: Rig) -> None:
    made, claimed = await fanned(rig, "e1", "e2", "e3")
    since = rig.clock.time
    await rig.complete(again(86400 * 5 - 1), *claimed)
    rig.advance(86400 * 5 - 1)
    claimed = await rig.claim()
    # One success outweighs the failures that are written with it.
    await rig.queue.complete(
        [Completion(claimed[0], SENT), Completion(claimed[1], again(1)), Completion(claimed[2], again(1))]
    )
    rig.advance(2)
    assert (await rig.subscriptions.get(made.id)).enabled
    claimed = await rig.claim()
    since = rig.clock.time
    await rig.complete(again(86400 * 5), *claimed)
    rig.advance(86400 * 5)
    one, two = await rig.claim()
    await rig.complete(again(0), one)
    found = await rig.subscriptions.get(made.id)
    assert (found.enabled, found.disabled_reason) == (False, f"nothing but failures since {since:%Y-%m-%d %H:%M}")
    [blocked] = await rig.claim()
    assert blocked.blocked == Failure(
        kind=FailureKind.PERMANENT, code="SUBSCRIPTION_DISABLED", message=found.disabled_reason
    )
    # It is disabled: why stays what it was.
    await rig.complete(Decision(sent=False, failure=BUSY, gone=True), two)
    assert await rig.subscriptions.get(made.id) == found


async def test_a_receiver_that_is_gone_disables_its_subscription(rig: Rig) -> None:
    made, [claimed] = await fanned(rig, "e1")
    other = await rig.subscribe(PROBED)
    await rig.complete(Decision(sent=False, failure=BUSY, gone=True), claimed)
    found = await rig.subscriptions.get(made.id)
    assert (found.enabled, found.disabled_reason) == (False, GONE)
    assert (await rig.subscriptions.get(other.id)).enabled


async def test_a_single_failure_may_be_enough(open_rig: OpenRig) -> None:
    rig = open_rig(disable_after=timedelta(0))
    made, [claimed] = await fanned(rig, "e1")
    await rig.complete(again(1), claimed)
    assert not (await rig.subscriptions.get(made.id)).enabled


async def test_what_is_completed_together_is_independent(rig: Rig) -> None:
    made, _ = await fanned(rig)
    event = PublicEvent(id="e", type=PROBED, body=BODY, published_at=rig.clock.time)
    await rig.subscriptions.fan_out([event])
    await rig.enqueue(draft("a"), draft("b", tenant="wellness"), draft("c", user="bob"))
    claimed = await rig.claim()
    decisions = {"a": SENT, "b": again(3), "c": GIVEN_UP}
    outcomes = await rig.queue.complete(
        [
            Completion(one, decisions[one.message.title] if isinstance(one.message, Outgoing) else SENT)
            for one in claimed
        ]
    )
    assert {one.title: one.status for one in outcomes if one is not None} == {
        "a": Status.SENT,
        "b": Status.PENDING,
        "c": Status.FAILED,
    }
    assert outcomes.count(None) == 1
    await rig.subscriptions.delete(made.id)
