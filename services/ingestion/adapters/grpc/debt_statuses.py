"""The servicer of debts: message -> use case -> message."""

from typing import Any

from services.chassis.grpc.timestamps import timestamp
from services.ingestion.adapters.grpc.debt_mappers import debt
from services.ingestion.application.debts.erasures import DebtErasures
from services.ingestion.application.debts.statuses import DebtStatuses
from services.ingestion.domain.debts.debt_status import DebtStatus, StatusChange
from services.ingestion.domain.debts.erasure import Erasure, ErasureKind, Wanted
from services.ingestion.domain.errors import InvalidField
from tocsin.ingestion.v1 import debt_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import Debt
from tocsin.ingestion.v1.debt_service_pb2_grpc import DebtServiceServicer


class DebtServicer(DebtServiceServicer):
    """See debt_service.proto."""

    def __init__(self, statuses: DebtStatuses, erasures: DebtErasures) -> None:
        self._statuses, self._erasures = statuses, erasures

    async def UpdateDebt(self, request: pb.UpdateDebtRequest, context: Any) -> Debt:
        status = DebtStatus(request.status)
        return debt(await self._statuses.decide(request.id, status, request.note, request.expected_version))

    async def GetDebtHistory(self, request: pb.GetDebtHistoryRequest, context: Any) -> pb.GetDebtHistoryResponse:
        return pb.GetDebtHistoryResponse(changes=map(_change, await self._statuses.history(request.id)))

    async def EraseDebtorData(self, request: pb.EraseDebtorDataRequest, context: Any) -> pb.DebtErasure:
        return _erasure(await self._erasures.erase(_wanted(request), request.note))

    async def GetDebtErasure(self, request: pb.GetDebtErasureRequest, context: Any) -> pb.DebtErasure:
        return _erasure(await self._erasures.get(request.id))

    async def ListDebtErasures(self, request: pb.ListDebtErasuresRequest, context: Any) -> pb.ListDebtErasuresResponse:
        page = await self._erasures.list(request.page_size, request.page_token)
        return pb.ListDebtErasuresResponse(erasures=map(_erasure, page.items), next_page_token=page.next_token)


def _change(found: StatusChange) -> pb.DebtStatusChange:
    return pb.DebtStatusChange(
        status=Debt.Status.Name(found.status),
        change_time=timestamp(found.time),
        by=found.by,
        event=found.event,
        note=found.note,
    )


def _wanted(request: pb.EraseDebtorDataRequest) -> Wanted:
    """Raises InvalidField."""
    given = {
        ErasureKind.DEBTS: tuple(dict.fromkeys(request.debts)),
        ErasureKind.GOVERNMENT_ID: tuple(filter(None, [request.government_id.strip()])),
        ErasureKind.EMAIL: tuple(filter(None, [request.email.strip()])),
    }
    kinds = [kind for kind, values in given.items() if values]
    if len(kinds) != 1:
        raise InvalidField("debts", "exactly one of debts, governmentId and email says whose data is erased")
    return Wanted(kinds[0], given[kinds[0]])


def _erasure(found: Erasure) -> pb.DebtErasure:
    return pb.DebtErasure(
        id=found.id,
        state=pb.DebtErasure.State.RUNNING if found.complete_time is None else pb.DebtErasure.State.COMPLETED,
        kind=found.kind.value,
        by=found.by,
        note=found.note,
        create_time=timestamp(found.create_time),
        complete_time=timestamp(found.complete_time),
        debts=found.counts.debts,
        rejects=found.counts.rejects,
        invoices=found.counts.invoices,
        documents=found.counts.documents,
        dead_letters=found.counts.dead_letters,
    )
