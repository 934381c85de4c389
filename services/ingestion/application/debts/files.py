"""Asking about debt files, their rejects and debts."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

from services.chassis.auth import principal
from services.chassis.errors import Unavailable
from services.chassis.paging import Page, PageTokens, fetch_page, page_limit
from services.ingestion.application.debts.announced_ports import UploadStore
from services.ingestion.application.debts.ports import DebtFileStore, DebtStore
from services.ingestion.domain.debts.debt_file import Debt, DebtFile, DebtFilter, FileFilter, Reject
from services.ingestion.domain.debts.mendable_rejects import MendableRejects
from services.ingestion.domain.errors import InvalidField, ResourceNotFound

_LOOK = timedelta(milliseconds=250)
_DOWNLOAD_PAGE = 1000


class DebtFiles:
    """The use cases. `stopping` is set when the process begins to stop."""

    def __init__(self, store: DebtFileStore, announced: UploadStore, debts: DebtStore, stopping: asyncio.Event) -> None:
        self._store, self._announced, self._debts, self._stopping = store, announced, debts, stopping

    async def get(self, file_id: str) -> DebtFile:
        """Also one that is announced only. Raises ResourceNotFound."""
        try:
            return await self._store.get(file_id)
        except ResourceNotFound as unknown:
            try:
                return (await self._announced.get(file_id)).as_debt_file()
            except ResourceNotFound:
                raise unknown from None

    async def debt(self, debt_id: str) -> Debt:
        """Raises ResourceNotFound."""
        return await self._debts.debt(debt_id)

    async def cancel(self, file_id: str) -> DebtFile:
        """Stops a file that is received or processed; what is registered stays. Raises ResourceNotFound, and
        DebtFileState when it has ended otherwise than by this."""
        why = f"cancelled by {principal.current().subject}"
        try:
            return await self._store.cancel(file_id, why)
        except ResourceNotFound as unknown:
            try:
                return (await self._announced.cancel(file_id, why)).as_debt_file()
            except ResourceNotFound:
                raise unknown from None

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
        """Of one file by line, of all by id. Raises ResourceNotFound for a file that there is not, once there are no
        debts of it either."""
        tokens = PageTokens("debts", wanted=wanted)
        if wanted.debt_file:
            line = tokens.read(token, (int,))
            after_line = int(line[0]) if line else 0
            found = await fetch_page(
                tokens,
                size,
                lambda limit: self._debts.debts_of_file(wanted, after_line, limit),
                lambda debt: (debt.line,),
            )
            if not found.items and not await self._debts.debts_of_file(DebtFilter(wanted.debt_file), 0, 1):
                await self.get(wanted.debt_file)
            return found
        position = tokens.read(token, (str,))
        after = str(position[0]) if position else ""
        return await fetch_page(
            tokens, size, lambda limit: self._debts.debts(wanted, after, limit), lambda debt: (debt.id,)
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
            file = await self.get(file_id)
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
