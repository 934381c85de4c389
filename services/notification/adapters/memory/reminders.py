"""`ReminderStore` and `ReminderQueue` in memory: the same promises as those on PostgreSQL."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.errors import DomainError
from services.notification.adapters.memory.notifications import InMemoryNotifications
from services.notification.adapters.memory.state import State as Notifications
from services.notification.application.reminders.ports import (
    Change,
    ClaimedOccurrence,
    Decided,
    Limits,
    OccurrenceClaims,
    OccurrenceFilter,
    ReminderFilter,
    ReminderStatistics,
    StatisticsFilter,
)
from services.notification.domain.errors import check_version
from services.notification.domain.reminders.adaptive import WINDOW, Opens
from services.notification.domain.reminders.check import CheckOutcome
from services.notification.domain.reminders.errors import (
    ReminderExists,
    ReminderLimit,
    ReminderNotFound,
)
from services.notification.domain.reminders.occurrence import OPEN, Decision, Occurrence, Reason
from services.notification.domain.reminders.reminder import Content, Reminder, State

_Key = tuple[str, str]


@dataclass(slots=True)
class _Row:
    occurrence: Occurrence
    origin: str
    due: datetime
    lease: str = ""


class InMemoryReminders:
    """Reminders by tenant and id; their notifications go into `state`."""

    def __init__(self, state: Notifications, *, lease: timedelta = timedelta(seconds=30)) -> None:
        self._state = state
        self._notifications = InMemoryNotifications(state)
        self._lease = lease
        self._reminders: dict[_Key, Reminder] = {}
        self._rows: dict[_Key, dict[datetime, _Row]] = {}

    async def create(self, tenant: str, id_: str, user: str, content: Content, limits: Limits) -> tuple[Reminder, bool]:
        """See ReminderStore."""
        known = self._reminders.get((tenant, id_))
        if known is not None:
            if (known.user, known.content) == (user, content):
                return known, False
            raise ReminderExists(id_)
        of_tenant = [one for one in self._reminders.values() if one.tenant == tenant]
        if sum(one.user == user for one in of_tenant) >= limits.of_user:
            raise ReminderLimit("user", limits.of_user)
        if len(of_tenant) >= limits.of_tenant:
            raise ReminderLimit("tenant", limits.of_tenant)
        made = Reminder.new(tenant=tenant, id_=id_, user=user, content=content, now=self._state.now())
        self._reminders[tenant, id_] = made
        self._rows[tenant, id_] = {}
        return made, True

    async def get(self, tenant: str, id_: str) -> Reminder:
        """See ReminderStore."""
        found = self._reminders.get((tenant, id_))
        if found is None:
            raise ReminderNotFound(metadata={"id": id_})
        return found

    async def page(self, wanted: ReminderFilter, *, limit: int, after: str) -> Sequence[Reminder]:
        """See ReminderStore."""
        found = [
            one
            for one in self._reminders.values()
            if one.tenant == wanted.tenant
            and one.id > after
            and (not wanted.user or one.user == wanted.user)
            and (wanted.state is None or one.state is wanted.state)
        ]
        return sorted(found, key=lambda one: one.id)[:limit]

    async def change(self, tenant: str, id_: str, change: Change, *, expected: int) -> Reminder:
        """See ReminderStore."""
        before = await self._version(tenant, id_, expected)
        after = self._reminders[tenant, id_] = change(before, self._state.now())
        if after.state is State.PAUSED:
            self._close((tenant, id_), Reason.STOPPED)
        return after

    async def delete(self, tenant: str, id_: str, *, expected: int) -> None:
        """See ReminderStore."""
        await self._version(tenant, id_, expected)
        del self._reminders[tenant, id_], self._rows[tenant, id_]

    async def _version(self, tenant: str, id_: str, expected: int) -> Reminder:
        found = await self.get(tenant, id_)
        check_version(id_, expected, found.version)
        return found

    def _close(self, key: _Key, reason: Reason) -> None:
        for row in self._rows[key].values():
            if row.occurrence.decision in OPEN:
                row.lease = ""
                row.occurrence = replace(
                    row.occurrence, decision=Decision.SKIPPED, reason=reason, decided_at=self._state.now()
                )

    async def claim(self, rooms: Mapping[str, int], *, limit: int) -> OccurrenceClaims:
        """See ReminderQueue."""
        now = self._state.now()
        running = sorted((one.next_run, key) for key, one in self._reminders.items() if one.next_run is not None)
        due = [key for at, key in running if at <= now][:limit]
        for key in due:
            self._run(key, now, rooms)
        claimed = tuple(self._take(now, rooms))
        if due or claimed:
            return OccurrenceClaims(claimed, timedelta(0))
        waiting = [at for at, _ in running]
        waiting += [row.due for row in self._open() if rooms.get(row.origin, 0)]
        return OccurrenceClaims((), max(min(waiting) - now, timedelta(0)) if waiting else None)

    def _run(self, key: _Key, now: datetime, rooms: Mapping[str, int]) -> None:
        reminder = self._reminders[key]
        sent = (row.occurrence for row in self._rows[key].values() if row.occurrence.decision is Decision.SENT)
        latest = sorted((one for one in sent if one.at >= reminder.window_from), key=lambda one: one.at)[-WINDOW:]
        opened = sum(self._opened(one) is not None for one in latest)
        after, occurrences = reminder.turn(now, Opens(len(latest), opened))
        self._reminders[key] = after
        self._close(key, Reason.OVERTAKEN)
        check = after.content.check
        origin = str(check.origin) if check is not None and str(check.origin) in rooms else ""
        for one in occurrences:
            kept = one if one.decision is Decision.PENDING else replace(one, decided_at=now)
            self._rows[key].setdefault(one.at, _Row(kept, origin, one.at))

    def _take(self, now: datetime, rooms: Mapping[str, int]) -> Iterator[ClaimedOccurrence]:
        lease, left = str(uuid4()), dict(rooms)
        for row in sorted(self._open(), key=lambda row: row.due):
            if row.due > now or left.get(row.origin, 0) <= 0:
                continue
            left[row.origin] -= 1
            row.lease, row.due = lease, now + self._lease
            one = row.occurrence
            reminder = self._reminders[one.tenant, one.reminder]
            yield ClaimedOccurrence(
                tenant=one.tenant,
                reminder=one.reminder,
                at=one.at,
                lease=lease,
                user=reminder.user,
                content=reminder.content,
                late=now - one.at,
                lane=row.origin,
                held=one.decision is Decision.HELD,
            )

    def _open(self) -> list[_Row]:
        return [row for rows in self._rows.values() for row in rows.values() if row.occurrence.decision in OPEN]

    def _held(self, claimed: ClaimedOccurrence) -> _Row | None:
        row = self._rows.get((claimed.tenant, claimed.reminder), {}).get(claimed.at)
        ours = row is not None and row.lease == claimed.lease and row.occurrence.decision in OPEN
        return row if ours else None

    async def decide(self, decided: Sequence[Decided]) -> Sequence[bool]:
        """See ReminderQueue."""
        return [await self._decide(one) for one in decided]

    async def _decide(self, decided: Decided) -> bool:
        row, verdict, now = self._held(decided.claimed), decided.verdict, self._state.now()
        if row is None:
            return False
        notification = ""
        if decided.draft is not None:
            [outcome] = await self._notifications.enqueue([decided.draft])
            if isinstance(outcome, DomainError):
                raise outcome
            notification = outcome.notification.id
        before, answer = row.occurrence, verdict.answer
        if answer is not None:
            asked = before.answer.attempts if before.answer else 0
            answer = replace(answer, attempts=asked + answer.attempts, error=verdict.error)
        row.occurrence = replace(
            before,
            decision=verdict.decision,
            reason=verdict.reason,
            answer=answer,
            error=verdict.error,
            notification=notification,
            decided_at=now,
        )
        row.lease = ""
        row.due = now + (verdict.wait or timedelta(0))
        return True

    async def renew(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """See ReminderQueue."""
        for one in claimed:
            if (row := self._held(one)) is not None:
                row.due = self._state.now() + self._lease

    async def release(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """See ReminderQueue."""
        for one in claimed:
            if (row := self._held(one)) is not None:
                row.lease, row.due = "", self._state.now()

    async def adopt(self, origins: Sequence[str]) -> int:
        """See ReminderQueue."""
        strange = [row for row in self._open() if row.origin not in origins]
        for row in strange:
            row.origin = ""
        return len(strange)

    async def occurrences(
        self, wanted: OccurrenceFilter, *, limit: int, before: datetime | None
    ) -> Sequence[Occurrence]:
        """See ReminderStore."""
        await self.get(wanted.tenant, wanted.reminder)
        found = [
            replace(row.occurrence, opened_at=self._opened(row.occurrence))
            for row in self._rows[wanted.tenant, wanted.reminder].values()
            if _within(row.occurrence.at, wanted.start, wanted.end)
            and (wanted.decision is None or row.occurrence.decision is wanted.decision)
            and (before is None or row.occurrence.at < before)
        ]
        return sorted(found, key=lambda one: one.at, reverse=True)[:limit]

    async def statistics(self, wanted: StatisticsFilter) -> ReminderStatistics:
        """See ReminderStore."""
        if wanted.reminder:
            await self.get(wanted.tenant, wanted.reminder)
        reminders = [
            one
            for one in self._reminders.values()
            if one.tenant == wanted.tenant
            and wanted.reminder in ("", one.id)
            and (not wanted.user or one.user == wanted.user)
        ]
        counted = [
            row.occurrence
            for one in reminders
            for row in self._rows[one.tenant, one.id].values()
            if _within(row.occurrence.at, wanted.start, wanted.end)
        ]
        unanswered = (one.answer is not None and one.answer.outcome is CheckOutcome.NO_ANSWER for one in counted)
        return ReminderStatistics(
            counts=Counter((one.decision, one.reason) for one in counted),
            unanswered=sum(unanswered),
            opened=sum(self._opened(one) is not None for one in counted),
            reminders=len(reminders),
            every=reminders[0].every if wanted.reminder else 0,
            next_run=min((one.next_run for one in reminders if one.next_run is not None), default=None),
        )

    def _opened(self, occurrence: Occurrence) -> datetime | None:
        found = self._state.notifications.get((occurrence.tenant, occurrence.notification))
        return None if found is None else found.opened_at


def _within(at: datetime, start: datetime | None, end: datetime | None) -> bool:
    return (start is None or at >= start) and (end is None or at < end)
