"""Bad input over gRPC: a precise error, and nothing changed."""

from typing import Any

import grpc.aio
import pytest
from google.protobuf.struct_pb2 import Struct, Value

from services.chassis.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from services.chassis.grpc.client import connect
from tests.support.notification import ALERT, Service, endpoint_pb, invoice_pb, letter_pb, pb, webhook_pb

BAD_IDS = ["", "a.b", "a b", "*", ">", "a'b", 'a"b', "a\x00b", "-a", "a" * 64, "ü", "a/b", "a\nb", "x" * 10_000]
TABLES = (
    '"notification_test".notifications',
    '"notification_test".endpoints',
    '"notification_test".idempotency_keys',
    "deliveries",
    "rate_slots",
    "outbox",
    "webhook_subscriptions",
    "invoices",
)

BAD_USERS = ("", "a/b", "a\\b", ".", "..", " a", "a ", "a\nb", "a\u200bb", "a\u202eb", "x" * 256)
"""Ids of identity providers are data; these are none."""


async def unchanged(service: Service) -> None:
    counts = {table: await service.value(f"SELECT count(*) FROM {table}") for table in TABLES}
    assert set(counts.values()) == {0}, counts


def valid(**more: Any) -> pb.SendNotificationRequest:
    return pb.SendNotificationRequest(**{"tenant": "test", "user": "ada", "type": ALERT, "title": "t", **more})


def nan() -> Struct:
    data = Struct()
    data.fields["deep"].struct_value.fields["x"].CopyFrom(Value(number_value=float("nan")))
    return data


def large() -> Struct:
    data = Struct()
    data["text"] = "x" * 4096
    return data


CASES: list[tuple[dict[str, Any], str, str]] = [
    *(({"tenant": bad}, "tenant", "INVALID_FIELD") for bad in BAD_IDS),
    *(({"user": bad}, "user", "INVALID_FIELD") for bad in BAD_USERS),
    ({"type": 0}, "type", "INVALID_FIELD"),
    ({"type": 99}, "type", "INVALID_FIELD"),
    ({"title": ""}, "title", "INVALID_FIELD"),
    ({"title": "x" * 201}, "title", "INVALID_FIELD"),
    ({"title": "a\nb"}, "title", "INVALID_FIELD"),
    ({"title": "a\x00b"}, "title", "INVALID_FIELD"),
    ({"body": "x" * 4001}, "body", "INVALID_FIELD"),
    ({"body": "a\x00b"}, "body", "INVALID_FIELD"),
    ({"body": "a\x1b[31mb"}, "body", "INVALID_FIELD"),
    ({"body": "a\u009b31mb"}, "body", "INVALID_FIELD"),
    ({"channel": 99}, "channel", "INVALID_FIELD"),
    ({"idempotency_key": "k" * 256}, "idempotencyKey", "INVALID_FIELD"),
    ({"idempotency_key": "k\x00"}, "idempotencyKey", "INVALID_FIELD"),
    ({"data": nan()}, "data", "INVALID_FIELD"),
    ({"data": large()}, "data", "DATA_TOO_LARGE"),
]


async def test_notifications(service: Service) -> None:
    for more, field, reason in CASES:
        for wait in (False, True):
            with pytest.raises(InvalidArgument) as refused:
                await service.notifications.SendNotification(valid(**more, wait=wait))
            assert refused.value.violations[0].field == field
            assert refused.value.reason == reason
        bulk = await service.notifications.SendBulkNotifications(
            pb.SendBulkNotificationsRequest(notifications=[valid(**more)])
        )
        assert (bulk.outcomes[0].reason, bulk.outcomes[0].field, bulk.accepted) == (reason, field, 0)
    await unchanged(service)


