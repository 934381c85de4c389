"""Lanes of the delivery queue: receivers, tenants and priorities; the same suite on both adapters."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.postgres import Database
from services.notification.application.claimed_delivery import Claimed
from services.notification.application.places import Room, open_room
from services.notification.application.ports.webhooks import PublicEvent
from services.notification.domain.delivery import Outgoing
from services.notification.domain.lane import Lane
from services.notification.domain.notification import ChannelName, Draft, Type
from tests.contract.notification.conftest import SENT, PostgresRig, Rig, draft

PROBED = "tocsin.events.v1.VideoProbed"


def titles(claimed: Sequence[Claimed]) -> list[str]:
    return [one.message.title for one in claimed if isinstance(one.message, Outgoing)]


def of_type(type_: Type, title: str, user: str, **more: str) -> Draft:
    return replace(draft(title, user=user, **more), type=type_)


async def test_each_lane_has_its_own_work(rig: Rig) -> None:
    await rig.endpoints.register("test", "ada", ChannelName.EMAIL, "a@example.org", "")
    await rig.enqueue(draft("mail"), channel=ChannelName.EMAIL)
    await rig.enqueue(draft("console"))
    assert titles(await rig.claim(9, Lane.CONSOLE)) == ["console"]
    assert await rig.claim(9, Lane.FCM, Lane.WEBHOOK, Lane.EVENT) == []
    assert titles(await rig.claim(9, Lane.EMAIL)) == ["mail"]


async def test_alerts_go_before_reminders_and_reminders_before_the_rest(rig: Rig) -> None:
    await rig.enqueue(*(of_type(Type.INFO, f"i{n}", f"i{n}") for n in range(3)))
    await rig.enqueue(of_type(Type.REMINDER, "r", "r"))
    await rig.enqueue(of_type(Type.ALERT, "a", "a"))
    assert titles(await rig.claim(2)) == ["a", "r"]
    assert titles(await rig.claim(9)) == ["i0", "i1", "i2"]


async def test_tenants_take_turns(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"t{n}", user=f"u{n}") for n in range(6)))
    rig.advance(1)
    await rig.enqueue(*(of_type(Type.INFO, f"w{n}", f"u{n}", tenant="wellness") for n in range(6)))
    assert sorted(titles(await rig.claim(4))) == ["t0", "t1", "w0", "w1"]


async def test_what_is_urgent_waits_for_no_other_tenant(rig: Rig) -> None:
    await rig.enqueue(*(draft(f"t{n}", user=f"u{n}") for n in range(3)))
    await rig.enqueue(draft("w", tenant="wellness", urgent=True))
    assert titles(await rig.claim(1)) == ["w"]


async def fanned(rig: Rig, subscriptions: int, events: int) -> list[str]:
    made = [(await rig.subscribe(PROBED)).id for _ in range(subscriptions)]
    event = PublicEvent(id="", type=PROBED, body="{}", published_at=rig.clock.time)
    await rig.subscriptions.fan_out([replace(event, id=f"e{n}") for n in range(events)])
    return made


async def claimed(rig: Rig, room: Room) -> Counter[str]:
    return Counter(one.receiver for one in (await rig.queue.claim(room)).claimed)


async def test_no_receiver_has_more_than_its_share(rig: Rig) -> None:
    good, other, full = await fanned(rig, 3, 9)
    room = Room(lane=Lane.EVENT, places=20, unproven=5, known={good: (4, True), full: (0, True)})
    assert await claimed(rig, room) == {good: 4, other: 1}
    assert await claimed(rig, replace(room, places=3, known={good: (4, True)})) == {good: 1, other: 1, full: 1}


async def test_receivers_that_are_not_known_to_answer_share_few_places(rig: Rig) -> None:
    good, *others = await fanned(rig, 6, 2)
    room = Room(lane=Lane.EVENT, places=20, unproven=2, known={good: (4, True)})
    found = await claimed(rig, room)
    assert found.pop(good) == 2
    assert found.total() == 2
    assert set(found) <= set(others)
    assert await claimed(rig, replace(room, unproven=0)) == {}
    claims = await rig.queue.claim(replace(room, unproven=0))
    assert claims.next_due is None or claims.next_due.total_seconds() > 0, "who has no room is not waited for"


async def test_what_is_accepted_is_claimed_within_the_room_of_its_receiver(rig: Rig) -> None:
    for user in ("ada", "bob", "eve"):
        await rig.endpoints.register("test", user, ChannelName.WEBHOOK, f"http://h.example/{user}", "s")
    await rig.endpoints.register("test", "dan", ChannelName.WEBHOOK, "http://other.example/", "s")
    drafts = [draft(user, user=user) for user in ("ada", "bob", "eve", "dan")]
    routed = [(one, await rig.route(one, ChannelName.WEBHOOK)) for one in drafts]
    room = Room(lane=Lane.WEBHOOK, places=9, unproven=1, known={"h.example:80": (2, True)})
    outcomes = await rig.notifications.enqueue(routed, rooms={Lane.WEBHOOK: room})
    assert [len(one.claimed) for one in outcomes] == [1, 1, 0, 1]  # pyright: ignore
    # Behind what waits for its receiver nothing is claimed at once, for another it is.
    again = await rig.notifications.enqueue(routed, rooms={Lane.WEBHOOK: open_room(Lane.WEBHOOK, 9)})
    assert [len(one.claimed) for one in again] == [0, 0, 0, 1]  # pyright: ignore


async def test_an_alert_is_claimed_at_once_though_less_urgent_work_waits(rig: Rig) -> None:
    rooms = {Lane.CONSOLE: open_room(Lane.CONSOLE, 9)}
    await rig.enqueue(of_type(Type.INFO, "i", "bob"))
    for type_, at_once in ((Type.INFO, 0), (Type.ALERT, 1)):
        one = of_type(type_, "x", "eve")
        [outcome] = await rig.notifications.enqueue([(one, await rig.route(one))], rooms=rooms)
        assert len(outcome.claimed) == at_once  # pyright: ignore


@pytest.mark.parametrize("backlog", [100_000])
async def test_a_backlog_of_one_is_not_looked_through_for_another(database: Database, backlog: int) -> None:
    rig = PostgresRig(database, disable_after=timedelta(days=5))  # indexes are PostgreSQL's
    hanging, good = [(await rig.subscribe(PROBED)).id for _ in range(2)]
    async with rig.database.connection() as connection:
        await connection.execute(
            """
            INSERT INTO deliveries
                (id, kind, channel, reference, receiver, event_id, event_type, body, next_attempt_at, created_at)
            SELECT gen_random_uuid(), 'EVENT', 'WEBHOOK', $1::uuid, $1, 'e' || n, $2, '{}', $3, $3
            FROM generate_series(1, $4) AS n
            """,
            hanging,
            PROBED,
            rig.clock.time,
            backlog,
        )
    await rig.subscriptions.fan_out([PublicEvent(id="x", type=PROBED, body="{}", published_at=rig.clock.time)])
    room = Room(lane=Lane.EVENT, places=9, unproven=9, known={hanging: (0, False)})
    async with rig.database.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await connection.fetchrow(_READ)
    assert await claimed(rig, room) == {good: 1}
    async with rig.database.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        after = await connection.fetchrow(_READ)
    assert before is not None
    assert after is not None
    assert after["scanned"] == before["scanned"], "no scan of the table"
    assert after["fetched"] - before["fetched"] < 50, "rows of others were looked at"
    [waiting] = await rig.claim(1, Lane.EVENT)
    await rig.complete(SENT, waiting)


_READ = """
    SELECT seq_tup_read AS scanned, idx_tup_fetch AS fetched FROM pg_stat_user_tables
    WHERE schemaname = 'notification' AND relname = 'deliveries'
"""
