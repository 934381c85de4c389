"""Invoices and their state machine."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from uuid import uuid4

from services.chassis.postgres import Connection, Database, Outbox, first_time
from services.chassis.postgres.conditions import Conditions
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.invoice_changes import InvoiceChanges, telling
from services.notification.application.claimed_delivery import (
    ClaimedInvoice,
    Deferred,
    InvoiceChange,
    InvoiceClaims,
    Mailed,
    Sending,
)
from services.notification.application.ports.notifications import Position
from services.notification.domain.errors import InvoiceNotFound
from services.notification.domain.invoice import Debt, Invoice, InvoiceFilter, InvoiceState, Place
from services.notification.domain.notification import HISTORY_LIMIT, Attempt, error_text

_COLUMNS = """
    debt, debt_file, name, government_id, email, amount, due_date, currency, language, issuer, state, attempts, error,
    history::text AS history, object, object_offset, object_length, shared_offset, shared_length,
    created_at, mailed_at, doubtful,
    CASE WHEN lease IS NULL AND error <> '' THEN next_attempt_at END AS next_attempt_at
"""
_CLAIM = f"""
    WITH due AS (
        SELECT debt AS id, sending_at IS NOT NULL AS crashed FROM invoices
        WHERE next_attempt_at <= $1 AND (state = 'PENDING' OR $3) ORDER BY next_attempt_at LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    UPDATE invoices SET lease = $4, next_attempt_at = $5 FROM due WHERE debt = due.id
    RETURNING {_COLUMNS}, due.crashed
"""
_PAGE = f"SELECT {_COLUMNS} FROM invoices /*where*/ ORDER BY created_at DESC, debt DESC LIMIT $1"
_REGISTER = """
    WITH made AS (
        INSERT INTO invoices
            (debt, debt_file, name, government_id, email, amount, due_date, currency, language, issuer,
            next_attempt_at, created_at)
        SELECT *, $11, $11 FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::text[]
        ) AS n (debt, debt_file, name, government_id, email, amount, due_date, currency, language, issuer)
        WHERE NOT EXISTS (SELECT FROM cancelled_debt_files c WHERE c.debt_file = n.debt_file)
        ORDER BY debt
        -- The debt of a file that was rolled back, registered anew.
        ON CONFLICT (debt) DO UPDATE SET
            debt_file = excluded.debt_file, name = excluded.name, government_id = excluded.government_id,
            email = excluded.email, amount = excluded.amount, due_date = excluded.due_date,
            currency = excluded.currency, language = excluded.language, issuer = excluded.issuer, state = 'PENDING',
            attempts = 0, error = '', history = '[]', object = NULL, object_offset = NULL, object_length = NULL,
            next_attempt_at = excluded.next_attempt_at, created_at = excluded.created_at, doubtful = false,
            version = invoices.version + 1, closed = false, decided_version = 0
        WHERE invoices.state = 'CANCELLED' AND NOT (invoices.closed AND invoices.debt_file = excluded.debt_file)
        RETURNING 1
    )
    SELECT count(*) FROM made
"""
_FOUND = "SELECT debt FROM invoices /*where*/ ORDER BY created_at, debt LIMIT $1"
_RETRY = f"""
    WITH wanted AS ({_FOUND} FOR UPDATE SKIP LOCKED), changed AS (
        UPDATE invoices i SET
            state = CASE WHEN object IS NULL THEN 'PENDING' ELSE 'STORED' END,
            attempts = CASE WHEN state = 'FAILED' THEN 0 ELSE attempts END,
            history = CASE WHEN state = 'FAILED' THEN '[]' ELSE history END,
            version = version + CASE WHEN $5 THEN 1 ELSE 0 END,
            next_attempt_at = $2
        FROM wanted WHERE i.debt = wanted.debt RETURNING i.debt, i.debt_file, i.version, i.state, i.doubtful
    ), letters AS (
        UPDATE dead_letters d SET state = 'RETRIED', closed_at = $2, closed_by = $3, last_try_at = NULL
        FROM changed WHERE d.about = $4 || changed.debt AND d.state = 'OPEN'
    ), told AS ({telling(when="$5")})
    SELECT count(*) FROM changed
