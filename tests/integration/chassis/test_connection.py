"""The connection to the broker, after what ends the reading of the client that it is made of."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.chassis.nats import NatsConnection
from tests.support.eventually import eventually


async def round_trip(connection: NatsConnection) -> bool:
    """Whether a message comes back."""
    inbox = connection.nc.new_inbox()
    subscription = await connection.nc.subscribe(inbox)
    await connection.nc.publish(inbox, b"x")
    message = await subscription.next_msg(timeout=5)
    await subscription.unsubscribe()
    return message.data == b"x"


async def test_a_flush_that_was_given_up_does_no_harm(nats_connection: NatsConnection) -> None:
    flushing = asyncio.create_task(nats_connection.nc.flush())
    while not nats_connection.nc._pongs:
        await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait([flushing])
    assert flushing.cancelled()
    await nats_connection.nc.flush(timeout=5)
    assert await round_trip(nats_connection)
    assert nats_connection.reconnects == 0


async def test_an_error_while_reading_makes_a_new_connection(
    nats_connection: NatsConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = nats_connection.nc._ps
    parse: Callable[[bytes], Any] = parser.parse

    async def defect(_data: bytes) -> None:
        monkeypatch.setattr(parser, "parse", parse)
        raise TypeError("a defect")

    monkeypatch.setattr(parser, "parse", defect)
    await nats_connection.nc._send_ping()

    async def renewed() -> bool:
        return nats_connection.reconnects == 1

    await eventually(renewed)
    assert await round_trip(nats_connection)
