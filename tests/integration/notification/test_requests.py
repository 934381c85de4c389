"""What trusted publishers ask for over NATS, on a real broker."""

import json
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from services.chassis.errors import Aborted, NotFound, PermissionDenied
from services.chassis.grpc.client import connect
from services.chassis.nats import NatsConnection
from services.chassis.nats.topology import (
    NOTIFICATIONS,
    notification_request_subject,
    notification_requests_stream,
    request_refused_subject,
)
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.nats import send_raw
from tests.support.notification import Service, letter_pb, pb, receipt_pb
from tocsin.events.v1.notifications_pb2 import NotificationRequestRefused, NotificationStatusChanged

FIRE = {"user": "ada", "type": "ALERT", "title": "Fire", "channel": "CONSOLE"}


async def ask(
    connection: NatsConnection, request: str, content: object, id_: str = "", *, tenant: str = "test", **headers: str
) -> None:
    """As a trusted publisher does it, waiting until it is durable."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    if id_:
        given["Nats-Msg-Id"] = id_
    if isinstance(content, Message):
        raw, given["content-type"] = content.SerializeToString(), "application/protobuf"
    else:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    subject = connection.names.subject(notification_request_subject(tenant, request))
    ack = await connection.js.publish(subject, raw, headers=given)
    assert ack.stream == notification_requests_stream(tenant)


async def settled(connection: NatsConnection, tenant: str = "test") -> None:
    """Every request has had its outcome."""

    async def empty() -> bool:
        return (await connection.js.stream_info(notification_requests_stream(tenant))).state.messages == 0

    await eventually(empty)


async def heard(connection: NatsConnection, subject: str) -> list[bytes]:
    """What has been told on a subject."""
    state = (await connection.js.stream_info(NOTIFICATIONS)).state
    found = [await connection.js.get_msg(NOTIFICATIONS, n) for n in range(max(state.first_seq, 1), state.last_seq + 1)]
    return [one.data or b"" for one in found if one.subject == subject]


async def refusals(connection: NatsConnection, count: int, tenant: str = "test") -> list[NotificationRequestRefused]:
    async def look() -> list[NotificationRequestRefused]:
        found = await heard(connection, request_refused_subject(tenant))
        assert len(found) == count
        return [NotificationRequestRefused.FromString(one) for one in found]

    return await eventually(look)


async def listed(service: Service, tenant: str = "test") -> list[pb.Notification]:
    answer = await service.notifications.ListNotifications(pb.ListNotificationsRequest(tenant=tenant, page_size=1000))
    return list(answer.notifications)


async def letters(service: Service, count: int, **wanted: Any) -> list[letter_pb.DeadLetter]:
    async def look() -> list[letter_pb.DeadLetter]:
        request = letter_pb.ListDeadLettersRequest(page_size=1000, **wanted)
        found = list((await service.letters.ListDeadLetters(request)).dead_letters)
        assert len(found) == count
        return found

    return await eventually(look)


async def test_a_request_is_sent_once_and_its_first_change_names_its_key(
    service: Service, nats_connection: NatsConnection
) -> None:
    for _ in range(2):
        await ask(nats_connection, "send", FIRE, "fire-1")
    # Past the broker's own memory of ids, too, and over the other way in.
    await ask(nats_connection, "send", FIRE, ce_id="fire-1")
    await settled(nats_connection)
    [made] = await listed(service)
    assert (await service.send(idempotency_key="fire-1")).id == made.id
    await service.becomes(made.id, "SENT")

    async def told() -> list[NotificationStatusChanged]:
        found = await heard(nats_connection, "tocsin.notifications.v1.status_changed.test")
        assert len(found) == 2
        return [NotificationStatusChanged.FromString(one) for one in found]

    changes = await eventually(told)
    assert [(one.notification, one.status, one.idempotency_key) for one in changes] == [
        (made.id, "PENDING", "fire-1"),
        (made.id, "SENT", ""),
    ]


async def test_protobuf_and_requests_without_an_id_are_taken_too(
    service: Service, nats_connection: NatsConnection
) -> None:
    request = pb.SendNotificationRequest(user="bob", type=pb.INFO, title="Hello", channel=pb.CONSOLE)
    await ask(nats_connection, "send", request)
    await ask(nats_connection, "send", request)
    await settled(nats_connection)
    assert [(one.user, one.title) for one in await listed(service)] == [("bob", "Hello")] * 2


async def test_the_same_id_of_another_tenant_is_another_request(
    service: Service, nats_connection: NatsConnection
) -> None:
    for tenant in ("test", "wellness"):
        await ask(nats_connection, "send", FIRE, "one", tenant=tenant)
    for tenant in ("test", "wellness"):
        await settled(nats_connection, tenant)
        assert len(await listed(service, tenant)) == 1


async def test_each_of_a_bulk_has_its_own_outcome_and_what_is_refused_can_be_retried_alone(
    service: Service, nats_connection: NatsConnection
) -> None:
    items = [
        FIRE,
        {**FIRE, "title": "a\nb"},
        {**FIRE, "channel": "EMAIL"},
        {**FIRE, "title": "Flood", "idempotencyKey": "own"},
    ]
    for _ in range(2):
        await ask(nats_connection, "send_bulk", {"notifications": items}, ce_id="bulk-1")
    await settled(nats_connection)
    assert sorted(one.title for one in await listed(service)) == ["Fire", "Flood"]
    # Redelivered or asked for again: each time it is told.
    told = await refusals(nats_connection, 4)
    assert {(one.request, one.index, one.reason, one.field) for one in told} == {
        ("bulk-1", 1, "INVALID_FIELD", "title"),
        ("bulk-1", 2, "CHANNEL_NOT_CONFIGURED", ""),
    }
    dead = await letters(service, 4, tenant="test")
    assert {one.subject for one in dead} == {"tocsin.notification_requests.v1.test.send"}
    assert {letter_pb.DeadLetter.ReasonClass.Name(one.reason_class) for one in dead} == {"BAD_CONTENT", "CONFIGURATION"}
    whole = await service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id=dead[0].id))
    assert json.loads(whole.payload_json)["tenant"] == "test"
    assert (await service.send(idempotency_key="own", title="Flood")).title == "Flood"
    assert len(await listed(service)) == 2


async def test_a_refused_item_that_has_become_possible_is_sent_by_a_retry(
    service: Service, nats_connection: NatsConnection
) -> None:
    to_nobody = {**FIRE, "channel": "WEBHOOK"}
    await ask(nats_connection, "send_bulk", {"notifications": [FIRE, to_nobody]}, "b")
    [dead] = await letters(service, 1)
    assert dead.reason.startswith("NO_ENDPOINT")
    await service.register("WEBHOOK", "http://127.0.0.1:9/nobody-listens")
    await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=dead.id))

    async def both() -> bool:
        return len(await listed(service)) == 2

    await eventually(both)


@pytest.mark.parametrize(
    ("request_", "content", "reason"),
    [
        ("send", b"{", "MALFORMED"),
        ("send", b"\xff\x00", "MALFORMED"),
        ("send", b"[" * 100_000, "MALFORMED"),
        ("send", {**FIRE, "unknown": 1}, "MALFORMED"),
        ("send", {**FIRE, "title": ""}, "INVALID_FIELD"),
        ("send", {**FIRE, "dryRun": True}, "INVALID_FIELD"),
        ("send", {**FIRE, "tenant": "wellness"}, "TENANT_DENIED"),
        ("send", {**FIRE, "data": {"x": "y" * 5000}}, "DATA_TOO_LARGE"),
        ("send_bulk", {"notifications": []}, "INVALID_FIELD"),
        ("shout", FIRE, "MALFORMED"),
        ("receipt", {"notification": "n"}, "INVALID_FIELD"),
    ],
)
async def test_what_is_refused_is_told_and_kept_once_and_holds_nobody_up(
    service: Service, nats_connection: NatsConnection, request_: str, content: object, reason: str
) -> None:
    await ask(nats_connection, request_, content, "bad", Tocsin_Tenant="wellness")
    await ask(nats_connection, "send", FIRE, "good")
    await settled(nats_connection)
    assert len(await listed(service)) == 1
    [refused] = await refusals(nats_connection, 1)
    assert (refused.tenant, refused.request, refused.reason, refused.HasField("index")) == (
        "test",
        "bad",
        reason,
        False,
    )
    [dead] = await letters(service, 1)
    # Of its own tenant, whatever the publisher has written into its headers.
    assert (dead.tenant, dead.service, dead.consumer) == ("test", "notification", "requests_test")
    assert dead.reason.startswith(f"{reason}: ")
    assert not await listed(service, "wellness")


async def test_another_form_than_json_and_protobuf_is_refused(
    service: Service, nats_connection: NatsConnection
) -> None:
    await ask(nats_connection, "send", b"<fire/>", "x", content_type="text/xml")
    [refused] = await refusals(nats_connection, 1)
    assert "text/xml" in refused.message


async def test_subjects_and_headers_that_are_no_text_hold_nobody_up(
    service: Service, nats_connection: NatsConnection
) -> None:
    subjects = ["'drop-é".encode(), b"\xff\xfe", b"a\x0bb", b"x" * 200]
    garbage = b"".join(b"PUB tocsin.notification_requests.v1.test.%s 2\r\n{}\r\n" % subject for subject in subjects)
    await send_raw(service.app.settings.nats_url, garbage)
    await ask(nats_connection, "send", FIRE)
    await settled(nats_connection)
    assert len(await listed(service)) == 1
    assert len(await letters(service, len(subjects))) == len(subjects)


async def test_while_the_service_is_away_requests_wait(
    open_service: OpenService, nats_connection: NatsConnection
) -> None:
    await ask(nats_connection, "send", FIRE, "early")
    async with open_service() as service:
        await settled(nats_connection)
        assert len(await listed(service)) == 1


def of(notification: pb.Notification, kind: str, seconds: int = 1, **more: Any) -> dict[str, Any]:
    at = notification.create_time.ToDatetime() + timedelta(seconds=seconds)
    return {
        "notification": notification.id,
        "receipt": f"{kind}-{seconds}",
        "kind": kind,
        "channel": "CONSOLE",
        "occurTime": f"{at.isoformat()}Z",
        **more,
    }


async def test_receipts_over_nats_change_what_they_are_about_and_are_told(
    service: Service, nats_connection: NatsConnection
) -> None:
    made = await service.becomes((await service.send(wait=True)).id, "SENT")
    await ask(nats_connection, "receipt", of(made, "DELIVERED"))
    await ask(nats_connection, "receipt", of(made, "BOUNCED", 2, detail="no such user"))
    failed = await service.becomes(made.id, "FAILED")
    assert failed.error == "RECEIPT_BOUNCED: no such user"
    # What is older, and what was reported before, changes nothing, whichever way it comes.
    await ask(nats_connection, "receipt", of(made, "DELIVERED"))
    await settled(nats_connection)
    assert (await service.get(made.id)).version == failed.version
    [dead] = await letters(service, 1)
    assert dead.reason.startswith("RECEIPT_BOUNCED: ")
    told = await heard(nats_connection, "tocsin.notifications.v1.status_changed.test")
    assert [NotificationStatusChanged.FromString(one).status for one in told][-1] == "FAILED"


async def test_receipts_that_cannot_be_applied_over_nats_are_told_with_the_reason(
    service: Service, nats_connection: NatsConnection
) -> None:
    made = await service.becomes((await service.send(wait=True)).id, "SENT")
    await ask(nats_connection, "receipt", of(made, "BOUNCED", expectedVersion=7), "conflict")
    await ask(nats_connection, "receipt", of(made, "BOUNCED"), "foreign", tenant="wellness")
    [refused] = await refusals(nats_connection, 1)
    assert refused.reason == "VERSION_CONFLICT"
    assert dict(refused.metadata) == {"id": made.id, "expected": "7", "current": str(made.version)}
    [unknown] = await refusals(nats_connection, 1, "wellness")
    assert unknown.reason == "NOT_FOUND"
    assert {one.tenant for one in await letters(service, 2)} == {"test", "wellness"}
    assert (await service.get(made.id)).version == made.version


async def test_receipts_by_call_have_a_scope_of_their_own(service: Service) -> None:
    made = await service.becomes((await service.send(wait=True)).id, "SENT")
    request = receipt_pb.ApplyDeliveryReceiptRequest(
        notification=made.id,
        tenant="test",
        receipt="r1",
        kind=receipt_pb.ApplyDeliveryReceiptRequest.DELIVERED,
        channel=pb.CONSOLE,
        occur_time=made.create_time,
    )
    answer = await service.receipts.ApplyDeliveryReceipt(request)
    assert answer.effect == receipt_pb.ApplyDeliveryReceiptResponse.APPLIED
    assert (answer.notification.version, answer.notification.delivery_time) == (made.version + 1, made.create_time)
    again = await service.receipts.ApplyDeliveryReceipt(request)
    assert again.effect == receipt_pb.ApplyDeliveryReceiptResponse.REPEATED
    stale = receipt_pb.ApplyDeliveryReceiptRequest()
    stale.CopyFrom(request)
    stale.receipt, stale.expected_version = "r2", 1
    with pytest.raises(Aborted) as conflict:
        await service.receipts.ApplyDeliveryReceipt(stale)
    assert conflict.value.reason == "VERSION_CONFLICT"
    assert conflict.value.metadata["current"] == str(made.version + 1)
    foreign = receipt_pb.ApplyDeliveryReceiptRequest()
    foreign.CopyFrom(request)
    foreign.tenant = "wellness"
    for tenant, scope, asked, error in (
        ("test", "notifications:write", request, PermissionDenied),
        ("wellness", "receipts:write", request, PermissionDenied),
        ("wellness", "receipts:write", foreign, NotFound),
    ):
        token = service.issuer.mint([scope], tenants=[tenant])
        async with connect(f"127.0.0.1:{service.app.server.port}", token=lambda token=token: token) as channel:
            service.use(channel)
            with pytest.raises(error):
                await service.receipts.ApplyDeliveryReceipt(asked)
    service.use(service.channel)
