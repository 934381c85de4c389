"""Webhook subscriptions: public events, once each, signed, retried; receivers that go, and where they may be."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.chassis.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.topology import VIDEO_PROBED_SUBJECT, VIDEOS
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.notification import ManualClock, Service, endpoint_pb, letter_pb, pb, webhook_pb
from tests.support.receiver import Receiver
from tocsin.events.v1 import videos_pb2

PROBED = "tocsin.events.v1.VideoProbed"
CLEARED = "tocsin.events.v1.AlarmCleared"


async def subscribe(service: Service, url: str, *types: str) -> webhook_pb.WebhookSubscription:
    request = webhook_pb.CreateWebhookSubscriptionRequest(url=url, event_types=types or (PROBED,))
    return await service.webhooks.CreateWebhookSubscription(request)


async def probed(publisher: Publisher, uid: str, event_id: str | None = None) -> str:
    event_id = event_id or str(uuid4())
    message = videos_pb2.VideoProbed(uid=uid, width=1920, height=1080, codec="h264")
    # An id of its own at the broker: what is delivered twice must come out once all the same.
    await publisher.publish(Event(VIDEO_PROBED_SUBJECT, message, id=event_id))
    return event_id


def received(receiver: Receiver, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        assert len(receiver.hooks) >= count
        return True

    return look


async def test_an_event_reaches_each_subscriber_signed(
    service: Service, publisher: Publisher, receiver: Receiver
) -> None:
    one = await subscribe(service, f"{receiver.url}/one")
    await subscribe(service, f"{receiver.url}/two", PROBED, CLEARED)
    await subscribe(service, f"{receiver.url}/other", CLEARED)
    assert one.secret.startswith("whsec_")
    assert one.enabled
    event_id = await probed(publisher, "cam-1")
    await eventually(received(receiver, 2))
    hook = next(hook for hook in receiver.hooks if _verified(hook.body, hook.headers, one.secret))
    assert hook.headers["content-type"].startswith("application/cloudevents+json")
    content = json.loads(hook.body)
    assert content["id"] == event_id
    assert content["type"] == PROBED
    assert content["specversion"] == "1.0"
    assert content["source"] == "tocsin/tests"
    assert content["data"] == {"uid": "cam-1", "width": 1920, "height": 1080, "codec": "h264"}
    assert len({hook.id for hook in receiver.hooks}) == 2

    async def settled() -> bool:
        return await service.value("SELECT count(*) FROM deliveries WHERE state = 'DONE' AND body IS NULL") == 2

    await eventually(settled)


def _verified(body: str, headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


async def test_a_repeated_event_is_delivered_once(
    open_service: OpenService, nats_connection: NatsConnection, receiver: Receiver
) -> None:
    clock = ManualClock()
    publisher = Publisher(nats_connection, source="tocsin/tests")
    async with open_service(clock) as service, open_service(clock):
        await subscribe(service, receiver.url + "/hook")
        message = videos_pb2.VideoProbed(uid="cam-1").SerializeToString()
        headers = {"ce-id": "e-1", "ce-type": PROBED, "ce-source": "s", "ce-time": "2026-01-01T00:00:00Z"}
        for copy in range(5):  # stored five times: as after a redelivery without an acknowledgement
            await nats_connection.js.publish(
                VIDEO_PROBED_SUBJECT, message, headers={**headers, "Nats-Msg-Id": f"copy-{copy}"}
            )
        last = await probed(publisher, "cam-2")
        await eventually(received(receiver, 2))
        consumer = "notification_webhooks_VideoProbed"

        async def drained() -> bool:
            info = await nats_connection.js.consumer_info(VIDEOS, consumer)
            return info.num_pending == 0 and info.num_ack_pending == 0

        await eventually(drained)
        ids = [json.loads(hook.body)["id"] for hook in receiver.hooks]
        assert sorted(ids) == sorted(["e-1", last])


async def test_nobody_s_type_has_no_consumer(
    service: Service, nats_connection: NatsConnection, receiver: Receiver
) -> None:
    async def consumers() -> list[str]:
        return [info.name for info in await nats_connection.js.consumers_info(VIDEOS)]

    assert await consumers() == []
    made = await subscribe(service, receiver.url + "/hook")
    assert await consumers() == ["notification_webhooks_VideoProbed"]
    await service.webhooks.DeleteWebhookSubscription(webhook_pb.DeleteWebhookSubscriptionRequest(id=made.id))

    async def gone() -> bool:
        return await consumers() == []

    await eventually(gone)


async def test_failures_are_retried_then_dead_and_may_be_sent_back(
    service: Service, publisher: Publisher, receiver: Receiver
) -> None:
    made = await subscribe(service, receiver.url + "/hook")
    receiver.answers.extend(
        [(500, {}), (302, {"location": "http://127.0.0.1:1/"}), (503, {"retry-after": "20"}), (404, {})]
    )
    event_id = await probed(publisher, "cam-1")
    for attempt, wait in ((1, 2), (2, 4), (3, 20)):
        await eventually(_attempts(service, attempt))
        assert len(receiver.hooks) == attempt
        await service.advance(timedelta(seconds=wait))
    await eventually(received(receiver, 4))
    letters = await eventually(_letters(service))
    assert letters[0].type == PROBED
    assert letters[0].attempts == 4
    assert letters[0].reason.startswith("HTTP_404")
    assert [line.split(" ", 1)[1].split(":")[0] for line in letters[0].history] == [
        "HTTP_500",
        "HTTP_302",
        "HTTP_503",
        "HTTP_404",
    ]
    shown = await service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id=letters[0].id))
    assert json.loads(shown.payload_json)["uid"] == "cam-1"
    await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=letters[0].id))
    await eventually(received(receiver, 5))
    hook = receiver.hooks[4]
    assert hook.verify(made.secret)["id"] == event_id
    assert hook.id == receiver.hooks[0].id
    assert (await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())).dead_letters == []


def _attempts(service: Service, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await service.value("SELECT attempts FROM deliveries WHERE lease IS NULL") == count

    return look


def _letters(service: Service, count: int = 1) -> Callable[[], Awaitable[list[letter_pb.DeadLetter]]]:
    async def look() -> list[letter_pb.DeadLetter]:
        found = (await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())).dead_letters
        assert len(found) == count
        return list(found)

    return look


async def test_gone_ends_the_subscription(service: Service, publisher: Publisher, receiver: Receiver) -> None:
    made = await subscribe(service, receiver.url + "/hook")
    receiver.answers.append((410, {}))
    await probed(publisher, "cam-1")

    async def disabled() -> bool:
        found = await service.webhooks.GetWebhookSubscription(webhook_pb.GetWebhookSubscriptionRequest(id=made.id))
        assert found.secret == ""
        return not found.enabled and "410" in found.disabled_reason

    await eventually(disabled)
    assert len(receiver.hooks) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/hook",
        "http://[::ffff:10.0.0.1]/hook",
        "http://2130706433/hook",
        "http://user:pw@example.org/hook",
        "https://192.168.1.1:8443/hook",
    ],
)
async def test_targets_that_must_not_be_called_are_refused(service: Service, url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await subscribe(service, url)
    assert refused.value.reason == "TARGET_BLOCKED"
    assert refused.value.violations[0].field == "url"
    with pytest.raises(InvalidArgument) as endpoint:
        await service.register("WEBHOOK", url)
    assert endpoint.value.reason == "TARGET_BLOCKED"
    assert await service.value("SELECT count(*) FROM webhook_subscriptions") == 0


async def test_a_target_is_judged_again_when_it_is_called(
    open_service: OpenService, publisher: Publisher, receiver: Receiver
) -> None:
    clock = ManualClock()
    async with open_service(clock) as lenient:
        await subscribe(lenient, receiver.url + "/hook")
    async with open_service(clock, allowed_targets="") as strict:
        await probed(publisher, "cam-1")
        [letter] = await eventually(_letters(strict))
        assert letter.reason.startswith("TARGET_BLOCKED")
    assert receiver.hooks == []


async def test_what_was_registered_before_the_mesh_moved_there_is_not_called(
    open_service: OpenService, publisher: Publisher, receiver: Receiver
) -> None:
    clock = ManualClock()
    async with open_service(clock) as before:
        await subscribe(before, receiver.url + "/hook")
    port = urlsplit(receiver.url).port
    async with open_service(clock, refused_targets=f"127.0.0.1:{port}") as after:
        await probed(publisher, "cam-1")
        [letter] = await eventually(_letters(after))
        assert letter.reason.startswith(f"TARGET_BLOCKED: Tocsin itself listens on port {port}")
    assert receiver.hooks == []


async def test_lists_show_no_secrets(service: Service, receiver: Receiver) -> None:
    made = [await subscribe(service, f"{receiver.url}/{n}") for n in range(3)]
    first = await service.webhooks.ListWebhookSubscriptions(webhook_pb.ListWebhookSubscriptionsRequest(page_size=2))
    rest = await service.webhooks.ListWebhookSubscriptions(
        webhook_pb.ListWebhookSubscriptionsRequest(page_size=2, page_token=first.next_page_token)
    )
    found = [*first.subscriptions, *rest.subscriptions]
    assert [item.id for item in found] == sorted(item.id for item in made)
    assert {item.secret for item in found} == {""}
    with pytest.raises(NotFound):
        await service.webhooks.GetWebhookSubscription(webhook_pb.GetWebhookSubscriptionRequest(id="nothing"))
    with pytest.raises(NotFound):
        await service.webhooks.DeleteWebhookSubscription(webhook_pb.DeleteWebhookSubscriptionRequest(id="nothing"))


async def test_a_subscription_says_what_is_done_with_an_unknown_outcome(
    open_service: OpenService, publisher: Publisher, receiver: Receiver
) -> None:
    asked: dict[str, int] = {}
    hung = asyncio.Event()

    async def hang() -> None:
        asked[receiver.hooks[-1].path] = asked.get(receiver.hooks[-1].path, 0) + 1
        await hung.wait()

    receiver.before_answer = hang
    try:
        # The deployment resends; one subscriber wants what may have come to be held for a person.
        async with open_service(webhook_timeout=timedelta(milliseconds=300), unknown="resend") as service:
            outcomes = webhook_pb.UnknownOutcome
            held, again = [
                await service.webhooks.CreateWebhookSubscription(
                    webhook_pb.CreateWebhookSubscriptionRequest(
                        url=f"{receiver.url}/{path}", event_types=[PROBED], unknown_outcome=outcome
                    )
                )
                for path, outcome in (("held", outcomes.HOLD), ("again", outcomes.UNKNOWN_OUTCOME_UNSPECIFIED))
            ]
            assert (held.unknown_outcome, again.unknown_outcome) == (outcomes.HOLD, 0)
            await probed(publisher, "cam-1")

            async def letters() -> list[letter_pb.DeadLetter]:
                found = await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())
                return list(found.dead_letters)

            [letter] = await eventually(letters, what="the dead letter")
            assert letter.attempts == 1
            assert letter.reason.startswith("HTTP_Timeout")
            whole = await service.letters.GetDeadLetter(letter_pb.GetDeadLetterRequest(id=letter.id))
            assert "cam-1" in whole.payload_json

            async def tried_again() -> bool:
                await service.advance(timedelta(seconds=10))
                return asked["/again"] > 2

            await eventually(tried_again, what="two more attempts")
            assert asked["/held"] == 1
            assert len({hook.id for hook in receiver.hooks if hook.path == "/again"}) == 1
    finally:
        hung.set()


@pytest.mark.chaos
async def test_receivers_whose_name_servers_are_silent_hold_up_nobody_else(
    open_service: OpenService, publisher: Publisher, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, real = threading.Event(), socket.getaddrinfo

    def look_up(host: str, *more: Any, **options: Any) -> Any:
        if host.endswith(".silent.test"):
            over.wait(60)
        return real("127.0.0.1" if host == "good.test" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    try:
        async with open_service(webhook_timeout=timedelta(seconds=10)) as service:
            port = urlsplit(receiver.url).port
            silent = [f"http://h{number}.silent.test:{port}" for number in range(100)]
            await asyncio.gather(
                *(service.register("WEBHOOK", url, user=f"u{number}") for number, url in enumerate(silent[:50])),
                *(subscribe(service, url) for url in silent[50:]),
            )
            await subscribe(service, f"http://good.test:{port}/events")
            await service.register("WEBHOOK", f"http://good.test:{port}/ada")
            await probed(publisher, "cam-1")
            await asyncio.gather(*(service.send(f"u{number}") for number in range(50)))
            sent = await service.send(wait=True)
            assert sent.status == pb.Notification.Status.SENT
            await eventually(received(receiver, 2))
            assert {hook.path for hook in receiver.hooks} == {"/ada", "/events"}
    finally:
        over.set()


async def test_the_secret_of_a_user_s_webhook_is_rotated(open_service: OpenService, receiver: Receiver) -> None:
    async with open_service() as service:
        made = await service.register("WEBHOOK", receiver.url)
        request = endpoint_pb.RotateEndpointSecretRequest(tenant="test", user="ada", id=made.id, expected_version=1)
        rotated = await service.endpoints.RotateEndpointSecret(request)
        assert rotated.secret.startswith("whsec_")
        assert rotated.secret != made.secret
        assert rotated.version == 2
        until = rotated.previous_secret_expire_time.ToDatetime(UTC)
        assert until == service.clock.time + timedelta(hours=24)
        [listed] = (
            await service.endpoints.ListEndpoints(endpoint_pb.ListEndpointsRequest(tenant="test", user="ada"))
        ).endpoints
        assert (listed.secret, listed.version, listed.previous_secret_expire_time) == (
            "",
            2,
            rotated.previous_secret_expire_time,
        )
        await service.send(wait=True)
        await service.send()
        await eventually(received(receiver, 2))
        for hook in receiver.hooks:
            assert hook.verify(made.secret) == hook.verify(rotated.secret)
        await service.advance(timedelta(hours=24))
        await service.send(wait=True)
        receiver.hooks[-1].verify(rotated.secret)
        with pytest.raises(WebhookVerificationError):
            receiver.hooks[-1].verify(made.secret)
        with pytest.raises(Aborted) as old:
            await service.endpoints.RotateEndpointSecret(request)
        assert old.value.metadata == {"id": made.id, "expected": "1", "current": "2"}
        mail = await service.register("EMAIL", "ada@example.org")
        with pytest.raises(FailedPrecondition) as refused:
            await service.endpoints.RotateEndpointSecret(
                endpoint_pb.RotateEndpointSecretRequest(tenant="test", user="ada", id=mail.id)
            )
        assert refused.value.reason == "NOT_SIGNED"
