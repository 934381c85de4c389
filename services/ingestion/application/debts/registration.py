"""What happens to a file once all of its text is here: check, register."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Self

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.tasks import uncancelled
from services.chassis.telemetry.logs import get_logger
from services.ingestion.application.debts import metrics
from services.ingestion.application.debts.lease import leased
from services.ingestion.application.debts.ports import DebtFileStore, PreparedBlock, Progress, RowWriter, Run
from services.ingestion.application.debts.spool import SpooledText
from services.ingestion.domain.debts.conventions import Conventions, DateOrder
from services.ingestion.domain.debts.debt_file import Counts, DebtFile, FileState
from services.ingestion.domain.debts.errors import (
    LeaseLost,
    RejectLimitExceeded,
    UploadBroken,
    UploadCancelled,
    UploadInterrupted,
)
from services.ingestion.domain.debts.parser import DebtParser
from services.ingestion.domain.debts.reject_limit import NO_LIMIT, RejectLimit

log = get_logger(__name__)

_TOGETHER = 2
_SEND_AGAIN = "send the file again: rows that are registered are not registered twice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A text and what is to be done with it. `kept`: whoever comes after this process finds the text."""

    text: SpooledText
    conventions: Conventions = field(default_factory=Conventions)
    dry_run: bool = False
    limit: RejectLimit = NO_LIMIT
    dialect: str = ""
    kept: bool = False

    def note(self) -> dict[str, Any]:
        """All but the file of the text, for JSON."""
        conventions = asdict(self.conventions) | {
            "dates": self.conventions.dates.name,
            "due_from": self.conventions.due_from.isoformat(),
            "due_to": self.conventions.due_to.isoformat(),
        }
        return {
            "text": self.text.note(),
            "conventions": conventions,
            "dry_run": self.dry_run,
            "limit": asdict(self.limit),
            "dialect": self.dialect,
        }

    @classmethod
    def noted(cls, text: SpooledText, note: dict[str, Any]) -> Self:
        """The job with a text that was kept."""
        said = note["conventions"]
        conventions = said | {
            "dates": DateOrder[said["dates"]],
            "due_from": date.fromisoformat(said["due_from"]),
            "due_to": date.fromisoformat(said["due_to"]),
        }
        return cls(
            text=text,
            conventions=Conventions(**conventions),
            dry_run=note["dry_run"],
            limit=RejectLimit(**note["limit"]),
            dialect=note["dialect"],
            kept=True,
        )


class Registration:
    """Checks and registers the texts of files in blocks of `block` bytes."""

    def __init__(self, store: DebtFileStore, block: int) -> None:
        self._store, self._block = store, block

    async def run(self, run: Run, job: Job) -> DebtFile:
        """The file in its final state, once its rows are committed. Raises RejectLimitExceeded: the file is FAILED
        then, and registers nothing; UploadCancelled when somebody has stopped it; UploadBroken when it broke off, after
        which it is FAILED; UploadInterrupted when its text is kept and it goes on by itself."""
        seen = Counts()
        try:
            async with leased(self._store, run, lambda: job.text.received):
                begun = await self._store.progress(run)
                if (job.dry_run or job.limit) and not begun.blocks:
                    async with (
                        self._store.checking(run) as writer,
                        aclosing(self._pass(writer, job, Progress(), together=1)) as passed,
                    ):
                        async for seen in passed:
                            if job.limit.passed(seen.rejected, job.text.lines):
                                raise RejectLimitExceeded(str(job.limit), seen.rejected, run.file_id)
                    if job.limit.passed(seen.rejected, seen.rows):
                        raise RejectLimitExceeded(str(job.limit), seen.rejected, run.file_id)
                if not job.dry_run:
                    async with (
                        self._store.registering(run, begun) as writer,
                        aclosing(self._pass(writer, job, begun, together=_TOGETHER)) as passed,
                    ):
                        seen = begun.counts
                        async for counts in passed:
                            seen = counts
                file = await self._store.finish(run)
        except RejectLimitExceeded as error:
            await self.fail(run, error.message, rejected=seen.rejected)
            raise
        except (Exception, asyncio.CancelledError) as error:
            await self.check_cancelled(run, error)
            passing = isinstance(error, Unavailable | Aborted | asyncio.CancelledError)
            if job.kept and passing and not isinstance(error, LeaseLost):
                await self.release(run)
                raise UploadInterrupted(run.file_id, seen.rows) from error
            why = f" ({reason})" if (reason := why_of(error)) else ""
            await self.fail(run, f"processing broke off after row {seen.rows}{why}; {_SEND_AGAIN}")
            if isinstance(error, DomainError | asyncio.CancelledError):
                raise UploadBroken(f"processing broke off; {_SEND_AGAIN}", debt_file=run.file_id) from error
            raise
        metrics.FILES.labels(file.state.value).inc()
        for outcome in ("accepted", "duplicates", "rejected"):
            metrics.ROWS.labels(outcome).inc(getattr(file.counts, outcome))
        return file

    async def release(self, run: Run) -> None:
        """Another run may go on at once. Where the store is away the lease runs out."""
        with suppress(DomainError):
            await uncancelled(self._store.release(run))

    async def _pass(self, writer: RowWriter, job: Job, begun: Progress, *, together: int) -> AsyncGenerator[Counts]:
        """Gives every block behind what is begun to `writer`, `together` at a time, and the counts so far after each.
        While they are being stored, the next one is parsed."""
        source = self._prepared(writer, job, begun)
        counts = begun.counts
        coming = asyncio.ensure_future(asyncio.to_thread(next, source, None))
        storing: deque[asyncio.Task[Counts]] = deque()
        try:
            while (block := await asyncio.shield(coming)) is not None:
                coming = asyncio.ensure_future(asyncio.to_thread(next, source, None))
                storing.append(asyncio.create_task(writer.store(block), name="block of debts"))
                del block
                if len(storing) == together:
                    counts += await storing[0]
                    storing.popleft()
                    yield counts
            while storing:
                counts += await storing[0]
                storing.popleft()
                yield counts
        finally:
            for task in storing:
                task.cancel()
            await asyncio.wait([coming, *storing])
            for one in (coming, *storing):
                if not one.cancelled():
                    one.exception()

    def _prepared(self, writer: RowWriter, job: Job, begun: Progress) -> Iterator[PreparedBlock]:
        parser = DebtParser(job.text.layout, job.conventions, begun.end)
        for data, final in job.text.blocks(self._block, begun.end.offset):
            yield writer.prepare(parser.feed(data, final=final))

    async def check_cancelled(self, run: Run, error: BaseException) -> None:
        """Raises UploadCancelled when the lease was lost because of that."""
        if isinstance(error, LeaseLost):
            file = await self._store.get(run.file_id)
            if file.state is FileState.CANCELLED:
                metrics.FILES.labels("CANCELLED").inc()
                raise UploadCancelled(file.id, file.counts.accepted, dry_run=file.dry_run) from error

    async def fail(self, run: Run, error: str, *, received: int = 0, rejected: int = 0) -> None:
        """Records the failure, also while this task is being cancelled. Where the store is away the lease runs out."""
        metrics.FILES.labels("FAILED").inc()
        with suppress(DomainError):
            await uncancelled(self._store.fail(run, error, received, rejected))


def why_of(error: BaseException) -> str:
    """What is told of an error: nothing of one that nobody has foreseen."""
    return error.message if isinstance(error, DomainError) else ""