async def test_others(service: Service) -> None:
    register, create = service.endpoints.RegisterEndpoint, service.webhooks.CreateWebhookSubscription

    def point(**more: Any) -> endpoint_pb.RegisterEndpointRequest:
        return endpoint_pb.RegisterEndpointRequest(
            **{"tenant": "test", "user": "ada", "channel": pb.Channel.EMAIL, "address": "a@b.c", **more}
        )

    def subscription(**more: Any) -> webhook_pb.CreateWebhookSubscriptionRequest:
        return webhook_pb.CreateWebhookSubscriptionRequest(
            **{"url": "https://example.org/", "event_types": ["tocsin.events.v1.VideoProbed"], **more}
        )

    cases: list[tuple[Any, Any, str]] = [
        (register, point(channel=pb.Channel.CONSOLE), "channel"),
        (register, point(channel=0), "channel"),
        (register, point(address=""), "address"),
        (register, point(address="a b@c.d"), "address"),
        (register, point(address="no-address"), "address"),
        (register, point(address="a@b>c"), "address"),
        (register, point(channel=pb.Channel.FCM, address='t"oken'), "address"),
        (register, point(channel=pb.Channel.FCM, address="t" * 4097), "address"),
        (register, point(channel=pb.Channel.WEBHOOK, address="ftp://example.org"), "address"),
        (register, point(channel=pb.Channel.WEBHOOK, address="https://"), "address"),
        (create, subscription(url="javascript:alert(1)"), "url"),
        (create, subscription(url="https://exa mple.org/"), "url"),
        (create, subscription(url="https://example.org/" + "x" * 2048), "url"),
        (create, subscription(event_types=[]), "eventTypes"),
        (create, subscription(event_types=["tocsin.events.v1.DebtsRegistered"]), "eventTypes[0]"),
        (create, subscription(event_types=["tocsin.events.v1.VideoProbed"] * 2), "eventTypes"),
        (service.notifications.ListNotifications, pb.ListNotificationsRequest(tenant="test", page_size=-1), "pageSize"),
        (
            service.notifications.ListNotifications,
            pb.ListNotificationsRequest(tenant="test", page_token="!"),
            "pageToken",
        ),
        (service.notifications.GetNotification, pb.GetNotificationRequest(tenant="test", id="a.b"), "id"),
        (service.invoices.GetInvoice, invoice_pb.GetInvoiceRequest(debt="*"), "debt"),
        (service.invoices.ListInvoices, invoice_pb.ListInvoicesRequest(debt_file="a b"), "debtFile"),
        (service.letters.ListDeadLetters, letter_pb.ListDeadLettersRequest(service=">"), "service"),
        (service.letters.RetryDeadLetter, letter_pb.RetryDeadLetterRequest(id=""), "id"),
    ]
    for call, request, field in cases:
        with pytest.raises(InvalidArgument) as refused:
            await call(request)
        assert refused.value.violations[0].field == field, request
    for id_ in ("nothing", "0", "01a20270-b1bf-701a-bb2a-d9784e88e52a"):
        with pytest.raises(NotFound):
            await service.get(id_)
        with pytest.raises(NotFound):
            await service.notifications.MarkNotificationRead(pb.MarkNotificationReadRequest(tenant="test", id=id_))
        with pytest.raises(NotFound):
            await service.endpoints.DeleteEndpoint(endpoint_pb.DeleteEndpointRequest(tenant="test", user="ada", id=id_))
    await unchanged(service)


async def test_requests_that_are_too_large_or_no_protobuf(service: Service) -> None:
    token = service.issuer.mint()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.app.server.port}") as channel:
        call = channel.unary_unary("/tocsin.notification.v1.NotificationService/SendNotification")
        metadata = (("authorization", f"Bearer {token}"),)
        with pytest.raises(grpc.aio.AioRpcError) as large_one:
            await call(valid(body="x" * 10_000_000).SerializeToString(), metadata=metadata)
        assert large_one.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        for payload in (b"\xff\xff\xff", b"\x12\x02\xc3\x28"):
            with pytest.raises(grpc.aio.AioRpcError) as broken:
                await call(payload, metadata=metadata)
            assert broken.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await unchanged(service)


async def test_tokens(service: Service) -> None:
    port = service.app.server.port
    for token, kind in (
        ("", Unauthenticated),
        ("nonsense", Unauthenticated),
        (service.issuer.mint(["notifications:read"]), PermissionDenied),
        (service.issuer.mint(["*"], tenants=[]), PermissionDenied),
    ):
        async with connect(f"127.0.0.1:{port}", token=lambda token=token: token) as channel:
            service.use(channel)
            with pytest.raises(kind):
                await service.send()
            with pytest.raises((kind, PermissionDenied)):
                await service.register("EMAIL", "a@b.c")
    service.use(service.channel)
    await unchanged(service)
