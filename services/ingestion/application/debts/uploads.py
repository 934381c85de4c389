"""Taking debt files in: receive, check, register."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

from services.chassis.errors import DomainError
from services.chassis.ids import new_id
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts import metrics as metrics
from services.ingestion.application.debts.ports import (
    DebtFileStore,
    PreparedBlock,
    RowWriter,
    Run,
    TextForm,
    WorkbookReader,
)
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.spool import Spool
from services.ingestion.domain.debts.debt_file import Counts, DebtFile, FileState
from services.ingestion.domain.debts.dialect import Declared, Dialect
from services.ingestion.domain.debts.errors import (
    LeaseLost,
    RejectLimitExceeded,
    TooManyUploads,
    TooSlow,
    UploadBroken,
    UploadCancelled,
)
from services.ingestion.domain.debts.filenames import shown_filename
from services.ingestion.domain.debts.header import Layout
from services.ingestion.domain.debts.parser import DebtParser
from services.ingestion.domain.debts.reject_limit import NO_LIMIT, RejectLimit

log = get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

_WRITE = 1024 * 1024
_BEAT = timedelta(milliseconds=250)
_SEND_AGAIN = "send the file again: rows that are registered are not registered twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """Limits. `block`: bytes that are parsed and committed together. `idle`: how long a client may send nothing.
    `least_rate`: bytes a second that it must send on the average of each `idle`. `receive_within`: all bytes are here
    by then. Both count the time that is spent waiting for the client.
    `spool`: directory of the uploads under way (None: the system's for temporary files). `reject_limit`: of files that
    bring none. `currency`: of debts whose file names none. `due_past`, `due_ahead`: how far from today a debt may be
    due."""

    max_file: int = 2 * 1024**3
    max_uploads: int = 4
    block: int = 2 * 1024**2
    idle: timedelta = timedelta(minutes=1)
    least_rate: int = 4 * 1024
    receive_within: timedelta = timedelta(hours=2)
    lease: timedelta = timedelta(seconds=30)
    spool: Path | None = None
    reject_limit: RejectLimit = NO_LIMIT
    currency: str = ""
    due_past: timedelta = timedelta(days=3653)
    due_ahead: timedelta = timedelta(days=18_263)


@dataclass(frozen=True, slots=True)
class Upload:
    """What the client says about the file: over what it declares stands the profile of that name, if any. `file_id`:
    the id of the file to be, ordered by time as ours are; empty: one of ours."""

    filename: str = ""
    dry_run: bool = False
    reject_limit: RejectLimit = NO_LIMIT
    profile: str = ""
    declared: Declared = field(default_factory=Declared)
    file_id: str = ""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the rows of a file are read."""

    layout: Layout
    dialect: Dialect


class _Pace:
    """How fast the bytes of a client come: nobody keeps a place for ever by sending a little now and then."""

    def __init__(self, options: UploadOptions) -> None:
        self._options = options
        self.received = 0
        self._waited = self._waited_before = 0.0
        self._received_before = 0

    def check(self, waited: float, size: int) -> None:
        """Counts what came after waiting for so many seconds. Raises TooSlow."""
        options = self._options
        self._waited += waited
        self.received += size
        if self._waited > options.receive_within.total_seconds():
            raise TooSlow(self.received, f"at most {options.receive_within.total_seconds():g} s in all")
        span = self._waited - self._waited_before
        if span >= options.idle.total_seconds():
            if self.received - self._received_before < options.least_rate * span:
                raise TooSlow(self.received, f"at least {options.least_rate} bytes a second")
            self._waited_before, self._received_before = self._waited, self.received


class DebtUploads:
    """The use case; `close` it when the process stops."""

    def __init__(
        self, store: DebtFileStore, profiles: DebtProfiles, workbooks: WorkbookReader, options: UploadOptions
    ) -> None:
        self._store, self._profiles, self._workbooks, self._options = store, profiles, workbooks, options
        self._running = 0
        self._closing = False
        self._tasks: set[asyncio.Task[DebtFile]] = set()

    async def upload(self, upload: Upload, pieces: AsyncIterator[bytes]) -> DebtFile:
        """Returns the file in its final state once its rows are committed. Once all bytes are here it is processed
        to its end even if the caller leaves. Raises TooManyUploads, ConventionsInvalid, ResourceExists, and
        ResourceNotFound about the profile, at once. Raises FileFormatInvalid, HeaderInvalid, EncodingInvalid,
        TooLarge, TooSlow, RejectLimitExceeded, UploadInProgress: the file is FAILED then, and registers nothing.
        Raises UploadCancelled when somebody has stopped the file, UploadBroken when processing broke off."""
        if self._closing:
            raise UploadBroken("the service is stopping; nothing was registered, send the file again")
        if self._running >= self._options.max_uploads:
            raise TooManyUploads(self._options.max_uploads)
        dialect = await self._dialect(upload)
        run = Run(upload.file_id or new_id(), new_id(), self._options.lease, upload.dry_run, dialect.key)
        self._running += 1
        async with AsyncExitStack() as stack:
            stack.callback(self._leave)
            options = self._options
            making = asyncio.to_thread(Spool, options.spool, options.max_file, dialect, self._workbooks)
            spool = stack.enter_context(await making)
            pace = _Pace(options)
            await self._store.open(run, shown_filename(upload.filename))
            try:
                async with self._lease(run, spool):
                    layout, sha256 = await self._receive(spool, pieces, pace)
                form = TextForm(layout.header, layout.delimiter, spool.line_end)
                earlier = await self._store.begin(run, spool.size, sha256, form)
            except (Exception, asyncio.CancelledError) as error:
                await self._check_cancelled(run, error)
                broken = f"the upload broke off at byte {pace.received}; nothing was registered, send the file again"
                await self._failed(run, _why(error) or broken, received=pace.received)
                raise
            if earlier is not None:
                metrics.FILES.labels("REPEATED").inc()
                return earlier
            work = self._process(run, upload, spool, _Reading(layout, dialect), stack.pop_all())
            task = asyncio.create_task(work, name=f"debt file {run.file_id}")
            self._tasks.add(task)
            task.add_done_callback(self._processed)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends the processing under way after the block in hand; those files are FAILED and can be sent again."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def watch_abandoned(self, every: timedelta = timedelta(seconds=5)) -> None:
        """Fails, for ever, the files of processes that died."""
        while True:
            try:
                if failed := await self._store.fail_abandoned():
                    log.warning("debt files of dead processes failed", files=failed)
            except DomainError as error:
                log.warning("abandoned debt files not looked after", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    async def _dialect(self, upload: Upload) -> Dialect:
        options, today = self._options, datetime.now(UTC).date()
        return await self._profiles.dialect(
            upload.profile,
            upload.declared,
            currency=options.currency,
            due_from=today - options.due_past,
            due_to=today + options.due_ahead,
        )

    async def _receive(self, spool: Spool, pieces: AsyncIterator[bytes], pace: _Pace) -> tuple[Layout, str]:
        gathered: list[bytes] = []
        size = 0
        while True:
            try:
                began = time.monotonic()
                async with asyncio.timeout(self._options.idle.total_seconds()):
                    piece = await anext(pieces, None)
            except TimeoutError:
                idle = self._options.idle.total_seconds()
                raise UploadBroken(f"no bytes came for {idle:g} s; nothing was registered") from None
            if piece is not None:
                pace.check(time.monotonic() - began, len(piece))
                gathered.append(piece)
                size += len(piece)
            if size >= _WRITE or piece is None:
                await _threaded(spool.write, b"".join(gathered))
                gathered, size = [], 0
            if piece is None:
                return await _threaded(spool.close_content)

    async def _process(
        self, run: Run, upload: Upload, spool: Spool, reading: _Reading, held: AsyncExitStack
    ) -> DebtFile:
        counts = Counts()
        limit = upload.reject_limit or self._options.reject_limit
        async with held:
            try:
                async with self._lease(run, spool):
                    if upload.dry_run or limit:
                        async with (
                            self._store.checking(run) as writer,
                            aclosing(self._pass(writer, spool, reading)) as seen,
                        ):
                            async for counts in seen:
                                if limit.passed(counts.rejected, spool.lines):
                                    raise RejectLimitExceeded(str(limit), counts.rejected, run.file_id)
                        if limit.passed(counts.rejected, counts.rows):
                            raise RejectLimitExceeded(str(limit), counts.rejected, run.file_id)
                    if not upload.dry_run:
                        counts = Counts()
                        async with (
                            self._store.registering(run) as writer,
                            aclosing(self._pass(writer, spool, reading)) as seen,
                        ):
                            async for so_far in seen:
                                counts = so_far
                    file = await self._store.finish(run)
            except RejectLimitExceeded as error:
                await self._failed(run, error.message, rejected=counts.rejected)
                raise
            except (Exception, asyncio.CancelledError) as error:
                await self._check_cancelled(run, error)
                why = f" ({_why(error)})" if _why(error) else ""
                await self._failed(run, f"processing broke off after row {counts.rows}{why}; {_SEND_AGAIN}")
                if isinstance(error, DomainError | asyncio.CancelledError):
                    raise UploadBroken(f"processing broke off; {_SEND_AGAIN}", debt_file=run.file_id) from error
                raise
        metrics.FILES.labels(file.state.value).inc()
        for outcome in ("accepted", "duplicates", "rejected"):
            metrics.ROWS.labels(outcome).inc(getattr(file.counts, outcome))
        return file

    async def _pass(self, writer: RowWriter, spool: Spool, reading: _Reading) -> AsyncGenerator[Counts]:
        """Gives every block to `writer`, and the counts so far after each. While one is being stored, the next one is
        parsed."""
        source = _prepared(writer, spool, reading, self._options.block)
        counts = Counts()
        coming = asyncio.ensure_future(asyncio.to_thread(next, source, None))
        try:
            while (block := await asyncio.shield(coming)) is not None:
                coming = asyncio.ensure_future(asyncio.to_thread(next, source, None))
                counts += await writer.store(block)
                del block
                yield counts
        finally:
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()

    @asynccontextmanager
    async def _lease(self, run: Run, spool: Spool) -> AsyncGenerator[None]:
        """Raises LeaseLost in the middle of the block when somebody else has ended the file."""
        working = asyncio.current_task()
        assert working is not None
        lost = False

        def lose() -> None:
            nonlocal lost
            lost = working.cancel()

        beat = asyncio.create_task(self._beat(run, spool, lose), name=f"lease of debt file {run.file_id}")
        try:
            try:
                yield
            finally:
                await cancel(beat)
        except asyncio.CancelledError:
            if lost and not working.uncancel():
                raise LeaseLost(run.file_id) from None
            raise

    async def _beat(self, run: Run, spool: Spool, lose: Callable[[], None]) -> None:
        """Renews the lease, and tells of bytes received at most four times a second."""
        loop = asyncio.get_running_loop()
        told, at = -1, loop.time()
        while True:
            due = loop.time() - at > run.lease.total_seconds() / 5
            if spool.size != told or due:
                told, at = spool.size, loop.time()
                try:
                    if await self._is_lost(run, told):
                        return lose()
                except DomainError as error:
                    log.warning("lease of a debt file not renewed", debt_file=run.file_id, error=repr(error))
            await asyncio.sleep(_BEAT.total_seconds())

    async def _is_lost(self, run: Run, received: int) -> bool:
        """Renews the lease; whether somebody else has ended the file."""
        try:
            await self._store.renew(run, received)
        except LeaseLost:
            # Our own end of it may have overtaken this.
            return (await self._store.get(run.file_id)).state in {FileState.CANCELLED, FileState.FAILED}
        return False

    async def _check_cancelled(self, run: Run, error: BaseException) -> None:
        """Raises UploadCancelled when the lease was lost because of that."""
        if isinstance(error, LeaseLost):
            file = await self._store.get(run.file_id)
            if file.state is FileState.CANCELLED:
                metrics.FILES.labels("CANCELLED").inc()
                raise UploadCancelled(file.id, file.counts.accepted) from error

    async def _failed(self, run: Run, error: str, *, received: int = 0, rejected: int = 0) -> None:
        """Records the failure, also while this task is being cancelled. Where the store is away the lease runs out."""
        metrics.FILES.labels("FAILED").inc()
        recording = asyncio.ensure_future(self._store.fail(run, error, received, rejected))
        cancelled = False
        while not recording.done():
            try:
                await asyncio.wait([recording])
            except asyncio.CancelledError:
                cancelled = True
        with suppress(DomainError):
            recording.result()
        if cancelled:
            raise asyncio.CancelledError

    def _leave(self) -> None:
        self._running -= 1

    def _processed(self, task: asyncio.Task[DebtFile]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("debt file failed", task=task.get_name(), error=repr(error))


def _prepared(writer: RowWriter, spool: Spool, reading: _Reading, size: int) -> Iterator[PreparedBlock]:
    parser = DebtParser(reading.layout, reading.dialect.conventions)
    for data, final in spool.blocks(reading.layout, size):
        yield writer.prepare(parser.feed(data, final=final))


async def _threaded(work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Runs `work` on a thread; when cancelled it waits for it, since the spool must not be closed under it."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *arguments, **more))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        # The cancellation is what counts; an error of the work is looked at so that nobody reports it as forgotten.
        if not working.cancelled():
            working.exception()
        raise


def _why(error: BaseException) -> str:
    return error.message if isinstance(error, DomainError) else ""
