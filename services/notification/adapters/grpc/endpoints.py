"""EndpointService and WebhookService over gRPC."""

from google.protobuf.empty_pb2 import Empty

from services.chassis.paging import PageTokens, page_limit
from services.notification.adapters.grpc import mappers
from services.notification.adapters.grpc.notifications import Context
from services.notification.adapters.grpc.positions import read_id
from services.notification.application.endpoints import Endpoints, Subscriptions
from services.notification.domain.notification import ChannelName
from tocsin.notification.v1 import endpoint_service_pb2 as endpoint_pb
from tocsin.notification.v1 import endpoint_service_pb2_grpc as endpoint_rpc
from tocsin.notification.v1 import notification_service_pb2, webhook_service_pb2_grpc
from tocsin.notification.v1 import webhook_service_pb2 as webhook_pb


class EndpointServicer(endpoint_rpc.EndpointServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def RegisterEndpoint(
        self, request: endpoint_pb.RegisterEndpointRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """See the contract."""
        channel = ChannelName(notification_service_pb2.Channel.Name(request.channel))
        kept = await self._endpoints.register(request.tenant, request.user, channel, request.address)
        return mappers.endpoint(kept.endpoint, request.tenant, request.user, kept.updated_at, secret=kept.new)

    async def ListEndpoints(
        self, request: endpoint_pb.ListEndpointsRequest, context: Context
    ) -> endpoint_pb.ListEndpointsResponse:
        """See the contract."""
        tokens = PageTokens("endpoints", tenant=request.tenant, user=request.user)
        limit = page_limit(request.page_size)
        after = read_id(tokens, request.page_token)
        found = await self._endpoints.page(request.tenant, request.user, limit=limit + 1, after=after)
        return endpoint_pb.ListEndpointsResponse(
            endpoints=[
                mappers.endpoint(point, request.tenant, request.user, updated_at, secret=False)
                for point, updated_at in found[:limit]
            ],
            next_page_token=tokens.next(found, limit, lambda pair: (pair[0].id,)),
        )

    async def RotateEndpointSecret(
        self, request: endpoint_pb.RotateEndpointSecretRequest, context: Context
    ) -> endpoint_pb.Endpoint:
        """See the contract."""
        tenant, user, overlap = request.tenant, request.user, mappers.overlap(request)
        kept = await self._endpoints.rotate_secret(tenant, user, request.id, overlap, expected=request.expected_version)
        return mappers.endpoint(kept.endpoint, tenant, user, kept.updated_at, secret=True)

    async def DeleteEndpoint(self, request: endpoint_pb.DeleteEndpointRequest, context: Context) -> Empty:
        """See the contract."""
        await self._endpoints.delete(request.tenant, request.user, request.id, expected=request.expected_version)
        return Empty()


class WebhookServicer(webhook_service_pb2_grpc.WebhookServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions

    async def CreateWebhookSubscription(
        self, request: webhook_pb.CreateWebhookSubscriptionRequest, context: Context
    ) -> webhook_pb.WebhookSubscription:
        """See the contract."""
        unknown = mappers.unknown_outcome(request.unknown_outcome)
        made = await self._subscriptions.create(request.url, request.event_types, unknown)
        return mappers.subscription(made, secret=True)

    async def GetWebhookSubscription(
        self, request: webhook_pb.GetWebhookSubscriptionRequest, context: Context
    ) -> webhook_pb.WebhookSubscription:
        """See the contract."""
        return mappers.subscription(await self._subscriptions.get(request.id))

    async def ListWebhookSubscriptions(
        self, request: webhook_pb.ListWebhookSubscriptionsRequest, context: Context
    ) -> webhook_pb.ListWebhookSubscriptionsResponse:
        """See the contract."""
        tokens = PageTokens("webhookSubscriptions")
        limit = page_limit(request.page_size)
        found = await self._subscriptions.page(limit=limit + 1, after=read_id(tokens, request.page_token))
        return webhook_pb.ListWebhookSubscriptionsResponse(
            subscriptions=[mappers.subscription(item) for item in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda item: (item.id,)),
        )

    async def EnableWebhookSubscription(
        self, request: webhook_pb.EnableWebhookSubscriptionRequest, context: Context
    ) -> webhook_pb.WebhookSubscription:
        """See the contract."""
        return mappers.subscription(await self._subscriptions.enable(request.id, expected=request.expected_version))

    async def RotateWebhookSecret(
        self, request: webhook_pb.RotateWebhookSecretRequest, context: Context
    ) -> webhook_pb.WebhookSubscription:
        """See the contract."""
        overlap, expected = mappers.overlap(request), request.expected_version
        rotated = await self._subscriptions.rotate_secret(request.id, overlap, expected=expected)
        return mappers.subscription(rotated, secret=True)

    async def DeleteWebhookSubscription(
        self, request: webhook_pb.DeleteWebhookSubscriptionRequest, context: Context
    ) -> Empty:
        """See the contract."""
        await self._subscriptions.delete(request.id, expected=request.expected_version)
        return Empty()
