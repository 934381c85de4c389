"""The servicer of debt files: message -> use case -> message."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from services.ingestion.adapters.grpc import debt_mappers as to
from services.ingestion.application.debts.files import DebtFiles
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.rollbacks import DebtRollbacks
from services.ingestion.application.debts.uploads import DebtUploads
from tocsin.ingestion.v1 import debt_file_pb2 as files
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceServicer


class DebtFileServicer(DebtFileServiceServicer):
    """See debt_file_service.proto."""

    def __init__(self, uploads: DebtUploads, desk: DebtFiles, rollbacks: DebtRollbacks, profiles: DebtProfiles) -> None:
        self._uploads, self._desk, self._rollbacks, self._profiles = uploads, desk, rollbacks, profiles

    async def UploadDebtFile(
        self, request_iterator: AsyncIterator[pb.UploadDebtFileRequest], context: Any
    ) -> files.DebtFile:
        upload, pieces = await to.upload(request_iterator)
        return to.debt_file(await self._uploads.upload(upload, pieces))

    async def GetDebtFile(self, request: pb.GetDebtFileRequest, context: Any) -> files.DebtFile:
        return to.debt_file(await self._desk.get(request.id))

    async def ListDebtFiles(self, request: pb.ListDebtFilesRequest, context: Any) -> pb.ListDebtFilesResponse:
        page, total = await self._desk.list(
            to.file_filter(request), request.page_size, request.page_token, request.page
        )
        found = [to.debt_file(file) for file in page.items]
        return pb.ListDebtFilesResponse(debt_files=found, next_page_token=page.next_token, total_size=total)

    async def WatchDebtFile(self, request: pb.WatchDebtFileRequest, context: Any) -> AsyncGenerator[files.DebtFile]:
        async with aclosing(self._desk.watch(request.id)) as seen:
            async for file in seen:
                yield to.debt_file(file)

    async def CancelDebtFile(self, request: pb.CancelDebtFileRequest, context: Any) -> files.DebtFile:
        return to.debt_file(await self._desk.cancel(request.id))

    async def RollBackDebtFile(self, request: pb.RollBackDebtFileRequest, context: Any) -> files.DebtFile:
        return to.debt_file(await self._rollbacks.roll_back(request.id))

    async def ListDebtFileRejects(
        self, request: pb.ListDebtFileRejectsRequest, context: Any
    ) -> pb.ListDebtFileRejectsResponse:
        page = await self._desk.rejects(request.id, request.page_size, request.page_token)
        reasons = [] if request.page_token else await self._desk.reject_reasons(request.id)
        return pb.ListDebtFileRejectsResponse(
            rejects=map(to.reject, page.items),
            next_page_token=page.next_token,
            reasons=[pb.ListDebtFileRejectsResponse.ReasonCount(reason=name, rows=rows) for name, rows in reasons],
        )

    async def DownloadDebtFileRejects(
        self, request: pb.DownloadDebtFileRejectsRequest, context: Any
    ) -> AsyncGenerator[HttpBody]:
        async with aclosing(self._desk.rejects_csv(request.id)) as pieces:
            async for piece in pieces:
                yield HttpBody(content_type="text/csv; charset=utf-8", data=piece)

    async def CreateDebtFileProfile(
        self, request: pb.CreateDebtFileProfileRequest, context: Any
    ) -> files.DebtFileProfile:
        return to.profile(await self._profiles.create(request.profile.id, to.declared(request.profile)))

    async def GetDebtFileProfile(self, request: pb.GetDebtFileProfileRequest, context: Any) -> files.DebtFileProfile:
        return to.profile(await self._profiles.get(request.id))

    async def ListDebtFileProfiles(
        self, request: pb.ListDebtFileProfilesRequest, context: Any
    ) -> pb.ListDebtFileProfilesResponse:
        page = await self._profiles.list(request.page_size, request.page_token)
        return pb.ListDebtFileProfilesResponse(profiles=map(to.profile, page.items), next_page_token=page.next_token)

    async def DeleteDebtFileProfile(self, request: pb.DeleteDebtFileProfileRequest, context: Any) -> Empty:
        await self._profiles.delete(request.id)
        return Empty()

    async def ListDebts(self, request: pb.ListDebtsRequest, context: Any) -> pb.ListDebtsResponse:
        page = await self._desk.debts(to.debt_filter(request), request.page_size, request.page_token)
        return pb.ListDebtsResponse(debts=map(to.debt, page.items), next_page_token=page.next_token)

    async def GetDebt(self, request: pb.GetDebtRequest, context: Any) -> files.Debt:
        return to.debt(await self._desk.debt(request.id))
