"""Brings the notifications of an export into the tenants' tables: 1,000 documents at a time, resumable, bounded."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from services.notification.adapters.migration.documents import Damaged, Document, check_form, documents
from services.notification.adapters.migration.runs import Checkpoint, MigrationRuns, Run
from services.notification.adapters.migration.set_aside import Examples, SetAside
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
    check_form(options.file)
    async with runs.alone():
        run = await runs.open(str(options.file.absolute()), options.fingerprint(), sorted(options.keep))
        watcher.begun(run)
        with SetAside(set_aside_path(directory, run.id), run.checkpoint.set_aside_bytes) as set_aside:
            batches = _batches(options, run.checkpoint, set_aside)
            batch = await asyncio.to_thread(next, batches, None)
            while batch is not None:
                # The next one is read while this one is stored; it is waited for whatever comes of that.
                following = asyncio.ensure_future(asyncio.to_thread(next, batches, None))
                try:
                    outcome = await runs.store(run, batch.found, batch.counts, batch.checkpoint)
                    watcher.batch(run, batch.read, outcome)
                finally:
                    await asyncio.wait([following])
                batch = following.result()
            await runs.settle(run, "DONE")
    return run


def try_file(options: Options, watcher: Watcher, examples: Examples) -> Run:
    """What `migrate_file` would read; stores nothing, and does not know what is stored already. `examples`
    takes what would be set aside. Raises Damaged and OSError."""
    check_form(options.file)
    run = Run("dry run", str(options.file.absolute()), tuple(options.keep))
    watcher.begun(run)
    for batch in _batches(options, run.checkpoint, examples):
        outcome = batch.counts + Counter(stored=len(batch.found), pending=sum(one.pending for one in batch.found))
        run.checkpoint = batch.checkpoint
        run.counts += outcome
        watcher.batch(run, batch.read, outcome)
    return run


def set_aside_path(directory: Path, run: str) -> Path:
    """Where a run leaves what it could not use."""
    return directory / f"{run}.set-aside.jsonl"


@dataclass(slots=True)
class _Batch:
    """Documents that are done together: `found` is to be stored, `counts` says what became of the others. `read`: bytes
    of the file so far."""

    checkpoint: Checkpoint
    read: int = 0
    size: int = 0
    found: list[OldNotification] = field(default_factory=list[OldNotification])
    counts: Counter[str] = field(default_factory=Counter[str])


def _batches(options: Options, start: Checkpoint, set_aside: SetAside | Examples) -> Iterator[_Batch]:
    """The batches behind the checkpoint; the last one may be empty. Raises Damaged behind what comes before."""
    reader = _Reader(options, set_aside)
    batch = _Batch(start)
    damaged: Damaged | None = None
    try:
        for document in documents(options.file, start.documents, start.position):
            reader.add(batch, document)
            if batch.size == BATCH:
                yield reader.completed(batch)
                batch = _Batch(batch.checkpoint)
    except Damaged as error:
        damaged = error
    batch.read = damaged.read if damaged is not None else options.file.stat().st_size
    yield reader.completed(batch)
    if damaged is not None:
        raise damaged


class _Reader:
    """Judges documents."""

    def __init__(self, options: Options, set_aside: SetAside | Examples) -> None:
        now = datetime.now(UTC)
        self._rules = Rules(frozenset(options.keep), options.others, now, options.tenant_names, options.types)
        self._oldest = {tenant: now - keep for tenant, keep in options.keep.items()}
        self._pending = options.pending
        self._set_aside = set_aside

    def add(self, batch: _Batch, document: Document) -> None:
        """A document more."""
        batch.size += 1
        batch.read = document.read
        batch.checkpoint = Checkpoint(document.number, document.end)
        try:
            if document.content is None:
                raise Unusable(document.problem)
            found = read_document(document.content, self._rules)
        except Unusable as problem:
            batch.counts["set_aside"] += 1
            self._set_aside.add(document, str(problem))
            return
        if found is None:
            batch.counts["other_tenants"] += 1
        elif found.created_at < self._oldest[found.tenant]:
            batch.counts["too_old"] += 1
        elif found.pending and not self._pending:
            batch.counts["skipped_pending"] += 1
        else:
            batch.found.append(found)

    def completed(self, batch: _Batch) -> _Batch:
        """The batch, with what was set aside on the disk."""
        batch.checkpoint = replace(batch.checkpoint, set_aside_bytes=self._set_aside.settle())
        return batch
