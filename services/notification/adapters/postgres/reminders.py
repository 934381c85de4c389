"""Reminders of all tenants, and what was decided about them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database
from services.chassis.postgres.conditions import Conditions
from services.notification.adapters.postgres import reminder_rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.reminders.ports import (
    Change,
    Limits,
    OccurrenceFilter,
    ReminderFilter,
    ReminderStatistics,
    StatisticsFilter,
)
from services.notification.domain.errors import check_version
from services.notification.domain.reminders.errors import (
    ReminderExists,
    ReminderLimit,
    ReminderNotFound,
)
from services.notification.domain.reminders.occurrence import Decision, Occurrence, Reason
from services.notification.domain.reminders.reminder import Content, Reminder, State

_INSERT = f"""
    INSERT INTO reminders ({", ".join(reminder_rows.ALL)})
    VALUES ({", ".join(f"${place}" for place in range(1, len(reminder_rows.ALL) + 1))})
"""
_SET = ", ".join(f"{name} = ${place}" for place, name in enumerate(reminder_rows.ALL, 1) if place > 2)
_UPDATE = f"UPDATE reminders SET {_SET} WHERE tenant = $1 AND id = $2"
_GET = f"SELECT {reminder_rows.COLUMNS} FROM reminders r WHERE tenant = $1 AND id = $2"
_PAGE = f"SELECT {reminder_rows.COLUMNS} FROM reminders r /*where*/ ORDER BY id LIMIT $1"
# Whoever makes reminders of a tenant is alone for the length of the transaction: no two go over the limit together.
_ALONE = """
    SELECT pg_advisory_xact_lock(hashtextextended('reminders/' || tenant, 0))
    FROM (SELECT DISTINCT unnest($1::text[]) AS tenant ORDER BY 1) AS t
"""
_KNOWN = f"""
    SELECT {reminder_rows.COLUMNS} FROM unnest($1::text[], $2::text[]) AS w (tenant, id)
    JOIN reminders r ON r.tenant = w.tenant AND r.id = w.id
"""
_COUNTS = """
    SELECT tenant, NULL AS recipient, (SELECT count(*) FROM reminders r WHERE r.tenant = t.tenant) AS count
    FROM (SELECT DISTINCT unnest($1::text[]) AS tenant) AS t
    UNION ALL
    SELECT tenant, recipient,
        (SELECT count(*) FROM reminders r WHERE r.tenant = u.tenant AND r.recipient = u.recipient)
    FROM (SELECT DISTINCT tenant, recipient FROM unnest($1::text[], $2::text[]) AS w (tenant, recipient)) AS u
"""
_STOP = """
    WITH open AS (
        SELECT tenant, reminder, at FROM reminder_occurrences
        WHERE tenant = $1 AND reminder = $2 AND decision IN ('PENDING', 'HELD') ORDER BY at FOR UPDATE
    )
    UPDATE reminder_occurrences o SET
        decision = 'SKIPPED', reason = 'STOPPED', decided_at = $3, lease = NULL, next_attempt_at = NULL
    FROM open WHERE o.tenant = open.tenant AND o.reminder = open.reminder AND o.at = open.at
"""
_OCCURRENCES = f"""
    SELECT {reminder_rows.OCCURRENCE_COLUMNS}, n.opened_at
    FROM reminder_occurrences o LEFT JOIN TENANT.notifications n ON n.id = o.notification
    /*where*/ ORDER BY o.at DESC LIMIT $1
"""
_STATISTICS = """
    SELECT o.decision, o.reason, count(*) AS count, count(*) FILTER (WHERE o.check_outcome = 'NO_ANSWER') AS unanswered,
        count(n.opened_at) AS opened
    FROM reminder_occurrences o LEFT JOIN TENANT.notifications n ON n.id = o.notification
    /*where*/ GROUP BY o.decision, o.reason
