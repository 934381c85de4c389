"""Taking debt files in: received whole, then registered, also over the death of a process."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar

from services.chassis.errors import DomainError, Unavailable
from services.chassis.ids import new_id
from services.chassis.tasks import uncancelled
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts import metrics
from services.ingestion.application.debts.lease import leased
from services.ingestion.application.debts.ports import DebtFileStore, Run, TextForm, WorkbookReader
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.registration import Job, Registration, why_of
from services.ingestion.application.debts.spool import Spool, SpooledText
from services.ingestion.application.debts.spool_directory import SpoolDirectory
from services.ingestion.domain.debts.debt_file import DebtFile
from services.ingestion.domain.debts.dialect import Declared, Dialect
from services.ingestion.domain.debts.errors import TooManyUploads, TooSlow, UploadBroken, UploadInterrupted
from services.ingestion.domain.debts.filenames import shown_filename
from services.ingestion.domain.debts.reject_limit import NO_LIMIT, RejectLimit

log = get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
_Exit: TypeAlias = Callable[[type[BaseException] | None, BaseException | None, object], Awaitable[None]]

_WRITE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """Limits. `block`: bytes that are parsed and committed together. `idle`: how long a client may send nothing.
    `least_rate`: bytes a second that it must send on the average of each `idle`. `receive_within`: all bytes are here
    by then. Both count the time that is spent waiting for the client.
    `spool`: directory of the uploads under way, where they outlive the process (None: they go with it).
    `resume_within`: a file that could be gone on with, and is not, fails after that time. `reject_limit`: of files that
    bring none. `currency`: of debts whose file names none. `due_past`, `due_ahead`: how far from today a debt may be
    due."""

    max_file: int = 2 * 1024**3
    max_uploads: int = 4
    block: int = 2 * 1024**2
    idle: timedelta = timedelta(minutes=1)
    least_rate: int = 4 * 1024
    receive_within: timedelta = timedelta(hours=2)
    lease: timedelta = timedelta(seconds=30)
    resume_within: timedelta = timedelta(minutes=10)
    spool: Path | None = None
    reject_limit: RejectLimit = NO_LIMIT
    currency: str = ""
    due_past: timedelta = timedelta(days=3653)
    due_ahead: timedelta = timedelta(days=18_263)


@dataclass(frozen=True, slots=True)
class Upload:
    """What the client says about the file: over what it declares stands the profile of that name, if any. `file_id`:
    the id of the file to be, ordered by time as ours are; empty: one of ours. `resumable`: the pieces can be had again:
    when the process dies the same upload may be begun anew, which goes on from where it was."""

    filename: str = ""
    dry_run: bool = False
    reject_limit: RejectLimit = NO_LIMIT
    profile: str = ""
    declared: Declared = field(default_factory=Declared)
    file_id: str = ""
    resumable: bool = False


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
        self._registration = Registration(store, options.block)
        self._directory = SpoolDirectory(options.spool)
        self._running = 0
        self._closing = False
        self._tasks: set[asyncio.Task[DebtFile]] = set()

    async def upload(self, upload: Upload, pieces: AsyncIterator[bytes]) -> DebtFile:
        """Returns the file in its final state once its rows are committed. Once all bytes are here it is processed
        to its end even if the caller leaves, and, where its text is kept, even if this process dies. Raises
        TooManyUploads, ConventionsInvalid, ResourceExists, and ResourceNotFound about the profile, at once. Raises
        FileFormatInvalid, HeaderInvalid, EncodingInvalid, TooLarge, TooSlow, RejectLimitExceeded, UploadInProgress: the
        file is FAILED then, and registers nothing. Raises UploadCancelled when somebody has stopped the file,
        UploadBroken when processing broke off, UploadInterrupted when it goes on by itself."""
        if self._closing:
            raise UploadBroken("the service is stopping; nothing was registered, send the file again")
        if self._running >= self._options.max_uploads:
            raise TooManyUploads(self._options.max_uploads)
        dialect = await self._dialect(upload)
        issuer = dialect.conventions.issuer
        run = Run(upload.file_id or new_id(), new_id(), self._options.lease, upload.dry_run, dialect.key, issuer)
        self._running += 1
        async with AsyncExitStack() as stack:
            stack.callback(self._leave)
            making = asyncio.to_thread(Spool, self._directory, self._options.max_file, dialect, self._workbooks)
            spool = stack.enter_context(await making)
            pace = _Pace(self._options)
            await self._store.open(run, shown_filename(upload.filename), resumable=upload.resumable)
            try:
                async with leased(self._store, run, lambda: spool.size):
                    text = await self._receive(spool, pieces, pace)
                job = Job(
                    text=text,
                    conventions=dialect.conventions,
                    dry_run=upload.dry_run,
                    limit=upload.reject_limit or self._options.reject_limit,
                    dialect=dialect.key,
                )
                kept = await uncancelled(asyncio.to_thread(self._directory.keep, text.file, run.file_id, job.note()))
                job = replace(job, kept=kept or upload.resumable)
                stack.push_async_exit(self._remover(run.file_id))
                form = TextForm(text.layout.header, text.layout.delimiter, text.line_end)
                earlier = await self._store.begin(run, text.received, text.sha256, form, resumable=job.kept)
            except (Exception, asyncio.CancelledError) as error:
                await self._registration.check_cancelled(run, error)
                if upload.resumable and isinstance(error, Unavailable | asyncio.CancelledError):
                    await self._registration.release(run)
                    raise
                broken = f"the upload broke off at byte {pace.received}; nothing was registered, send the file again"
                await self._registration.fail(run, why_of(error) or broken, received=pace.received)
                raise
            if earlier is not None:
                metrics.FILES.labels("REPEATED").inc()
                return earlier
            task = self._start(run, job, stack.pop_all())
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends the processing under way after the block in hand: those files go on later where their text is kept, and
        are FAILED otherwise."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def watch_abandoned(self, every: timedelta = timedelta(seconds=2)) -> None:
        """Goes on, for ever, with files of processes that died, where their text is kept, and fails the others."""
        while True:
            try:
                await self._resume()
                if failed := await self._store.fail_abandoned(self._options.resume_within):
                    log.warning("debt files of dead processes failed", files=failed)
            except (DomainError, OSError) as error:
                log.warning("abandoned debt files not looked after", error=repr(error))
            await asyncio.sleep(every.total_seconds())

    async def _resume(self) -> None:
        """Goes on with texts that nobody works on, as far as there are places."""
        found = self._directory.abandoned()
        while self._running < self._options.max_uploads and not self._closing:
            if (kept := await asyncio.to_thread(next, found, None)) is None:
                return
            self._running += 1
            async with AsyncExitStack() as stack:
                stack.callback(self._leave)
                stack.callback(kept.file.close)
                job = Job.noted(SpooledText.noted(kept.file, kept.note["text"]), kept.note)
                issuer = job.conventions.issuer
                run = Run(kept.file_id, new_id(), self._options.lease, job.dry_run, job.dialect, issuer)
                if await self._store.take_over(run):
                    log.info("debt file gone on with", debt_file=run.file_id)
                    stack.push_async_exit(self._remover(run.file_id))
                    self._start(run, job, stack.pop_all())
                else:
                    await asyncio.to_thread(self._directory.remove, kept.file_id)

    def _start(self, run: Run, job: Job, held: AsyncExitStack) -> asyncio.Task[DebtFile]:
        async def process() -> DebtFile:
            async with held:
                return await self._registration.run(run, job)

        task = asyncio.create_task(process(), name=f"debt file {run.file_id}")
        self._tasks.add(task)
        task.add_done_callback(self._processed)
        return task

    def _remover(self, file_id: str) -> _Exit:
        """Removes what is kept of a file at the end, unless it goes on by itself."""

        async def remove(kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
            if not isinstance(error, UploadInterrupted):
                await asyncio.to_thread(self._directory.remove, file_id)

        return remove

    async def _dialect(self, upload: Upload) -> Dialect:
        options, today = self._options, datetime.now(UTC).date()
        return await self._profiles.dialect(
            upload.profile,
            upload.declared,
            currency=options.currency,
            due_from=today - options.due_past,
            due_to=today + options.due_ahead,
        )

    async def _receive(self, spool: Spool, pieces: AsyncIterator[bytes], pace: _Pace) -> SpooledText:
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
                await uncancelled(asyncio.to_thread(spool.write, b"".join(gathered)))
                gathered, size = [], 0
            if piece is None:
                return await uncancelled(asyncio.to_thread(spool.close_content))

    def _leave(self) -> None:
        self._running -= 1

    def _processed(self, task: asyncio.Task[DebtFile]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("debt file failed", task=task.get_name(), error=repr(error))
