"""What is due of reminders: written down and claimed in one transaction, decided and sent in another."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection, Database
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.postgres import reminder_rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import Row
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.ports.notifications import Enqueued
from services.notification.application.reminders.ports import ClaimedOccurrence, Decided, OccurrenceClaims
from services.notification.domain.channel_plan import Route
from services.notification.domain.notification import Draft
from services.notification.domain.reminders.adaptive import WINDOW, Opens
from services.notification.domain.reminders.occurrence import Decision, Occurrence
from services.notification.domain.reminders.reminder import Reminder

log = get_logger(__name__)

Enqueue = Callable[[Connection, Sequence[tuple[Draft, Route]]], Awaitable[Sequence[Enqueued | DomainError]]]
"""Makes notifications durable and due as a part of the transaction."""

_UNREADABLE_AGAIN = timedelta(hours=1)
_DUE = f"""
    SELECT {reminder_rows.COLUMNS} FROM reminders r WHERE next_run_at <= $1
    ORDER BY next_run_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_OPENS = """
    SELECT w.id, count(*) AS sent, count(*) FILTER (WHERE s.opened) AS opened
    FROM unnest($2::text[], $3::timestamptz[]) AS w (id, since)
    CROSS JOIN LATERAL (
        SELECT n.opened_at IS NOT NULL AS opened FROM (
            SELECT o.notification FROM reminder_occurrences o
            WHERE o.tenant = $1 AND o.reminder = w.id AND o.at >= w.since AND o.decision = 'SENT'
            ORDER BY o.at DESC LIMIT $4
        ) AS latest LEFT JOIN TENANT.notifications n ON n.id = latest.notification
    ) AS s GROUP BY w.id
"""
_MOVE_ON = """
    UPDATE reminders r SET
        next_run_at = t.next_run_at, state = t.state, every = t.every, passes = t.passes, window_from = t.window_from
    FROM unnest(
        $1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::integer[], $6::integer[], $7::timestamptz[]
    ) AS t (tenant, id, next_run_at, state, every, passes, window_from)
    WHERE r.tenant = t.tenant AND r.id = t.id
"""
_OVERTAKE = """
    WITH older AS (
        SELECT o.tenant, o.reminder, o.at FROM unnest($1::text[], $2::text[]) AS t (tenant, id)
        JOIN reminder_occurrences o ON o.tenant = t.tenant AND o.reminder = t.id AND o.decision IN ('PENDING', 'HELD')
        ORDER BY 1, 2, 3 FOR UPDATE OF o
    )
    UPDATE reminder_occurrences o SET
        decision = 'SKIPPED', reason = 'OVERTAKEN', decided_at = $3, lease = NULL, next_attempt_at = NULL
    FROM older WHERE o.tenant = older.tenant AND o.reminder = older.reminder AND o.at = older.at
"""
_WRITE_DOWN = """
    INSERT INTO reminder_occurrences
        (tenant, reminder, at, through, decision, reason, origin, lease, next_attempt_at, decided_at)
    SELECT tenant, reminder, at, through, decision, reason, origin, CASE WHEN claimed THEN $9::uuid END,
        CASE WHEN decision <> 'PENDING' THEN NULL WHEN claimed THEN $10::timestamptz ELSE at END,
        CASE WHEN decision <> 'PENDING' THEN $11::timestamptz END
    FROM unnest(
        $1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::boolean[]
    ) AS n (tenant, reminder, at, through, decision, reason, origin, claimed)
    ON CONFLICT DO NOTHING RETURNING tenant, reminder, at
"""
_TAKE = f"""
    WITH due AS (
        SELECT f.* FROM unnest($1::text[], $2::integer[]) AS w (origin, room)
        CROSS JOIN LATERAL (
            SELECT o.tenant, o.reminder, o.at FROM reminder_occurrences o
            WHERE o.decision IN ('PENDING', 'HELD') AND o.origin = w.origin AND o.next_attempt_at <= $3
            ORDER BY o.next_attempt_at LIMIT w.room FOR UPDATE SKIP LOCKED
        ) AS f
    ), taken AS (
        UPDATE reminder_occurrences o SET lease = $4::uuid, next_attempt_at = $5
        FROM due WHERE o.tenant = due.tenant AND o.reminder = due.reminder AND o.at = due.at
        RETURNING o.tenant, o.reminder, o.at, o.decision, o.origin
    )
    SELECT t.tenant, t.reminder, t.at, t.decision, t.origin, r.recipient, {reminder_rows.CONTENT_COLUMNS}
    FROM taken t JOIN reminders r ON r.tenant = t.tenant AND r.id = t.reminder
"""
_NEXT_DUE = """
    SELECT least(
        (SELECT min(next_run_at) FROM reminders WHERE next_run_at IS NOT NULL),
        (SELECT min(f.at) FROM unnest($1::text[]) AS w (origin) CROSS JOIN LATERAL (
            SELECT min(next_attempt_at) AS at FROM reminder_occurrences o
            WHERE o.decision IN ('PENDING', 'HELD') AND o.origin = w.origin
        ) AS f)
    )
"""
_HELD = """
    SELECT o.tenant, o.reminder, o.at, o.lease::text AS lease
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[]) AS c (tenant, reminder, at, lease)
    JOIN reminder_occurrences o ON o.tenant = c.tenant AND o.reminder = c.reminder AND o.at = c.at
        AND o.lease = c.lease AND o.decision IN ('PENDING', 'HELD')
    ORDER BY 1, 2, 3 FOR UPDATE OF o
"""
_DECIDE = """
    UPDATE reminder_occurrences o SET
        decision = v.decision, reason = v.reason, check_outcome = v.outcome,
        check_attempts = o.check_attempts + v.attempts, error = v.error, notification = v.notification,
        decided_at = $10, next_attempt_at = v.next_attempt_at, lease = NULL
    FROM unnest(
        $1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[],
        $9::uuid[], $11::timestamptz[]
    ) AS v (tenant, reminder, at, decision, reason, outcome, attempts, error, notification, next_attempt_at)
    WHERE o.tenant = v.tenant AND o.reminder = v.reminder AND o.at = v.at
"""
_RELEASE = """
    UPDATE reminder_occurrences o SET lease = NULL, next_attempt_at = $5
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[]) AS c (tenant, reminder, at, lease)
    WHERE o.tenant = c.tenant AND o.reminder = c.reminder AND o.at = c.at AND o.lease = c.lease
        AND o.decision IN ('PENDING', 'HELD')
"""
_RENEW = """
    UPDATE reminder_occurrences o SET next_attempt_at = $5
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[]) AS c (tenant, reminder, at, lease)
    WHERE o.tenant = c.tenant AND o.reminder = c.reminder AND o.at = c.at AND o.lease = c.lease
        AND o.decision IN ('PENDING', 'HELD')
"""
_ADOPT = """
    UPDATE reminder_occurrences SET origin = ''
    WHERE decision IN ('PENDING', 'HELD') AND origin <> ALL($1::text[])
"""
_Key = tuple[str, str, datetime]


