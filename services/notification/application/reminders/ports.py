"""What the use cases of reminders need from the outside, by role. Implemented in `adapters`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.chassis.errors import Unavailable
from services.notification.domain.channel_plan import Route
from services.notification.domain.notification import Draft
from services.notification.domain.reminders.occurrence import Decision, Occurrence, Reason, Verdict
from services.notification.domain.reminders.reminder import Content, Reminder, State


class Unanswered(Unavailable):
    """The check did not answer this question. `code` says why, for programs."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(message or code)
        self.code = code


class CheckServerFailed(Unanswered):
    """The check's server answers nobody as it should: it is down, too slow, or broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedOccurrence:
    """An occurrence that this process may decide until its lease ends. `late`: how long ago it was due."""

    tenant: str
    reminder: str
    at: datetime
    lease: str
    user: str
    content: Content
    late: timedelta
    lane: str = ""
    """The origin whose room it takes; empty where nobody is asked, or nobody may be any more."""
    held: bool = False
    """It was asked about before, and held."""


@dataclass(frozen=True, slots=True)
class OccurrenceClaims:
    """The occurrences claimed, and in how long more is due (None: nothing waits)."""

    claimed: tuple[ClaimedOccurrence, ...]
    next_due: timedelta | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A claimed occurrence and its verdict, with the notification and its channel where that is SENT."""

    claimed: ClaimedOccurrence
    verdict: Verdict
    draft: tuple[Draft, Route] | None = None


class ReminderQueue(Protocol):
    """What is due, shared by all replicas."""

    async def claim(self, rooms: Mapping[str, int], *, limit: int) -> OccurrenceClaims:
        """Writes down what is due, of up to `limit` reminders, and claims of it as many of each origin as it has room
        for (the empty one is for those without a check); where nothing is due, of what waits. An occurrence is written
        down once, whoever looks, and whatever dies; what is older of a reminder and still open is skipped with it
        (OVERTAKEN)."""
        ...

    async def renew(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """Their leases begin anew, but for those that another process has taken over."""
        ...

    async def decide(self, decided: Sequence[Decided]) -> Sequence[bool]:
        """Writes down verdicts, and makes the notifications of those that are SENT durable and due, all in one
        transaction. False for those that are not this process's to decide any more: they have no effect."""
        ...

    async def release(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """Hands back what was claimed and not decided."""
        ...

    async def adopt(self, origins: Sequence[str]) -> int:
        """Puts open occurrences of other origins than these among those without a check, so that somebody claims them;
        how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderFilter:
    """Which reminders of a tenant are wanted; empty values do not limit."""

    tenant: str
    user: str = ""
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceFilter:
    """Which occurrences of a reminder are wanted; None does not limit. `end` is not included."""

    tenant: str
    reminder: str
    decision: Decision | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticsFilter:
    """What is counted; empty values do not limit. `end` is not included."""

    tenant: str
    reminder: str
    user: str
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReminderStatistics:
    """What was decided: how often, by decision and reason. `unanswered` are checks, whatever followed."""

    counts: Mapping[tuple[Decision, Reason | None], int]
    unanswered: int
    opened: int
    reminders: int
    every: int
    """Of a single reminder; 0 of several."""
    next_run: datetime | None

    def count(self, decision: Decision) -> int:
        """How many were decided so."""
        return sum(count for (decided, _), count in self.counts.items() if decided is decision)


@dataclass(frozen=True, slots=True)
class Limits:
    """The most reminders that there may be."""

    of_user: int
    of_tenant: int


Change = Callable[[Reminder, datetime], Reminder]
"""What a reminder becomes at that time; the same when nothing changes. Raises a DomainError to leave it."""


class ReminderStore(Protocol):
    """Reminders of all tenants, and what was decided about them."""

    async def create(self, tenant: str, id_: str, user: str, content: Content, limits: Limits) -> tuple[Reminder, bool]:
        """The reminder, and whether it is new: one with the same content is returned. Raises ReminderExists,
        ReminderLimit and ScheduleInvalid."""
        ...

    async def get(self, tenant: str, id_: str) -> Reminder:
        """Raises ReminderNotFound."""
        ...

    async def page(self, wanted: ReminderFilter, *, limit: int, after: str) -> Sequence[Reminder]:
        """Up to `limit` reminders by id, after an id."""
        ...

    async def change(self, tenant: str, id_: str, change: Change, *, expected: int) -> Reminder:
        """What it has become. What is open of one that does not run is skipped (STOPPED). Raises ReminderNotFound,
        VersionConflict unless `expected` is 0 or its version, and what `change` raises."""
        ...

    async def delete(self, tenant: str, id_: str, *, expected: int) -> None:
        """Removes it with its occurrences. Raises ReminderNotFound and VersionConflict."""
        ...

    async def occurrences(
        self, wanted: OccurrenceFilter, *, limit: int, before: datetime | None
    ) -> Sequence[Occurrence]:
        """Up to `limit` occurrences, the latest first, before a time. Raises ReminderNotFound."""
        ...

    async def statistics(self, wanted: StatisticsFilter) -> ReminderStatistics:
        """Raises ReminderNotFound for a single reminder that is not there."""
        ...


class CheckClient(Protocol):
    """Asks over HTTP."""

    async def ask(self, url: str, timeout: timedelta) -> bool:
        """Whether it is done. Raises Unanswered, or CheckServerFailed."""
        ...
