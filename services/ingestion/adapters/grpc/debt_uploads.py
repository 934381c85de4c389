"""The servicer of announced debt files: message -> use case -> message."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final

from google.protobuf.empty_pb2 import Empty

from services.chassis.grpc.timestamps import timestamp
from services.ingestion.adapters.bucket_events import keys_of
from services.ingestion.adapters.grpc.debt_mappers import debt_file
from services.ingestion.application.debts.announced_uploads import AnnouncedUploads, Head
from services.ingestion.application.debts.resumable_uploads import AppendHead, ResumableUploads
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadWay
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.debts.filenames import shown_filename
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import debt_upload_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import DebtUploadServiceServicer

_ALGORITHMS: Final = {
    pb.AppendDebtUploadRequest.CHECKSUM_ALGORITHM_UNSPECIFIED: "",
    pb.AppendDebtUploadRequest.SHA1: "sha1",
    pb.AppendDebtUploadRequest.SHA256: "sha256",
    pb.AppendDebtUploadRequest.MD5: "md5",
}
"""As hashlib calls them."""


class DebtUploadServicer(DebtUploadServiceServicer):
    """See debt_upload_service.proto."""

    def __init__(self, uploads: AnnouncedUploads, resumable: ResumableUploads) -> None:
        self._uploads, self._resumable = uploads, resumable

    async def CreateDebtUpload(self, request: pb.CreateDebtUploadRequest, context: Any) -> pb.DebtUpload:
        life = timedelta(seconds=min(request.expire_seconds, 10**9))
        made = await self._uploads.create(_announcement(request), _way(request.way), life)
        return _upload(made.upload, made.url, made.headers)

    async def PutDebtUpload(self, request_iterator: AsyncIterator[pb.PutDebtUploadRequest], context: Any) -> DebtFile:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("head"):
            raise InvalidField("head", "must be the first message of the stream")
        said = first.head
        head = Head(said.token, said.content_type, said.size if said.HasField("size") else None)
        async with aclosing(_chunks(request_iterator)) as pieces:
            return debt_file(await self._uploads.put(head, pieces))

    async def AppendDebtUpload(
        self, request_iterator: AsyncIterator[pb.AppendDebtUploadRequest], context: Any
    ) -> pb.DebtUpload:
        first = await anext(request_iterator, None)
        if first is None or not first.HasField("head"):
            raise InvalidField("head", "must be the first message of the stream")
        said = first.head
        algorithm = _ALGORITHMS[said.checksum_algorithm]
        if bool(algorithm) != bool(said.checksum):
            raise InvalidField("checksum", "must come with its algorithm, and an algorithm with its checksum")
        size = said.size if said.HasField("size") else None
        head = AppendHead(said.id, said.offset, size, algorithm, said.checksum)
        async with aclosing(_chunks(request_iterator)) as pieces:
            return _upload(await self._resumable.append(head, pieces))

    async def TellBucketEvent(self, request: pb.TellBucketEventRequest, context: Any) -> pb.TellBucketEventResponse:
        return pb.TellBucketEventResponse(found=await self._uploads.told(keys_of(request.event.data)))

    async def GetDebtUpload(self, request: pb.GetDebtUploadRequest, context: Any) -> pb.DebtUpload:
        return _upload(await self._uploads.get(request.id))

    async def DeleteDebtUpload(self, request: pb.DeleteDebtUploadRequest, context: Any) -> Empty:
        await self._uploads.cancel(request.id)
        return Empty()


async def _chunks(
    requests: AsyncIterator[pb.PutDebtUploadRequest] | AsyncIterator[pb.AppendDebtUploadRequest],
) -> AsyncGenerator[bytes]:
    async for request in requests:
        if request.HasField("head"):
            raise InvalidField("head", "must be the first message of the stream, and come once")
        yield request.chunk


def _announcement(said: pb.CreateDebtUploadRequest) -> Announcement:
    return Announcement(
        filename=shown_filename(said.filename),
        size=said.size,
        sha256=said.sha256.lower(),
        content_type=said.content_type,
        dry_run=said.dry_run,
        reject_limit=RejectLimit(
            said.reject_limit if said.HasField("reject_limit") else None,
            said.reject_percent if said.HasField("reject_percent") else None,
        ),
        profile=said.profile,
        tus_metadata=said.tus_metadata,
        declared=Declared(
            charset=said.charset,
            locale=said.locale,
            currency=said.currency,
            language=said.language,
            issuer=said.issuer,
        ),
    )


def _way(way: pb.DebtUpload.Way) -> UploadWay | None:
    return UploadWay[pb.DebtUpload.Way.Name(way)] if way else None


def _upload(found: AnnouncedUpload, url: str = "", headers: Mapping[str, str] | None = None) -> pb.DebtUpload:
    return pb.DebtUpload(
        id=found.id,
        state=found.state.value,
        way=found.way.value,
        url=url,
        headers=headers,
        content_type=found.said.content_type,
        size=found.said.size,
        sha256=found.said.sha256,
        received=found.received,
        filename=found.said.filename,
        error=found.error,
        tus_metadata=found.said.tus_metadata,
        create_time=timestamp(found.create_time),
        expire_time=timestamp(found.expire_time),
    )
