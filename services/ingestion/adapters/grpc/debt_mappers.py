"""Between messages and the values of debt files."""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from services.ingestion.application.debts.uploads import Upload
from services.ingestion.domain.debts.debt_file import Debt, DebtFile, Reject
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import debt_file_pb2 as files
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb


async def upload(requests: AsyncIterator[pb.UploadDebtFileRequest]) -> tuple[Upload, AsyncGenerator[bytes]]:
    """What the client says about the file, and its content. Raises InvalidField when metadata is not first."""
    first = await anext(requests, None)
    if first is None or not first.HasField("metadata"):
        return Upload(), _chunks(first, requests)
    said = first.metadata
    return Upload(said.filename, said.dry_run, said.reject_limit), _chunks(None, requests)


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
    )


def reject(found: Reject) -> files.DebtFileReject:
    """The message."""
    return files.DebtFileReject(
        line=found.line, reason=found.reason, column=found.column, message=found.message, raw=found.raw
    )


def debt(found: Debt) -> files.Debt:
    """The message."""
    return files.Debt(
        id=found.id,
        name=found.name,
        government_id=found.government_id,
        email=found.email,
        amount=str(found.amount),
        due_date=found.due_date.isoformat(),
        debt_file=found.debt_file,
        create_time=_timestamp(found.create_time),
    )


def _timestamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
