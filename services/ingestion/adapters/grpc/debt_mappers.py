"""Between messages and the values of debt files."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.ingestion.application.debts.uploads import Upload
from services.ingestion.domain.debts.debt_file import Debt, DebtFile, FileState, Reject
from services.ingestion.domain.debts.dialect import Declared, Profile
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import debt_file_pb2 as files
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb

_NO_ROWS = "the file has a header and no rows"


async def upload(requests: AsyncIterator[pb.UploadDebtFileRequest]) -> tuple[Upload, AsyncGenerator[bytes]]:
    """What the client says about the file, and its content. Raises InvalidField when metadata is not first."""
    first = await anext(requests, None)
    if first is None or not first.HasField("metadata"):
        return Upload(), _chunks(first, requests)
    said = first.metadata
    limit = RejectLimit(said.reject_limit or None, said.reject_percent or None)
    declared = Declared(charset=said.charset, locale=said.locale, currency=said.currency, language=said.language)
    return Upload(said.filename, said.dry_run, limit, said.profile, declared), _chunks(None, requests)


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
        create_time=_timestamp(file.create_time),
        complete_time=_timestamp(file.complete_time) if file.complete_time else None,
        identical_to=file.identical_to,
        dry_run=file.dry_run,
        note=_NO_ROWS if file.state is FileState.COMPLETED and not file.counts.rows else "",
    )


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
        raw=found.raw,
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
        create_time=_timestamp(found.create_time),
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
        create_time=_timestamp(found.create_time),
        currency=found.currency,
        language=found.language,
        line=found.line,
    )


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
