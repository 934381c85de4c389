"""Sending over gRPC: channels, waiting, dry runs, idempotency, bulks, tenants, retries."""

import json
from datetime import timedelta
from typing import Any

import pytest

from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.chassis.grpc.client import connect
from services.chassis.nats import NatsConnection
from services.chassis.nats.topology import NOTIFICATIONS
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.fcm import Fcm
from tests.support.mailbox import Mailbox, mail_text
from tests.support.notification import ALERT, Service, endpoint_pb, pb
from tests.support.receiver import Receiver
from tocsin.events.v1 import notifications_pb2


async def test_a_waiting_call_answers_after_the_attempt(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    sent = await service.send(wait=True, body="In room 3", data={"floor": 2})
    assert sent.status == pb.Notification.SENT
    assert sent.channel == pb.Channel.CONSOLE
    assert sent.attempts == 1
    assert sent.HasField("send_time")
    assert sent.version == 2
    assert await service.get(sent.id) == sent
    assert "[ALERT] Fire" in capsys.readouterr().out


async def test_queued_work_is_sent_and_every_change_is_told_in_order(
    service: Service, nats_connection: NatsConnection
) -> None:
    accepted = await service.send()
    assert accepted.status == pb.Notification.PENDING
    await service.becomes(accepted.id, "SENT")

    async def told() -> list[tuple[str, int]]:
        info = await nats_connection.js.stream_info(NOTIFICATIONS)
        found = []
        for sequence in range(1, info.state.messages + 1):
            raw = await nats_connection.js.get_msg(NOTIFICATIONS, sequence)
            event = notifications_pb2.NotificationStatusChanged.FromString(raw.data or b"")
            assert event.notification == accepted.id
            found.append((event.status, event.version))
        assert len(found) == 2
        return found

    assert await eventually(told) == [("PENDING", 1), ("SENT", 2)]


async def test_a_dry_run_shows_and_keeps_nothing(service: Service) -> None:
    shown = await service.send(dry_run=True, wait=True)
    assert (shown.id, shown.channel, shown.title) == ("", pb.Channel.CONSOLE, "Fire")
    assert await service.value('SELECT count(*) FROM "notification_test".notifications') == 0
    assert await service.value("SELECT count(*) FROM deliveries") == 0
    assert await service.value("SELECT count(*) FROM outbox") == 0


async def test_the_channel_follows_from_the_addresses(
    open_service: OpenService, mailbox: Mailbox, fcm: Fcm, receiver: Receiver
) -> None:
    async with open_service(
        smtp_host="127.0.0.1", smtp_port=mailbox.port, fcm_account_file=fcm.account_file, fcm_base_url=fcm.url
    ) as service:
        chosen = []
        for channel, address in (
            ("WEBHOOK", f"{receiver.url}/hook"),
            ("EMAIL", "ada@example.org"),
            ("FCM", "token-1"),
        ):
            await service.register(channel, address)
            chosen.append((await service.send(dry_run=True)).channel)
        assert chosen == [pb.Channel.WEBHOOK, pb.Channel.EMAIL, pb.Channel.FCM]
        for channel in chosen:
            sent = await service.send(wait=True, channel=channel, body="Out!\nNow", data={"floor": 2, "who": "Zoë"})
            assert sent.status == pb.Notification.SENT, sent
        assert fcm.messages[0]["token"] == "token-1"
        assert json.loads(fcm.messages[0]["data"]["data"]) == {"floor": 2, "who": "Zoë"}
        [mail] = mailbox.messages
        assert mail["To"] == "ada@example.org"
        assert mail["Subject"] == "Fire"
        assert mail_text(mail, "plain").splitlines() == ["Out!", "Now"]
        assert "<h2>Fire</h2>" in mail_text(mail, "html")
        assert len(receiver.hooks) == 1
        points = (await service.endpoints.ListEndpoints(_list())).endpoints
        assert [point.secret for point in points] == ["", "", ""]


def _list() -> object:
    return endpoint_pb.ListEndpointsRequest(tenant="test", user="ada")


async def test_a_webhook_of_a_user_is_signed(service: Service, receiver: Receiver) -> None:
    point = await service.register("WEBHOOK", f"{receiver.url}/hook")
    assert point.secret.startswith("whsec_")
    again = await service.register("WEBHOOK", f"{receiver.url}/hook")
    assert (again.id, again.secret) == (point.id, "")
    sent = await service.send(wait=True, data={"a": 1})
    [hook] = receiver.hooks
    content = hook.verify(point.secret)
    assert content["data"]["id"] == sent.id == hook.id
    assert content["data"]["data"] == {"a": 1}


async def test_what_cannot_be_sent_is_refused_at_the_door(service: Service) -> None:
    with pytest.raises(FailedPrecondition) as none:
        await service.send(channel=pb.Channel.WEBHOOK)
    assert none.value.reason == "NO_ENDPOINT"
    assert none.value.metadata == {"user": "ada", "channel": "WEBHOOK"}
    for channel in ("EMAIL", "FCM"):
        with pytest.raises(FailedPrecondition) as missing:
            await service.send(channel=pb.Channel.Value(channel))
        assert missing.value.reason == "CHANNEL_NOT_CONFIGURED"
    assert await service.value("SELECT count(*) FROM deliveries") == 0


async def test_a_bulk_judges_each_item_alone(service: Service) -> None:
    def item(**more: Any) -> pb.SendNotificationRequest:
        usual: dict[str, Any] = {"tenant": "test", "user": "u", "type": ALERT, "title": "t", "channel": 1}
        return pb.SendNotificationRequest(**usual | more)

    key = item(idempotency_key="k")
    answer = await service.notifications.SendBulkNotifications(
        pb.SendBulkNotificationsRequest(
            notifications=[
                item(),
                item(user="a/b"),
                item(tenant="nobody"),
                item(channel=pb.Channel.FCM),
                key,
                key,
                item(idempotency_key="k", title="other"),
                item(tenant="wellness"),
                item(data={"long": "x" * 5000}),
            ]
        )
    )
    assert [(outcome.index, outcome.reason, outcome.field) for outcome in answer.outcomes] == [
        (0, "", ""),
        (1, "INVALID_FIELD", "user"),
        (2, "TENANT_UNKNOWN", ""),
        (3, "CHANNEL_NOT_CONFIGURED", ""),
        (4, "", ""),
        (5, "", ""),
        (6, "IDEMPOTENCY_CONFLICT", ""),
        (7, "", ""),
        (8, "DATA_TOO_LARGE", "data"),
    ]
    assert answer.accepted == 4
    assert answer.outcomes[4].id == answer.outcomes[5].id
    for outcome, tenant in ((answer.outcomes[0], "test"), (answer.outcomes[7], "wellness")):
        await service.becomes(outcome.id, "SENT", tenant=tenant)
    again = await service.notifications.SendBulkNotifications(pb.SendBulkNotificationsRequest(notifications=[key]))
    assert again.outcomes[0].id == answer.outcomes[4].id


async def test_tenants_are_kept_apart(service: Service) -> None:
    sent = await service.send(wait=True)
    with pytest.raises(NotFound):
        await service.get(sent.id, "wellness")
    with pytest.raises(NotFound) as unknown:
        await service.send(tenant="nobody")
    assert unknown.value.reason == "TENANT_UNKNOWN"
    assert unknown.value.metadata == {"tenant": "nobody", "known": "test wellness"}
    token = service.issuer.mint(tenants=["wellness"])
    async with connect(f"127.0.0.1:{service.app.server.port}", token=lambda: token) as channel:
        service.use(channel)
        for tenant in ("test", "nobody"):
            with pytest.raises(PermissionDenied) as forbidden:
                await service.send(tenant=tenant)
            assert forbidden.value.reason == "TENANT_DENIED"
            with pytest.raises(PermissionDenied):
                await service.get(sent.id, tenant)
        assert (await service.send(tenant="wellness", wait=True)).status == pb.Notification.SENT
        bulk = await service.notifications.SendBulkNotifications(
            pb.SendBulkNotificationsRequest(
                notifications=[
                    pb.SendNotificationRequest(tenant=tenant, user="u", type=ALERT, title="t", channel=1)
                    for tenant in ("test", "wellness")
                ]
            )
        )
        assert [outcome.reason for outcome in bulk.outcomes] == ["TENANT_DENIED", ""]


async def test_reading_pages_and_marking_read(service: Service) -> None:
    ids = []
    for place in range(5):
        ids.append((await service.send("eve", wait=True, title=f"n{place}")).id)
        service.clock.time += timedelta(seconds=1)
    await service.send("bob", wait=True)

    async def pages(size: int, **more: Any) -> list[list[str]]:
        found: list[list[str]] = []
        token = ""
        while True:
            request = pb.ListNotificationsRequest(tenant="test", user="eve", page_size=size, page_token=token, **more)
            answer = await service.notifications.ListNotifications(request)
            found.append([item.id for item in answer.notifications])
            token = answer.next_page_token
            if not token:
                return found

    newest = ids[::-1]
    assert await pages(2) == [newest[:2], newest[2:4], newest[4:]]
    assert await pages(0) == [newest]
    assert await pages(0, status=pb.Notification.FAILED) == [[]]
    mark = pb.MarkNotificationReadRequest(tenant="test", id=ids[1])
    read = await service.notifications.MarkNotificationRead(mark)
    assert read.HasField("read_time")
    assert read.version == 3
    service.clock.time += timedelta(seconds=1)
    assert await service.notifications.MarkNotificationRead(mark) == read
    assert await pages(0, unread=True) == [[i for i in newest if i != ids[1]]]
    with pytest.raises(InvalidArgument) as foreign:
        first = await service.notifications.ListNotifications(
            pb.ListNotificationsRequest(tenant="test", user="eve", page_size=1)
        )
        await service.notifications.ListNotifications(
            pb.ListNotificationsRequest(tenant="test", user="bob", page_token=first.next_page_token)
        )
    assert foreign.value.reason == "PAGE_TOKEN_INVALID"


async def test_failures_are_retried_on_schedule_then_given_up(service: Service, receiver: Receiver) -> None:
    await service.register("WEBHOOK", f"{receiver.url}/hook")
    receiver.answers.extend([(500, {})] * 4)
    first = await service.send(wait=True)
    assert first.status == pb.Notification.PENDING
    assert first.attempts == 1
    assert first.error.startswith("HTTP_500")
    start = service.clock.time
    for attempt, wait in ((2, 2), (3, 4), (4, 8)):
        found = await service.get(first.id)
        assert found.next_attempt_time.ToDatetime().timestamp() - service.clock.time.replace(
            tzinfo=None
        ).timestamp() == pytest.approx(wait)
        await service.advance(timedelta(seconds=wait, milliseconds=-1))
        assert len(receiver.hooks) == attempt - 1
        await service.advance(timedelta(milliseconds=1))
        await service.becomes(first.id, "FAILED" if attempt == 4 else "PENDING", attempts=attempt)
    assert service.clock.time - start == timedelta(seconds=14)
    assert len({hook.id for hook in receiver.hooks}) == 1


async def test_a_bulk_with_a_key_is_sent_once(service: Service) -> None:
    def items(*titles: str) -> pb.SendBulkNotificationsRequest:
        made = [
            pb.SendNotificationRequest(tenant="test", user=f"u{n}", type=1, title=t, channel=1)
            for n, t in enumerate(titles)
        ]
        made[1].idempotency_key = "own"
        return pb.SendBulkNotificationsRequest(notifications=made, idempotency_key="bulk")

    first = await service.notifications.SendBulkNotifications(items("a", "b", "c"))
    again = await service.notifications.SendBulkNotifications(items("a", "b", "c"))
    assert first.accepted == again.accepted == 3
    assert [one.id for one in first.outcomes] == [one.id for one in again.outcomes]
    assert len({one.id for one in first.outcomes}) == 3
    other = await service.notifications.SendBulkNotifications(items("a", "b", "other"))
    assert [one.reason for one in other.outcomes] == ["", "", "IDEMPOTENCY_CONFLICT"]


async def test_a_failure_names_its_notification_and_is_the_answer_to_the_same_key(
    open_service: OpenService, fcm: Fcm
) -> None:
    async with open_service(fcm_account_file=fcm.account_file, fcm_base_url=fcm.url) as service:
        await service.register("FCM", "token-1")
        fcm.errors.append(("BAD_PAYLOAD", {}))
        told: list[dict[str, str]] = []
        for _ in range(2):
            with pytest.raises(FailedPrecondition) as failed:
                await service.send(wait=True, idempotency_key="k")
            assert failed.value.reason == "DELIVERY_FAILED"
            told.append(dict(failed.value.metadata))
        assert told[0] == told[1]
        kept = await service.get(told[0]["id"])
        assert kept.status == pb.Notification.FAILED
        assert told[0]["error"] == kept.error
        assert fcm.requests == 1
