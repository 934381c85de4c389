"""Dead letters in the database: `DeadLetterStore` and `AlertLog`."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from services.chassis.nats import Encoded
from services.chassis.nats.dead_letters import MAX_MESSAGE, sent_back
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.postgres.conditions import Conditions
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.rows import Row
from services.notification.domain.dead_letter import (
    LAST_TRY,
    DeadLetter,
    FailedAttempt,
    LetterAlert,
    LetterFilter,
    LetterState,
    ReasonClass,
)
from services.notification.domain.errors import DeadLetterNotFound

_COLUMNS = """
    number, name, about, state, service, consumer, subject, type, tenant, class, reason, attempts,
    history::text AS history, headers::text AS headers, cut, first_seen, dead_at, last_try_at, closed_at, closed_by
"""
_KEEP = """
    WITH new AS (
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::int[], $11::text[], $12::text[], $13::bytea[], $14::boolean[], $15::timestamptz[], $16::timestamptz[],
            $17::timestamptz[]
        ) WITH ORDINALITY AS n (
            name, about, service, consumer, subject, type, tenant, class, reason, attempts, history, headers, payload,
            cut, first_seen, dead_at, last_try_at, place
        )
    ), judged AS (
        SELECT new.*, EXISTS (
            SELECT FROM (
                SELECT state, closed_by, closed_at FROM dead_letters d
                WHERE d.about = new.about AND d.closed_at IS NOT NULL ORDER BY d.closed_at DESC LIMIT 1
            ) AS latest
            WHERE state = 'RETRIED' AND closed_by = $18 AND closed_at > $19
        ) AS tried
        FROM new
    )
    INSERT INTO dead_letters (
        name, about, state, service, consumer, subject, type, tenant, class, reason, attempts, history, headers,
        payload, cut, first_seen, dead_at, kept_at, last_try_at, closed_at, closed_by
    )
    SELECT name, about, CASE WHEN tried THEN 'ARCHIVED' ELSE 'OPEN' END, service, consumer, subject, type, tenant,
        class, reason, attempts, history::json, headers::json, payload, cut, first_seen, dead_at, $20::timestamptz,
        CASE WHEN NOT tried THEN last_try_at END, CASE WHEN tried THEN $20::timestamptz END,
        CASE WHEN tried THEN $18 ELSE '' END
    FROM judged ORDER BY place
    ON CONFLICT (name) DO NOTHING
"""
_PAGE = f"SELECT {_COLUMNS}, ''::bytea AS payload FROM dead_letters /*where*/ ORDER BY number DESC LIMIT $1"
_FIND = "SELECT number FROM dead_letters /*where*/ ORDER BY number LIMIT $1"
# Of two who ask at once one gets each letter. No more than fit into memory at a time.
_CLOSE = f"""
    WITH wanted AS (
        SELECT number, sum(octet_length(payload)) OVER (ORDER BY number) - octet_length(payload) AS before
        FROM (
            SELECT number, payload FROM dead_letters WHERE number = ANY($1::bigint[]) AND state = ANY($2::text[])
                AND NOT (cut AND $3 = 'RETRIED')
            ORDER BY number FOR UPDATE SKIP LOCKED
        ) AS locked
    )
    UPDATE dead_letters d SET state = $3, closed_at = $4, closed_by = $5, last_try_at = NULL FROM wanted
    WHERE d.number = wanted.number AND wanted.before < $6
    RETURNING {_COLUMNS.replace("number,", "d.number,", 1)}, payload
"""
_DUE = "SELECT number FROM dead_letters WHERE last_try_at <= $1 AND state = 'OPEN' ORDER BY last_try_at LIMIT $2"
_EXPIRE = """
    DELETE FROM dead_letters WHERE number IN (SELECT number FROM dead_letters WHERE closed_at < $1 LIMIT $2)
"""
_CLAIM_ALERT = """
    UPDATE dead_letter_alerts a SET leased_until = $1::timestamptz + interval '1 minute'
    WHERE not_before <= $1 AND leased_until <= $1
        AND EXISTS (SELECT FROM dead_letters WHERE number > a.told_up_to AND kept_at <= $2)
    RETURNING told_up_to, told
