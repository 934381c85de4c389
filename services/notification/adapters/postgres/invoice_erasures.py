"""The personal data of invoices goes (the port `InvoiceErasures`).

What is left of an invoice is its debt's id, amount and times, so that nothing makes it again.
"""

from collections.abc import Awaitable, Callable, Sequence

from services.chassis.postgres import Connection, Database
from services.chassis.postgres.conditions import Conditions
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.invoice_changes import InvoiceChanges, telling
from services.notification.domain.invoice import DebtorData, Erased, Place

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notification.invoice_erasures'))"
_LAST = 2**62
"""As the version of a decision: no later one undoes it."""
_BLANK = "name = '', government_id = '', email = '', language = '', error = '', history = '[]'"
# The registration of a debt may still be on its way: it meets this, and leads to nothing.
_KEEP_OUT = f"""
    INSERT INTO invoices AS i (
        debt, debt_file, name, government_id, email, amount, due_date, state, closed, decided_version, created_at
    )
    SELECT d.debt, d.debt_file, '', '', '', '', '', 'CANCELLED', true, {_LAST}, $3
    FROM unnest($1::text[], $2::text[]) AS d (debt, debt_file) WHERE d.debt_file <> '' ORDER BY d.debt
    ON CONFLICT (debt) DO UPDATE SET
        debt_file = excluded.debt_file, {_BLANK}, amount = '', due_date = '', object = NULL, object_offset = NULL,
        object_length = NULL, closed = true, decided_version = {_LAST}, version = i.version + 1
    WHERE i.state = 'CANCELLED' AND i.debt_file < excluded.debt_file
"""
_FIND = """
    SELECT debt, object, object_offset, object_length, shared_offset, shared_length,
           sending_at IS NOT NULL AS in_dialogue FROM invoices i
    /*where*/ ORDER BY sending_at IS NOT NULL, debt LIMIT $1 FOR UPDATE
"""
_ERASE = f"""
    WITH before AS (SELECT debt, state FROM invoices WHERE debt = ANY ($1::text[])), erased AS (
        UPDATE invoices i SET
            {_BLANK}, object = NULL, object_offset = NULL, object_length = NULL, next_attempt_at = NULL, lease = NULL,
            closed = true, decided_version = {_LAST}, version = version + 1,
            state = CASE WHEN i.state = 'MAILED' THEN i.state ELSE 'CANCELLED' END
        FROM before WHERE i.debt = before.debt
        RETURNING i.debt, i.debt_file, i.version, i.state, i.doubtful, before.state AS previous
    ), changed AS (SELECT * FROM erased WHERE state <> previous)
    {telling()}
"""
_LETTERS = """
    WITH gone AS (
        DELETE FROM dead_letters WHERE about IN (SELECT $2 || debt FROM unnest($1::text[]) AS d (debt)) RETURNING 1
    )
    SELECT count(*) FROM gone
"""


class PostgresInvoiceErasures:
    """See the port."""

    def __init__(self, database: Database, clock: Clock, changes: InvoiceChanges) -> None:
        self._database, self._clock, self._changes = database, clock, changes

    async def erase(
        self, wanted: DebtorData, limit: int, overwrite: Callable[[Sequence[Place]], Awaitable[None]]
    ) -> Erased:
        """See the port."""
        async with self._database.transaction() as connection:
            # Two that overwrite in one object would undo each other.
            await connection.execute(_LOCK)
            now = await self._clock.now(connection)
            await connection.execute(_KEEP_OUT, list(wanted.debts), list(wanted.debts.values()), now)
            where = _conditions(wanted, limit)
            found = await connection.fetch(where.into(_FIND), *where.arguments)
            going = [row["debt"] for row in found if not row["in_dialogue"]]
            places = [place for row in found if not row["in_dialogue"] and (place := rows.place(row))]
            await connection.execute(
                "UPDATE invoices SET closed = true WHERE debt = ANY ($1::text[])", [row["debt"] for row in found]
            )
            await overwrite(places)
            letters = await self._erase(connection, going)
        self._changes.poke()
        return Erased(
            invoices=len(going),
            documents=len(places),
            letters=letters,
            more=len(found) == limit and bool(going),
            waiting=len(going) < len(found),
        )

    @staticmethod
    async def _erase(connection: Connection, debts: Sequence[str]) -> int:
        await connection.execute(_ERASE, debts)
        return await connection.fetchval(_LETTERS, debts, events.INVOICE_LETTERS)


def _conditions(wanted: DebtorData, limit: int) -> Conditions:
    where = Conditions(limit)
    where.add("name <> ''")
    if wanted.government_id:
        where.add("government_id = {}", wanted.government_id)
    elif wanted.email:
        where.add("lower(email) = lower({})", wanted.email)
    else:
        where.add(
            "EXISTS (SELECT FROM unnest({}::text[], {}::text[]) AS d (debt, debt_file)"
            " WHERE d.debt = i.debt AND d.debt_file IN ('', i.debt_file))",
            list(wanted.debts),
            list(wanted.debts.values()),
        )
    return where
