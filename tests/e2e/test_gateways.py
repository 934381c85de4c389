"""Gateways that speak NATS: their payloads, with their own login, up to the averages."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import nats

from tests.e2e.conftest import Edge, until


def publish(edge: Edge, *payloads: tuple[str, dict[str, Any]]) -> None:
    """As a gateway does it: with the file that the operator has put on it, waiting for JetStream to have them."""
    lines = (edge.mesh.state.credentials / "gateway.env").read_text().splitlines()
    login = dict(line.split("=", 1) for line in lines)
    url, user, password = (login[name] for name in ("NATS_URL", "NATS_USER", "NATS_PASSWORD"))

    async def send() -> None:
        connection = await nats.connect(url, user=user, password=password)
        try:
            for place, (name, payload) in enumerate(payloads):
                headers = {"Nats-Msg-Id": f"{payload.get('id')}-{time.time_ns()}-{place}"}
                subject = f"tocsin.payloads.v1.{name}"
                ack = await connection.jetstream().publish(subject, json.dumps(payload).encode(), headers=headers)
                assert ack.stream == "PAYLOADS"
        finally:
            await connection.close()

    asyncio.run(send())


def level(device: str, at: int, value: float) -> tuple[str, dict[str, Any]]:
    return "env1", {"id": device, "d": {"filling_level": value}, "ts": at, "tag": "yard"}


def test_payloads_of_a_gateway_become_averages(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower, container = unique("tower"), unique("bin")
    for path, body in (
        ("/v1/buildings", {"id": tower}),
        (f"/v1/buildings/{tower}/rooms", {"building": tower, "id": "yard"}),
        ("/v1/devices", {"id": container, "building": tower, "room": "yard", "sensorType": "filling_level"}),
    ):
        answer = rest.post(path, json=body)
        assert answer.status_code == 200, answer.text
    now = int(time.time())
    publish(edge, level(container, now - 60, 80), level(container, now - 30, 90), level(container, now - 5, 0))

    def emptied() -> Any:
        answer = rest.get(f"/v1/buildings/{tower}/rooms/yard/average", params={"sensorType": "filling_level"})
        assert answer.status_code == 200, answer.text
        statistics = answer.json().get("statistics", {})
        return statistics if statistics.get("count") == "3" and statistics["last"] == 0 else None

    found = until(emptied, what="the emptied container")
    assert found["max"] == 90


def test_what_a_gateway_sends_in_error_is_in_quarantine(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    container, unheard = unique("bin"), unique("unheard")
    publish(edge, level(container, int(time.time()), 140), (unheard, {"id": container}))

    def kept() -> bool:
        # Others quarantine payloads at the same time.
        payloads = rest.get("/v1/quarantinedPayloads", params={"pageSize": 1000}).json().get("payloads", [])
        found = {(one["format"], one["field"]) for one in payloads}
        return ("env1", "d.filling_level") in found and any(format_name == unheard for format_name, _ in found)

    until(kept, what="both in the quarantine")