"""
_RUNNING = "SELECT count(*) AS reminders, min(next_run_at) AS next_run, min(every) AS every FROM reminders r /*where*/"
_OF_USER = "o.reminder IN (SELECT r.id FROM reminders r WHERE r.tenant = o.tenant AND r.recipient = {})"
_WAKE = "SELECT pg_notify('notification_reminders', '')"


@dataclass(frozen=True, slots=True)
class _New:
    tenant: str
    id: str
    user: str
    content: Content
    limits: Limits


class PostgresReminders:
    """ReminderStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._creating = database.group_commit("new reminders", self._create)

    async def create(self, tenant: str, id_: str, user: str, content: Content, limits: Limits) -> tuple[Reminder, bool]:
        """See ReminderStore."""
        return await self._creating.submit(_New(tenant, id_, user, content, limits))

    async def _create(
        self, connection: Connection, news: Sequence[_New]
    ) -> Sequence[tuple[Reminder, bool] | DomainError]:
        tenants, ids = [new.tenant for new in news], [new.id for new in news]
        await connection.execute(_ALONE, tenants)
        now = await self._clock.now(connection)
        known = {
            (row["tenant"], row["id"]): reminder_rows.reminder(row)
            for row in await connection.fetch(_KNOWN, tenants, ids)
        }
        counts: Counter[tuple[str, str | None]] = Counter()
        for row in await connection.fetch(_COUNTS, tenants, [new.user for new in news]):
            counts[row["tenant"], row["recipient"]] = row["count"]
        made: list[Reminder] = []
        outcomes: list[tuple[Reminder, bool] | DomainError] = []
        for new in news:
            outcome = _judged(new, known.get((new.tenant, new.id)), counts, now)
            outcomes.append(outcome)
            if not isinstance(outcome, DomainError) and outcome[1]:
                known[new.tenant, new.id] = outcome[0]
                counts[new.tenant, None] += 1
                counts[new.tenant, new.user] += 1
                made.append(outcome[0])
        if made:
            await connection.executemany(_INSERT, [reminder_rows.values(one) for one in made])
            await connection.execute(_WAKE)
        return outcomes

    async def get(self, tenant: str, id_: str) -> Reminder:
        """See ReminderStore."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_GET, tenant, id_)
        if row is None:
            raise ReminderNotFound(metadata={"id": id_})
        return reminder_rows.reminder(row)

    async def page(self, wanted: ReminderFilter, *, limit: int, after: str) -> Sequence[Reminder]:
        """See ReminderStore."""
        where = Conditions(limit)
        where.add("r.tenant = {}", wanted.tenant)
        where.add("r.id > {}", after)
        if wanted.user:
            where.add("r.recipient = {}", wanted.user)
        if wanted.state is not None:
            where.add("r.state = {}", wanted.state)
        async with self._database.connection() as connection:
            found = await connection.fetch(where.into(_PAGE), *where.arguments)
        return [reminder_rows.reminder(row) for row in found]

    async def change(self, tenant: str, id_: str, change: Change, *, expected: int) -> Reminder:
        """See ReminderStore."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_GET + " FOR UPDATE", tenant, id_)
            if row is None:
                raise ReminderNotFound(metadata={"id": id_})
            check_version(id_, expected, row["version"])
            before, now = reminder_rows.reminder(row), await self._clock.now(connection)
            after = change(before, now)
            if after != before:
                await connection.execute(_UPDATE, *reminder_rows.values(after))
                if after.state is State.PAUSED:
                    await connection.execute(_STOP, tenant, id_, now)
                await connection.execute(_WAKE)
        return after

    async def delete(self, tenant: str, id_: str, *, expected: int) -> None:
        """See ReminderStore."""
        async with self._database.transaction() as connection:
            version = await connection.fetchval(
                "SELECT version FROM reminders WHERE tenant = $1 AND id = $2 FOR UPDATE", tenant, id_
            )
            if version is None:
                raise ReminderNotFound(metadata={"id": id_})
            check_version(id_, expected, version)
            await connection.execute("DELETE FROM reminders WHERE tenant = $1 AND id = $2", tenant, id_)
            await connection.execute(
                "DELETE FROM reminder_occurrences WHERE tenant = $1 AND reminder = $2", tenant, id_
            )

    async def occurrences(
        self, wanted: OccurrenceFilter, *, limit: int, before: datetime | None
    ) -> Sequence[Occurrence]:
        """See ReminderStore."""
        where = Conditions(limit)
        where.add("o.tenant = {} AND o.reminder = {}", wanted.tenant, wanted.reminder)
        if wanted.decision is not None:
            where.add("o.decision = {}", wanted.decision)
        if wanted.start is not None:
            where.add("o.at >= {}", wanted.start)
        if wanted.end is not None:
            where.add("o.at < {}", wanted.end)
        if before is not None:
            where.add("o.at < {}", before)
        statement = where.into(in_tenant(_OCCURRENCES, wanted.tenant))
        async with self._database.connection() as connection:
            found = await connection.fetch(statement, *where.arguments)
        if not found:
            await self.get(wanted.tenant, wanted.reminder)
        return [reminder_rows.occurrence(row) for row in found]

    async def statistics(self, wanted: StatisticsFilter) -> ReminderStatistics:
        """See ReminderStore."""
        decided, running = Conditions(), Conditions()
        decided.add("o.tenant = {}", wanted.tenant)
        running.add("r.tenant = {}", wanted.tenant)
        if wanted.reminder:
            decided.add("o.reminder = {}", wanted.reminder)
            running.add("r.id = {}", wanted.reminder)
        if wanted.user:
            decided.add(_OF_USER, wanted.user)
            running.add("r.recipient = {}", wanted.user)
        if wanted.start is not None:
            decided.add("o.at >= {}", wanted.start)
        if wanted.end is not None:
            decided.add("o.at < {}", wanted.end)
        async with self._database.transaction(isolation="repeatable_read", readonly=True) as connection:
            state = await connection.fetchrow(running.into(_RUNNING), *running.arguments)
            found = await connection.fetch(decided.into(in_tenant(_STATISTICS, wanted.tenant)), *decided.arguments)
        assert state is not None  # an aggregate has a row
        if wanted.reminder and not state["reminders"]:
            raise ReminderNotFound(metadata={"id": wanted.reminder})
        return ReminderStatistics(
            counts={
                (Decision(row["decision"]), None if row["reason"] is None else Reason(row["reason"])): row["count"]
                for row in found
            },
            unanswered=sum(row["unanswered"] for row in found),
            opened=sum(row["opened"] for row in found),
            reminders=state["reminders"],
            every=state["every"] if wanted.reminder else 0,
            next_run=state["next_run"],
        )


def _judged(
    new: _New, known: Reminder | None, counts: Counter[tuple[str, str | None]], now: datetime
) -> tuple[Reminder, bool] | DomainError:
    if known is not None:
        same = (known.user, known.content) == (new.user, new.content)
        return (known, False) if same else ReminderExists(new.id)
    if counts[new.tenant, new.user] >= new.limits.of_user:
        return ReminderLimit("user", new.limits.of_user)
    if counts[new.tenant, None] >= new.limits.of_tenant:
        return ReminderLimit("tenant", new.limits.of_tenant)
    try:
        return Reminder.new(tenant=new.tenant, id_=new.id, user=new.user, content=new.content, now=now), True
    except DomainError as error:
        return error
