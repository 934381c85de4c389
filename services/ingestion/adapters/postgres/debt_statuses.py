"""The statuses of debts in PostgreSQL, and how they came about (the port `DebtStatusStore`).

The history stands in the row of its debt: whoever changes the status writes that row anyway.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from services.chassis.nats import Event
from services.chassis.nats.topology import DEBT_DECIDED_SUBJECT
from services.chassis.postgres import Database, Outbox, first_time_many
from services.ingestion.adapters.postgres.debt_rows import DEBT_COLUMNS, debt_of, file_uuid
from services.ingestion.domain.debts.debt_file import Debt
from services.ingestion.domain.debts.debt_status import (
    DECIDED,
    WAITING,
    DebtStatus,
    Decision,
    InvoiceChange,
    StatusChange,
    decided,
    history,
)
from services.ingestion.domain.debts.errors import DebtStatusRefused, VersionConflict
from services.ingestion.domain.errors import ResourceNotFound
from tocsin.events.v1.debts_pb2 import DebtDecided, DebtsRegistered

_CONSUMER: Final = "debt_statuses"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_KEPT: Final = 12_000
"""Characters of a history that stay at least; some hundred changes. Older ones go."""
# Rows are locked in the order of their ids, so that two who follow at once do not block each other for good.
_FOLLOW: Final = """
    WITH told AS (
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::smallint[], $5::text[])
            AS t (debt, debt_file, version, status, entry)
    ), held AS MATERIALIZED (
        SELECT d.id, d.debt_file FROM debts d
        WHERE EXISTS (SELECT FROM told WHERE told.debt = d.id AND told.debt_file = d.debt_file)
        ORDER BY d.id FOR UPDATE
    ), news AS (
        SELECT t.debt, max(t.version) AS version, (array_agg(t.status ORDER BY t.version DESC))[1] AS status,
               string_agg(t.entry, '' ORDER BY t.version) AS entries
        FROM told t JOIN held h ON h.id = t.debt AND h.debt_file = t.debt_file GROUP BY t.debt
    )
    UPDATE debts d SET
        status = CASE WHEN n.version > d.invoice_version AND d.status <> ALL ($6) THEN n.status ELSE d.status END,
        invoice_version = greatest(d.invoice_version, n.version), version = d.version + 1,
        history = {}
    FROM news n WHERE d.id = n.debt
"""


def appended(entries: str) -> str:
    """SQL for the history of a debt `d` with these entries behind it, within its bounds."""
    return f"""CASE WHEN length(d.history) < 16000 THEN d.history
        ELSE substr(right(d.history, {_KEPT}), position(E'\\n' IN right(d.history, {_KEPT})) + 1) END || {entries}"""


class PostgresDebtStatuses:
    """See the port."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    async def follow(self, events: Mapping[str, Sequence[InvoiceChange]]) -> None:
        """See the port."""
        async with self._database.transaction() as connection:
            new = await first_time_many(connection, _CONSUMER, sorted(events))
            changes = [(change, file) for id_ in new for change in events[id_] if (file := file_uuid(change.debt_file))]
            if not changes:
                return
            await connection.execute(
                _FOLLOW.format(appended("n.entries")),
                [change.debt for change, _ in changes],
                [file for _, file in changes],
                [change.version for change, _ in changes],
                [change.change.status for change, _ in changes],
                [entry(change.change) for change, _ in changes],
                list(DECIDED),
            )

    async def decide(self, decision: Decision) -> Debt:
        """See the port."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                SELECT {DEBT_COLUMNS}, history, (SELECT f.issuer FROM debt_files f WHERE f.id = debts.debt_file),
                       EXISTS (
                           SELECT FROM debt_files f
                           WHERE f.id = debts.debt_file AND f.state IN ('ROLLING_BACK', 'ROLLED_BACK')
                       ) AS taken_back
                FROM debts WHERE id = $1 FOR UPDATE
                """,
                decision.debt,
            )
            if row is None:
                raise ResourceNotFound("debt", decision.debt)
            debt = debt_of(row)
            status = decided(decision.status, debt.status, changes_of(row["history"]))
            if status is debt.status:
                return debt
            if decision.expected_version not in (0, debt.version):
                raise VersionConflict(debt.id, decision.expected_version, debt.version)
            if status is None:
                raise DebtStatusRefused(debt.id, decision.status.name, debt.status.name)
            if not debt.name and status not in DECIDED:
                raise DebtStatusRefused(debt.id, decision.status.name, "erased")
            if row["taken_back"] and status in WAITING:
                raise DebtStatusRefused(debt.id, decision.status.name, "of a file that was rolled back")
            change = StatusChange(status, datetime.now(UTC), decision.by, note=decision.note)
            await connection.execute(
                f"""
                UPDATE debts d SET status = $2, version = version + 1, history = {appended("$3")} WHERE id = $1
                """,
                debt.id,
                status,
                entry(change),
            )
            debt = replace(debt, status=status, version=debt.version + 1)
            await self._outbox.add(connection, _decided(debt, decision.status, row["issuer"] or ""))
        return debt

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        """See the port."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT create_time, history FROM debts WHERE id = $1", debt_id)
        if row is None:
            raise ResourceNotFound("debt", debt_id)
        return history(row["create_time"], changes_of(row["history"]))


def entry(change: StatusChange) -> str:
    """The change as a line of a history."""
    at = (change.time - _EPOCH) // _MICROSECOND
    return json.dumps([change.status, at, change.by, change.event, change.note]) + "\n"


def changes_of(text: str) -> list[StatusChange]:
    """The lines of a history."""
    return [
        StatusChange(DebtStatus(status), _EPOCH + at * _MICROSECOND, by, event, note)
        for status, at, by, event, note in map(json.loads, text.splitlines())
    ]


def _decided(debt: Debt, said: DebtStatus, issuer: str) -> Event:
    message = DebtDecided(
        debt_file=debt.debt_file,
        debt=DebtsRegistered.Debt(
            id=debt.id,
            name=debt.name,
            government_id=debt.government_id,
            email=debt.email,
            amount=f"{debt.amount:f}",
            due_date=debt.due_date.isoformat(),
            currency=debt.currency,
            language=debt.language,
        ),
        status=said.name,
        version=debt.version,
        issuer=issuer,
    )
    name = f"debt-{debt.debt_file}-{debt.id}-{debt.version}"
    return Event(DEBT_DECIDED_SUBJECT, message, id=name, key=f"debt/{debt.id}")
