"""NotificationService over gRPC."""

import grpc.aio

from services.chassis.errors import DomainError, InvalidArgument
from services.chassis.paging import PageTokens, page_limit
from services.notification.adapters.grpc import mappers
from services.notification.adapters.grpc.drafts import judged_items
from services.notification.adapters.grpc.positions import read_own_position
from services.notification.application.inbox import Inbox
from services.notification.application.sending import Sender, SendNotification
from services.notification.domain.notification import Notification
from tocsin.notification.v1 import notification_service_pb2 as pb
from tocsin.notification.v1 import notification_service_pb2_grpc as rpc

DEFAULT_PAGE = 20
MAX_RETRIED = 1000
Context = grpc.aio.ServicerContext[object, object]


class NotificationServicer(rpc.NotificationServiceServicer):
    """Messages in, commands to the use cases, messages out."""

    def __init__(self, sender: Sender, inbox: Inbox) -> None:
        self._sender = sender
        self._inbox = inbox

    async def SendNotification(self, request: pb.SendNotificationRequest, context: Context) -> pb.Notification:
        """See the contract."""
        command = SendNotification(mappers.draft(request), wait=request.wait, dry_run=request.dry_run)
        return mappers.notification(await self._sender.send(command))

    async def SendBulkNotifications(
        self, request: pb.SendBulkNotificationsRequest, context: Context
    ) -> pb.SendBulkNotificationsResponse:
        """See the contract."""
        outcomes = await self._sender.send_bulk(list(judged_items(request)))
        return pb.SendBulkNotificationsResponse(
            outcomes=[_outcome(index, outcome) for index, outcome in enumerate(outcomes)],
            accepted=sum(isinstance(outcome, Notification) for outcome in outcomes),
        )

    async def GetNotification(self, request: pb.GetNotificationRequest, context: Context) -> pb.Notification:
        """See the contract."""
        return mappers.notification(await self._inbox.get(request.tenant, request.id))

    async def ListNotifications(
        self, request: pb.ListNotificationsRequest, context: Context
    ) -> pb.ListNotificationsResponse:
        """See the contract."""
        wanted = mappers.notification_filter(request)
        tokens = PageTokens(
            "notifications",
            tenant=wanted.tenant,
            user=wanted.user,
            status=wanted.status,
            unread=wanted.unread,
            since=wanted.since,
            until=wanted.until,
        )
        limit = page_limit(request.page_size, default=DEFAULT_PAGE)
        after = read_own_position(tokens, request.page_token)
        found = await self._inbox.page(wanted, limit=limit + 1, after=after)
        return pb.ListNotificationsResponse(
            notifications=[mappers.notification(item) for item in found[:limit]],
            next_page_token=tokens.next(found, limit, lambda item: (item.created_at.isoformat(), item.id)),
        )

    async def MarkNotificationRead(self, request: pb.MarkNotificationReadRequest, context: Context) -> pb.Notification:
        """See the contract."""
        read = await self._inbox.mark_read(request.tenant, request.id, request.expected_version)
        return mappers.notification(read)

    async def MarkNotificationOpened(
        self, request: pb.MarkNotificationOpenedRequest, context: Context
    ) -> pb.Notification:
        """See the contract."""
        opened = await self._inbox.mark_read(request.tenant, request.id, request.expected_version, opened=True)
        return mappers.notification(opened)

    async def MarkAllNotificationsRead(
        self, request: pb.MarkAllNotificationsReadRequest, context: Context
    ) -> pb.MarkAllNotificationsReadResponse:
        """See the contract."""
        until = mappers.time_of(request, "until")
        marked = await self._inbox.mark_all_read(request.tenant, request.user, until)
        return pb.MarkAllNotificationsReadResponse(marked=marked)

    async def RetryNotifications(
        self, request: pb.RetryNotificationsRequest, context: Context
    ) -> pb.RetryNotificationsResponse:
        """See the contract."""
        wanted = mappers.abandoned_filter(request)
        retried, more = await self._inbox.retry(wanted, request.limit or MAX_RETRIED, dry_run=request.dry_run)
        return pb.RetryNotificationsResponse(retried=retried, more=more)


def _outcome(index: int, outcome: Notification | DomainError) -> pb.SendBulkNotificationsResponse.Outcome:
    if isinstance(outcome, Notification):
        return pb.SendBulkNotificationsResponse.Outcome(index=index, id=outcome.id)
    violations = outcome.violations if isinstance(outcome, InvalidArgument) else ()
    return pb.SendBulkNotificationsResponse.Outcome(
        index=index,
        reason=outcome.reason,
        field=violations[0].field if violations else "",
        message=outcome.message,
    )
