"""The servicer of video alerts: message -> use case -> message."""

from typing import Any

from services.ingestion.adapters.grpc import mappers as to
from services.ingestion.application.alerts import AlertDesk
from tocsin.ingestion.v1 import alert_service_pb2 as pb
from tocsin.ingestion.v1.alert_service_pb2_grpc import AlertServiceServicer


class AlertServicer(AlertServiceServicer):
    """See alert_service.proto."""

    def __init__(self, desk: AlertDesk) -> None:
        self._desk = desk

    async def CreateAlert(self, request: pb.CreateAlertRequest, context: Any) -> pb.Alert:
        return to.alert(await self._desk.create(to.new_alert(request)))

    async def GetAlert(self, request: pb.GetAlertRequest, context: Any) -> pb.Alert:
        return to.alert(await self._desk.get(request.uid))

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        state = to.alert_state(request.state)
        page = await self._desk.list(request.store, state, request.page_size, request.page_token)
        return pb.ListAlertsResponse(alerts=to.alerts(page.items), next_page_token=page.next_token)
