"""The servicer of debts: message -> use case -> message."""

from typing import Any

from services.chassis.grpc.timestamps import timestamp
from services.ingestion.adapters.grpc.debt_mappers import debt
from services.ingestion.application.debts.statuses import DebtStatuses
from services.ingestion.domain.debts.debt_status import DebtStatus, StatusChange
from tocsin.ingestion.v1 import debt_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import Debt
from tocsin.ingestion.v1.debt_service_pb2_grpc import DebtServiceServicer


class DebtServicer(DebtServiceServicer):
    """See debt_service.proto."""

    def __init__(self, statuses: DebtStatuses) -> None:
        self._statuses = statuses

    async def UpdateDebt(self, request: pb.UpdateDebtRequest, context: Any) -> Debt:
        status = DebtStatus(request.status)
        return debt(await self._statuses.decide(request.id, status, request.note, request.expected_version))

    async def GetDebtHistory(self, request: pb.GetDebtHistoryRequest, context: Any) -> pb.GetDebtHistoryResponse:
        return pb.GetDebtHistoryResponse(changes=map(_change, await self._statuses.history(request.id)))


def _change(found: StatusChange) -> pb.DebtStatusChange:
    return pb.DebtStatusChange(
        status=Debt.Status.Name(found.status),
        change_time=timestamp(found.time),
        by=found.by,
        event=found.event,
        note=found.note,
    )
