"""Steady traffic from within the cluster, and what became of it: run in a pod, told by its environment.

Each client sends one reading after the other over one connection, each with an event time of its own, and now and then
asks for an average, sends an alert and a notification. A call that is not answered with 2xx is written down, and sent
again until it is: what was answered is acknowledged, and must be there in the end. Prints one line of JSON when it is
told to stop.
"""

import asyncio
import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

EDGE = os.environ["EDGE_URL"]
TOKEN = os.environ["EDGE_TOKEN"]
RUN = os.environ["RUN"]
CLIENTS = int(os.environ.get("CLIENTS", "8"))
PAUSE = float(os.environ.get("PAUSE", "0.1"))
START = datetime.fromisoformat(os.environ["START"])
_ASK_EVERY = 20
_ALERT_EVERY = 7
_NOTIFY_EVERY = 5


async def main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    ledger: dict[str, Any] = {"calls": 0, "failures": [], "acknowledged": {}, "alerts": [], "notes": {}, "slowest": 0.0}
    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(_client(f"room-{number}", ledger, stopping))
    print(json.dumps(ledger), flush=True)


async def _client(room: str, ledger: dict[str, Any], stopping: asyncio.Event) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    user = f"{RUN}-{room}"
    sent = 0
    async with httpx.AsyncClient(base_url=EDGE, headers=headers, timeout=20) as client:

        async def acknowledged(path: str, body: dict[str, Any]) -> bool:
            while not await _call(ledger, client, "POST", path, json=body):
                if stopping.is_set():
                    return False
                await asyncio.sleep(0.2)
            return True

        while not stopping.is_set():
            at = START + timedelta(milliseconds=100 * sent)
            where = {"building": RUN, "room": room, "sensorType": "temperature"}
            if not await acknowledged("/v1/readings", {**where, "value": 290.0, "eventTime": _text(at)}):
                break
            sent += 1
            ledger["acknowledged"][room] = sent
            if sent % _ASK_EVERY == 0:
                await _call(ledger, client, "GET", f"/v1/buildings/{RUN}/rooms/{room}/average?sensorType=temperature")
            if sent % _ALERT_EVERY == 0:
                uid = f"{user}-{sent}"
                alert = {"uid": uid, "video": "/videos/none.mp4", "timestamp": time.time(), "store": "store-1"}
                if await acknowledged("/v1/alerts", alert):
                    ledger["alerts"].append(uid)
            if sent % _NOTIFY_EVERY == 0:
                note = {"tenant": "test", "user": user, "type": "INFO", "channel": "CONSOLE", "title": f"note {sent}"}
                if await acknowledged("/v1/notifications", {**note, "idempotencyKey": f"{user}-{sent}"}):
                    ledger["notes"][user] = ledger["notes"].get(user, 0) + 1
            await asyncio.sleep(PAUSE)


async def _call(ledger: dict[str, Any], client: httpx.AsyncClient, verb: str, path: str, **more: Any) -> bool:
    began = time.monotonic()
    try:
        answer = await client.request(verb, path, **more)
        problem = "" if answer.is_success else f"{answer.status_code} {answer.text[:300]}"
    except httpx.HTTPError as error:
        problem = repr(error)
    took = time.monotonic() - began
    ledger["calls"] += 1
    ledger["slowest"] = max(ledger["slowest"], round(took, 3))
    if problem:
        ledger["failures"].append(f"{datetime.now(UTC):%H:%M:%S.%f} {verb} {path[:40]}: {problem} ({took:.2f} s)")
    return not problem


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


if __name__ == "__main__":
    asyncio.run(main())
