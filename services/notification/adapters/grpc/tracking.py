"""TrackingService over gRPC."""

from google.protobuf.empty_pb2 import Empty

from services.notification.adapters.grpc.notifications import Context
from services.notification.application.openings import Openings
from tocsin.notification.v1 import tracking_service_pb2 as pb
from tocsin.notification.v1 import tracking_service_pb2_grpc as rpc


class TrackingServicer(rpc.TrackingServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, openings: Openings) -> None:
        self._openings = openings

    async def FollowLink(self, request: pb.FollowLinkRequest, context: Context) -> pb.FollowLinkResponse:
        """See the contract."""
        return pb.FollowLinkResponse(url=await self._openings.follow(request.token, look_only=request.look_only))

    async def ViewPixel(self, request: pb.ViewPixelRequest, context: Context) -> Empty:
        """See the contract."""
        await self._openings.view(request.token)
        return Empty()
