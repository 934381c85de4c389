"""Trusted publishers: over NATS with the login of their tenant, and the same over REST."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import nats
from nats.aio.msg import Msg

from tests.e2e.conftest import Edge, until
from tocsin.events.v1.notifications_pb2 import NotificationRequestRefused, NotificationStatusChanged

REQUESTS, TOLD = "tocsin.notification_requests.v1.test", "tocsin.notifications.v1"


def exchange(edge: Edge, *requests: tuple[str, str, object], hears: int) -> tuple[list[Any], list[str]]:
    """Asks with the file that the operator has handed over, and listens until so much has been told; and what the
    server has refused of it."""
    lines = (edge.mesh.state.credentials / "publisher-test.env").read_text().splitlines()
    login = dict(line.split("=", 1) for line in lines)
    told: list[Any] = []
    refusals: list[str] = []
    kinds = {"status_changed": NotificationStatusChanged, "refused": NotificationRequestRefused}

    async def hear(message: Msg) -> None:
        told.append(kinds[message.subject.split(".")[3]].FromString(message.data))

    async def refused(error: Exception) -> None:
        refusals.append(str(error))

    async def talk() -> None:
        connection = await nats.connect(
            login["NATS_URL"], user=login["NATS_USER"], password=login["NATS_PASSWORD"], error_cb=refused
        )
        try:
            for kind in kinds:
                await connection.subscribe(f"{TOLD}.{kind}.test", cb=hear)
            for name, id_, content in requests:
                ack = await connection.jetstream().publish(
                    f"{REQUESTS}.{name}", json.dumps(content).encode(), headers={"Nats-Msg-Id": id_}
                )
                assert ack.stream == "NOTIFICATION_REQUESTS_test"
            async with asyncio.timeout(20):
                while len(told) < hears:
                    await asyncio.sleep(0.05)
            await connection.publish("tocsin.notification_requests.v1.wellness.send", b"{}")
            await connection.flush()
            await connection.flush()
        finally:
            await connection.close()

    asyncio.run(talk())
    return told, refusals


def receipt(of: str, kind: str, id_: str) -> dict[str, str]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"notification": of, "receipt": id_, "kind": kind, "channel": "CONSOLE", "occurTime": now}


def test_a_publisher_asks_over_nats_hears_of_it_and_receipts_come_both_ways(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    key, user = unique("ask"), unique("user")
    fire = {"user": user, "type": "ALERT", "title": "Fire", "channel": "CONSOLE"}
    bulk = {"notifications": [{**fire, "title": "one"}, {**fire, "title": ""}]}
    told, refusals = exchange(edge, ("send", key, fire), ("send_bulk", f"{key}-bulk", bulk), hears=5)
    changes = [one for one in told if isinstance(one, NotificationStatusChanged) and one.user == user]
    first = next(one for one in changes if one.idempotency_key == key)
    assert first.status == "PENDING"
    assert {one.idempotency_key for one in changes} == {key, f"{key}-bulk/0", ""}
    [refused] = [one for one in told if isinstance(one, NotificationRequestRefused) and one.request == f"{key}-bulk"]
    assert (refused.index, refused.reason, refused.field) == (1, "INVALID_FIELD", "title")
    assert any("permissions violation" in text.lower() and "wellness" in text for text in refusals)
    # The same key over REST is the same notification.
    again = rest.post("/v1/notifications", json={**fire, "tenant": "test"}, headers={"Idempotency-Key": key})
    assert again.json()["id"] == first.notification

    def sent() -> Any:
        found = rest.get(f"/v1/notifications/{first.notification}", params={"tenant": "test"}).json()
        return found if found["status"] == "SENT" else None

    version = until(sent, what="the notification sent")["version"]
    path = f"/v1/notifications/{first.notification}:applyReceipt"
    body = {**receipt(first.notification, "DELIVERED", unique("r")), "tenant": "test"}
    stale = rest.post(path, json=body, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["reason"]) == (409, "VERSION_CONFLICT")
    assert stale.json()["metadata"]["current"] == version
    applied = rest.post(path, json=body, headers={"If-Match": f'"{version}"'})
    assert (applied.status_code, applied.json()["effect"]) == (200, "APPLIED"), applied.text
    assert rest.post(path, json=body).json()["effect"] == "REPEATED"
    bounced = receipt(first.notification, "BOUNCED", unique("r"))
    told, _ = exchange(edge, ("receipt", unique("m"), bounced), hears=1)
    assert (told[0].notification, told[0].status, told[0].error[:15]) == (
        first.notification,
        "FAILED",
        "RECEIPT_BOUNCED",
    )


def test_a_bulk_with_the_header_again_sends_nothing_again(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    user, key = unique("user"), unique("key")
    items = [
        {"tenant": "test", "user": user, "type": "INFO", "title": title, "channel": "CONSOLE"} for title in ("a", "b")
    ]
    items[1]["idempotencyKey"] = unique("own")
    answers = [
        rest.post("/v1/notifications:sendBulk", json={"notifications": items}, headers={"Idempotency-Key": key}).json()
        for _ in range(2)
    ]
    assert answers[0] == answers[1]
    listed = rest.get("/v1/notifications", params={"tenant": "test", "user": user}).json()["notifications"]
    assert len(listed) == 2


def test_handlers_of_all_services_answer(edge: Edge, rest: httpx.Client) -> None:
    answer = rest.get("/v1/operations/handlers").json()
    services = {process.partition("@")[0] for process in answer["processes"]}
    assert services == {"ingestion", "aggregation", "media_probe", "notification"}
    handlers = {one["handler"]: one for one in answer["handlers"]}
    assert {"ingestion/payloads", "media_probe/alerts", "notification/requests_test"} <= set(handlers)
    some = next(one for one in handlers.values() if one["handler"] == "notification/requests_test")
    assert {"processed", "failed", "meanTime", "p95Time", "since"} <= set(some)
    refused = httpx.get(
        f"{edge.url}/v1/operations/handlers",
        headers={"authorization": f"Bearer {edge.token('notifications:read')}"},
    )
    assert refused.status_code == 403
