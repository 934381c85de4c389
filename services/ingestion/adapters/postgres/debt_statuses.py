"""The statuses of debts in PostgreSQL, and how they came about (the port `DebtStatusStore`).

The history stands in the row of its debt: whoever changes the status writes that row anyway.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from services.chassis.postgres import Database, first_time_many
from services.ingestion.adapters.postgres.debt_rows import file_uuid
from services.ingestion.domain.debts.debt_status import DECIDED, DebtStatus, InvoiceChange, StatusChange, history
from services.ingestion.domain.errors import ResourceNotFound

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

    def __init__(self, database: Database) -> None:
        self._database = database

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

    async def history(self, debt_id: str) -> Sequence[StatusChange]:
        """See the port."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow("SELECT create_time, history FROM debts WHERE id = $1", debt_id)
        if row is None:
            raise ResourceNotFound("debt", debt_id)
        return history(row["create_time"], map(_change, row["history"].splitlines()))


def entry(change: StatusChange) -> str:
    """The change as a line of a history."""
    at = (change.time - _EPOCH) // _MICROSECOND
    return json.dumps([change.status, at, change.by, change.event, change.note]) + "\n"


def _change(line: str) -> StatusChange:
    status, at, by, event, note = json.loads(line)
    return StatusChange(DebtStatus(status), _EPOCH + at * _MICROSECOND, by, event, note)
