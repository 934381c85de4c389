"""Taking debt files back: invoices first, then the debts whose invoice has not gone out."""

import asyncio
from contextlib import aclosing
from datetime import timedelta
from functools import partial

from services.chassis.errors import DomainError
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.ports import DebtFileStore, DebtStore, InvoiceCancellation
from services.ingestion.domain.debts.debt_file import DebtFile, FileFilter, FileState
from services.ingestion.domain.debts.errors import DebtFileState

_REMOVED_AT_ONCE = 20_000
_AT_ONCE = 16
"""Rollbacks that are gone on with at a time."""
_PATIENCE = timedelta(seconds=5)
"""How long a call waits for a rollback."""
log = get_logger(__name__)


class DebtRollbacks:
    """The use case; `close` it when the process stops. `finish` goes on with what broke off."""

    def __init__(self, store: DebtFileStore, debts: DebtStore, invoices: InvoiceCancellation) -> None:
        self._store, self._debts, self._invoices = store, debts, invoices
        self._tasks: dict[str, asyncio.Task[DebtFile]] = {}

    async def roll_back(self, file_id: str) -> DebtFile:
        """Removes the debts of a file whose invoices have not gone out. What takes long goes on behind the answer: the
        file is ROLLING_BACK then, also after Unavailable, and goes on by itself. Raises ResourceNotFound and
        DebtFileState, too."""
        file = await self._store.get(file_id)
        if file.state is FileState.ROLLED_BACK:
            return file
        if file.state in {FileState.RECEIVING, FileState.PROCESSING}:
            raise DebtFileState("a file on its way cannot be rolled back, cancel it first", file.id, file.state.value)
        if file.dry_run:
            raise DebtFileState("a dry run has registered nothing", file.id, file.state.value)
        if file.identical_to:
            what = f"the file repeats another one and has registered nothing; roll back {file.identical_to}"
            raise DebtFileState(what, file.id, file.state.value)
        task = self._rolling(file.id)
        await asyncio.wait([task], timeout=_PATIENCE.total_seconds())
        return task.result() if task.done() else await self._store.get(file.id)

    async def finish(self, every: timedelta = timedelta(seconds=5)) -> None:
        """Goes on, for ever, with rollbacks that broke off, whichever process had begun them."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                for file in await self._store.newest(FileFilter((FileState.ROLLING_BACK,)), None, 0, _AT_ONCE):
                    self._rolling(file.id)
            except DomainError as error:
                log.warning("rollbacks of debt files not looked after", error=repr(error))

    def _rolling(self, file_id: str) -> asyncio.Task[DebtFile]:
        if (task := self._tasks.get(file_id)) is None:
            task = asyncio.create_task(self._roll_back(file_id), name=f"rollback of debt file {file_id}")
            self._tasks[file_id] = task
            task.add_done_callback(partial(self._rolled_back, file_id))
        return task

    async def close(self) -> None:
        """Breaks rollbacks off."""
        for task in list(self._tasks.values()):
            await cancel(task)

    async def _roll_back(self, file_id: str) -> DebtFile:
        # First: whatever breaks off from here on is gone on with, and the file is no answer to its content.
        await self._store.rolling_back(file_id)
        async with aclosing(self._invoices.cancel(file_id)) as pieces:
            async for gone_out in pieces:
                await self._debts.mailed(gone_out)
        while await self._debts.remove_debts(file_id, _REMOVED_AT_ONCE):
            pass
        return await self._store.rolled_back(file_id)

    def _rolled_back(self, file_id: str, task: asyncio.Task[DebtFile]) -> None:
        del self._tasks[file_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("rollback of a debt file broke off", debt_file=file_id, error=repr(error))
