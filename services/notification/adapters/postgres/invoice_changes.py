"""Tells of invoices that have come to another state.

The change waits in a table, written by the statement that makes it; a moment later all that wait leave in few events.
An event in the outbox for each commit would cost more than the commit, as an e-mail or a few have one of their own.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import timedelta

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.nats import Event
from services.chassis.nats.topology import INVOICES_CHANGED_SUBJECT
from services.chassis.postgres import Database, Outbox
from services.chassis.telemetry.logs import get_logger
from tocsin.events.v1.invoices_pb2 import InvoicesChanged

log = get_logger(__name__)
_AT_ONCE = 1000
"""Changes of one event, as the contract says."""
_TAKE = f"""
    DELETE FROM invoice_changes
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM invoice_changes LIMIT {_AT_ONCE} FOR UPDATE SKIP LOCKED))
    RETURNING debt, debt_file, version, state, doubtful, code, changed_at
"""


def telling(code: str = "''", when: str = "true") -> str:
    """SQL that lets the rows of `changed` wait to be told, with this code of a failure, where `when` holds."""
    return f"""
        INSERT INTO invoice_changes (debt, debt_file, version, state, doubtful, code)
        SELECT debt, debt_file, version, state, doubtful, {code} FROM changed WHERE {when}
    """


class InvoiceChanges:
    """What waits to be told, and who tells it. Any number of processes may tell at once."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        *,
        gather: timedelta = timedelta(milliseconds=250),
        poll: timedelta = timedelta(seconds=5),
    ) -> None:
        """`gather`: how long a change waits for others. `poll`: how often it is looked for those of processes that
        have died."""
        self._database, self._outbox = database, outbox
        self._gather, self._poll = gather, poll
        self._woken = asyncio.Event()

    def poke(self) -> None:
        """Something waits."""
        self._woken.set()

    async def run(self) -> None:
        """Tells, for ever."""
        while True:
            try:
                async with asyncio.timeout(self._poll.total_seconds()):
                    await self._woken.wait()
            except TimeoutError:
                log.debug("invoices.changes_looked_for")
            else:
                await asyncio.sleep(self._gather.total_seconds())
            self._woken.clear()
            try:
                while await self.tell() == _AT_ONCE:
                    pass
            except DomainError as error:
                log.warning("invoices.changes_not_told", error=repr(error))

    async def tell(self) -> int:
        """Tells what waits, up to a thousand changes; how many."""
        async with self._database.transaction() as connection:
            found = await connection.fetch(_TAKE)
            if found:
                events = [Event(INVOICES_CHANGED_SUBJECT, one) for one in _events(found)]
                await self._outbox.add_many(connection, events)
        return len(found)


def _events(found: Sequence[asyncpg.Record]) -> Iterator[InvoicesChanged]:
    """One for each debt file, of which there are few at a time."""
    by_file: dict[str, InvoicesChanged] = {}
    for row in found:
        event = by_file.setdefault(row["debt_file"], InvoicesChanged(debt_file=row["debt_file"]))
        change = event.changes.add(
            debt=row["debt"], version=row["version"], state=row["state"], doubtful=row["doubtful"], code=row["code"]
        )
        change.change_time.FromDatetime(row["changed_at"])
    yield from by_file.values()
