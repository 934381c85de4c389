"""What people decide about debts, and what follows for their invoices (the port `DebtDecisions`)."""

from datetime import datetime

from services.chassis.postgres import Connection, Database
from services.notification.adapters.nats import events
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.invoice_changes import InvoiceChanges, telling
from services.notification.domain.invoice import DebtDecision

# A decision may overtake the registration of its debt: then the invoice is made here, and the registration meets it.
_MEET = """
    INSERT INTO invoices AS i (
        debt, debt_file, name, government_id, email, amount, due_date, currency, language, state, closed,
        decided_version, next_attempt_at, created_at, issuer
    )
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN 'CANCELLED' ELSE 'PENDING' END, $10, $11,
           CASE WHEN NOT $10 THEN $12::timestamptz END, $12, $13
    WHERE $10 OR NOT EXISTS (SELECT FROM cancelled_debt_files c WHERE c.debt_file = $2)
    -- The debt of a later file: ids of files are in the order of time.
    ON CONFLICT (debt) DO UPDATE SET
        debt_file = excluded.debt_file, name = excluded.name, government_id = excluded.government_id,
        email = excluded.email, amount = excluded.amount, due_date = excluded.due_date,
        currency = excluded.currency, language = excluded.language, issuer = excluded.issuer,
        state = excluded.state, attempts = 0, error = '',
        history = '[]', object = NULL, object_offset = NULL, object_length = NULL, doubtful = false,
        next_attempt_at = excluded.next_attempt_at, created_at = excluded.created_at, version = i.version + 1,
        closed = excluded.closed, decided_version = excluded.decided_version
    WHERE i.state = 'CANCELLED' AND i.debt_file < excluded.debt_file
    RETURNING true
"""
_DECIDE = """
    UPDATE invoices SET closed = $3, decided_version = $4
    WHERE debt = $1 AND debt_file = $2 AND decided_version <= $4
    RETURNING sending_at IS NOT NULL
"""
_TAKE_BACK = f"""
    WITH changed AS (
        UPDATE invoices SET state = 'CANCELLED', next_attempt_at = NULL, lease = NULL, version = version + 1
        WHERE debt = $1 AND state IN ('PENDING', 'STORED', 'FAILED') AND sending_at IS NULL
        RETURNING debt, debt_file, version, state, doubtful
    ), letters AS (
        UPDATE dead_letters d SET state = 'ARCHIVED', closed_at = $3, closed_by = 'decision'
        FROM changed WHERE d.about = $2 || changed.debt AND d.state = 'OPEN'
    )
    {telling()}
"""
_GO_ON = f"""
    WITH changed AS (
        UPDATE invoices SET state = CASE WHEN object IS NULL THEN 'PENDING' ELSE 'STORED' END, attempts = 0, error = '',
               next_attempt_at = $2, version = version + 1
        WHERE debt = $1 AND state = 'CANCELLED'
          AND NOT EXISTS (SELECT FROM cancelled_debt_files c WHERE c.debt_file = invoices.debt_file)
        RETURNING debt, debt_file, version, state, doubtful
    )
    {telling()}
"""
_WAKE = "SELECT pg_notify('notification_invoices', '')"


class PostgresDebtDecisions:
    """See the port."""

    def __init__(self, database: Database, clock: Clock, changes: InvoiceChanges) -> None:
        self._database, self._clock, self._changes = database, clock, changes

    async def decide(self, decision: DebtDecision) -> bool:
        """See the port."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            if await self._met(connection, decision, now):
                over = True
            else:
                over = await self._decide(connection, decision, now)
            if not decision.closed:
                await connection.execute(_WAKE)
        self._changes.poke()
        return over

    @staticmethod
    async def _met(connection: Connection, decision: DebtDecision, now: datetime) -> bool:
        """Whether the invoice was not here yet, and is now."""
        debt = decision.debt
        return bool(
            await connection.fetchval(
                _MEET,
                debt.id,
                debt.debt_file,
                debt.name,
                debt.government_id,
                debt.email,
                debt.amount,
                debt.due_date,
                debt.currency,
                debt.language,
                decision.closed,
                decision.version,
                now,
                debt.issuer,
            )
        )

    @staticmethod
    async def _decide(connection: Connection, decision: DebtDecision, now: datetime) -> bool:
        debt = decision.debt
        in_dialogue = await connection.fetchval(_DECIDE, debt.id, debt.debt_file, decision.closed, decision.version)
        if in_dialogue is None:  # about another file, or a newer one has come before
            return True
        if not decision.closed:
            await connection.execute(_GO_ON, debt.id, now)
            return True
        await connection.execute(_TAKE_BACK, debt.id, events.INVOICE_LETTERS, now)
        return not in_dialogue
