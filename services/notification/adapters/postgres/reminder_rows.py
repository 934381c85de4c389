"""Reminders and occurrences to rows, and back."""

from collections.abc import Sequence
from datetime import time

from services.notification.adapters.postgres.rows import Row
from services.notification.domain.notification import ChannelName
from services.notification.domain.reminders.adaptive import Adaptive
from services.notification.domain.reminders.check import Answer, Check, CheckOutcome, OnNoAnswer
from services.notification.domain.reminders.occurrence import Decision, Occurrence, Reason
from services.notification.domain.reminders.recurrence import Recurrence
from services.notification.domain.reminders.reminder import Content, MissedPolicy, Reminder, State

CONTENT = (
    *("title", "body", "data", "link", "times", "cron", "zone", "start_at", "end_at", "channel", "check_url"),
    *("check_timeout", "on_no_answer", "missed", "catch_up_window", "min_every", "max_every"),
)
RUNNING = ("state", "next_run_at", "every", "passes", "window_from", "version", "created_at", "updated_at")
ALL = ("tenant", "id", "recipient", *CONTENT, *RUNNING)
COLUMNS = ", ".join(("r.data::text AS data" if name == "data" else f"r.{name}") for name in ALL)
"""Of a reminder `r`."""
CONTENT_COLUMNS = ", ".join("r.data::text AS data" if name == "data" else f"r.{name}" for name in CONTENT)


def content(row: Row) -> Content:
    """What is said about a reminder. Raises ScheduleInvalid for what is none any more (a zone that was taken out)."""
    return Content(
        title=row["title"],
        body=row["body"],
        data=row["data"] or "",
        link=row["link"],
        recurrence=Recurrence(zone=row["zone"], times=_times(row["times"]), cron=row["cron"]),
        start=row["start_at"],
        end=row["end_at"],
        channel=None if row["channel"] is None else ChannelName(row["channel"]),
        check=None
        if row["check_url"] is None
        else Check(url=row["check_url"], timeout=row["check_timeout"], on_no_answer=OnNoAnswer(row["on_no_answer"])),
        missed=MissedPolicy(row["missed"]),
        window=row["catch_up_window"],
        adaptive=None if row["min_every"] is None else Adaptive(row["min_every"], row["max_every"]),
    )


def _times(text: str) -> tuple[time, ...]:
    return tuple(time.fromisoformat(at) for at in text.split(",") if at)


def content_values(value: Content) -> Sequence[object]:
    """The values of CONTENT, in its order."""
    check, adaptive = value.check, value.adaptive
    return (
        value.title,
        value.body,
        value.data or None,
        value.link,
        ",".join(f"{at:%H:%M}" for at in value.recurrence.times),
        value.recurrence.cron,
        value.recurrence.zone,
        value.start,
        value.end,
        value.channel,
        check and check.url,
        check and check.timeout,
        check and check.on_no_answer,
        value.missed,
        value.window,
        adaptive and adaptive.min_every,
        adaptive and adaptive.max_every,
    )


def reminder(row: Row) -> Reminder:
    """A reminder. Raises as `content`."""
    return Reminder(
        tenant=row["tenant"],
        id=row["id"],
        user=row["recipient"],
        content=content(row),
        state=State(row["state"]),
        next_run=row["next_run_at"],
        every=row["every"],
        passes=row["passes"],
        window_from=row["window_from"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def values(value: Reminder) -> Sequence[object]:
    """The values of ALL, in its order."""
    return (
        value.tenant,
        value.id,
        value.user,
        *content_values(value.content),
        value.state,
        value.next_run,
        value.every,
        value.passes,
        value.window_from,
        value.version,
        value.created_at,
        value.updated_at,
    )


OCCURRENCE_COLUMNS = """
    o.tenant, o.reminder, o.at, o.through, o.decision, o.reason, o.check_outcome, o.check_attempts, o.error,
    o.notification::text AS notification, o.decided_at
"""


def occurrence(row: Row) -> Occurrence:
    """An occurrence, with when its notification was opened."""
    outcome = row["check_outcome"]
    return Occurrence(
        tenant=row["tenant"],
        reminder=row["reminder"],
        at=row["at"],
        through=row["through"],
        decision=Decision(row["decision"]),
        reason=None if row["reason"] is None else Reason(row["reason"]),
        answer=None
        if outcome is None
        else Answer(outcome=CheckOutcome(outcome), attempts=row["check_attempts"], error=row["error"]),
        error=row["error"],
        notification=row["notification"] or "",
        decided_at=row["decided_at"],
        opened_at=row["opened_at"],
    )
