"""The reading side of the stores of notifications: the same suite on the ones in memory and on PostgreSQL."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from services.notification.application.ports.notifications import AbandonedFilter, NotificationFilter
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound, ReceiptEarly, VersionConflict
from services.notification.domain.notification import ChannelName, Draft, Notification, Status, Type
from services.notification.domain.receipt import Receipt, ReceiptKind
from services.notification.domain.statistics import Interval, Period, Statistics, counted
from tests.contract.notification.conftest import GIVEN_UP, SENT, Rig, draft

ALWAYS = Period(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
UNKNOWN = "01a20270-b1bf-701a-bb2a-d9784e88e52a"


async def page(rig: Rig, **wanted: object) -> list[Notification]:
    given = NotificationFilter(**{"tenant": "test", **wanted})  # pyright: ignore[reportArgumentType]
    return list(await rig.notifications.page(given, limit=100, after=None))


async def sent(rig: Rig, *drafts: Draft) -> list[Notification]:
    made = await rig.enqueue(*drafts)
    await rig.complete(SENT, *await rig.claim())
    return made


async def test_a_list_of_a_period(rig: Rig) -> None:
    start = rig.clock.time
    for title in ("a", "b", "c"):
        await rig.enqueue(draft(title))
        rig.advance(60)
    second = start + timedelta(seconds=60)
    assert [one.title for one in await page(rig, since=second)] == ["c", "b"]
    assert [one.title for one in await page(rig, until=second)] == ["a"]
    assert [one.title for one in await page(rig, since=start, until=second, user="ada")] == ["a"]
    assert await page(rig, since=second, until=second) == []


async def test_a_basic_list_has_neither_text_nor_data(rig: Rig) -> None:
    await rig.enqueue(Draft(tenant="test", user="ada", type=Type.INFO, title="t", body="b", data='{"a": 1}'))
    [full], [basic] = await page(rig), await page(rig, basic=True)
    assert (full.body, full.data) == ("b", '{"a": 1}')
    assert (basic.id, basic.title, basic.body, basic.data) == (full.id, "t", "", "")


async def test_opened_is_read_and_the_first_times_stay(rig: Rig) -> None:
    [one, other] = await sent(rig, draft("a"), draft("b"))
    read = await rig.notifications.mark_read("test", one.id)
    assert (read.read_at, read.opened_at, read.version) == (rig.clock.time, None, 3)
    first = rig.clock.time
    rig.advance(5)
    opened = await rig.notifications.mark_read("test", one.id, opened=True)
    assert (opened.read_at, opened.opened_at, opened.version) == (first, rig.clock.time, 4)
    both = await rig.notifications.mark_read("test", other.id, opened=True)
    assert (both.read_at, both.opened_at, both.version) == (rig.clock.time, rig.clock.time, 3)
    rig.advance(5)
    assert await rig.notifications.mark_read("test", one.id, opened=True) == opened
    assert await rig.notifications.mark_read("test", one.id) == opened
    assert await page(rig, unread=True) == []
    with pytest.raises(NotificationNotFound):
        await rig.notifications.mark_read("test", UNKNOWN, opened=True)


async def test_marks_of_one_moment_are_judged_one_after_the_other(rig: Rig) -> None:
    one, other, busy = await sent(rig, draft("a"), draft("b"), draft("c"))
    mark = rig.notifications.mark_read
    # The first one is under way when the others come.
    _, read, opened, *_ = await asyncio.gather(
        mark("test", busy.id),
        mark("test", one.id, 2),
        mark("test", one.id, 2, opened=True),
        *(mark("test", one.id, 2) for _ in range(20)),
        return_exceptions=True,
    )
    assert isinstance(read, Notification)
    assert isinstance(opened, VersionConflict)
    assert opened.metadata == {"id": one.id, "expected": "2", "current": "3"}
    kept = await rig.notifications.get("test", one.id)
    assert (kept.version, kept.opened_at) == (3, None)
    _, read, opened, late = await asyncio.gather(
        mark("test", busy.id),
        mark("test", other.id, 2),
        mark("test", other.id, 3, opened=True),
        mark("test", other.id, opened=True),
    )
    assert (read.version, opened.version, opened.opened_at) == (3, 4, rig.clock.time)
    assert late.version == 4
    assert (await rig.notifications.get("test", other.id)).opened_at == rig.clock.time


async def test_all_are_marked_read_that_had_come_until_then(rig: Rig) -> None:
    mark = rig.notifications.mark_all_read
    await sent(rig, draft("a"), draft("b"), draft("c", user="bob"), draft("d", tenant="wellness"))
    rig.advance(1)
    seen = rig.clock.time
    rig.advance(100)
    await sent(rig, draft("late"))
    await rig.enqueue(draft("pending"))
    assert await mark("test", "ada", seen) == 2
    assert [(one.title, one.user) for one in await page(rig, unread=True)] == [("late", "ada"), ("c", "bob")]
    assert await mark("test", "ada", None) == 1
    assert await mark("test", "ada", None) == 0
    assert [one.title for one in await page(rig, unread=True, user="bob")] == ["c"]


async def test_what_was_given_up_is_found_and_taken_up_again(rig: Rig) -> None:
    old = rig.clock.time
    [one, other] = await rig.enqueue(draft("a"), draft("b", user="bob"))
    await rig.complete(GIVEN_UP, *await rig.claim())
    rig.advance(100)
    [mailed] = await rig.enqueue(draft("c"), channel=ChannelName.EMAIL)
    await rig.complete(GIVEN_UP, *await rig.claim())
    await rig.enqueue(draft("d", tenant="wellness"))

    async def found(limit: int = 10, **wanted: object) -> Sequence[str]:
        given = AbandonedFilter(**{"tenant": "test", **wanted})  # pyright: ignore[reportArgumentType]
        return await rig.notifications.abandoned(given, limit)

    assert await found() == [one.id, other.id, mailed.id]
    assert await found(2) == [one.id, other.id]
    assert await found(user="bob") == [other.id]
    assert await found(channel=ChannelName.EMAIL) == [mailed.id]
    assert await found(type=Type.INFO) == []
    assert await found(since=old + timedelta(seconds=1)) == [mailed.id]
    assert await found(until=old + timedelta(seconds=1)) == [one.id, other.id]
    assert await rig.notifications.retry_abandoned("test", [one.id, mailed.id]) == 2
    assert await found() == [other.id]
    assert {claim.reference for claim in await rig.claim()} >= {one.id, mailed.id}


async def test_figures(rig: Rig) -> None:
    rig.clock.time = rig.clock.time.replace(minute=10, second=0)
    [one, *_] = await rig.enqueue(draft("a"), draft("b", user="bob"), channel=ChannelName.EMAIL)
    rig.advance(2)
    await rig.complete(SENT, *await rig.claim())
    await rig.notifications.mark_read("test", one.id, opened=True)
    await rig.enqueue(draft("c", user="eve"))
    await rig.complete(GIVEN_UP, *await rig.claim())
    await rig.enqueue(draft("d", user="ivy"), draft(tenant="wellness"))
    figures = (await rig.counts.statistics("test", ALWAYS, None)).whole
    assert figures.statuses == {Status.PENDING: 1, Status.SENT: 2, Status.FAILED: 1}
    assert figures.types == {Type.ALERT: 4, Type.REMINDER: 0, Type.INFO: 0}
    assert figures.channels == {
        ChannelName.CONSOLE: 2,
        ChannelName.EMAIL: 2,
        ChannelName.WEBHOOK: 0,
        ChannelName.FCM: 0,
    }
    assert (figures.total, figures.opened, figures.success_rate, figures.open_rate) == (4, 1, 2 / 3, 1 / 2)
    assert figures.mean_delivery == timedelta(seconds=2)
    assert figures.p95_delivery is not None
    assert timedelta(seconds=2) <= figures.p95_delivery < timedelta(seconds=2.2)
    day_before = Period(ALWAYS.since, rig.clock.time - timedelta(days=1))
    nothing = await rig.counts.statistics("test", day_before, Interval.HOUR)
    assert nothing == Statistics(counted([]))
    assert (nothing.whole.success_rate, nothing.whole.mean_delivery, nothing.whole.p95_delivery) == (None, None, None)


async def report_anything(rig: Rig, dice: random.Random, id_: str) -> None:
    """A receipt that may be early, late, repeated, or about somebody else's address."""
    receipt = Receipt(
        id=f"r{dice.randrange(100)}",
        tenant="test",
        notification=id_,
        kind=dice.choice(list(ReceiptKind)),
        channel=dice.choice([(await rig.notifications.get("test", id_)).channel, *ChannelName]),
        occurred_at=rig.clock.time - timedelta(seconds=dice.choice([0, 0.01, 5, 5000])),
    )
    with suppress(ReceiptEarly, IdempotencyConflict):
        await rig.receipts.apply(receipt)


