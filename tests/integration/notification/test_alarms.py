"""Raised alarms become notifications: one for each person, however often the notice comes."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.topology import ALARM_NOTICE_SUBJECT, DEAD_LETTERS
from tests.support.eventually import eventually
from tests.support.notification import Service, letter_pb, pb
from tests.support.notification_process import service_process
from tocsin.events.v1.alarms_pb2 import AlarmNotice

ALARM = "0197a0c8-0000-7000-8000-000000000001"


def notice(*users: str, alarm: str = ALARM, tenant: str = "test", id_: str = "") -> Event:
    message = AlarmNotice(
        alarm=alarm,
        rule="too-hot",
        tenant=tenant,
        users=users,
        title="Too hot",
        body="temperature in tower/lobby is 305 K: above 300 K",
        severity="CRITICAL",
        building="tower",
        room="lobby",
        sensor_type="temperature",
    )
    message.raise_time.FromJsonString("2026-11-22T10:00:00Z")
    return Event(ALARM_NOTICE_SUBJECT, message, id=id_ or f"alarm-{alarm}-notice")


async def inbox(service: Service, user: str) -> list[Any]:
    page = await service.notifications.ListNotifications(pb.ListNotificationsRequest(tenant="test", user=user))
    return list(page.notifications)


@pytest.fixture
async def service(
    open_service: Callable[..., AbstractAsyncContextManager[Service]],
) -> AsyncIterator[Service]:
    """A replica for demonstrations: who has no address is shown at the console."""
    async with open_service(channel_plan="FCM,EMAIL,WEBHOOK,CONSOLE") as running:
        yield running


async def test_who_has_no_address_is_not_told_and_that_is_a_failure(
    open_service: Callable[..., AbstractAsyncContextManager[Service]], publisher: Publisher
) -> None:
    async with open_service() as service:
        await publisher.publish(notice("ada"))
        [told] = await eventually(lambda: inbox(service, "ada"))
        failed = await service.becomes(told.id, "FAILED", attempts=1)
        assert failed.error.startswith("NO_ENDPOINT")

        async def letters() -> list[letter_pb.DeadLetter]:
            found = await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())
            return list(found.dead_letters)

        [letter] = await eventually(letters)
        assert letter.reason.startswith("NO_ENDPOINT")
        await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=letter.id))
        again = await service.becomes(told.id, "FAILED", attempts=2)
        assert again.version > failed.version


async def test_each_person_is_told_once(
    service: Service, publisher: Publisher, nats_connection: NatsConnection
) -> None:
    await publisher.publish(notice("ada", "bob", "ada"))
    # The same alarm in another event: the broker does not know it, nor does the inbox.
    await publisher.publish(notice("ada", "bob", id_="again"))
    await publisher.publish(notice("cleo", alarm="other"))
    await eventually(lambda: inbox(service, "cleo"))
    # Notices are taken side by side: the last one done says nothing about the ones before.
    await eventually(lambda: _drained(nats_connection))
    for user in ("ada", "bob"):
        [told] = await inbox(service, user)
        assert (told.title, told.type) == ("Too hot", pb.NotificationType.ALERT)
        assert told.body == "temperature in tower/lobby is 305 K: above 300 K"
        assert dict(told.data) == {
            "alarm": ALARM,
            "rule": "too-hot",
            "severity": "CRITICAL",
            "building": "tower",
            "room": "lobby",
            "sensorType": "temperature",
            "device": "",
            "raiseTime": "2026-11-22T10:00:00Z",
        }
        await service.becomes(told.id, "SENT", attempts=1)


async def test_an_unknown_tenant_ends_in_the_dead_letters(
    service: Service, publisher: Publisher, nats_connection: NatsConnection
) -> None:
    await publisher.publish(notice("ada", tenant="nobody"))

    async def dead() -> bool:
        info = await nats_connection.js.stream_info(DEAD_LETTERS)
        return info.state.messages == 1

    await eventually(dead)
    letter = await nats_connection.js.get_last_msg(DEAD_LETTERS, "tocsin.dead_letters.v1.notification.alarms")
    assert AlarmNotice.FromString(letter.data or b"").tenant == "nobody"
    assert await inbox(service, "ada") == []


async def test_killed_while_it_works_through_notices(
    dsn: str,
    nats_url: str,
    issuer: DevIssuer,
    nats_connection: NatsConnection,
    publisher: Publisher,
    open_service: Callable[..., AbstractAsyncContextManager[Service]],
    tmp_path: Path,
) -> None:
    """What was committed and not acknowledged comes again; nobody hears of it again."""
    wanted = [f"alarm-{number}" for number in range(30)]
    async with service_process(dsn, nats_url, issuer, tmp_path / "first.log") as process:
        for alarm in wanted:
            await publisher.publish(notice("ada", alarm=alarm))
        await process.kill()
    async with open_service() as service:
        rows = "SELECT data->>'alarm' AS alarm FROM notification_test.notifications WHERE recipient = 'ada'"

        async def all_told() -> bool:
            found = [row["alarm"] for row in await service.rows(rows)]
            assert len(found) == len(set(found)), found
            return set(found) == set(wanted)

        await eventually(all_told, 30)
        await eventually(lambda: _drained(nats_connection))
        assert await all_told()


async def _drained(connection: NatsConnection) -> bool:
    info = await connection.js.consumer_info("ALARM_NOTICES", "notification_alarms")
    return not info.num_pending and not info.num_ack_pending
