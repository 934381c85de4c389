"""How soon an alert is mailed, and an event posted, while hundreds of other receivers hang.

`python -m tests.bench.hanging_receivers [runs]` starts PostgreSQL, NATS and the notification service of its own, a
mail server, a good receiver, and 270 that take a connection and never answer: 200 of events, 70 of users' webhooks. In
turn the others are left alone and have work, so that each pair is measured on the machine as it is at that moment."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import uvloop
from rich.console import Console

from services.chassis.grpc.client import connect
from services.chassis.nats import Event, Publisher
from services.chassis.nats.topology import DEBT_FILE_COMPLETED_SUBJECT, VIDEO_PROBED_SUBJECT
from tests.bench.parts import Servers, servers, service
from tests.bench.report import Row, row
from tests.support.eventually import eventually
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.receiver import Receiver, open_receiver
from tocsin.events.v1 import debts_pb2, videos_pb2
from tocsin.notification.v1 import endpoint_service_pb2, notification_service_pb2, webhook_service_pb2
from tocsin.notification.v1.endpoint_service_pb2_grpc import EndpointServiceStub
from tocsin.notification.v1.notification_service_pb2_grpc import NotificationServiceStub
from tocsin.notification.v1.webhook_service_pb2_grpc import WebhookServiceStub

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
SUBSCRIBERS, USERS, EVENTS, PROBES = 200, 70, 20, 10
pb = notification_service_pb2


@asynccontextmanager
async def hanging(count: int) -> AsyncIterator[list[str]]:
    """Servers, each on a port of its own, that take connections and say nothing; their URLs."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    opened = [await asyncio.start_server(hold, "127.0.0.1", 0) for _ in range(count)]
    try:
        yield [f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/hook" for one in opened]
    finally:
        for one in opened:
            one.close()


class World:
    """The service, and who listens to it."""

    def __init__(self, where: Servers, channel: Any, mailbox: Mailbox, receiver: Receiver) -> None:
        self._publisher = Publisher(where.nats, source="tocsin/bench")
        self._dsn = where.dsn
        self._notifications = NotificationServiceStub(channel)
        self._endpoints = EndpointServiceStub(channel)
        self._webhooks = WebhookServiceStub(channel)
        self._mailbox = mailbox
        self._receiver = receiver
        self._sent = 0

    async def register(self, user: str, channel: int, address: str) -> None:
        """An address of a user."""
        await self._endpoints.RegisterEndpoint(
            endpoint_service_pb2.RegisterEndpointRequest(tenant="test", user=user, channel=channel, address=address)
        )

    async def subscribe(self, url: str, event: str) -> None:
        """A subscriber of events."""
        await self._webhooks.CreateWebhookSubscription(
            webhook_service_pb2.CreateWebhookSubscriptionRequest(url=url, event_types=[event])
        )

    async def send(self, user: str) -> None:
        """An alert, queued."""
        await self._notifications.SendNotification(
            pb.SendNotificationRequest(tenant="test", user=user, type=pb.NotificationType.ALERT, title="Fire")
        )

    async def work_for_the_hanging(self) -> None:
        """Events for all subscribers and a notification for each user; they wait and are tried again for a while."""
        for _ in range(EVENTS):
            event = debts_pb2.DebtFileCompleted(debt_file=str(uuid4()))
            await self._publisher.publish(Event(DEBT_FILE_COMPLETED_SUBJECT, event))
        for n in range(USERS):
            await self.send(f"hanging-{n}")

    async def mailed(self) -> float:
        """Seconds from the call to the mail server's answer."""
        self._sent += 1
        before, began = len(self._mailbox.messages), time.perf_counter()
        await self.send(f"good-{self._sent}")
        await eventually(lambda: len(self._mailbox.messages) > before, timeout=60, interval=0.001)
        return time.perf_counter() - began

    async def posted(self) -> float:
        """Seconds from an event to its arrival at the good subscriber."""
        before, began = len(self._receiver.hooks), time.perf_counter()
        await self._publisher.publish(Event(VIDEO_PROBED_SUBJECT, videos_pb2.VideoProbed(uid="cam")))
        await eventually(lambda: len(self._receiver.hooks) > before, timeout=60, interval=0.001)
        return time.perf_counter() - began

    async def waiting(self) -> int:
        """Deliveries that are not done."""
        connection = await asyncpg.connect(self._dsn)
        try:
            return await connection.fetchval("SELECT count(*) FROM notification.deliveries WHERE state = 'OPEN'")
        finally:
            await connection.close()

    async def forget(self) -> None:
        """The work of those that hang is over."""
        connection = await asyncpg.connect(self._dsn)
        await connection.execute("DELETE FROM notification.deliveries WHERE state = 'OPEN'")
        await connection.close()


async def _median(act: Callable[[], Awaitable[float]]) -> float:
    return sorted([await act() for _ in range(PROBES)])[PROBES // 2]


async def _measure(runs: int) -> list[Row]:
    async with (
        servers({"notification": MIGRATIONS}) as where,
        open_mailbox() as mailbox,
        open_receiver() as receiver,
        hanging(SUBSCRIBERS + USERS) as urls,
    ):
        settings = {
            "TENANTS": "test",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mailbox.port),
            "ALLOWED_TARGETS": "127.0.0.0/8",
        }
        with service(where, "notification", settings) as notification:
            token = where.issuer.mint()
            async with connect(f"127.0.0.1:{notification.port}", token=lambda: token) as channel:
                await channel.ready()
                world = World(where, channel.channel, mailbox, receiver)
                for n in range(2 * PROBES * (runs + 1)):
                    await world.register(f"good-{n + 1}", pb.Channel.EMAIL, f"u{n}@example.org")
                for n, url in enumerate(urls[:USERS]):
                    await world.register(f"hanging-{n}", pb.Channel.WEBHOOK, url)
                for url in urls[USERS:]:
                    await world.subscribe(url, "tocsin.events.v1.DebtFileCompleted")
                await world.subscribe(f"{receiver.url}/good", "tocsin.events.v1.VideoProbed")
                return await _pairs(world, runs)


async def _pairs(world: World, runs: int) -> list[Row]:
    mails: list[tuple[float, float]] = []
    posts: list[tuple[float, float]] = []
    backlog: list[int] = []
    await world.mailed()
    await world.posted()
    for _ in range(runs):
        idle = await _median(world.mailed), await _median(world.posted)
        await world.work_for_the_hanging()
        await asyncio.sleep(1)
        backlog.append(await world.waiting())
        mails.append((await _median(world.mailed) * 1000, idle[0] * 1000))
        posts.append((await _median(world.posted) * 1000, idle[1] * 1000))
        await world.forget()
        await asyncio.sleep(16)  # what hangs runs into its time
    what = f"beside {SUBSCRIBERS} subscribers and {USERS} users' webhooks that hang"
    notes = {"reference": "the same while they have no work", "waiting": f"{min(backlog):,} deliveries"}
    return [
        row(f"alert accepted to mailed, {what}", mails, unit="ms", goal="<= 2", notes=notes),
        row(f"event published to posted, {what}", posts, unit="ms", goal="<= 2", notes=notes),
    ]


def measure(runs: int) -> list[Row]:
    """Milliseconds of mails and events, each beside the same without the others."""
    return uvloop.run(_measure(runs))


if __name__ == "__main__":
    for found in measure(int(next(iter(sys.argv[1:]), "2"))):
        Console().print(
            f"{found.path}: {found.figure:.1f} {found.unit}, alone {found.reference:.1f}, ratio {found.ratio:.2f} "
            f"(goal {found.goal}); {found.notes}"
        )