"""
_ALERT = """
    SELECT service, consumer, class, count(*) AS count, min(dead_at) AS since, max(dead_at) AS until,
        max(number) AS last
    FROM dead_letters WHERE number > $1 AND kept_at <= $2 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
"""
_EXAMPLES = f"""
    SELECT {_COLUMNS}, ''::bytea AS payload FROM dead_letters WHERE number > $1 ORDER BY number LIMIT 5
"""
_AT_ONCE = 32 * 1024 * 1024
"""Bytes of payloads that are sent back in one transaction, at most (but one letter)."""
_LINKED = timedelta(days=7)
"""A letter about what was tried a last time within this time says that the try has failed."""
_GATHER = timedelta(seconds=5)
"""How long a letter waits for others before operators are told."""


class PostgresDeadLetters:
    """DeadLetterStore and AlertLog."""

    def __init__(self, database: Database, clock: Clock, source: str, last_try_after: timedelta) -> None:
        self._database = database
        self._clock = clock
        # What was in a stream once goes back to it, whatever its size.
        self._outbox = Outbox(source=source, max_event_bytes=MAX_MESSAGE)
        self._last_try_after = last_try_after

    async def keep(self, letters: Sequence[DeadLetter]) -> int:
        """See DeadLetterStore."""
        async with self._database.connection() as connection:
            now = await self._clock.now(connection)
            kept = await connection.execute(
                _KEEP,
                [one.name for one in letters],
                [one.about for one in letters],
                [one.service for one in letters],
                [one.consumer for one in letters],
                [one.subject for one in letters],
                [one.type for one in letters],
                [one.tenant for one in letters],
                [one.reason_class for one in letters],
                [one.reason for one in letters],
                [one.attempts for one in letters],
                [_dump(one.history) for one in letters],
                [json.dumps(one.headers) for one in letters],
                [one.payload for one in letters],
                [one.cut for one in letters],
                [one.first_seen for one in letters],
                [one.dead_at for one in letters],
                [one.last_try(now, self._last_try_after) for one in letters],
                LAST_TRY,
                now - _LINKED,
                now,
            )
        return int(kept.split()[-1])

    async def page(self, wanted: LetterFilter, *, before: int | None, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetterStore."""
        where = _conditions(wanted, limit)
        if before is not None:
            where.add("number < {}", before)
        async with self._database.connection() as connection:
            return [_letter(row) for row in await connection.fetch(where.into(_PAGE), *where.arguments)]

    async def get(self, number: int) -> DeadLetter:
        """See DeadLetterStore."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS}, payload FROM dead_letters WHERE number = $1", number)
        if row is None:
            raise DeadLetterNotFound(metadata={"id": str(number)})
        return _letter(row)

    async def find(self, wanted: LetterFilter, limit: int) -> Sequence[int]:
        """See DeadLetterStore."""
        where = _conditions(wanted, limit)
        async with self._database.connection() as connection:
            return [row["number"] for row in await connection.fetch(where.into(_FIND), *where.arguments)]

    async def retry(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """See DeadLetterStore."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            states = [LetterState.OPEN, LetterState.ARCHIVED]
            rows = await connection.fetch(_CLOSE, list(numbers), states, LetterState.RETRIED, now, by, _AT_ONCE)
            letters = sorted(map(_letter, rows), key=lambda one: one.number)
            await self._outbox.add_encoded(connection, [(_returned(one), None) for one in letters])
        return [one.number for one in letters]

    async def archive(self, numbers: Sequence[int], by: str) -> Sequence[int]:
        """See DeadLetterStore."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            states = [LetterState.OPEN]
            rows = await connection.fetch(_CLOSE, list(numbers), states, LetterState.ARCHIVED, now, by, 2**62)
        return sorted(row["number"] for row in rows)

    async def due(self, limit: int) -> Sequence[int]:
        """See DeadLetterStore."""
        async with self._database.connection() as connection:
            return [row["number"] for row in await connection.fetch(_DUE, await self._clock.now(connection), limit)]

    async def open(self) -> Mapping[tuple[str, ReasonClass], int]:
        """See DeadLetterStore."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT service, class, count(*) AS count FROM dead_letters WHERE state = 'OPEN' GROUP BY 1, 2"
            )
        return {(row["service"], ReasonClass(row["class"])): row["count"] for row in rows}

    async def claim_alert(self) -> tuple[LetterAlert, frozenset[str]] | None:
        """See AlertLog."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            claimed = await connection.fetchrow(_CLAIM_ALERT, now, now - _GATHER)
            if claimed is None:
                return None
            counts = await connection.fetch(_ALERT, claimed["told_up_to"], now - _GATHER)
            examples = await connection.fetch(_EXAMPLES, claimed["told_up_to"])
        alert = LetterAlert(
            id=f"dead-letters-{claimed['told_up_to'] + 1}",
            last=max(row["last"] for row in counts),
            total=sum(row["count"] for row in counts),
            since=min(row["since"] for row in counts),
            until=max(row["until"] for row in counts),
            counts=tuple((row["service"], row["consumer"], ReasonClass(row["class"]), row["count"]) for row in counts),
            examples=tuple(map(_letter, examples)),
        )
        return alert, frozenset(claimed["told"])

    async def told(self, way: str) -> None:
        """See AlertLog."""
        async with self._database.connection() as connection:
            await connection.execute("UPDATE dead_letter_alerts SET told = array_append(told, $1)", way)

    async def complete_alert(self, alert: LetterAlert, pause: timedelta) -> None:
        """See AlertLog."""
        async with self._database.connection() as connection:
            await connection.execute(
                """
                UPDATE dead_letter_alerts SET told_up_to = $1, told = '{}', not_before = $2, leased_until = '-infinity'
                WHERE told_up_to < $1
                """,
                alert.last,
                await self._clock.now(connection) + pause,
            )


async def expire(connection: Connection, before: datetime, limit: int) -> int:
    """Deletes up to `limit` of those that were closed before then."""
    return int((await connection.execute(_EXPIRE, before, limit)).split()[-1])


def _conditions(wanted: LetterFilter, limit: int) -> Conditions:
    where = Conditions(limit)
    where.add("state = {}", wanted.state)
    for column, value in (("service", wanted.service), ("class", wanted.reason_class), ("tenant", wanted.tenant)):
        if value:
            where.add(f"{column} = {{}}", value)
    if wanted.since is not None:
        where.add("dead_at >= {}::timestamptz", wanted.since)
    if wanted.until is not None:
        where.add("dead_at < {}::timestamptz", wanted.until)
    if wanted.whole:
        where.add("NOT cut")
    if wanted.tenants is not None:
        where.add("tenant = ANY({}::text[])", ["", *wanted.tenants])
    return where


def _returned(letter: DeadLetter) -> Encoded:
    return sent_back(
        Encoded(subject=letter.subject, payload=letter.payload, headers=letter.headers),
        to=f"{letter.service}/{letter.consumer}",
        occasion=str(letter.number),
    )


def _dump(history: Sequence[FailedAttempt]) -> str:
    return json.dumps([[one.at.isoformat(), one.error_type, one.reason] for one in history])


def _load(text: str) -> tuple[FailedAttempt, ...]:
    entries: list[list[Any]] = json.loads(text)
    return tuple(
        FailedAttempt(at=datetime.fromisoformat(at), error_type=kind, reason=reason) for at, kind, reason in entries
    )


def _letter(row: Row) -> DeadLetter:
    return DeadLetter(
        number=row["number"],
        name=row["name"],
        about=row["about"],
        service=row["service"],
        consumer=row["consumer"],
        subject=row["subject"],
        type=row["type"],
        tenant=row["tenant"],
        reason_class=ReasonClass(row["class"]),
        reason=row["reason"],
        attempts=row["attempts"],
        history=_load(row["history"]),
        first_seen=row["first_seen"],
        dead_at=row["dead_at"],
        headers=json.loads(row["headers"]),
        payload=row["payload"],
        cut=row["cut"],
        state=LetterState(row["state"]),
        last_try_at=row["last_try_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
    )
