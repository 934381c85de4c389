"""The servicer of video alerts: message -> use case -> message."""

from typing import Any

from services.chassis.errors import DomainError, InvalidArgument
from services.chassis.grpc import validation
from services.ingestion.adapters.grpc import mappers as to
from services.ingestion.application.alert_history import AlertHistories
from services.ingestion.application.alerts import AlertDesk
from services.ingestion.domain.alert import Alert
from services.ingestion.domain.reading import Rejection
from tocsin.ingestion.v1 import alert_service_pb2 as pb
from tocsin.ingestion.v1.alert_service_pb2_grpc import AlertServiceServicer


class AlertServicer(AlertServiceServicer):
    """See alert_service.proto."""

    def __init__(self, desk: AlertDesk, histories: AlertHistories) -> None:
        self._desk, self._histories = desk, histories

    async def CreateAlert(self, request: pb.CreateAlertRequest, context: Any) -> pb.Alert:
        return to.alert(await self._desk.create(to.new_alert(request), dry_run=request.dry_run))

    async def BatchCreateAlerts(
        self, request: pb.BatchCreateAlertsRequest, context: Any
    ) -> pb.BatchCreateAlertsResponse:
        outcomes = await self._desk.create_many([_judged(item) for item in request.alerts], dry_run=request.dry_run)
        refused = [Rejection(place, one) for place, one in enumerate(outcomes) if isinstance(one, DomainError)]
        accepted = [one for one in outcomes if isinstance(one, Alert)]
        return pb.BatchCreateAlertsResponse(alerts=to.alerts(accepted), rejections=to.explained(refused))

    async def GetAlert(self, request: pb.GetAlertRequest, context: Any) -> pb.Alert:
        return to.alert(await self._desk.get(request.uid))

    async def GetAlertHistory(self, request: pb.GetAlertHistoryRequest, context: Any) -> pb.GetAlertHistoryResponse:
        return to.alert_history(await self._histories.tell(request.uid))

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        page = await self._desk.list(to.alert_filter(request), request.page_size, request.page_token)
        return pb.ListAlertsResponse(alerts=to.alerts(page.items), next_page_token=page.next_token)


def _judged(item: pb.CreateAlertRequest) -> Alert | DomainError:
    """The alert of an item, or why it is none."""
    if found := validation.violations(item):
        return InvalidArgument(violations=found, reason="INVALID_FIELD")
    return to.new_alert(item)
