"""What calls find: made over the edge where that is how it comes to be, else as rows."""

import asyncio
import time
from datetime import UTC, datetime

import httpx

from tests.bench.calls.call import MOST, Bench

ROOMS = 10
_INTERVAL, _MINUTES = 5, 60
_PATIENCE = 30.0


async def building(bench: Bench) -> None:
    """One building, with an attribute."""
    await _post(bench, "/v1/buildings", {"id": "reference", "attributes": {"city": "Berlin"}})


async def meter(bench: Bench) -> None:
    """The device whose payloads come, as its first payload makes it."""
    payload = {"device": "meter-1", "energy": 12.4, "unit": 3, "ts": int(time.time()) - 60}
    await _post(bench, "/v1/devices/ep1/payloads", payload)


async def unread_notifications(bench: Bench) -> None:
    """Ten unread of a user's thousand, and those of others."""
    await bench.database.execute(
        """
        INSERT INTO notification_test.notifications
            (id, recipient, type, title, body, channel, status, attempts, created_at, sent_at, read_at)
        SELECT gen_random_uuid(), CASE WHEN n % 10 = 0 THEN 'reader' ELSE 'u' || n END, 'INFO', 'Hello', 'World',
            'CONSOLE', 'SENT', 1, at, at, CASE WHEN n % 1000 > 0 THEN at END
        FROM (SELECT n, now() - n * interval '1 second' AS at FROM generate_series(1, 10000) AS n) AS made
        """
    )
    await bench.database.execute("ANALYZE notification_test.notifications")


async def notifications_from(bench: Bench, first: int) -> None:
    """Unread ones whose ids end in the numbers from `first` on, here and at the twin."""
    for table in ("notification_test.notifications", "reference.notifications"):
        await bench.database.execute(
            f"""
            INSERT INTO {table} (id, recipient, type, title, body, channel, status, attempts, created_at, sent_at)
            SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'u' || n, 'INFO', 'Hello', 'World',
                'CONSOLE', 'SENT', 1, now(), now()
            FROM generate_series($1::bigint, $1::bigint + $2 - 1) AS n
            """,
            first,
            MOST,
        )


async def building_with_readings(bench: Bench) -> None:
    """Rooms with a thermometer each that has sent a reading every five seconds for an hour; the twin has the readings,
    and its windows of a minute."""
    name, now = f"b{time.time_ns() // 1000}", int(time.time())
    bench.names["building"] = name
    for start in range(now - 60 * _MINUTES, now, 60 * 5):
        readings = [
            {
                "building": name,
                "room": f"r{room}",
                "sensorType": "temperature",
                "value": 290 + room,
                "eventTime": datetime.fromtimestamp(at, UTC).isoformat(),
            }
            for at in range(start, start + 60 * 5, _INTERVAL)
            for room in range(ROOMS)
        ]
        await _post(bench, "/v1/readings:batch", {"readings": readings})
    await _counted(bench, name)
    await bench.database.execute(
        """
        INSERT INTO reference.readings (building, room, sensor_type, device, event_time, value)
        SELECT $1, 'r' || room, 'temperature', '', to_timestamp(at), 290 + room
        FROM generate_series($2::bigint - 3600, $2::bigint - 1, 5) AS at, generate_series(0, $3::integer - 1) AS room
        """,
        name,
        now,
        ROOMS,
    )
    await bench.database.execute(
        """
        INSERT INTO reference.windows
        SELECT building, room, sensor_type, interval '1 minute', date_trunc('minute', event_time), count(*), sum(value),
            min(value), max(value), min(value), min(event_time), max(value), max(event_time)
        FROM reference.readings WHERE building = $1 GROUP BY 1, 2, 3, 5
        """,
        name,
    )
    await bench.database.execute("ANALYZE reference.readings; ANALYZE reference.windows")


async def _counted(bench: Bench, building: str) -> None:
    """Waits until every room's average counts the readings."""
    deadline = time.monotonic() + _PATIENCE
    async with _client(bench) as client:
        for room in range(ROOMS):
            while True:
                answer = await client.get(f"/v1/buildings/{building}/rooms/r{room}/average")
                if int(answer.raise_for_status().json().get("statistics", {}).get("count", 0)) >= 170:
                    break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the readings were not counted within {_PATIENCE} s: {answer.text}")
                await asyncio.sleep(0.1)


def _client(bench: Bench) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {bench.mesh.token()}"}
    return httpx.AsyncClient(base_url=bench.mesh.instance.edge_url, headers=headers, timeout=_PATIENCE)


async def _post(bench: Bench, path: str, body: dict[str, object]) -> None:
    async with _client(bench) as client:
        (await client.post(path, json=body)).raise_for_status()
