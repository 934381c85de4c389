"""Asking about debt files, their rejects and debts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial

from services.chassis.auth import principal
from services.chassis.errors import DomainError, Unavailable
from services.chassis.paging import Page, PageTokens, fetch_page, page_limit
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.ports import DebtFileStore, InvoiceCancellation
from services.ingestion.domain.debts.debt_file import Debt, DebtFile, DebtFilter, FileFilter, FileState, Reject
from services.ingestion.domain.debts.errors import DebtFileState
from services.ingestion.domain.debts.mendable_rejects import MendableRejects
from services.ingestion.domain.errors import InvalidField

_LOOK = timedelta(milliseconds=250)
_DOWNLOAD_PAGE = 1000
_REMOVED_AT_ONCE = 20_000
_AT_ONCE = 16
"""Rollbacks that are gone on with at a time."""
_PATIENCE = timedelta(seconds=5)
"""How long a call waits for a rollback."""
log = get_logger(__name__)


class DebtFiles:
    """The use cases. `stopping` is set when the process begins to stop."""

    def __init__(self, store: DebtFileStore, invoices: InvoiceCancellation, stopping: asyncio.Event) -> None:
        self._store, self._invoices, self._stopping = store, invoices, stopping
        self._rollbacks: dict[str, asyncio.Task[DebtFile]] = {}

    async def get(self, file_id: str) -> DebtFile:
        """Raises ResourceNotFound."""
        return await self._store.get(file_id)

    async def debt(self, debt_id: str) -> Debt:
        """Raises ResourceNotFound."""
        return await self._store.debt(debt_id)

    async def cancel(self, file_id: str) -> DebtFile:
        """Stops a file that is received or processed; what is registered stays. Raises ResourceNotFound, and
        DebtFileState when it has ended otherwise than by this."""
        return await self._store.cancel(file_id, f"cancelled by {principal.current().subject}")

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

    async def finish_rollbacks(self, every: timedelta = timedelta(seconds=5)) -> None:
        """Goes on, for ever, with rollbacks that broke off, whichever process had begun them."""
        while True:
            await asyncio.sleep(every.total_seconds())
            try:
                for file in await self._store.newest(FileFilter((FileState.ROLLING_BACK,)), None, 0, _AT_ONCE):
                    self._rolling(file.id)
            except DomainError as error:
                log.warning("rollbacks of debt files not looked after", error=repr(error))

    def _rolling(self, file_id: str) -> asyncio.Task[DebtFile]:
        if (task := self._rollbacks.get(file_id)) is None:
            task = asyncio.create_task(self._roll_back(file_id), name=f"rollback of debt file {file_id}")
            self._rollbacks[file_id] = task
            task.add_done_callback(partial(self._rolled_back, file_id))
        return task

    async def close(self) -> None:
        """Breaks rollbacks off."""
        for task in list(self._rollbacks.values()):
            await cancel(task)

    async def _roll_back(self, file_id: str) -> DebtFile:
        # First: whatever breaks off from here on is gone on with, and the file is no answer to its content.
        await self._store.rolling_back(file_id)
        async with aclosing(self._invoices.cancel(file_id)) as pieces:
            async for gone_out in pieces:
                await self._store.mailed(gone_out)
        while await self._store.remove_debts(file_id, _REMOVED_AT_ONCE):
            pass
        return await self._store.rolled_back(file_id)

    def _rolled_back(self, file_id: str, task: asyncio.Task[DebtFile]) -> None:
        del self._rollbacks[file_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("rollback of a debt file broke off", debt_file=file_id, error=repr(error))

    async def list(self, wanted: FileFilter, size: int, token: str, number: int) -> tuple[Page[DebtFile], int]:
        """A page, newest first, after `token` or with `number` (from 1; 0: none), and how many files there are. Raises
        InvalidField for both."""
        if token and number:
            raise InvalidField("page", "cannot be combined with pageToken")
        tokens = PageTokens("debt_files", wanted=wanted)
        position = tokens.read(token, (str,))
        before = str(position[0]) if position else None
        offset = max(number - 1, 0) * page_limit(size)
        found = await fetch_page(
            tokens, size, lambda limit: self._store.newest(wanted, before, offset, limit), lambda file: (file.id,)
        )
        return found, await self._store.count(wanted)

    async def debts(self, wanted: DebtFilter, size: int, token: str) -> Page[Debt]:
        """Of one file by line, of all by id."""
        tokens = PageTokens("debts", wanted=wanted)
        if wanted.debt_file:
            line = tokens.read(token, (int,))
            after_line = int(line[0]) if line else 0
            return await fetch_page(
                tokens,
                size,
                lambda limit: self._store.debts_of_file(wanted, after_line, limit),
                lambda debt: (debt.line,),
            )
        position = tokens.read(token, (str,))
        after = str(position[0]) if position else ""
        return await fetch_page(
            tokens, size, lambda limit: self._store.debts(wanted, after, limit), lambda debt: (debt.id,)
        )

    async def rejects(self, file_id: str, size: int, token: str) -> Page[Reject]:
        """By line. Raises ResourceNotFound."""
        tokens = PageTokens("debt_rejects", file=file_id)
        position = tokens.read(token, (int,))
        after = int(position[0]) if position else 0
        return await fetch_page(
            tokens, size, lambda limit: self._store.rejects(file_id, after, limit), lambda reject: (reject.line,)
        )

    async def reject_reasons(self, file_id: str) -> Sequence[tuple[str, int]]:
        """The first reasons of all rejects, with how many rows have each. Raises ResourceNotFound."""
        return await self._store.reject_reasons(file_id)

    async def rejects_csv(self, file_id: str) -> AsyncGenerator[bytes]:
        """All rejects as a file to mend and send again, in pieces, safe to open in a spreadsheet: the columns of the
        source, its separators and ends of lines, behind the line and the reason of each. Raises ResourceNotFound."""
        form = await self._store.form(file_id)
        mendable = MendableRejects(form)
        head = mendable.head()
        after = 0
        while True:
            found = await self._store.rejects(file_id, after, _DOWNLOAD_PAGE)
            if piece := head + b"".join(map(mendable.line, found)):
                yield piece
            if len(found) < _DOWNLOAD_PAGE:
                return
            head, after = b"", found[-1].line

    async def watch(self, file_id: str) -> AsyncGenerator[DebtFile]:
        """The file whenever it has changed, at most four times a second, up to its final state. It is read from the
        store, so any replica can tell. Raises ResourceNotFound; Unavailable when this process stops."""
        told: DebtFile | None = None
        while True:
            file = await self._store.get(file_id)
            if file != told:
                told = file
                yield file
            if file.state.final:
                return
            try:
                async with asyncio.timeout(_LOOK.total_seconds()):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            raise Unavailable("the service is stopping; watch again")