@pytest.mark.parametrize("seed", range(6))
async def test_figures_equal_a_recount_whatever_happened(rig: Rig, seed: int) -> None:
    dice = random.Random(seed)
    rig.clock.time = rig.clock.time.replace(hour=0, minute=50)
    start, ids = rig.clock.time, list[str]()
    for _ in range(25):
        rig.advance(dice.choice([0.003, 7, 400, 4000]))
        drafts = [draft(user=f"u{dice.randrange(50)}") for _ in range(dice.randrange(4))]
        ids += [one.id for one in await rig.enqueue(*drafts, channel=dice.choice(list(ChannelName)))]
        rig.advance(dice.choice([0, 0.0004, 0.001, 0.3, 50]))
        await rig.complete(dice.choice([SENT, SENT, GIVEN_UP]), *await rig.claim(dice.randrange(1, 5)))
        if ids and dice.random() < 0.7:
            await rig.notifications.mark_read("test", dice.choice(ids), opened=dice.random() < 0.5)
        if dice.random() < 0.2:
            await rig.notifications.retry_abandoned("test", ids)
        for _ in range(dice.randrange(3) if ids else 0):
            await report_anything(rig, dice, dice.choice(ids))
        if dice.random() < 0.3:
            await rig.merge_counts()
    stored = await page(rig)
    for _ in range(10):
        since = start + timedelta(seconds=dice.randrange(40_000))
        period = dice.choice([ALWAYS, Period(since, since + timedelta(seconds=dice.randrange(1, 30_000)))])
        interval = dice.choice([None, *Interval])

        there = [one for one in stored if period.since <= one.created_at < period.until]
        points: dict[datetime, list[Notification]] = {}
        for one in there if interval is not None else ():
            day = {"hour": 0} if interval is Interval.DAY else {}
            points.setdefault(one.created_at.replace(minute=0, second=0, microsecond=0, **day), []).append(one)
        expected = Statistics(counted(there), tuple((start, counted(points[start])) for start in sorted(points)))
        assert await rig.counts.statistics("test", period, interval) == expected
