"""Streams on a real server: their limits change with the disk, and nothing that they hold is lost by it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from services.chassis.nats import TopologyOptions, ensure_streams, open_nats
from services.chassis.nats.topology import MIB, READINGS, WINDOWS, NoRoomForStreams, fitted, readings_subject
from tests.support.nats import NatsServer

SMALL = fitted(TopologyOptions(), 0)


async def test_limits_shrink_and_grow_with_the_disk(nats_url: str) -> None:
    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        assert len(await ensure_streams(connection, SMALL)) == 13
        assert (await connection.js.stream_info(READINGS)).config.max_bytes == 16 * MIB
        assert await ensure_streams(connection, SMALL) == []
        await ensure_streams(connection, TopologyOptions())
        assert (await connection.js.stream_info(READINGS)).config.max_bytes == 2048 * MIB


async def test_a_stream_is_not_shrunk_below_what_it_holds(nats_url: str) -> None:
    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        for _ in range(12):
            await connection.js.publish(readings_subject(0), b"x" * 900_000)
        await connection.js.publish("tocsin.windows.v1.closed.a.b.c", b"x" * 900_000)
        touched = await ensure_streams(connection, SMALL)
        readings, windows = [await connection.js.stream_info(name) for name in (READINGS, WINDOWS)]
        assert READINGS not in touched
        assert (readings.config.max_bytes, readings.state.messages) == (2048 * MIB, 12)
        assert (windows.config.max_bytes, windows.state.messages) == (16 * MIB, 1)


async def test_a_server_without_room_is_told_with_figures(nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()
    options = replace(TopologyOptions(), max_bytes={WINDOWS: 200 * 1024 * MIB})
    async with open_nats(server.url, name="tests") as connection:
        with pytest.raises(
            NoRoomForStreams, match=r"no room for WINDOWS \(204,800 MiB\): all streams may take 213,760"
        ):
            await ensure_streams(connection, options)