"""
_RENEW = """
    WITH ours AS (
        SELECT i.debt FROM invoices i JOIN unnest($1::text[], $2::uuid[]) AS c (debt, lease)
            ON i.debt = c.debt AND i.lease = c.lease
        -- What is being written down has its lease from there.
        FOR UPDATE OF i SKIP LOCKED
    )
    UPDATE invoices i SET next_attempt_at = $3 FROM ours WHERE i.debt = ours.debt
"""
_HELD = """
    SELECT i.debt, i.lease::text AS lease, i.history::text AS history, i.created_at
    FROM invoices i JOIN unnest($1::text[], $2::uuid[]) AS c (debt, lease) ON i.debt = c.debt AND i.lease = c.lease
    FOR UPDATE OF i
"""
_WAKE = "SELECT pg_notify('notification_invoices', '')"
_BEHIND = "($2 = '' OR (created_at, debt) < (SELECT created_at, debt FROM invoices WHERE debt = $2))"
_CONSUMER = "invoices"
_CANCELLING = "hashtext('notification.cancelled_debt_files')"
_Lease = tuple[str, str]
"""Debt and lease: who lost an invoice may report in the same breath as who took it over."""


class PostgresInvoices:
    """InvoiceStore."""

    def __init__(
        self, database: Database, clock: Clock, outbox: Outbox, changes: InvoiceChanges, *, lease: timedelta
    ) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._changes = changes
        self._lease = lease

    async def register(self, event: str, debts: Sequence[Debt]) -> int:
        """See InvoiceStore."""
        async with self._database.transaction() as connection:
            if not await first_time(connection, _CONSUMER, event):
                return 0
            # No file is cancelled while its debts are on their way in.
            await connection.execute(f"SELECT pg_advisory_xact_lock_shared({_CANCELLING})")
            made = await connection.fetchval(
                _REGISTER,
                [debt.id for debt in debts],
                [debt.debt_file for debt in debts],
                [debt.name for debt in debts],
                [debt.government_id for debt in debts],
                [debt.email for debt in debts],
                [debt.amount for debt in debts],
                [debt.due_date for debt in debts],
                [debt.currency for debt in debts],
                [debt.language for debt in debts],
                [debt.issuer for debt in debts],
                await self._clock.now(connection),
            )
            await connection.execute(_WAKE)
        return made

    async def cancel(self, debt_file: str, after: str, limit: int) -> str:
        """See InvoiceStore."""
        if not after:
            async with self._database.transaction() as connection:
                await connection.execute(f"SELECT pg_advisory_xact_lock({_CANCELLING})")
                await connection.execute(
                    "INSERT INTO cancelled_debt_files (debt_file) VALUES ($1) ON CONFLICT DO NOTHING", debt_file
                )
        async with self._database.connection() as connection:
            # What somebody has claimed loses its claim, and is not sent.
            last = await connection.fetchval(
                f"""
                WITH chosen AS (
                    SELECT debt, created_at FROM invoices
                    WHERE debt_file = $1 AND state IN ('PENDING', 'STORED', 'FAILED') AND sending_at IS NULL
                      AND NOT doubtful AND {_BEHIND}
                    ORDER BY created_at DESC, debt DESC LIMIT $3 FOR UPDATE
                ), cancelled AS (
                    UPDATE invoices i SET state = 'CANCELLED', next_attempt_at = NULL, lease = NULL
                    FROM chosen WHERE i.debt = chosen.debt
                ), letters AS (
                    UPDATE dead_letters d SET state = 'ARCHIVED', closed_at = now(), closed_by = 'rollback'
                    FROM chosen WHERE d.about = $4 || chosen.debt AND d.state = 'OPEN'
                )
                SELECT debt FROM chosen ORDER BY created_at, debt LIMIT 1
                """,
                debt_file,
                after,
                limit,
                events.INVOICE_LETTERS,
            )
        return last or ""

    async def in_dialogue(self, debt_file: str) -> bool:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            return await connection.fetchval(
                """
                SELECT EXISTS (SELECT FROM invoices WHERE debt_file = $1 AND state = 'STORED'
                               AND sending_at IS NOT NULL AND NOT doubtful)
                """,
                debt_file,
            )

    async def kept(self, debt_file: str, after: str, limit: int) -> Sequence[str]:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                f"""
                SELECT debt FROM invoices WHERE debt_file = $1 AND (state <> 'CANCELLED' OR doubtful) AND {_BEHIND}
                ORDER BY created_at DESC, debt DESC LIMIT $3
                """,
                debt_file,
                after,
                limit,
            )
        return [row["debt"] for row in found]

    async def counts(self, debt_file: str) -> Mapping[InvoiceState, int]:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            found = await connection.fetch(
                "SELECT state, count(*) FROM invoices WHERE $1 IN ('', debt_file) GROUP BY state", debt_file
            )
        return {InvoiceState(state): count for state, count in found}

    async def retry(self, wanted: InvoiceFilter, limit: int, by: str) -> int:
        """See InvoiceStore."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            given_up = wanted.state is InvoiceState.FAILED
            where = _wanted(wanted, now, limit, now, by, events.INVOICE_LETTERS, given_up)
            retried = await connection.fetchval(where.into(_RETRY), *where.arguments)
            await connection.execute(_WAKE)
        self._changes.poke()
        return retried

    async def count(self, wanted: InvoiceFilter, limit: int) -> int:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            where = _wanted(wanted, await self._clock.now(connection), limit)
            return await connection.fetchval(where.into(f"SELECT count(*) FROM ({_FOUND}) AS found"), *where.arguments)

    async def claim(self, limit: int, *, mail: bool) -> InvoiceClaims:
        """See InvoiceStore."""
        lease = str(uuid4())
        async with self._database.connection() as connection:
            now = await self._clock.now(connection)
            found = await connection.fetch(_CLAIM, now, limit, mail, lease, now + self._lease)
            if not found:
                due = await connection.fetchval(
                    "SELECT min(next_attempt_at) FROM invoices WHERE next_attempt_at IS NOT NULL "
                    "AND (state = 'PENDING' OR $1)",
                    mail,
                )
                return InvoiceClaims((), None if due is None else max(due - now, timedelta(0)))
        claimed = [
            ClaimedInvoice(
                debt=rows.debt(row),
                lease=lease,
                state=InvoiceState(row["state"]),
                attempts=row["attempts"],
                place=rows.place(row),
                crashed=row["crashed"],
                doubtful=row["doubtful"],
            )
            for row in found
        ]
        return InvoiceClaims(tuple(claimed), None)

    async def stored(self, places: Sequence[tuple[ClaimedInvoice, Place]]) -> None:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"""
                WITH changed AS (
                    UPDATE invoices i SET
                        state = 'STORED', object = p.object, object_offset = p.at, object_length = p.length,
                        shared_offset = p.shared_at, shared_length = p.shared_length,
                        next_attempt_at = $8, version = version + 1
                    FROM unnest(
                        $1::text[], $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::integer[]
                    ) AS p (debt, lease, object, at, length, shared_at, shared_length)
                    WHERE i.debt = p.debt AND i.lease = p.lease AND i.state = 'PENDING'
                    RETURNING i.debt, i.debt_file, i.version, i.state, i.doubtful
                )
                {telling()}
                """,
                [invoice.debt.id for invoice, _ in places],
                [invoice.lease for invoice, _ in places],
                [place.object for _, place in places],
                [place.offset for _, place in places],
                [place.length for _, place in places],
                [place.shared_offset for _, place in places],
                [place.shared_length for _, place in places],
                await self._clock.now(connection) + self._lease,
            )
        self._changes.poke()

    async def change(self, changes: Sequence[InvoiceChange]) -> Sequence[bool]:
        """See InvoiceStore."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            sending = [change.invoice for change in changes if isinstance(change, Sending)]
            mailed = [change.invoice for change in changes if isinstance(change, Mailed) and change.failure is None]
            failed = [change for change in changes if isinstance(change, Mailed) and change.failure is not None]
            deferred = [change for change in changes if isinstance(change, Deferred)]
            ours = await self._sending(connection, sending, now) if sending else set[_Lease]()
            ours |= await self._mailed(connection, mailed, now) if mailed else set[_Lease]()
            if failed:
                ours |= await self._failed(connection, failed, now)
            if deferred:
                ours |= await self._deferred(connection, deferred, now)
        if mailed or failed:
            self._changes.poke()
        return [_lease(change.invoice) in ours for change in changes]

    async def _sending(self, connection: Connection, invoices: Sequence[ClaimedInvoice], now: datetime) -> set[_Lease]:
        found = await connection.fetch(
            """
            UPDATE invoices i SET sending_at = $3, next_attempt_at = $4
            FROM unnest($1::text[], $2::uuid[]) AS c (debt, lease)
            WHERE i.debt = c.debt AND i.lease = c.lease AND i.state = 'STORED' AND NOT i.closed
            RETURNING c.debt, c.lease::text AS lease
            """,
            *_leases(invoices),
            now,
            now + self._lease,
        )
        return {(row["debt"], row["lease"]) for row in found}

    @staticmethod
    async def _mailed(connection: Connection, invoices: Sequence[ClaimedInvoice], now: datetime) -> set[_Lease]:
        found = await connection.fetch(
            f"""
            WITH changed AS (
                UPDATE invoices i SET
                    state = 'MAILED', attempts = attempts + 1, error = '', mailed_at = $3, next_attempt_at = NULL,
                    lease = NULL, sending_at = NULL, version = version + 1
                FROM unnest($1::text[], $2::uuid[]) AS c (debt, lease)
                WHERE i.debt = c.debt AND i.lease = c.lease
                RETURNING c.debt, c.lease::text AS lease, i.debt_file, i.version, i.state, i.doubtful
            ), told AS ({telling()})
            SELECT debt, lease FROM changed
            """,
            *_leases(invoices),
            now,
        )
        return {(row["debt"], row["lease"]) for row in found}

    async def _failed(self, connection: Connection, changes: Sequence[Mailed], now: datetime) -> Set[_Lease]:
        found = await connection.fetch(_HELD, *_leases([change.invoice for change in changes]))
        before = {(row["debt"], row["lease"]): row for row in found}
        ours = [change for change in changes if _lease(change.invoice) in before]
        attempts = [Attempt(now, one.failure.code, one.failure.message) for one in ours if one.failure is not None]
        histories = [
            (*rows.load_history(before[_lease(change.invoice)]["history"]), attempt)[-HISTORY_LIMIT:]
            for change, attempt in zip(ours, attempts, strict=True)
        ]
        await connection.execute(
            f"""
            WITH changed AS (
                UPDATE invoices i SET
                    state = CASE WHEN f.at IS NULL THEN 'FAILED' ELSE state END,
                    attempts = attempts + 1, error = f.error, history = f.history::json, next_attempt_at = f.at,
                    lease = NULL, sending_at = NULL, doubtful = doubtful OR f.unknown,
                    version = version + CASE WHEN f.told THEN 1 ELSE 0 END
                FROM unnest(
                    $1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::boolean[]
                ) AS f (debt, at, error, history, unknown, code, told)
                WHERE i.debt = f.debt
                RETURNING i.debt, i.debt_file, i.version, i.state, i.doubtful, f.code, f.told
            )
            {telling(code="code", when="told")}
            """,
            [change.invoice.debt.id for change in ours],
            [None if change.wait is None else now + change.wait for change in ours],
            [error_text(attempt.code, attempt.message) for attempt in attempts],
            [rows.dump_history(history) for history in histories],
            [change.failure is not None and change.failure.unknown for change in ours],
            [attempt.code for attempt in attempts],
            [_is_told(change) for change in ours],
        )
        letters = [
            events.invoice_letter(change.invoice.debt, history, before[_lease(change.invoice)]["created_at"])
            for change, history in zip(ours, histories, strict=True)
            if change.wait is None
        ]
        if letters:
            await self._outbox.add_encoded(connection, letters)
        return before.keys()

    @staticmethod
    async def _deferred(connection: Connection, changes: Sequence[Deferred], now: datetime) -> set[_Lease]:
        found = await connection.fetch(
            """
            UPDATE invoices i SET error = c.error, next_attempt_at = c.at, lease = NULL, sending_at = NULL
            FROM unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[]) AS c (debt, lease, error, at)
            WHERE i.debt = c.debt AND i.lease = c.lease RETURNING c.debt, c.lease::text AS lease
            """,
            *_leases([change.invoice for change in changes]),
            [change.failure.text for change in changes],
            [now + change.wait for change in changes],
        )
        return {(row["debt"], row["lease"]) for row in found}

    async def renew(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            now = await self._clock.now(connection)
            await connection.execute(_RENEW, *_leases(invoices), now + self._lease)

    async def release(self, invoices: Sequence[ClaimedInvoice]) -> None:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            await connection.execute(
                """
                UPDATE invoices i SET
                    lease = NULL, next_attempt_at = $4, sending_at = CASE WHEN c.crashed THEN sending_at END
                FROM unnest($1::text[], $2::uuid[], $3::boolean[]) AS c (debt, lease, crashed)
                WHERE i.debt = c.debt AND i.lease = c.lease AND i.next_attempt_at IS NOT NULL
                """,
                *_leases(invoices),
                [invoice.crashed for invoice in invoices],
                await self._clock.now(connection),
            )

    async def get(self, debt: str) -> Invoice:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM invoices WHERE debt = $1", debt)
        if row is None:
            raise InvoiceNotFound(metadata={"id": debt})
        return rows.invoice(row)

    async def page(
        self, *, debt_file: str, state: InvoiceState | None, limit: int, after: Position | None
    ) -> Sequence[Invoice]:
        """See InvoiceStore."""
        where = Conditions(limit)
        if debt_file:
            where.add("debt_file = {}", debt_file)
        if state is not None:
            where.add("state = {}", state.value)
        if after is not None:
            where.add("(created_at, debt) < ({}::timestamptz, {})", *after)
        async with self._database.connection() as connection:
            found = await connection.fetch(where.into(_PAGE), *where.arguments)
        return [rows.invoice(row) for row in found]

    async def knows_file(self, debt_file: str) -> bool:
        """See InvoiceStore."""
        async with self._database.connection() as connection:
            return await connection.fetchval("SELECT EXISTS (SELECT FROM invoices WHERE debt_file = $1)", debt_file)


def _wanted(wanted: InvoiceFilter, now: datetime, *first: object) -> Conditions:
    where = Conditions(*first)
    where.add(f"state = '{wanted.state}'")
    if wanted.state is InvoiceState.STORED:
        where.add("lease IS NULL AND next_attempt_at > {}", now)
    for column, value in (("debt", wanted.debt), ("debt_file", wanted.debt_file)):
        if value:
            where.add(f"{column} = {{}}", value)
    if wanted.code:
        where.add("starts_with(error, {})", wanted.code)
    if wanted.since is not None:
        where.add("created_at >= {}::timestamptz", wanted.since)
    if wanted.until is not None:
        where.add("created_at < {}::timestamptz", wanted.until)
    return where


def _lease(invoice: ClaimedInvoice) -> _Lease:
    return invoice.debt.id, invoice.lease


def _is_told(change: Mailed) -> bool:
    """Whether a failed attempt changes what others know: it was the last one, or the first that may have arrived."""
    unknown = change.failure is not None and change.failure.unknown
    return change.wait is None or (unknown and not change.invoice.doubtful)


def _leases(invoices: Sequence[ClaimedInvoice]) -> tuple[list[str], list[str]]:
    return [invoice.debt.id for invoice in invoices], [invoice.lease for invoice in invoices]