class PostgresReminderQueue:
    """ReminderQueue."""

    def __init__(self, database: Database, clock: Clock, enqueue: Enqueue, *, lease: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._enqueue = enqueue
        self._lease = lease

    async def claim(self, rooms: Mapping[str, int], *, limit: int) -> OccurrenceClaims:
        """See ReminderQueue."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            if due := await connection.fetch(_DUE, now, limit):
                return OccurrenceClaims(await self._run(connection, due, dict(rooms), now), timedelta(0))
            if claimed := await self._take(connection, rooms, now):
                return OccurrenceClaims(claimed, timedelta(0))
            at = await connection.fetchval(_NEXT_DUE, [origin for origin, room in rooms.items() if room])
            return OccurrenceClaims((), None if at is None else max(at - now, timedelta(0)))

    async def _run(
        self, connection: Connection, due: Sequence[Row], rooms: dict[str, int], now: datetime
    ) -> tuple[ClaimedOccurrence, ...]:
        """Takes the reminders' turns; claims what there is room for."""
        reminders = await self._readable(connection, due, now)
        opens = await self._opens(connection, reminders)
        turns = [one.turn(now, opens.get((one.tenant, one.id), Opens(0, 0))) for one in reminders]
        await self._move_on(connection, [after for after, _ in turns], now)
        lease, claimed, found = str(uuid4()), list[ClaimedOccurrence](), list[tuple[Occurrence, str, bool]]()
        for after, occurrences in turns:
            origin = str(after.content.check.origin) if after.content.check else ""
            # What asks whom nobody claims for is decided, too: without an answer.
            lane = origin if origin in rooms else ""
            for one in occurrences:
                ours = one.decision is Decision.PENDING and rooms.get(lane, 0) > 0
                found.append((one, lane, ours))
                if ours:
                    rooms[lane] -= 1
                    claimed.append(
                        ClaimedOccurrence(
                            tenant=after.tenant,
                            reminder=after.id,
                            at=one.at,
                            lease=lease,
                            user=after.user,
                            content=after.content,
                            late=now - one.at,
                            lane=lane,
                        )
                    )
        new = await connection.fetch(
            _WRITE_DOWN,
            [one.tenant for one, _, _ in found],
            [one.reminder for one, _, _ in found],
            [one.at for one, _, _ in found],
            [one.through for one, _, _ in found],
            [one.decision for one, _, _ in found],
            [one.reason for one, _, _ in found],
            [lane for _, lane, _ in found],
            [ours for _, _, ours in found],
            lease,
            now + self._lease,
            now,
        )
        # Also where a clock has gone back nothing runs twice.
        made = {(row["tenant"], row["reminder"], row["at"]) for row in new}
        return tuple(one for one in claimed if _key(one) in made)

    @staticmethod
    async def _readable(connection: Connection, due: Sequence[Row], now: datetime) -> list[Reminder]:
        reminders: list[Reminder] = []
        for row in due:
            try:
                reminders.append(reminder_rows.reminder(row))
            except DomainError as error:
                _tell_unreadable(row["tenant"], row["id"], error)
                await connection.execute(
                    "UPDATE reminders SET next_run_at = $3 WHERE tenant = $1 AND id = $2",
                    row["tenant"],
                    row["id"],
                    now + _UNREADABLE_AGAIN,
                )
        return reminders

    @staticmethod
    async def _opens(connection: Connection, reminders: Sequence[Reminder]) -> dict[tuple[str, str], Opens]:
        adapting: dict[str, list[Reminder]] = defaultdict(list)
        for one in reminders:
            if one.content.adaptive is not None and not one.passes:
                adapting[one.tenant].append(one)
        found: dict[tuple[str, str], Opens] = {}
        for tenant, group in adapting.items():
            since = [one.window_from for one in group]
            for row in await connection.fetch(
                in_tenant(_OPENS, tenant), tenant, [one.id for one in group], since, WINDOW
            ):
                found[tenant, row["id"]] = Opens(row["sent"], row["opened"])
        return found

    @staticmethod
    async def _move_on(connection: Connection, reminders: Sequence[Reminder], now: datetime) -> None:
        tenants, ids = [one.tenant for one in reminders], [one.id for one in reminders]
        await connection.execute(
            _MOVE_ON,
            tenants,
            ids,
            [one.next_run for one in reminders],
            [one.state for one in reminders],
            [one.every for one in reminders],
            [one.passes for one in reminders],
            [one.window_from for one in reminders],
        )
        await connection.execute(_OVERTAKE, tenants, ids, now)

    async def _take(
        self, connection: Connection, rooms: Mapping[str, int], now: datetime
    ) -> tuple[ClaimedOccurrence, ...]:
        """Claims of what waits: held, not claimed for want of room, or left by a process that died."""
        lease = str(uuid4())
        wanted = {origin: room for origin, room in rooms.items() if room > 0}
        found = await connection.fetch(_TAKE, list(wanted), list(wanted.values()), now, lease, now + self._lease)
        claimed: list[ClaimedOccurrence] = []
        for row in found:
            try:
                content = reminder_rows.content(row)
            except DomainError as error:
                _tell_unreadable(row["tenant"], row["reminder"], error)
                continue
            claimed.append(
                ClaimedOccurrence(
                    tenant=row["tenant"],
                    reminder=row["reminder"],
                    at=row["at"],
                    lease=lease,
                    user=row["recipient"],
                    content=content,
                    late=now - row["at"],
                    lane=row["origin"],
                    held=row["decision"] == Decision.HELD,
                )
            )
        return tuple(claimed)

    async def decide(self, decided: Sequence[Decided]) -> Sequence[bool]:
        """See ReminderQueue."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            held = await connection.fetch(_HELD, *_claims([one.claimed for one in decided]))
            leases = {(row["tenant"], row["reminder"], row["at"]): row["lease"] for row in held}
            ours = [leases.get(_key(one.claimed)) == one.claimed.lease for one in decided]
            deciding = [one for one, yes in zip(decided, ours, strict=True) if yes]
            if deciding:
                sent = await self._send(connection, deciding)
                await self._keep(connection, deciding, sent, now)
        return ours

    async def _send(self, connection: Connection, deciding: Sequence[Decided]) -> Mapping[_Key, str]:
        sending = [one for one in deciding if one.draft is not None]
        outcomes = await self._enqueue(connection, [one.draft for one in sending if one.draft is not None])
        sent: dict[_Key, str] = {}
        for one, outcome in zip(sending, outcomes, strict=True):
            if isinstance(outcome, DomainError):
                raise outcome
            sent[_key(one.claimed)] = outcome.notification.id
        return sent

    @staticmethod
    async def _keep(
        connection: Connection, deciding: Sequence[Decided], sent: Mapping[_Key, str], now: datetime
    ) -> None:
        verdicts = [one.verdict for one in deciding]
        await connection.execute(
            _DECIDE,
            [one.claimed.tenant for one in deciding],
            [one.claimed.reminder for one in deciding],
            [one.claimed.at for one in deciding],
            [verdict.decision for verdict in verdicts],
            [verdict.reason for verdict in verdicts],
            [verdict.answer and verdict.answer.outcome for verdict in verdicts],
            [verdict.answer.attempts if verdict.answer else 0 for verdict in verdicts],
            [verdict.error for verdict in verdicts],
            [sent.get(_key(one.claimed)) for one in deciding],
            now,
            [None if verdict.wait is None else now + verdict.wait for verdict in verdicts],
        )

    async def renew(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """See ReminderQueue."""
        async with self._database.connection() as connection:
            await connection.execute(_RENEW, *_claims(claimed), await self._clock.now(connection) + self._lease)

    async def release(self, claimed: Sequence[ClaimedOccurrence]) -> None:
        """See ReminderQueue."""
        async with self._database.connection() as connection:
            await connection.execute(_RELEASE, *_claims(claimed), await self._clock.now(connection))

    async def adopt(self, origins: Sequence[str]) -> int:
        """See ReminderQueue."""
        async with self._database.connection() as connection:
            return int((await connection.execute(_ADOPT, list(origins))).split()[-1])


def _tell_unreadable(tenant: str, reminder: str, error: DomainError) -> None:
    # As when a time zone was taken out of the database of zones: it must not hold up the others.
    log.error("reminders.unreadable", tenant=tenant, reminder=reminder, error=error.message)


def _key(claimed: ClaimedOccurrence) -> _Key:
    return claimed.tenant, claimed.reminder, claimed.at


def _claims(claimed: Sequence[ClaimedOccurrence]) -> tuple[list[str], list[str], list[datetime], list[str]]:
    return (
        [one.tenant for one in claimed],
        [one.reminder for one in claimed],
        [one.at for one in claimed],
        [one.lease for one in claimed],
    )
