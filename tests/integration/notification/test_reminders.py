"""Reminders against real servers: the service, its stores, and servers of checks that lie, hang and break."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.chassis.errors import Aborted, AlreadyExists, DomainError, InvalidArgument, NotFound
from tests.integration.notification.conftest import OpenService
from tests.support.check_server import CheckServer, answering, check_server, endless, hang, hang_up
from tests.support.eventually import eventually
from tests.support.notification import ManualClock, Service, pb, reminder_pb

Decision = reminder_pb.ReminderOccurrence.Decision
Reason = reminder_pb.ReminderOccurrence.Reason
Outcome = reminder_pb.ReminderCheck.Outcome
TEN_TO_EIGHT = datetime(2026, 11, 30, 7, 50, tzinfo=ZoneInfo("Europe/Istanbul")).astimezone(UTC)


@pytest.fixture
async def checks() -> AsyncIterator[CheckServer]:
    async with check_server() as server:
        yield server


@pytest.fixture
async def service(checks: CheckServer, open_service: OpenService) -> AsyncIterator[Service]:
    async with open_service(clock(), reminder_check_origins=checks.origin) as running:
        yield running


def clock() -> ManualClock:
    made = ManualClock()
    made.time = TEN_TO_EIGHT
    return made


async def remind(service: Service, id_: str = "metformin", *, user: str = "ann", check: str = "", **more: Any) -> Any:
    """Makes a reminder at 08:00 and 20:00 in Istanbul."""
    given: dict[str, Any] = {"times_of_day": ["08:00", "20:00"], "time_zone": "Europe/Istanbul", **more}
    if given.get("cron"):
        given["times_of_day"] = []
    if check:
        given["check"] = reminder_pb.ReminderCheck(url=check, **given.pop("checking", {}))
    message = reminder_pb.Reminder(
        id=id_, tenant="test", user=user, title="Take your metformin", channel=pb.Channel.CONSOLE, **given
    )
    return await service.reminders.CreateReminder(reminder_pb.CreateReminderRequest(reminder=message))


async def occurrences(service: Service, id_: str = "metformin") -> list[Any]:
    request = reminder_pb.ListReminderOccurrencesRequest(tenant="test", reminder=id_)
    return list((await service.reminders.ListReminderOccurrences(request)).occurrences)


async def decided(service: Service, id_: str = "metformin", *, count: int = 1) -> list[tuple[str, str, str]]:
    """Decision, reason and error of each occurrence, the oldest first, once there are so many and none is pending."""

    async def look() -> list[tuple[str, str, str]]:
        found = await occurrences(service, id_)
        assert len(found) >= count, found
        assert all(one.decision != Decision.PENDING for one in found), found
        return [(Decision.Name(one.decision), Reason.Name(one.reason), one.error) for one in reversed(found)]

    return await eventually(look, what=f"{count} decisions", timeout=20)


async def sent(service: Service, user: str = "ann") -> list[Any]:
    listed = await service.notifications.ListNotifications(
        pb.ListNotificationsRequest(tenant="test", user=user, page_size=1000)
    )
    return list(listed.notifications)


async def test_a_reminder_is_sent_unless_it_is_done(service: Service, checks: CheckServer) -> None:
    made = await remind(service, check=checks.url)
    assert made.next_run_time.ToDatetime(tzinfo=UTC) == TEN_TO_EIGHT + timedelta(minutes=10)
    await service.advance(timedelta(minutes=10))
    assert await decided(service) == [("SENT", "NEEDED", "")]
    [notification] = await sent(service)
    assert (notification.title, notification.type) == ("Take your metformin", pb.NotificationType.REMINDER)
    checks.taken.add("ann")
    await service.advance(timedelta(hours=12))
    assert await decided(service, count=2) == [("SENT", "NEEDED", ""), ("SKIPPED", "DONE", "")]
    assert len(await sent(service)) == 1
    latest, first = await occurrences(service)
    assert (first.notification, first.check_outcome) == (notification.id, Outcome.NOT_TAKEN)
    assert (latest.notification, latest.check_outcome) == ("", Outcome.TAKEN)
    assert checks.asked == [
        {"user": "ann", "reminder": "metformin", "at": "2026-11-30T05:00:00Z"},
        {"user": "ann", "reminder": "metformin", "at": "2026-11-30T17:00:00Z"},
    ]
    await service.becomes(notification.id, "SENT")
    await service.notifications.MarkNotificationOpened(
        pb.MarkNotificationOpenedRequest(tenant="test", id=notification.id)
    )
    counted = await service.reminders.GetReminderStatistics(
        reminder_pb.GetReminderStatisticsRequest(tenant="test", reminder="metformin")
    )
    assert (counted.sent, counted.skipped, counted.opened, counted.open_rate) == (1, 1, 1, 1.0)
    assert (dict(counted.skipped_by_reason), counted.every) == ({"DONE": 1}, 1)


BROKEN = {
    "HTTP_500": answering(500),
    "HTTP_404": answering(404),
    "HTTP_302": answering(302),
    "NOT_JSON": answering(body="yes"),
    "NO_VERDICT": answering(body='{"taken": "yes"}'),
    "TOO_LARGE": endless,
    "NO_CONNECTION": hang_up,
    "TIMEOUT": hang,
}


@pytest.mark.parametrize("code", BROKEN)
async def test_what_is_no_answer_is_none(service: Service, checks: CheckServer, code: str) -> None:
    checks.behaviour = BROKEN[code]
    checking: dict[str, Any] = {"timeout": timedelta(milliseconds=300)}
    await remind(service, "send", check=checks.url, checking=checking)
    await remind(service, "skip", check=checks.url, checking=checking | {"on_no_answer": "SKIP"})
    await service.advance(timedelta(minutes=10))
    for id_, decision in (("send", "SENT"), ("skip", "SKIPPED")):
        [(found, reason, error)] = await decided(service, id_)
        assert (found, reason) == (decision, "UNANSWERED")
        # Two that fail three times open the circuit.
        assert error in (code, "CIRCUIT_OPEN")
    assert len(await sent(service)) == 1
    # Each is asked three times; the client itself repeats what a kept connection has dropped.
    assert len(checks.asked) <= 12


async def test_what_is_held_is_sent_when_somebody_answers(service: Service, checks: CheckServer) -> None:
    checks.behaviour = answering(404)
    await remind(service, check=checks.url, checking={"on_no_answer": "HOLD"})
    await service.advance(timedelta(minutes=10))
    assert await decided(service) == [("HELD", "UNANSWERED", "HTTP_404")]
    checks.behaviour = None
    await service.advance(timedelta(minutes=1))

    async def is_sent() -> bool:
        return await decided(service) == [("SENT", "NEEDED", "")]

    await eventually(is_sent)


async def test_what_is_held_is_skipped_in_the_end(service: Service, checks: CheckServer) -> None:
    checks.behaviour = answering(404)
    await remind(service, check=checks.url, checking={"on_no_answer": "HOLD"}, catch_up_window=timedelta(minutes=1))
    await service.advance(timedelta(minutes=10))
    assert await decided(service) == [("HELD", "UNANSWERED", "HTTP_404")]
    await service.advance(timedelta(minutes=1))

    async def is_skipped() -> bool:
        return await decided(service) == [("SKIPPED", "UNANSWERED", "HTTP_404")]

    await eventually(is_skipped)
    assert await sent(service) == []


@pytest.mark.chaos
async def test_a_dead_server_holds_up_no_other_reminder(open_service: OpenService) -> None:
    async with check_server() as dead, check_server() as alive:
        origins = f"{dead.origin},{alive.origin}"
        async with open_service(clock(), reminder_check_origins=origins, reminder_check_concurrency=2) as service:
            dead.behaviour = hang
            hanging = {"timeout": timedelta(seconds=30), "on_no_answer": "SKIP"}
            for number in range(20):
                await remind(service, f"a-{number}", user=f"a{number}", check=dead.url, checking=hanging)
            await remind(service, "b", user="ben", check=alive.url)
            await remind(service, "c", user="cem")
            await service.advance(timedelta(minutes=10))
            assert await decided(service, "b") == [("SENT", "NEEDED", "")]
            assert await decided(service, "c") == [("SENT", "UNCHECKED", "")]
            waiting = await occurrences(service, "a-0")
            assert [one.decision for one in waiting] == [Decision.PENDING]
            assert dead.most_under_way == 2


async def test_an_outage_is_caught_up_with_the_latest_only(open_service: OpenService, checks: CheckServer) -> None:
    time = clock()
    async with open_service(time, reminder_check_origins=checks.origin) as service:
        await remind(service, "often", cron="*/30 * * * *")
        await remind(service, "daily")
        await remind(service, "skipping", missed_policy="SKIP_MISSED")
    time.time += timedelta(hours=11, minutes=10)  # 19:00
    async with open_service(time, reminder_check_origins=checks.origin) as service:
        found = await decided(service, "often", count=23)
        assert found == [("SKIPPED", "MISSED", "")] * 22 + [("SENT", "UNCHECKED", "")]
        assert await decided(service, "daily") == [("SKIPPED", "MISSED", "")]  # eleven hours late
        assert await decided(service, "skipping") == [("SKIPPED", "MISSED", "")]
        assert len(await sent(service)) == 1


async def test_two_replicas_run_each_occurrence_once(open_service: OpenService, checks: CheckServer) -> None:
    time = clock()
    settings = {"reminder_check_origins": checks.origin}
    async with open_service(time, **settings) as one, open_service(time, **settings) as two:
        await asyncio.gather(
            *(remind(one, f"r-{n}", user=f"u{n}", check=checks.url if n % 2 else "") for n in range(100))
        )
        await asyncio.gather(one.advance(timedelta(minutes=10)), two.advance(timedelta(0)))
        for number in range(100):
            assert await decided(two, f"r-{number}") == [("SENT", "NEEDED" if number % 2 else "UNCHECKED", "")]
            assert len(await sent(two, f"u{number}")) == 1
    assert len(checks.asked) == 50


async def test_pausing_stops_what_is_under_way(service: Service, checks: CheckServer) -> None:
    checks.behaviour = hang
    await remind(service, check=checks.url, checking={"timeout": timedelta(seconds=1)})
    await service.advance(timedelta(minutes=10))
    await eventually(lambda: checks.under_way == 1)
    named = {"tenant": "test", "id": "metformin"}
    paused = await service.reminders.PauseReminder(reminder_pb.PauseReminderRequest(**named))
    assert (paused.state, paused.HasField("next_run_time")) == (reminder_pb.Reminder.PAUSED, False)
    assert await decided(service) == [("SKIPPED", "STOPPED", "")]
    await eventually(lambda: len(checks.asked) == 3 and checks.under_way == 0, timeout=20)
    await service.advance(timedelta(days=1))
    resumed = await service.reminders.ResumeReminder(reminder_pb.ResumeReminderRequest(**named))
    assert resumed.next_run_time.ToDatetime(tzinfo=UTC) == TEN_TO_EIGHT + timedelta(hours=36, minutes=10)
    assert await decided(service) == [("SKIPPED", "STOPPED", "")]
    assert await sent(service) == []


async def test_changes_are_checked_and_versioned(service: Service) -> None:
    made = await remind(service)
    again = await remind(service)
    assert again == made
    with pytest.raises(AlreadyExists) as other:
        await remind(service, body="with water")
    assert other.value.reason == "REMINDER_EXISTS"

    async def update(expected: int = 0, **changes: Any) -> Any:
        mask = list(changes)
        reminder = reminder_pb.Reminder(tenant="test", id="metformin", **changes)
        return await service.reminders.UpdateReminder(
            reminder_pb.UpdateReminderRequest(reminder=reminder, update_mask={"paths": mask}, expected_version=expected)
        )

    changed = await update(1, cron="30 7 * * MON-FRI", time_zone="Asia/Tokyo")
    assert (changed.version, changed.cron, list(changed.times_of_day)) == (2, "30 7 * * MON-FRI", [])
    assert changed.next_run_time.ToDatetime() == datetime(2026, 11, 30, 22, 30)
    with pytest.raises(Aborted) as conflict:
        await update(1, title="x")
    assert conflict.value.reason == "VERSION_CONFLICT"
    assert conflict.value.metadata == {"id": "metformin", "expected": "1", "current": "2"}
    refused: list[tuple[dict[str, Any], str]] = [
        ({"cron": "0 0 30 2 *"}, "SCHEDULE_INVALID"),
        ({"cron": "* * * * * *"}, "SCHEDULE_INVALID"),
        ({"time_zone": "Mars/Olympus"}, "SCHEDULE_INVALID"),
        ({"end_time": TEN_TO_EIGHT}, "SCHEDULE_INVALID"),
        ({"check": reminder_pb.ReminderCheck(url="http://127.0.0.1:1/x")}, "CHECK_ORIGIN_FORBIDDEN"),
        ({"check": reminder_pb.ReminderCheck(url="http://{user}/x")}, "INVALID_FIELD"),
        ({"check": reminder_pb.ReminderCheck(url="http://127.0.0.1:1/{patient}")}, "INVALID_FIELD"),
        ({"adaptive": reminder_pb.AdaptiveFrequency(min_every=4, max_every=2)}, "INVALID_FIELD"),
        ({"title": ""}, "INVALID_FIELD"),
        ({"user": "ben", "state": "PAUSED"}, "INVALID_FIELD"),
    ]
    for changes, reason in refused:
        with pytest.raises(InvalidArgument) as found:
            await update(**changes)
        assert found.value.reason == reason, changes
    with pytest.raises(Aborted):
        await service.reminders.DeleteReminder(
            reminder_pb.DeleteReminderRequest(tenant="test", id="metformin", expected_version=1)
        )
    await service.reminders.DeleteReminder(reminder_pb.DeleteReminderRequest(tenant="test", id="metformin"))
    with pytest.raises(NotFound):
        await update(title="x")


async def test_there_is_a_limit(open_service: OpenService) -> None:
    async with open_service(clock(), reminders_of_user=2, reminders_of_tenant=5) as service:
        outcomes = await asyncio.gather(
            *(remind(service, f"r-{n}", user=f"u{n % 3}") for n in range(9)), return_exceptions=True
        )
        refused = [one for one in outcomes if isinstance(one, DomainError)]
        assert {one.reason for one in refused} == {"REMINDER_LIMIT"}
        assert len(refused) == 4
