"""DeliveryReceiptService over gRPC."""

import grpc.aio

from services.notification.adapters.grpc import mappers
from services.notification.application.receipts import Receipts
from tocsin.notification.v1 import delivery_receipt_service_pb2 as pb
from tocsin.notification.v1 import delivery_receipt_service_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[object, object]


class DeliveryReceiptServicer(rpc.DeliveryReceiptServiceServicer):
    """Messages in, commands to the use case, messages out."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts

    async def ApplyDeliveryReceipt(
        self, request: pb.ApplyDeliveryReceiptRequest, context: Context
    ) -> pb.ApplyDeliveryReceiptResponse:
        """See the contract."""
        effect, notification = await self._receipts.apply(mappers.receipt(request))
        return pb.ApplyDeliveryReceiptResponse(effect=effect.value, notification=mappers.notification(notification))
