"""The lease that whoever runs a file holds on it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from services.chassis.errors import DomainError
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts.ports import DebtFileStore, Run
from services.ingestion.domain.debts.debt_file import FileState
from services.ingestion.domain.debts.errors import LeaseLost

log = get_logger(__name__)

_BEAT: Final = timedelta(milliseconds=250)
_NOT_OURS: Final = {FileState.RECEIVING, FileState.PROCESSING, FileState.CANCELLED, FileState.FAILED}


@asynccontextmanager
async def leased(store: DebtFileStore, run: Run, received: Callable[[], int]) -> AsyncGenerator[None]:
    """Renews the lease of the run for the block, and tells of bytes `received` at most four times a second. Raises
    LeaseLost in the middle of the block when somebody else has ended the file or taken it over."""
    working = asyncio.current_task()
    assert working is not None
    lost = False

    def lose() -> None:
        nonlocal lost
        lost = working.cancel()

    beat = asyncio.create_task(_beat(store, run, received, lose), name=f"lease of debt file {run.file_id}")
    try:
        try:
            yield
        finally:
            await cancel(beat)
    except asyncio.CancelledError:
        if lost and not working.uncancel():
            raise LeaseLost(run.file_id) from None
        raise


async def _beat(store: DebtFileStore, run: Run, received: Callable[[], int], lose: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    told, at = -1, loop.time()
    while True:
        due = loop.time() - at > run.lease.total_seconds() / 5
        if received() != told or due:
            told, at = received(), loop.time()
            try:
                if await _is_lost(store, run, told):
                    return lose()
            except DomainError as error:
                log.warning("lease of a debt file not renewed", debt_file=run.file_id, error=repr(error))
        await asyncio.sleep(_BEAT.total_seconds())


async def _is_lost(store: DebtFileStore, run: Run, received: int) -> bool:
    """Renews the lease; whether somebody else has the file, or has ended it."""
    try:
        await store.renew(run, received)
    except LeaseLost:
        # Our own end of it may have overtaken this.
        return (await store.get(run.file_id)).state in _NOT_OURS
    return False
