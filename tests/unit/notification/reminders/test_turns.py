"""What happens when a reminder's time comes, also long afterwards; and what follows from an answer."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.notification.domain.errors import DataTooLarge
from services.notification.domain.reminders.adaptive import Adaptive, Opens
from services.notification.domain.reminders.check import Answer, Check, CheckOutcome, OnNoAnswer
from services.notification.domain.reminders.errors import ReminderEnded, ScheduleInvalid
from services.notification.domain.reminders.occurrence import Decision, Reason, judged
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.reminder import Content, MissedPolicy, Reminder, State

NONE = Opens(0, 0)
MIDNIGHT = datetime(2026, 11, 30, tzinfo=UTC)


def reminder(cron: str = "0 8,20 * * *", **more: object) -> Reminder:
    given: dict[str, object] = {"title": "t", "recurrence": Recurrence(zone="UTC", cron=cron)} | more
    content = Content(**given)  # pyright: ignore[reportArgumentType]
    return Reminder.new(tenant="test", id_="r", user="ann", content=content, now=MIDNIGHT)


@given(
    st.sampled_from(["0 8,20 * * *", "*/7 * * * *", "0 9 * * MON", "* * * * *", "0 0 1 * *"]),
    st.lists(st.timedeltas(timedelta(seconds=1), timedelta(days=40)), min_size=1, max_size=6),
    st.sampled_from(MissedPolicy),
)
def test_each_occurrence_is_due_once(cron: str, waits: list[timedelta], missed: MissedPolicy) -> None:
    one, now, seen = reminder(cron, missed=missed), MIDNIGHT, list[datetime]()
    for wait in waits:
        now += wait
        if one.next_run is None or one.next_run > now:
            continue
        one, occurrences = one.turn(now, NONE)
        assert len(occurrences) <= 101
        pending = [each for each in occurrences if each.decision is Decision.PENDING]
        assert pending in ([], [occurrences[-1]])
        for each in pending:
            assert now - each.at <= one.content.patience
        if not pending:
            assert now - occurrences[-1].at > one.content.patience
        seen += [each.at for each in occurrences]
        for each in occurrences:
            if each.through is not None:
                assert each.at <= each.through <= now
        assert one.next_run is not None
        assert one.next_run > now
    assert seen == sorted(set(seen))
    assert all(at <= now for at in seen)


def test_a_short_outage_is_told_one_by_one() -> None:
    after, occurrences = reminder().turn(MIDNIGHT + timedelta(hours=45), NONE)
    assert [(each.at.hour, each.reason) for each in occurrences] == [
        (8, Reason.MISSED),
        (20, Reason.MISSED),
        (8, Reason.MISSED),
        (20, None),
    ]
    assert after.next_run == MIDNIGHT + timedelta(hours=56)


def test_a_long_outage_is_told_in_brief() -> None:
    now = MIDNIGHT + timedelta(days=30)
    _, occurrences = reminder().turn(now, NONE)
    first, *rest = occurrences
    assert (first.at, first.reason) == (MIDNIGHT + timedelta(hours=8), Reason.MISSED)
    assert first.through == now - timedelta(days=2)
    assert [each.at for each in rest] == [now - timedelta(hours=hours) for hours in (40, 28, 16, 4)]
    _, [first, last] = reminder("0 9 * * MON").turn(now, NONE)
    assert (first.at, first.through) == (MIDNIGHT + timedelta(hours=9), now - timedelta(days=2))
    assert (last.at, last.through) == (MIDNIGHT + timedelta(days=28, hours=9), None)


def test_late_is_not_missed_within_the_window() -> None:
    for late, missed, decision in (
        (timedelta(hours=2), MissedPolicy.CATCH_UP, Decision.PENDING),
        (timedelta(hours=2, seconds=1), MissedPolicy.CATCH_UP, Decision.SKIPPED),
        (timedelta(minutes=5), MissedPolicy.SKIP_MISSED, Decision.PENDING),
        (timedelta(minutes=6), MissedPolicy.SKIP_MISSED, Decision.SKIPPED),
    ):
        _, [only] = reminder(missed=missed).turn(MIDNIGHT + timedelta(hours=8) + late, NONE)
        assert only.decision is decision, late


def test_every_second_one_is_left_out() -> None:
    one, now = reminder(adaptive=Adaptive(2, 4)), MIDNIGHT + timedelta(hours=8)
    decisions: list[Decision] = []
    for _ in range(6):
        one, [each] = one.turn(now, NONE)
        decisions.append(each.decision)
        now += timedelta(hours=12)
    assert decisions == [Decision.PENDING, Decision.SKIPPED] * 3


def test_start_and_end_bound_it() -> None:
    day = timedelta(days=1)
    one = reminder(start=MIDNIGHT + day + timedelta(hours=8), end=MIDNIGHT + 2 * day)
    assert one.next_run == MIDNIGHT + day + timedelta(hours=8)  # the start is one
    one, _ = one.turn(MIDNIGHT + day + timedelta(hours=8), NONE)
    assert one.next_run == MIDNIGHT + day + timedelta(hours=20)
    one, _ = one.turn(MIDNIGHT + day + timedelta(hours=20), NONE)
    assert (one.state, one.next_run) == (State.ENDED, None)
    with pytest.raises(ReminderEnded):
        one.resumed(MIDNIGHT + 3 * day)
    for start, end in ((None, MIDNIGHT + timedelta(hours=8)), (MIDNIGHT, MIDNIGHT), (MIDNIGHT + day, MIDNIGHT)):
        with pytest.raises(ScheduleInvalid):
            reminder(start=start, end=end)


def test_a_change_of_the_schedule_reckons_anew_and_nothing_else_does() -> None:
    one = replace(reminder(), next_run=MIDNIGHT + timedelta(hours=20))
    later = MIDNIGHT + timedelta(hours=1)
    renamed = one.changed(replace(one.content, title="other"), later)
    assert (renamed.next_run, renamed.version) == (one.next_run, 2)
    earlier = replace(one.content, recurrence=Recurrence(zone="UTC", times=(time(7),)))
    assert one.changed(earlier, later).next_run == MIDNIGHT + timedelta(hours=7)
    paused = one.paused(later)
    assert paused.changed(earlier, later).next_run is None
    assert paused.paused(later) is paused
    assert one.changed(one.content, later) is one
    assert one.resumed(later) is one


@pytest.mark.parametrize(
    ("outcome", "otherwise", "hold", "decision", "reason"),
    [
        (CheckOutcome.TAKEN, OnNoAnswer.SEND, None, Decision.SKIPPED, Reason.DONE),
        (CheckOutcome.NOT_TAKEN, OnNoAnswer.SKIP, None, Decision.SENT, Reason.NEEDED),
        (CheckOutcome.NO_ANSWER, OnNoAnswer.SEND, None, Decision.SENT, Reason.UNANSWERED),
        (CheckOutcome.NO_ANSWER, OnNoAnswer.SKIP, None, Decision.SKIPPED, Reason.UNANSWERED),
        (CheckOutcome.NO_ANSWER, OnNoAnswer.HOLD, timedelta(minutes=1), Decision.HELD, Reason.UNANSWERED),
        (CheckOutcome.NO_ANSWER, OnNoAnswer.HOLD, None, Decision.SKIPPED, Reason.UNANSWERED),
    ],
)
def test_what_follows_from_an_answer(
    outcome: CheckOutcome, otherwise: OnNoAnswer, hold: timedelta | None, decision: Decision, reason: Reason
) -> None:
    verdict = judged(Answer(outcome=outcome, attempts=1), otherwise, hold=hold)
    assert (verdict.decision, verdict.reason) == (decision, reason)
    assert (verdict.wait is not None) is (decision is Decision.HELD)


def test_places_are_filled_in_and_never_change_who_is_asked() -> None:
    check = Check(url="https://a.example:8443/{user}/taken?r={reminder}&at={occurrence}")
    filled = check.filled(user="auth0|1/../x?&#", reminder="r", occurrence=MIDNIGHT)
    assert filled == "https://a.example:8443/auth0%7C1%2F..%2Fx%3F%26%23/taken?r=r&at=2026-11-30T00%3A00%3A00Z"
    assert str(check.origin) == "https://a.example:8443"


@pytest.mark.parametrize(
    "url",
    [
        "https://{user}.example/x",
        "https://a.example:{reminder}/x",
        "{user}://a.example/",
        "https://a.example/{patient}",
        "https://a.example/{user",
        "https://a.example/}",
        "https://user:secret@a.example/",
        "ftp://a.example/",
        "https:///x",
        "https://2130706433/",
    ],
)
def test_what_is_no_template_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument):
        Check(url=url)


def test_what_no_notification_may_hold_no_reminder_holds() -> None:
    with pytest.raises(DataTooLarge):
        reminder(data='"' + "x" * 5000 + '"')


def test_a_change_of_the_frequency_s_bounds_begins_a_new_window_and_another_change_does_not() -> None:
    later = MIDNIGHT + timedelta(hours=1)
    one = replace(reminder(adaptive=Adaptive(1, 8)), every=4, passes=3, window_from=MIDNIGHT)
    renamed = one.changed(replace(one.content, title="other"), later)
    assert (renamed.every, renamed.passes, renamed.window_from) == (4, 3, MIDNIGHT)
    bounded = one.changed(replace(one.content, adaptive=Adaptive(1, 2)), later)
    assert (bounded.every, bounded.passes, bounded.window_from) == (2, 1, later)
