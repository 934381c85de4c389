"""The servicer of vendor payloads: message -> use case -> message."""

from typing import Any

from services.ingestion.adapters.grpc import mappers as to
from services.ingestion.application.payloads import PayloadAccepted, Payloads
from tocsin.ingestion.v1 import payload_service_pb2 as pb
from tocsin.ingestion.v1.payload_service_pb2_grpc import PayloadServiceServicer


class PayloadServicer(PayloadServiceServicer):
    """See payload_service.proto."""

    def __init__(self, payloads: Payloads) -> None:
        self._payloads = payloads

    async def SubmitPayload(self, request: pb.SubmitPayloadRequest, context: Any) -> pb.SubmitPayloadResponse:
        return _accepted(await self._payloads.submit(request.format, request.payload.data))

    async def TestPayload(self, request: pb.TestPayloadRequest, context: Any) -> pb.TestPayloadResponse:
        tried = await self._payloads.test(request.format, request.payload.data)
        return pb.TestPayloadResponse(
            readings=[to.reading(item) for item in tried.readings],
            warnings=list(tried.warnings),
            errors=to.explained(tried.errors),
        )

    async def EmptyDevice(self, request: pb.EmptyDeviceRequest, context: Any) -> pb.EmptyDeviceResponse:
        return pb.EmptyDeviceResponse(reading=to.reading(await self._payloads.empty(request.device)))

    async def ListQuarantinedPayloads(
        self, request: pb.ListQuarantinedPayloadsRequest, context: Any
    ) -> pb.ListQuarantinedPayloadsResponse:
        page = await self._payloads.quarantined(request.format, request.page_size, request.page_token)
        return pb.ListQuarantinedPayloadsResponse(
            payloads=[to.quarantined(kept) for kept in page.items], next_page_token=page.next_token
        )

    async def ReplayQuarantinedPayload(
        self, request: pb.ReplayQuarantinedPayloadRequest, context: Any
    ) -> pb.SubmitPayloadResponse:
        return _accepted(await self._payloads.replay(request.id))


def _accepted(outcome: PayloadAccepted) -> pb.SubmitPayloadResponse:
    return pb.SubmitPayloadResponse(
        readings=[to.reading(item) for item in outcome.readings],
        priority=outcome.priority,
        conflicts=to.conflicts(outcome.conflicts),
    )
