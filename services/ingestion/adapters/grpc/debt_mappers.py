"""Between messages and the values of debt files."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import date, timedelta

from services.chassis.grpc.timestamps import time_of, timestamp
from services.ingestion.application.debts.uploads import Upload
from services.ingestion.domain.debts.debt_file import (
    Debt,
    DebtFile,
    DebtFilter,
    FileFilter,
    FileState,
    Reject,
)
from services.ingestion.domain.debts.debt_status import DebtStatus
from services.ingestion.domain.debts.dialect import Declared, Profile
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import debt_file_pb2 as files
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb

_NO_ROWS = "the file has a header and no rows"
_REMOVED = "its rejected rows are not kept any more"

_SHOWN_RAW = 4096
"""Characters of a rejected row in a list; the download has it whole."""
_AHEAD = timedelta(minutes=10)


async def upload(requests: AsyncIterator[pb.UploadDebtFileRequest]) -> tuple[Upload, AsyncGenerator[bytes]]:
    """What the client says about the file, and its content. Raises InvalidField when metadata is not first."""
    first = await anext(requests, None)
    if first is None or not first.HasField("metadata"):
        return Upload(), _chunks(first, requests)
    said = first.metadata
    limit = RejectLimit(
        said.reject_limit if said.HasField("reject_limit") else None,
        said.reject_percent if said.HasField("reject_percent") else None,
    )
    declared = Declared(
        charset=said.charset,
        locale=said.locale,
        currency=said.currency,
        language=said.language,
        issuer=said.issuer,
    )
    made = Upload(said.filename, said.dry_run, limit, said.profile, declared, _file_id(said.id))
    return made, _chunks(None, requests)


def _file_id(text: str) -> str:
    """The id that a client gives its file; lists are ordered by the time in it. Raises InvalidField."""
    if text and int(text[:8] + text[9:13], 16) / 1000 > time.time() + _AHEAD.total_seconds():
        raise InvalidField("id", "must be a UUID of version 7 made now: its time is ahead of ours")
    return text


async def _chunks(
    first: pb.UploadDebtFileRequest | None, requests: AsyncIterator[pb.UploadDebtFileRequest]
) -> AsyncGenerator[bytes]:
    if first is not None:
        yield first.chunk
    async for request in requests:
        if request.HasField("metadata"):
            raise InvalidField("metadata", "must be the first message of the stream, and come once")
        yield request.chunk


def debt_file(file: DebtFile) -> files.DebtFile:
    """The message."""
    return files.DebtFile(
        id=file.id,
        filename=file.filename,
        state=file.state.value,
        bytes=file.bytes,
        rows=file.counts.rows,
        accepted=file.counts.accepted,
        duplicates=file.counts.duplicates,
        rejected=file.counts.rejected,
        sha256=file.sha256,
        error=file.error,
        create_time=timestamp(file.create_time),
        complete_time=timestamp(file.complete_time),
        identical_to=file.identical_to,
        dry_run=file.dry_run,
        note=_note(file),
        rolled_back=file.rolled_back,
        kept=file.kept,
        issuer=file.issuer,
    )


def _note(file: DebtFile) -> str:
    if file.rejects_removed and file.counts.rejected:
        return _REMOVED
    return _NO_ROWS if file.state is FileState.COMPLETED and not file.counts.rows else ""


def file_filter(request: pb.ListDebtFilesRequest) -> FileFilter:
    """Raises InvalidField."""
    since, until = time_of(request, "from"), time_of(request, "to")
    if since and until and since >= until:
        raise InvalidField("to", "must be after from")
    states = sorted({files.DebtFile.State.Name(state) for state in request.states})
    return FileFilter(tuple(map(FileState, states)), since, until, request.filename)


def debt_filter(request: pb.ListDebtsRequest) -> DebtFilter:
    """Raises InvalidField."""
    due_from, due_to = _date(request.due_from, "dueFrom"), _date(request.due_to, "dueTo")
    if due_from and due_to and due_from > due_to:
        raise InvalidField("dueTo", "must not be before dueFrom")
    statuses = tuple(DebtStatus(status) for status in sorted(set(request.statuses)))
    return DebtFilter(request.debt_file, statuses, due_from, due_to)


def _date(text: str, field: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidField(field, "must be a calendar date of the form 2026-12-31") from None


def reject(found: Reject) -> files.DebtFileReject:
    """The message."""
    rules = [
        files.DebtFileReject.BrokenRule(reason=broken.reason, column=broken.column, message=broken.message)
        for broken in found.broken
    ]
    first = found.broken[0]
    return files.DebtFileReject(
        line=found.line,
        reason=first.reason,
        column=first.column,
        message=first.message,
        raw=found.raw[:_SHOWN_RAW],
        broken_rules=rules,
    )


def declared(profile: files.DebtFileProfile) -> Declared:
    """What a profile declares."""
    return Declared(
        columns=dict(profile.columns),
        other_columns=profile.other_columns,
        charset=profile.charset,
        locale=profile.locale,
        currency=profile.currency,
        language=profile.language,
        issuer=profile.issuer,
    )


def profile(found: Profile) -> files.DebtFileProfile:
    """The message."""
    said = found.declared
    return files.DebtFileProfile(
        id=found.id,
        columns=said.columns,
        other_columns=said.other_columns,
        charset=said.charset,
        locale=said.locale,
        currency=said.currency,
        language=said.language,
        issuer=said.issuer,
        create_time=timestamp(found.create_time),
    )


def debt(found: Debt) -> files.Debt:
    """The message."""
    return files.Debt(
        id=found.id,
        name=found.name,
        government_id=found.government_id,
        email=found.email,
        amount=f"{found.amount:f}",
        due_date=found.due_date.isoformat(),
        debt_file=found.debt_file,
        create_time=timestamp(found.create_time),
        currency=found.currency,
        language=found.language,
        line=found.line,
        status=files.Debt.Status.Name(found.status),
        version=found.version,
        erased=not found.name,
    )
