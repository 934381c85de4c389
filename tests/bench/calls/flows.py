"""What follows from calls, until it has been done: alerts to probed rows, notifications to a provider."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx

from services.notification.adapters.channels.fcm import FcmChannel
from services.notification.adapters.channels.fcm_token import ServiceAccount
from services.notification.adapters.channels.http import HttpClient
from services.notification.domain.delivery import Endpoint, Outgoing, Sent
from services.notification.domain.notification import ChannelName, Type
from tests.bench.calls.call import Bench, Outcome
from tests.bench.calls.freezing import frozen
from tests.bench.calls.world import VIDEO
from tests.bench.mesh import load

ALERTS = 1_000
BULK = 3_000
_AT_A_TIME = 64
"""Deliveries, as many as the service attempts."""
_PATIENCE = 180.0


async def until_none(bench: Bench, query: str, *arguments: object) -> None:
    """Waits until the query counts nothing any more."""
    deadline = time.monotonic() + _PATIENCE
    while left := await bench.database.fetchval(query, *arguments):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} are left after {_PATIENCE} s: {query}")
        await asyncio.sleep(0.02)


async def alerts_to_rows(bench: Bench) -> Outcome:
    """Alerts that have come while media-probe stood still, until each one's row and state stand."""
    first = int(time.time() * 1e6)
    body = {"uid": "row-{n}", "video": VIDEO, "timestamp": 1_720_000_000.5, "store": "store-42"}
    with frozen(bench.mesh, "media-probe"):
        url, token = f"{bench.mesh.instance.edge_url}/v1/alerts", bench.mesh.token()
        options = {"requests": ALERTS, "first": first}
        await asyncio.to_thread(load, url, body, token=token, seconds=60, warmup=0, **options)
        began = time.perf_counter()
    await until_none(
        bench,
        "SELECT $1 - count(*) FROM ingestion.alerts JOIN media_probe.videos USING (uid)"
        " WHERE uid BETWEEN 'row-' || $2::bigint AND 'row-' || $2::bigint + $1 AND alerts.state = 3",
        ALERTS,
        first,
    )
    return Outcome(ALERTS, time.perf_counter() - began)


async def bulk_to_fcm(bench: Bench) -> Outcome:
    """One notification for each of as many users, from the first call until each is known to be sent."""
    run = uuid4().hex[:12]
    users = [f"{run}-{number}" for number in range(BULK)]
    await bench.database.execute(
        "INSERT INTO notification_test.endpoints (id, recipient, channel, address, address_digest, updated_at)"
        " SELECT gen_random_uuid(), name, 'FCM', 'token-' || name, sha256(('token-' || name)::bytea), now()"
        " FROM unnest($1::text[]) AS name",
        users,
    )
    headers = {"authorization": f"Bearer {bench.mesh.token()}"}
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=bench.mesh.instance.edge_url, headers=headers, timeout=30) as client:
        for start in range(0, BULK, 1_000):
            some = [
                {"tenant": "test", "user": user, "type": "INFO", "title": "Hello", "body": "World"}
                for user in users[start : start + 1_000]
            ]
            (await client.post("/v1/notifications:sendBulk", json={"notifications": some})).raise_for_status()
    await until_none(
        bench,
        "SELECT $1 - count(*) FROM notification_test.notifications WHERE recipient = ANY($2) AND status = 'SENT'",
        BULK,
        users,
    )
    return Outcome(BULK, time.perf_counter() - began)


async def client_to_fcm(bench: Bench) -> Outcome:
    """The same messages by the service's own client alone, as many at a time as the service has under way."""
    account = ServiceAccount.read(Path(bench.world.fcm_account))
    numbers = iter(range(BULK))
    async with HttpClient(None, timeout=timedelta(seconds=15)) as client:
        channel = FcmChannel(account, bench.world.fcm_url, client)

        async def send() -> None:
            for number in numbers:
                outcome = await channel.send(_message(number), Endpoint("e", ChannelName.FCM, f"token-{number}", ""))
                if not isinstance(outcome, Sent):
                    raise RuntimeError(f"the server refused a message: {outcome}")

        began = time.perf_counter()
        await asyncio.gather(*(send() for _ in range(_AT_A_TIME)))
        return Outcome(BULK, time.perf_counter() - began)


def _message(number: int) -> Outgoing:
    return Outgoing(
        id=str(uuid4()),
        tenant="test",
        user=f"u{number}",
        type=Type.INFO,
        title="Hello",
        body="World",
        data="",
        created_at=datetime.now(UTC),
    )
