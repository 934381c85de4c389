"""kill -9 while receivers of every kind have messages and have not said so: nothing is lost, and what arrives twice has
the same id, and is told."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.grpc.client import PeerChannel
from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import VIDEO_PROBED_SUBJECT
from tests.support.eventually import eventually
from tests.support.fcm import Fcm
from tests.support.mailbox import Mailbox
from tests.support.notification import ALERT, endpoint_pb, pb, webhook_pb
from tests.support.notification_process import channel_to, service_process
from tests.support.receiver import Receiver
from tocsin.events.v1 import videos_pb2
from tocsin.notification.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from tocsin.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from tocsin.notification.v1.webhook_service_pb2_grpc import WebhookServiceStub

KILLS, EACH = 3, 8
"""Notifications of each channel that each of the two replicas accepts in a round, and events of a round."""
ADDRESSES = {"FCM": "token-{}", "EMAIL": "{}@example.org", "WEBHOOK": "{url}/of/{}"}
CHANNELS = (*ADDRESSES, "CONSOLE")


class Held:
    """Receivers that take everything and say nothing, until they are let go."""

    def __init__(self) -> None:
        self._answering = asyncio.Event()

    async def __call__(self) -> None:
        await self._answering.wait()

    def let_go(self) -> None:
        """They answer all that they have taken."""
        self._answering.set()

    def hold(self) -> None:
        """They say nothing from now on."""
        self._answering.clear()


async def send(channel: PeerChannel, user: str) -> dict[str, set[str]]:
    """Notifications for the user on each channel; the ids that were acknowledged."""
    requests = [
        pb.SendNotificationRequest(tenant="test", user=user, type=ALERT, title="Fire", channel=pb.Channel.Value(name))
        for name in CHANNELS
        for _ in range(EACH)
    ]
    taken = await NotificationServiceStub(channel.channel).SendBulkNotifications(
        pb.SendBulkNotificationsRequest(notifications=requests)
    )
    assert taken.accepted == len(requests), taken
    ids = [outcome.id for outcome in taken.outcomes]
    return {name: set(ids[at * EACH : (at + 1) * EACH]) for at, name in enumerate(CHANNELS)}


@pytest.mark.chaos
async def test_what_arrives_twice_has_the_same_id_and_is_told(
    dsn: str,
    nats_url: str,
    publisher: Publisher,
    issuer: DevIssuer,
    fcm: Fcm,
    mailbox: Mailbox,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    options = {
        "fcm_account_file": fcm.account_file,
        "fcm_base_url": fcm.url,
        "smtp_host": "127.0.0.1",
        "smtp_port": mailbox.port,
        "smtp_connections": 4,
        "lease": "3s",
        "attempt_timeout": "2s",
        "webhook_timeout": "1s",
        "poll": "200ms",
        "rate_limit": 1000,
    }
    held = Held()
    fcm.before_answer = mailbox.before_answer = receiver.before_answer = held
    accepted: dict[str, set[str]] = {name: set() for name in CHANNELS}
    events: set[str] = set()
    stays = service_process(dsn, nats_url, issuer, tmp_path / "stays.log", **options)
    async with stays as staying, channel_to(staying, issuer) as channel:
        for name, address in ADDRESSES.items():
            request = endpoint_pb.RegisterEndpointRequest(
                tenant="test",
                user="ada",
                channel=pb.Channel.Value(name),
                address=address.format("ada", url=receiver.url),
            )
            await EndpointServiceStub(channel.channel).RegisterEndpoint(request)
        await WebhookServiceStub(channel.channel).CreateWebhookSubscription(
            webhook_pb.CreateWebhookSubscriptionRequest(
                url=f"{receiver.url}/events", event_types=["tocsin.events.v1.VideoProbed"]
            )
        )
        for kill in range(KILLS):
            log = tmp_path / f"killed-{kill}.log"
            async with service_process(dsn, nats_url, issuer, log, **options) as killed:
                held.hold()
                before = len(fcm.messages)
                async with channel_to(killed, issuer) as doomed:
                    for replica in (doomed, channel):
                        for name, ids in (await send(replica, "ada")).items():
                            accepted[name] |= ids
                for _ in range(EACH):
                    event = os.urandom(8).hex()
                    events.add(event)
                    await publisher.publish(
                        Event(VIDEO_PROBED_SUBJECT, videos_pb2.VideoProbed(uid="cam-1", codec="h264"), id=event)
                    )
                # Each replica has claimed what it has accepted: those of the killed one are among these.
                await eventually(lambda before=before: len(fcm.messages) >= before + 2 * EACH, timeout=20)
                await killed.kill()
            held.let_go()

        async def all_arrived() -> bool:
            arrived = received(fcm, mailbox, receiver, tmp_path)
            for name in CHANNELS:
                assert accepted[name] == set(arrived[name]), name
            assert events == {json.loads(hook.body)["id"] for hook in receiver.hooks if "/events" in hook.path}
            listed = await NotificationServiceStub(channel.channel).ListNotifications(
                pb.ListNotificationsRequest(tenant="test", user="ada", page_size=1000)
            )
            assert {one.status for one in listed.notifications} == {pb.Notification.SENT}
            assert not listed.next_page_token
            return True

        await eventually(all_arrived, timeout=40, interval=0.2)
        arrived = received(fcm, mailbox, receiver, tmp_path)
        repeats = {name: {id_ for id_, count in ids.items() if count > 1} for name, ids in arrived.items()}
        print("arrived twice, of", KILLS * EACH * 2, {name: len(ids) for name, ids in repeats.items()})
        assert len(repeats["FCM"]) >= KILLS, "nobody was killed with a message under way"
        told = {record.get("reference") for record in records(tmp_path, "delivery.repeated", "delivery.failed")}
        told |= {record.get("delivery") for record in records(tmp_path, "delivery.repeated", "delivery.failed")}
        for name, ids in repeats.items():
            assert ids <= told, f"{name}: {ids - told} arrived twice, and nobody says so"
        for id_ in set().union(*(repeats[name] for name in CHANNELS)):
            found = await NotificationServiceStub(channel.channel).GetNotification(
                pb.GetNotificationRequest(tenant="test", id=id_)
            )
            assert len(found.history) > 1 or found.history[0].repeat, found


def received(fcm: Fcm, mailbox: Mailbox, receiver: Receiver, logs: Path) -> dict[str, Counter[str]]:
    """How often each id arrived: what a receiver knows repeats by."""
    return {
        "FCM": Counter(message["data"]["id"] for message in fcm.messages),
        "EMAIL": Counter(id_.removeprefix("<").partition("@")[0] for id_ in mailbox.ids),
        "WEBHOOK": Counter(hook.id for hook in receiver.hooks if "/of/" in hook.path),
        "EVENT": Counter(hook.id for hook in receiver.hooks if "/events" in hook.path),
        "CONSOLE": Counter(record["notification"] for record in records(logs, "notification.console")),
    }


def records(logs: Path, *events: str) -> Iterable[dict[str, Any]]:
    """The records of these kinds in the logs of all replicas."""
    for log in sorted(logs.glob("*.log")):
        for line in log.read_text().splitlines():
            if line.startswith("{") and (record := json.loads(line)).get("event") in events:
                yield record
