"""Brings the notifications of an export into the tenants' tables: 1,000 documents at a time, resumable, bounded."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from services.notification.adapters.migration.documents import Damaged, Document, documents
from services.notification.adapters.migration.runs import Checkpoint, MigrationRuns, Run
from services.notification.adapters.migration.set_aside import SetAside
from services.notification.domain.notification import Type
from services.notification.domain.old_notification import OldNotification, Rules, read_document
from services.notification.domain.old_values import Unusable

BATCH = 1000
_FINGERPRINT_BYTES = 1024 * 1024
"""From either end of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is read, and how. `keep`: for how long each wanted tenant keeps notifications; older ones are skipped.
    `others`: documents may be of more tenants; they are skipped. `pending`: whether what was still to be sent is taken,
    as FAILED."""

    file: Path
    keep: Mapping[str, timedelta]
    others: bool = False
    tenant_names: Mapping[str, str] = field(default_factory=dict[str, str])
    types: Mapping[str, Type] = field(default_factory=dict[str, Type])
    pending: bool = True

    def fingerprint(self) -> bytes:
        """Equal for the same file, read in the same way. Raises OSError."""
        how = [
            *(sorted(self.keep), self.others, sorted(self.tenant_names.items())),
            *(sorted(self.types.items()), self.pending),
        ]
        size = self.file.stat().st_size
        digest = hashlib.sha256(json.dumps([how, size]).encode())
        with self.file.open("rb") as content:
            digest.update(content.read(_FINGERPRINT_BYTES))
            content.seek(max(0, size - _FINGERPRINT_BYTES))
            digest.update(content.read(_FINGERPRINT_BYTES))
        return digest.digest()


class Watcher(Protocol):
    """Hears how it goes on."""

    def begun(self, run: Run) -> None:
        """A run begins, or goes on behind its checkpoint."""
        ...

    def batch(self, run: Run, read: int, outcome: Mapping[str, int]) -> None:
        """A batch is durable. `read`: bytes of the file so far."""
        ...


async def migrate_file(runs: MigrationRuns, options: Options, directory: Path, watcher: Watcher) -> Run:
    """Brings in a file; what an interrupted run of the same file has done is not done again. What cannot be used is set
    aside in the directory. Raises Damaged (with what comes before stored), OSError and DomainError; the run can be
    resumed after each of them."""
    async with runs.alone():
        run = await runs.open(str(options.file.absolute()), options.fingerprint(), sorted(options.keep))
        watcher.begun(run)
        with SetAside(set_aside_path(directory, run.id), run.checkpoint.set_aside_bytes) as set_aside:
            batch = _Batch(options, run.checkpoint, set_aside)

            async def store(read: int) -> None:
                found, counts, to = batch.take()
                watcher.batch(run, read, await runs.store(run, found, counts, to))

            try:
                for document in documents(options.file, run.checkpoint.documents, run.checkpoint.position):
                    batch.add(document)
                    if batch.size == BATCH:
                        await store(document.read)
            except Damaged as error:
                await store(error.read)
                raise
            await store(options.file.stat().st_size)
            await runs.settle(run, "DONE")
    return run


def try_file(options: Options, watcher: Watcher) -> Run:
    """What `migrate_file` would read; stores nothing, and does not know what is stored already. Raises Damaged and
    OSError."""
    run = Run("dry run", str(options.file.absolute()), tuple(options.keep))
    batch = _Batch(options, run.checkpoint, None)

    def judge(read: int) -> None:
        found, counts, run.checkpoint = batch.take()
        outcome = counts + Counter(stored=len(found), pending=sum(one.pending for one in found))
        run.counts += outcome
        watcher.batch(run, read, outcome)

    watcher.begun(run)
    for document in documents(options.file):
        batch.add(document)
        if batch.size == BATCH:
            judge(document.read)
    judge(options.file.stat().st_size)
    return run


def set_aside_path(directory: Path, run: str) -> Path:
    """Where a run leaves what it could not use."""
    return directory / f"{run}.set-aside.jsonl"


class _Batch:
    """Documents until they are stored together."""

    def __init__(self, options: Options, start: Checkpoint, set_aside: SetAside | None) -> None:
        now = datetime.now(UTC)
        self._rules = Rules(frozenset(options.keep), options.others, now, options.tenant_names, options.types)
        self._oldest = {tenant: now - keep for tenant, keep in options.keep.items()}
        self._pending = options.pending
        self._set_aside = set_aside
        self._reached = start
        self._found: list[OldNotification] = []
        self._counts: Counter[str] = Counter()
        self.size = 0

    def add(self, document: Document) -> None:
        """Reads one."""
        self.size += 1
        self._reached = Checkpoint(document.number, document.end)
        try:
            if document.content is None:
                raise Unusable(document.problem)
            found = read_document(document.content, self._rules)
        except Unusable as problem:
            self._counts["set_aside"] += 1
            if self._set_aside is not None:
                self._set_aside.add(document, str(problem))
            return
        if found is None:
            self._counts["other_tenants"] += 1
        elif found.created_at < self._oldest[found.tenant]:
            self._counts["too_old"] += 1
        elif found.pending and not self._pending:
            self._counts["skipped_pending"] += 1
        else:
            self._found.append(found)

    def take(self) -> tuple[list[OldNotification], Counter[str], Checkpoint]:
        """What is to be stored, what became of the others, and the checkpoint behind them; begins the next one."""
        size = self._set_aside.settle() if self._set_aside is not None else 0
        taken = (self._found, self._counts, Checkpoint(self._reached.documents, self._reached.position, size))
        self._found, self._counts, self.size = [], Counter(), 0
        return taken
