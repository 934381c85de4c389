"""`NotificationStore`: the same suite on the one in memory and the one on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.errors import DomainError
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.places import open_room
from services.notification.application.ports.notifications import Enqueued, NotificationFilter
from services.notification.domain.delivery import Outgoing
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound, RateLimited, VersionConflict
from services.notification.domain.lane import Lane
from services.notification.domain.notification import KEYS_LAST, ChannelName, Draft, Notification, Status, Type
from tests.contract.notification.conftest import CONSOLE, GIVEN_UP, LEASE, SENT, Rig, again, draft

UNKNOWN = "01a20270-b1bf-701a-bb2a-d9784e88e52a"


async def titles(rig: Rig, limit: int = 100, after: Notification | None = None, **wanted: object) -> list[str]:
    position = None if after is None else (after.created_at, after.id)
    given = NotificationFilter(**{"tenant": "test", **wanted})  # pyright: ignore[reportArgumentType]
    return [one.title for one in await rig.notifications.page(given, limit=limit, after=position)]


async def test_what_was_accepted_is_read_by_its_tenant(rig: Rig) -> None:
    full = Draft(tenant="test", user="ada", type=Type.INFO, title="t", body="b", data='{"a": [1, "é"]}')
    [one] = await rig.enqueue(full, channel=ChannelName.EMAIL)
    [other] = await rig.enqueue(draft(tenant="wellness"))
    assert one == Notification(
        id=one.id,
        tenant="test",
        user="ada",
        type=Type.INFO,
        title="t",
        body="b",
        data='{"a": [1, "é"]}',
        channel=ChannelName.EMAIL,
        status=Status.PENDING,
        attempts=0,
        error="",
        created_at=rig.clock.time,
    )
    assert await rig.notifications.get("test", one.id) == one
    assert await rig.notifications.get("wellness", other.id) == other
    assert await rig.told() == [(one.id, "PENDING", 1), (other.id, "PENDING", 1)]
    assert await rig.notifications.enqueue([]) == []
    absent = ("wellness", one.id), ("test", UNKNOWN), ("test", "nothing"), ("test", one.id.upper())
    for tenant, id_ in absent:
        with pytest.raises(NotificationNotFound):
            await rig.notifications.get(tenant, id_)


async def accepted(rig: Rig, *drafts: Draft) -> list[tuple[str, bool] | type[DomainError]]:
    """Id and `existing` of each, or its error."""
    outcomes = await rig.notifications.enqueue([(one, CONSOLE) for one in drafts])
    return [(one.notification.id, one.existing) if isinstance(one, Enqueued) else type(one) for one in outcomes]


async def test_a_key_makes_one_notification_of_one_content(rig: Rig) -> None:
    [one] = await rig.enqueue(draft(key="k"))
    assert await accepted(rig, draft(key="k")) == [(one.id, True)]
    assert await accepted(rig, draft(key="k", body="other")) == [IdempotencyConflict]
    [other] = await rig.enqueue(draft(key="k", body="other", tenant="wellness"))
    assert other.id != one.id
    rig.clock.time += KEYS_LAST
    assert await accepted(rig, draft(key="k")) == [(one.id, True)]
    rig.advance(0.001)
    [renewed] = await rig.enqueue(draft(key="k", body="other"))
    assert renewed.id != one.id
    assert await accepted(rig, draft(key="k", body="other")) == [(renewed.id, True)]


async def test_keys_within_one_call(rig: Rig) -> None:
    found = await accepted(rig, draft(key="k"), draft(key="k"), draft(key="k", body="other"), draft())
    first = found[0]
    assert first[1] is False  # pyright: ignore
    assert found[1:3] == [(first[0], True), IdempotencyConflict]  # pyright: ignore
    # What is kept decides, not what stands first in the call.
    found = await accepted(rig, draft(key="k", body="other"), draft(key="k"), draft(key="k", body="third"))
    assert found == [IdempotencyConflict, (first[0], True), IdempotencyConflict]  # pyright: ignore
    assert await titles(rig) == ["Fire"] * 2


async def test_a_repeated_key_tells_where_the_notification_stands(rig: Rig) -> None:
    await rig.enqueue(draft(key="k"))
    [claimed] = await rig.claim()
    await rig.complete(again(4), claimed)
    [outcome] = await rig.notifications.enqueue([(draft(key="k"), CONSOLE)])
    assert isinstance(outcome, Enqueued)
    assert outcome.notification == replace(await rig.notifications.get("test", claimed.reference), history=())
    assert await rig.notifications.known([draft(key="k"), draft(key="other"), draft()]) == [outcome, None, None]
    [conflict] = await rig.notifications.known([draft("Else", key="k")])
    assert isinstance(conflict, IdempotencyConflict)
    rig.advance(KEYS_LAST.total_seconds() + 1)
    assert await rig.notifications.known([draft(key="k")]) == [None]
    rig.advance(-KEYS_LAST.total_seconds() - 1)
    assert outcome.notification.next_attempt_at == rig.clock.time + timedelta(seconds=4)


async def test_accepting_and_claiming_in_one(rig: Rig) -> None:
    claimed = await claimed_now(rig, draft(key="k"))
    assert claimed is not None
    assert (claimed.attempts, claimed.claims, claimed.lane) == (0, 1, Lane.CONSOLE)
    assert await rig.claim() == []
    found = await rig.notifications.get("test", claimed.reference)
    assert (found.status, found.next_attempt_at) == (Status.PENDING, None)
    existing = await rig.notifications.enqueue_claimed(draft(key="k"), CONSOLE)
    assert existing == Enqueued(found, existing=True)
    with pytest.raises(IdempotencyConflict):
        await rig.notifications.enqueue_claimed(draft(key="k", body="other"), CONSOLE)
    [sent] = await rig.complete(SENT, claimed)
    assert sent is not None
    assert await rig.told() == [(sent.id, "PENDING", 1), (sent.id, "SENT", 2)]


async def claimed_at_once(
    rig: Rig, claim: int, *drafts: Draft, channel: ChannelName = ChannelName.CONSOLE
) -> list[Claimed | None]:
    """What was claimed of each, in one call."""
    lane = Lane(channel)
    routed = [(one, await rig.route(one, channel)) for one in drafts]
    outcomes = await rig.notifications.enqueue(routed, rooms={lane: open_room(lane, claim)})
    assert all(isinstance(one, Enqueued) for one in outcomes), outcomes
    return [next(iter(one.claimed), None) for one in outcomes if isinstance(one, Enqueued)]


async def claimed_now(rig: Rig, draft: Draft) -> Claimed | None:
    """What was claimed by a call that waits."""
    return next(iter((await rig.notifications.enqueue_claimed(draft, CONSOLE)).claimed), None)


async def test_many_are_accepted_and_claimed_as_far_as_there_is_room(rig: Rig) -> None:
    point, _, _ = await rig.endpoints.register("test", "ada", ChannelName.FCM, "t1", "")
    first, second, none = await claimed_at_once(
        rig, 2, draft("a", body="b"), draft(user="bob"), draft(user="eve"), channel=ChannelName.FCM
    )
    assert first is not None
    assert second is not None
    assert none is None
    found = await rig.notifications.get("test", first.reference)
    assert (found.status, found.next_attempt_at) == (Status.PENDING, None)
    assert first == Claimed(
        id=first.id,
        lease=first.lease,
        lane=Lane.FCM,
        receiver="",
        tenant="test",
        reference=found.id,
        channel=ChannelName.FCM,
        message=Outgoing(
            id=found.id,
            tenant="test",
            user="ada",
            type=Type.ALERT,
            title="a",
            body="b",
            data="",
            created_at=found.created_at,
        ),
        endpoint=point,
    )
    [last] = await rig.claim()
    assert last.message.user == "eve"  # pyright: ignore
    await rig.complete(SENT, first, last)
    await rig.queue.release([second])
    assert [one.id for one in await rig.claim()] == [second.id]


async def test_what_is_claimed_at_once_is_lost_with_its_lease_like_others(rig: Rig) -> None:
    [claimed] = await claimed_at_once(rig, 9, draft())
    assert claimed is not None
    rig.advance(LEASE.total_seconds() - 0.001)
    assert await rig.claim() == []
    rig.advance(0.001)
    [taken] = await rig.claim()
    assert (taken.id, taken.claims) == (claimed.id, 2)
    assert await rig.complete(SENT, claimed) == [None]


async def test_nothing_is_claimed_at_once_before_older_work_or_beyond_the_limit(rig: Rig) -> None:
    found = await claimed_at_once(rig, 9, *(draft(f"n{n}") for n in range(5)), draft(user="bob"))
    assert [one is not None for one in found] == [True, True, True, False, False, True]
    assert await claimed_at_once(rig, 9, draft(user="eve")) == [None]  # two wait to be claimed
    assert [one.message.user for one in await rig.claim()] == ["eve"]  # pyright: ignore
    [other] = await claimed_at_once(rig, 9, draft(user="dan"))  # those of Ada have their turns later
    assert other is not None


async def test_keys_and_claims_at_once(rig: Rig) -> None:
    await rig.enqueue(draft(key="k"))
    await rig.claim()
    outcomes = await rig.notifications.enqueue(
        [(draft(key="k"), CONSOLE), (draft(key="l"), CONSOLE)], rooms={Lane.CONSOLE: open_room(Lane.CONSOLE, 9)}
    )
    assert [len(one.claimed) for one in outcomes if isinstance(one, Enqueued)] == [0, 1]


async def test_many_calls_that_claim_at_once_keep_the_limit(rig: Rig) -> None:
    calls = await asyncio.gather(*(claimed_at_once(rig, 2, draft(), draft()) for _ in range(6)))
    assert sum(one is not None for call in calls for one in call) <= 3
    assert len([one for call in calls for one in call if one is not None]) + len(await rig.claim()) == 3


async def test_over_the_limit_nothing_is_accepted_and_claimed(rig: Rig) -> None:
    for _ in range(2):
        claimed = await claimed_now(rig, draft())
        assert claimed is not None
        await rig.complete(SENT, claimed)
        rig.advance(20)
    held = await claimed_now(rig, draft())
    assert held is not None
    with pytest.raises(RateLimited) as limited:
        await rig.notifications.enqueue_claimed(draft("Late", key="k"), CONSOLE)
    # When the first that was sent counts no more; what is under way counts for a period, once it is sent.
    assert limited.value.retry_after == timedelta(seconds=20)
    await rig.complete(SENT, held)
    with pytest.raises(RateLimited) as limited:
        await rig.notifications.enqueue_claimed(draft("Late", key="k"), CONSOLE)
    assert limited.value.retry_after == timedelta(seconds=20)
    assert limited.value.metadata == {"user": "ada", "limit": "3", "period": "60s"}
    assert "Late" not in await titles(rig)
    for user, tenant in (("bob", "test"), ("ada", "wellness")):
        assert await claimed_now(rig, draft(user=user, tenant=tenant))
    rig.advance(20)
    assert await claimed_now(rig, draft("Late", key="k"))


async def test_calls_at_once_make_one_of_a_key_and_keep_the_limit(rig: Rig) -> None:
    same = await asyncio.gather(*(rig.notifications.enqueue_claimed(draft(key="k"), CONSOLE) for _ in range(5)))
    assert sum(bool(one.claimed) for one in same) == 1
    assert len({one.notification.id for one in same}) == 1
    calls = (rig.notifications.enqueue_claimed(draft(user="bob"), CONSOLE) for _ in range(6))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(one, Enqueued) for one in outcomes].count(True) == 3
    assert [isinstance(one, RateLimited) for one in outcomes].count(True) == 3


async def test_pages_are_newest_first_and_keep_to_what_was_asked(rig: Rig) -> None:
    await rig.enqueue(draft("n1"), draft("n2"), draft("n3"))
    rig.advance(1)
    await rig.enqueue(draft("bob", user="bob"), draft("n4"), draft("other", tenant="wellness"))
    first = await rig.notifications.page(NotificationFilter(tenant="test", user="ada"), limit=3, after=None)
    assert [one.title for one in first] == ["n4", "n3", "n2"]
    assert await titles(rig, after=first[-1], user="ada") == ["n1"]
    assert await titles(rig, 2) == ["n4", "bob"]
    assert await titles(rig, user="nobody") == []
    claimed = {one.message.title: one for one in await rig.claim() if not hasattr(one.message, "event_id")}  # pyright: ignore
    await rig.complete(SENT, claimed["n1"], claimed["n3"])
    await rig.complete(GIVEN_UP, claimed["n2"])
    assert await titles(rig, status=Status.SENT) == ["n3", "n1"]
    assert await titles(rig, status=Status.FAILED) == ["n2"]
    await rig.notifications.mark_read("test", claimed["n3"].reference)
    assert await titles(rig, unread=True) == ["n1"]
    assert await titles(rig, tenant="wellness") == ["other"]


async def test_a_mark_happens_once_and_keeps_the_first_time(rig: Rig) -> None:
    one, other = await rig.enqueue(draft(), draft(tenant="wellness"))
    pending = await rig.notifications.mark_read("test", one.id)
    assert (pending.status, pending.read_at, pending.version) == (Status.PENDING, rig.clock.time, 2)
    first = rig.clock.time
    rig.advance(1)
    assert await rig.notifications.mark_read("test", one.id) == pending
    claimed = {claim.reference: claim for claim in await rig.claim()}
    [sent] = await rig.complete(SENT, claimed[one.id])
    assert sent is not None
    assert (sent.read_at, sent.version) == (first, 3)
    rig.advance(1)
    assert await rig.notifications.mark_read("test", one.id) == replace(sent, history=())
    assert await rig.notifications.mark_read("wellness", other.id) != other


async def test_marks_at_once_are_each_answered_for_itself(rig: Rig) -> None:
    made = await rig.enqueue(*(draft(f"n{n}") for n in range(5)))
    wanted = [("test", one.id) for one in made for _ in range(2)]
    strange = [("wellness", made[0].id), ("test", UNKNOWN), ("test", "nothing"), ("test", made[0].id.upper())]
    marks = [rig.notifications.mark_read(*which) for which in (*strange, *wanted)]
    outcomes = await asyncio.gather(*marks, return_exceptions=True)
    for (_, id_), refused in zip(strange, outcomes, strict=False):
        assert isinstance(refused, NotificationNotFound)
        assert refused.metadata == {"id": id_}
    read = [one for one in outcomes if isinstance(one, Notification)]
    assert [one.id for one in read] == [id_ for _, id_ in wanted]
    assert {one.version for one in read} == {2}
    assert await titles(rig, unread=True) == []


async def test_a_mark_of_another_version_is_refused(rig: Rig) -> None:
    [one] = await rig.enqueue(draft())
    marks = [rig.notifications.mark_read("test", one.id, expected) for expected in (7, 1, 1, 2, 0)]
    outcomes = await asyncio.gather(*marks, return_exceptions=True)
    told = [
        one.version if isinstance(one, Notification) else one.metadata["current"]
        for one in outcomes
        if isinstance(one, Notification | VersionConflict)
    ]
    assert told == ["1", 2, "2", 2, 2]
    with pytest.raises(VersionConflict) as conflict:
        await rig.notifications.mark_read("test", one.id, 1)
    assert conflict.value.metadata == {"id": one.id, "expected": "1", "current": "2"}


async def test_only_what_failed_is_retried(rig: Rig) -> None:
    [one] = await rig.enqueue(draft())
    for id_ in (one.id, UNKNOWN, "nothing"):
        assert not await rig.notifications.retry_abandoned("test", [id_])
    [claimed] = await rig.claim()
    await rig.complete(again(0), claimed)
    [claimed] = await rig.claim()
    await rig.complete(GIVEN_UP, claimed)
    assert await rig.notifications.retry_abandoned("wellness", [one.id]) == 0
    assert await rig.notifications.retry_abandoned("test", [one.id, UNKNOWN, "nothing", one.id]) == 1
    assert await rig.notifications.retry_abandoned("test", [one.id]) == 0
    [claimed] = await rig.claim()
    assert (claimed.reference, claimed.attempts, claimed.history) == (one.id, 0, ())
    [sent] = await rig.complete(SENT, claimed)
    assert sent is not None
    assert (sent.attempts, sent.error) == (3, "")
    assert [change[1:] for change in await rig.told()] == [("PENDING", 1), ("FAILED", 3), ("PENDING", 4), ("SENT", 5)]


async def test_what_follows_from_an_event_is_made_once(rig: Rig) -> None:
    drafts = [(draft(user=user, key=f"alarm-1-{user}"), CONSOLE) for user in ("ada", "bob")]
    assert await rig.notifications.enqueue_for_event("event 1", drafts) == 2
    assert await rig.notifications.enqueue_for_event("event 1", drafts) == 0
    # Another event about the same: who has been told is not told again.
    third = (draft(user="cleo", key="alarm-1-cleo"), CONSOLE)
    assert await rig.notifications.enqueue_for_event("event 2", [*drafts, third]) == 1
    assert await rig.notifications.enqueue_for_event("event 3", []) == 0
