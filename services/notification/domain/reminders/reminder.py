"""A reminder: of what, whom and when; and what happens when its time comes."""

import enum
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.notification.domain.notification import ChannelName, Draft, Type
from services.notification.domain.reminders.adaptive import Adaptive, Opens, adapted
from services.notification.domain.reminders.check import Check
from services.notification.domain.reminders.errors import ReminderEnded, ScheduleInvalid
from services.notification.domain.reminders.occurrence import Decision, Occurrence, Reason
from services.notification.domain.reminders.recurrence import Recurrence

DEFAULT_WINDOW: Final = timedelta(hours=2)
PUNCTUAL: Final = timedelta(minutes=5)
"""What is less late was not missed."""
_TOLD: Final = timedelta(days=2)
"""Missed occurrences of this long before now are told one by one; what was before, as one."""
_MOST_TOLD: Final = 100


class State(enum.StrEnum):
    """Whether it runs."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    ENDED = "ENDED"


class MissedPolicy(enum.StrEnum):
    """What becomes of occurrences that nobody could run at their time."""

    CATCH_UP = "CATCH_UP"
    SKIP_MISSED = "SKIP_MISSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a caller says about a reminder. `data` is JSON text of an object, empty for none; `link` is where it leads.
    Raises ScheduleInvalid for an end that is not after the start, and DataTooLarge."""

    title: str
    recurrence: Recurrence
    body: str = ""
    data: str = ""
    link: str = ""
    start: datetime | None = None
    end: datetime | None = None
    channel: ChannelName | None = None
    check: Check | None = None
    missed: MissedPolicy = MissedPolicy.CATCH_UP
    window: timedelta = DEFAULT_WINDOW
    adaptive: Adaptive | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ScheduleInvalid("reminder.endTime", "must be after startTime")
        self.draft("tenant", "user")  # refuses what no notification may hold

    def draft(self, tenant: str, user: str) -> Draft:
        """The notification of one occurrence."""
        return Draft(
            tenant=tenant,
            user=user,
            type=Type.REMINDER,
            title=self.title,
            body=self.body,
            data=self.data,
            link=self.link,
            channel=self.channel,
        )

    def runs(self, after: datetime) -> Iterator[datetime]:
        """The occurrences later than `after`, within start and end."""
        if self.start is not None and self.start > after:
            # The start itself may be one.
            after = self.start - timedelta(microseconds=1)
        for found in self.recurrence.after(after):
            if self.end is not None and found >= self.end:
                return
            yield found

    def next_run(self, after: datetime) -> datetime | None:
        """The first of them."""
        return next(self.runs(after), None)

    @property
    def patience(self) -> timedelta:
        """How late an occurrence may be to be run all the same."""
        return self.window if self.missed is MissedPolicy.CATCH_UP else PUNCTUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A reminder as it is kept. `every`: the frequency (see `adaptive`), judged by what is sent since `window_from`; of
    the occurrences to come, `passes` are left out."""

    tenant: str
    id: str
    user: str
    content: Content
    state: State
    next_run: datetime | None
    every: int
    passes: int = 0
    window_from: datetime
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @classmethod
    def new(cls, *, tenant: str, id_: str, user: str, content: Content, now: datetime) -> "Reminder":
        """An active one. Raises ScheduleInvalid when it would never run."""
        return cls(
            tenant=tenant,
            id=id_,
            user=user,
            content=content,
            state=State.ACTIVE,
            next_run=_first_run(content, now),
            every=content.adaptive.min_every if content.adaptive else 1,
            window_from=now,
            created_at=now,
            updated_at=now,
        )

    def changed(self, content: Content, now: datetime) -> "Reminder":
        """With other content. The next run is reckoned anew when the schedule is another. Raises ScheduleInvalid."""
        if content == self.content:
            return self
        before = self.content
        adaptive = content.adaptive
        every = adaptive.bounded(self.every) if adaptive else 1
        changed = replace(
            self,
            content=content,
            every=every,
            passes=min(self.passes, every - 1),
            window_from=self.window_from if every == self.every else now,
            version=self.version + 1,
            updated_at=now,
        )
        when = (content.recurrence, content.start, content.end)
        if when == (before.recurrence, before.start, before.end):
            return changed
        next_run = _first_run(content, now)
        return changed if self.state is State.PAUSED else replace(changed, state=State.ACTIVE, next_run=next_run)

    def paused(self, now: datetime) -> "Reminder":
        """Not running; the same when it is no active one."""
        if self.state is not State.ACTIVE:
            return self
        return replace(self, state=State.PAUSED, next_run=None, version=self.version + 1, updated_at=now)

    def resumed(self, now: datetime) -> "Reminder":
        """Running from now on; the same when it is active. Raises ReminderEnded when nothing is to come."""
        if self.state is State.ACTIVE:
            return self
        next_run = self.content.next_run(now)
        if next_run is None:
            raise ReminderEnded(self.id)
        return replace(self, state=State.ACTIVE, next_run=next_run, version=self.version + 1, updated_at=now)

    def turn(self, now: datetime, opens: Opens) -> tuple["Reminder", Sequence[Occurrence]]:
        """The reminder after all that is due, and what is due, oldest first. The last of it may be PENDING: it is to be
        decided. No occurrence of a reminder is ever due twice."""
        due, next_run = self._due(now)
        latest = due[-1]
        after = replace(self, next_run=next_run, state=State.ACTIVE if next_run else State.ENDED)
        if now - latest.at > self.content.patience:
            return after, due
        if self.passes > 0:
            return replace(after, passes=self.passes - 1), [*due[:-1], replace(latest, reason=Reason.THINNED)]
        adaptive = self.content.adaptive
        every = adapted(self.every, adaptive, opens) if adaptive else self.every
        window_from = latest.at if opens.complete else self.window_from
        pending = replace(latest, decision=Decision.PENDING, reason=None)
        return replace(after, every=every, passes=every - 1, window_from=window_from), [*due[:-1], pending]

    def _due(self, now: datetime) -> tuple[Sequence[Occurrence], datetime | None]:
        """All that is due, as missed, and the next run. However long an outage was, and however often it would have
        run: what it costs is bounded."""
        assert self.next_run is not None
        first = self.next_run
        told = deque([first], maxlen=_MOST_TOLD)
        for at in self.content.runs(max(first, now - _TOLD)):
            if at > now:
                break
            told.append(at)
        else:
            at = None
        due = [self._missed(one) for one in told]
        since = self.content.next_run(first)
        if told[0] != first:
            due.insert(0, self._missed(first, through=told[0]))
        elif since is not None and since <= now - _TOLD:
            due[0] = self._missed(first, through=now - _TOLD)
        return due, at

    def _missed(self, at: datetime, through: datetime | None = None) -> Occurrence:
        return Occurrence(
            tenant=self.tenant,
            reminder=self.id,
            at=at,
            decision=Decision.SKIPPED,
            reason=Reason.MISSED,
            through=through,
        )


def _first_run(content: Content, now: datetime) -> datetime:
    found = content.next_run(now)
    if found is None:
        raise ScheduleInvalid("reminder.endTime" if content.end else "reminder.cron", "it would never run")
    return found
