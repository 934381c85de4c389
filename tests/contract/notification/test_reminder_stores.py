"""`ReminderStore` and `ReminderQueue`: the same suite on those in memory and those on PostgreSQL."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from services.notification.application.ports.notifications import NotificationFilter
from services.notification.application.reminders.ports import (
    ClaimedOccurrence,
    Decided,
    Limits,
    OccurrenceClaims,
    OccurrenceFilter,
    ReminderFilter,
    StatisticsFilter,
)
from services.notification.domain.errors import VersionConflict
from services.notification.domain.notification import ChannelName, Notification
from services.notification.domain.reminders.adaptive import WINDOW, Adaptive
from services.notification.domain.reminders.check import Answer, Check, CheckOutcome, OnNoAnswer
from services.notification.domain.reminders.errors import (
    ReminderExists,
    ReminderLimit,
    ReminderNotFound,
    ScheduleInvalid,
)
from services.notification.domain.reminders.occurrence import Decision, Occurrence, Reason, Verdict, judged
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.reminder import Content, MissedPolicy, Reminder, State
from tests.contract.notification.conftest import CONSOLE, LEASE, Rig

MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)
EIGHT = MIDNIGHT + timedelta(hours=8)
DAILY = Recurrence(zone="UTC", times=(time(8), time(20)))
LIMITS = Limits(of_user=3, of_tenant=100)
ORIGIN = "https://a.example"
SEND = Verdict(decision=Decision.SENT, reason=Reason.UNCHECKED)


def content(**more: object) -> Content:
    given: dict[str, object] = {"title": "Metformin", "recurrence": DAILY} | more
    return Content(**given)  # pyright: ignore[reportArgumentType]


def checked(origin: str = ORIGIN, **more: object) -> Content:
    return content(check=Check(url=origin + "/taken?user={user}", on_no_answer=OnNoAnswer.HOLD), **more)


@pytest.fixture(autouse=True)
def at_midnight(rig: Rig) -> None:
    rig.clock.time = MIDNIGHT


async def make(
    rig: Rig, id_: str = "r", what: Content | None = None, *, user: str = "ann", tenant: str = "test"
) -> Reminder:
    made, _ = await rig.reminders.create(tenant, id_, user, what or content(), LIMITS)
    return made


async def claim(rig: Rig, limit: int = 100, **rooms: int) -> list[ClaimedOccurrence]:
    """What can be claimed now, of those without a check and of ORIGIN."""
    given = {"": rooms.get("unchecked", 100), ORIGIN: rooms.get("asked", 100)}
    return list((await rig.reminder_queue.claim(given, limit=limit)).claimed)


def sending(claimed: ClaimedOccurrence, verdict: Verdict = SEND) -> Decided:
    return Decided(claimed, verdict, (claimed.content.draft(claimed.tenant, claimed.user), CONSOLE))


async def occurrences(rig: Rig, id_: str = "r") -> list[Occurrence]:
    wanted = OccurrenceFilter(tenant="test", reminder=id_)
    return list(await rig.reminders.occurrences(wanted, limit=1000, before=None))


async def decisions(rig: Rig, id_: str = "r") -> list[tuple[int, Decision, Reason | None]]:
    """Hours since midnight, decision and reason, the oldest first."""
    found = reversed(await occurrences(rig, id_))
    return [(round((one.at - MIDNIGHT) / timedelta(hours=1)), one.decision, one.reason) for one in found]


async def notifications(rig: Rig) -> list[Notification]:
    return list(await rig.notifications.page(NotificationFilter(tenant="test"), limit=1000, after=None))


async def test_reminders_are_kept_as_they_were_given(rig: Rig) -> None:
    full = checked(
        body="with water",
        data='{"dose":500}',
        recurrence=Recurrence(zone="Asia/Tokyo", cron="*/15 7 * * MON-FRI"),
        start=MIDNIGHT,
        end=MIDNIGHT + timedelta(days=365),
        channel=ChannelName.EMAIL,
        missed=MissedPolicy.SKIP_MISSED,
        window=timedelta(minutes=90),
        adaptive=Adaptive(2, 8),
    )
    made = await make(rig, "full", full)
    assert (made.content, made.state, made.every, made.version) == (full, State.ACTIVE, 2, 1)
    assert made.next_run == datetime(2026, 11, 30, 22, 0, tzinfo=UTC)
    assert await rig.reminders.get("test", "full") == made
    other = await make(rig, "a-plain")
    assert other.next_run == EIGHT
    for tenant, id_ in (("test", "none"), ("wellness", "full")):
        with pytest.raises(ReminderNotFound):
            await rig.reminders.get(tenant, id_)
    wanted = ReminderFilter(tenant="test")
    assert [one.id for one in await rig.reminders.page(wanted, limit=9, after="")] == ["a-plain", "full"]
    assert [one.id for one in await rig.reminders.page(wanted, limit=1, after="a-plain")] == ["full"]
    for limited in (
        replace(wanted, user="ben"),
        replace(wanted, state=State.PAUSED),
        ReminderFilter(tenant="wellness"),
    ):
        assert await rig.reminders.page(limited, limit=9, after="") == []


async def test_the_same_again_is_the_same(rig: Rig) -> None:
    calls = [rig.reminders.create("test", "r", "ann", content(), LIMITS) for _ in range(3)]
    outcomes = await asyncio.gather(*calls)
    assert sorted(new for _, new in outcomes) == [False, False, True]
    for user, what in (("ann", content(title="Other")), ("ben", content())):
        with pytest.raises(ReminderExists):
            await rig.reminders.create("test", "r", user, what, LIMITS)


async def test_there_are_only_so_many(rig: Rig) -> None:
    limits = Limits(of_user=2, of_tenant=5)

    async def one(number: int) -> str:
        try:
            await rig.reminders.create("test", f"r{number}", f"u{number % 3}", content(), limits)
        except ReminderLimit as error:
            return error.metadata["scope"]
        return "made"

    assert Counter(await asyncio.gather(*map(one, range(9)))) == {"made": 5, "tenant": 2, "user": 2}
    await rig.reminders.create("wellness", "r", "u0", content(), limits)


async def test_what_would_never_run_is_refused_alone(rig: Rig) -> None:
    over = content(end=MIDNIGHT + timedelta(hours=1))
    calls = [rig.reminders.create("test", f"r{n}", "ann", over if n == 1 else content(), LIMITS) for n in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in outcomes] == [tuple, ScheduleInvalid, tuple]


async def test_an_occurrence_is_claimed_decided_and_sent_once(rig: Rig) -> None:
    await make(rig)
    assert await rig.reminder_queue.claim({"": 9}, limit=9) == OccurrenceClaims((), timedelta(hours=8))
    rig.clock.time = EIGHT
    [claimed] = await claim(rig)
    assert claimed == ClaimedOccurrence(
        tenant="test", reminder="r", at=EIGHT, lease=claimed.lease, user="ann", content=content(), late=timedelta(0)
    )
    assert await claim(rig) == []
    assert await decisions(rig) == [(8, Decision.PENDING, None)]
    assert await rig.reminder_queue.decide([sending(claimed)]) == [True]
    assert await rig.reminder_queue.decide([sending(claimed)]) == [False]
    rig.clock.time += LEASE
    assert await claim(rig) == []
    [notification] = await notifications(rig)
    [kept] = await occurrences(rig)
    assert (kept.notification, kept.decided_at, kept.opened_at) == (notification.id, EIGHT, None)
    await rig.notifications.mark_read("test", notification.id, opened=True)
    assert (await occurrences(rig))[0].opened_at == rig.clock.time
    assert (await rig.reminders.get("test", "r")).next_run == EIGHT + timedelta(hours=12)


async def test_whoever_looks_at_once_shares_the_work(rig: Rig) -> None:
    for number in range(9):
        await make(rig, f"r{number}", user=f"u{number}")
    rig.clock.time = EIGHT
    found = await asyncio.gather(*(claim(rig, limit=4) for _ in range(4)))
    rest = await claim(rig)
    claimed = [one.reminder for some in (*found, rest) for one in some]
    assert sorted(claimed) == [f"r{number}" for number in range(9)]


async def test_a_lease_that_ended_is_lost_and_one_that_is_renewed_is_not(rig: Rig) -> None:
    await make(rig)
    rig.clock.time = EIGHT
    [lost] = await claim(rig)
    rig.clock.time += LEASE / 2
    await rig.reminder_queue.renew([lost])
    rig.clock.time += LEASE / 2
    assert await claim(rig) == []
    rig.clock.time += LEASE / 2
    [taken] = await claim(rig)
    assert (taken.at, taken.late, taken.held) == (EIGHT, LEASE * 1.5, False)
    await rig.reminder_queue.renew([lost])
    await rig.reminder_queue.release([lost])
    # Both may report in one breath: only who holds the lease is heard.
    assert await rig.reminder_queue.decide([sending(lost), sending(taken)]) == [False, True]
    assert len(await notifications(rig)) == 1


async def test_what_is_handed_back_is_claimed_at_once(rig: Rig) -> None:
    await make(rig)
    rig.clock.time = EIGHT
    await rig.reminder_queue.release(await claim(rig))
    [again] = await claim(rig)
    assert again.at == EIGHT


async def test_a_full_server_holds_up_nobody(rig: Rig) -> None:
    for number in range(5):
        await make(rig, f"a{number}", checked(), user=f"a{number}")
    for number in range(3):
        await make(rig, f"b{number}", user=f"b{number}")
    rig.clock.time = EIGHT
    assert sorted(one.reminder[0] for one in await claim(rig, asked=2)) == ["a", "a", "b", "b", "b"]
    assert await claim(rig, asked=0) == []
    nobody = {"": 9, ORIGIN: 0}
    # The leases of those that were claimed, and not what there is no room for.
    assert (await rig.reminder_queue.claim(nobody, limit=9)).next_due == LEASE
    assert [one.reminder[0] for one in await claim(rig, asked=9)] == ["a"] * 3


async def test_whom_nobody_may_ask_any_more_is_for_all(rig: Rig) -> None:
    await make(rig, "gone", checked("https://gone.example"))
    await make(rig, "kept", checked())
    rig.clock.time = EIGHT
    assert sorted(one.reminder for one in await claim(rig, asked=0)) == ["gone"]
    assert await rig.reminder_queue.adopt(["", ORIGIN]) == 0
    assert await rig.reminder_queue.adopt([""]) == 1
    assert [one.reminder for one in await claim(rig)] == ["kept"]


async def test_what_is_held_comes_again(rig: Rig) -> None:
    await make(rig, what=checked())
    rig.clock.time = EIGHT
    [claimed] = await claim(rig)
    no = Answer(outcome=CheckOutcome.NO_ANSWER, attempts=3, error="TIMEOUT")
    held = judged(no, OnNoAnswer.HOLD, hold=timedelta(minutes=1))
    assert await rig.reminder_queue.decide([Decided(claimed, held)]) == [True]
    [kept] = await occurrences(rig)
    assert (kept.decision, kept.reason, kept.answer, kept.error) == (Decision.HELD, Reason.UNANSWERED, no, "TIMEOUT")
    assert (await rig.reminder_queue.claim({ORIGIN: 9}, limit=9)).next_due == timedelta(minutes=1)
    rig.clock.time += timedelta(minutes=1)
    [again] = await claim(rig)
    assert (again.held, again.late) == (True, timedelta(minutes=1))
    yes = judged(Answer(outcome=CheckOutcome.TAKEN, attempts=1), OnNoAnswer.HOLD, hold=None)
    assert await rig.reminder_queue.decide([Decided(again, yes)]) == [True]
    [kept] = await occurrences(rig)
    assert kept.answer == Answer(outcome=CheckOutcome.TAKEN, attempts=4)
    assert (kept.decision, kept.reason, kept.error) == (Decision.SKIPPED, Reason.DONE, "")


async def test_the_next_one_overtakes_what_is_open(rig: Rig) -> None:
    await make(rig, what=content(window=timedelta(hours=24)))
    rig.clock.time = EIGHT
    [first] = await claim(rig)
    rig.clock.time = EIGHT + timedelta(hours=12)
    [second] = await claim(rig)
    assert await rig.reminder_queue.decide([sending(first), sending(second)]) == [False, True]
    assert await decisions(rig) == [
        (8, Decision.SKIPPED, Reason.OVERTAKEN),
        (20, Decision.SENT, Reason.UNCHECKED),
    ]


async def test_missed_ones_are_written_down(rig: Rig) -> None:
    await make(rig, what=content(window=timedelta(hours=2)))
    rig.clock.time = MIDNIGHT + timedelta(days=1, hours=21)
    [claimed] = await claim(rig)
    assert (claimed.at, claimed.late) == (rig.clock.time - timedelta(hours=1), timedelta(hours=1))
    skipped = (Decision.SKIPPED, Reason.MISSED)
    assert await decisions(rig) == [(8, *skipped), (20, *skipped), (32, *skipped), (44, Decision.PENDING, None)]


async def test_the_end_ends_it(rig: Rig) -> None:
    await make(rig, what=content(end=MIDNIGHT + timedelta(hours=20)))
    rig.clock.time = EIGHT
    [claimed] = await claim(rig)
    found = await rig.reminders.get("test", "r")
    assert (found.state, found.next_run) == (State.ENDED, None)
    assert await rig.reminder_queue.decide([sending(claimed)]) == [True]
    longer = content(end=MIDNIGHT + timedelta(days=2))
    changed = await rig.reminders.change("test", "r", lambda one, now: one.changed(longer, now), expected=1)
    assert (changed.state, changed.next_run) == (State.ACTIVE, MIDNIGHT + timedelta(hours=20))


async def test_changes_follow_a_version(rig: Rig) -> None:
    await make(rig)
    evening = content(recurrence=Recurrence(zone="UTC", times=(time(22),)))

    def change(one: Reminder, now: datetime) -> Reminder:
        return one.changed(evening, now)

    rig.clock.time += timedelta(minutes=1)
    changed = await rig.reminders.change("test", "r", change, expected=1)
    assert (changed.version, changed.next_run) == (2, MIDNIGHT + timedelta(hours=22))
    assert (changed.created_at, changed.updated_at) == (MIDNIGHT, rig.clock.time)
    assert await rig.reminders.change("test", "r", change, expected=2) == changed  # nothing changes
    with pytest.raises(VersionConflict) as conflict:
        await rig.reminders.change("test", "r", change, expected=1)
    assert conflict.value.metadata == {"id": "r", "expected": "1", "current": "2"}
    with pytest.raises(VersionConflict):
        await rig.reminders.delete("test", "r", expected=1)
    assert await rig.reminders.get("test", "r") == changed
    with pytest.raises(ReminderNotFound):
        await rig.reminders.change("test", "none", change, expected=0)


async def test_a_paused_one_stops_what_is_claimed(rig: Rig) -> None:
    await make(rig)
    rig.clock.time = EIGHT
    [claimed] = await claim(rig)
    paused = await rig.reminders.change("test", "r", Reminder.paused, expected=0)
    assert (paused.state, paused.next_run, paused.version) == (State.PAUSED, None, 2)
    assert await rig.reminder_queue.decide([sending(claimed)]) == [False]
    assert await decisions(rig) == [(8, Decision.SKIPPED, Reason.STOPPED)]
    rig.clock.time += timedelta(days=1)
    assert await rig.reminder_queue.claim({"": 9}, limit=9) == OccurrenceClaims((), None)
    resumed = await rig.reminders.change("test", "r", Reminder.resumed, expected=0)
    assert (resumed.state, resumed.next_run) == (State.ACTIVE, MIDNIGHT + timedelta(hours=44))


async def test_a_deleted_one_is_gone(rig: Rig) -> None:
    await make(rig)
    rig.clock.time = EIGHT
    [claimed] = await claim(rig)
    await rig.reminders.delete("test", "r", expected=1)
    assert await rig.reminder_queue.decide([sending(claimed)]) == [False]
    assert await notifications(rig) == []
    for call in (rig.reminders.delete("test", "r", expected=0), occurrences(rig)):
        with pytest.raises(ReminderNotFound):
            await call
    await make(rig)  # its id is free
    assert await occurrences(rig) == []


async def test_it_thins_out_while_nobody_opens_it_and_comes_back(rig: Rig) -> None:
    await make(rig, what=content(adaptive=Adaptive(1, 4)))
    every: list[int] = []
    for number in range(WINDOW * 8):
        rig.clock.time = EIGHT + number * timedelta(hours=12)
        for claimed in await claim(rig):
            await rig.reminder_queue.decide([sending(claimed)])
        every.append((await rig.reminders.get("test", "r")).every)
    # 20 at every one, 20 at every second, then at every fourth, which is the bound.
    assert every == [1] * WINDOW + [2] * 2 * WINDOW + [4] * 5 * WINDOW
    assert Counter(one.reason for one in await occurrences(rig))[Reason.THINNED] == WINDOW * 8 - 2 * WINDOW - 25
    for number in range(WINDOW * 8, WINDOW * 12):
        rig.clock.time = EIGHT + number * timedelta(hours=12)
        for claimed in await claim(rig):
            await rig.reminder_queue.decide([sending(claimed)])
            await rig.notifications.mark_read("test", (await notifications(rig))[0].id, opened=True)
    assert (await rig.reminders.get("test", "r")).every == 2


async def test_statistics_count_what_was_decided(rig: Rig) -> None:
    await make(rig, "r", checked())
    await make(rig, "s", user="ben")
    await make(rig, "w", tenant="wellness")
    rig.clock.time = EIGHT
    no = Answer(outcome=CheckOutcome.NO_ANSWER, attempts=3, error="TIMEOUT")
    for claimed in await claim(rig):
        if claimed.reminder == "r":
            await rig.reminder_queue.decide([Decided(claimed, judged(no, OnNoAnswer.SKIP, hold=None))])
        else:
            await rig.reminder_queue.decide([sending(claimed)])
    for one in await notifications(rig):
        await rig.notifications.mark_read("test", one.id, opened=True)
    day = StatisticsFilter(tenant="test", reminder="", user="", start=MIDNIGHT, end=MIDNIGHT + timedelta(days=1))
    whole = await rig.reminders.statistics(day)
    sent, skipped = (Decision.SENT, Reason.UNCHECKED), (Decision.SKIPPED, Reason.UNANSWERED)
    assert dict(whole.counts) == {sent: 1, skipped: 1}
    assert (whole.unanswered, whole.opened, whole.reminders, whole.every) == (1, 1, 2, 0)
    assert whole.next_run == EIGHT + timedelta(hours=12)
    for limited in (replace(day, reminder="s"), replace(day, user="ben")):
        found = await rig.reminders.statistics(limited)
        assert (dict(found.counts), found.opened, found.reminders) == ({sent: 1}, 1, 1)
    assert (await rig.reminders.statistics(replace(day, reminder="s"))).every == 1
    for empty in (replace(day, start=EIGHT + timedelta(hours=1)), replace(day, end=EIGHT), replace(day, user="x")):
        assert not (await rig.reminders.statistics(empty)).counts
    with pytest.raises(ReminderNotFound):
        await rig.reminders.statistics(replace(day, reminder="none"))


async def test_occurrences_are_listed_in_pages(rig: Rig) -> None:
    await make(rig)
    rig.clock.time = MIDNIGHT + timedelta(days=2, hours=9)
    await claim(rig)
    wanted = OccurrenceFilter(tenant="test", reminder="r")
    first = await rig.reminders.occurrences(wanted, limit=2, before=None)
    assert [one.at for one in first] == [EIGHT + timedelta(days=2), EIGHT + timedelta(hours=36)]
    rest = await rig.reminders.occurrences(wanted, limit=9, before=first[-1].at)
    assert len(rest) == 3
    pending = replace(wanted, decision=Decision.PENDING)
    assert len(await rig.reminders.occurrences(pending, limit=9, before=None)) == 1
    limited = replace(wanted, start=EIGHT + timedelta(hours=1), end=EIGHT + timedelta(days=2))
    assert len(await rig.reminders.occurrences(limited, limit=9, before=None)) == 3
