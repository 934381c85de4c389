"""The client of the broker, against what other clients send and what a dying socket does."""

import asyncio
from collections.abc import Callable
from typing import Any

import nats.errors
import pytest
import uvloop
from nats.aio.msg import Msg

from services.chassis.nats import NatsConnection, Publisher, TopologyOptions, ensure_streams, open_nats
from services.chassis.nats.client import UNREADABLE
from tests.support.eventually import eventually
from tests.support.messaging import event
from tests.support.nats import NatsServer, send_raw

SUBJECTS = [
    b"garbage.\xff\xfe",
    b"garbage.\xed\xa0\x80",
    b"garbage.a\x0bb",
    b"garbage.a\x0cb",
    b"garbage.\x00",
    b"garbage.\xe2\x80\xa8",
    b"garbage." + b"x" * 3000,
]
HEADERS = [
    b"x",
    b"NATS/1.0",
    b"NATS/1.0\r\n\r\n",
    b"NATS/1.0 \xff\xff\xff \xff\r\n\r\n",
    b"NATS/1.0 503\r\n\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: \xff\r\n\r\n",
    b"NATS/1.0 409 \xfe\xff\r\nx: y\r\n\r\n",
    b"NATS/1.0\r\n: \r\n\xff\xff: 1\r\nce-id: \xff\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\x00\x01\x02: \x00\r\n",
]


async def follow(connection: NatsConnection, subject: str) -> list[Msg]:
    seen: list[Msg] = []

    async def take(message: Msg) -> None:
        seen.append(message)

    await connection.nc.subscribe(subject, cb=take)
    await connection.nc.flush()
    return seen


async def test_every_subject_and_every_header_is_delivered_on_the_same_connection(
    nats_connection: NatsConnection, nats_url: str
) -> None:
    seen = await follow(nats_connection, "garbage.>")
    commands = [b"PUB %s 2\r\nhi\r\n" % subject for subject in SUBJECTS]
    commands += [b"HPUB garbage.headers %d %d\r\n%shi\r\n" % (len(block), len(block) + 2, block) for block in HEADERS]
    await send_raw(nats_url, b"".join(commands))
    await eventually(lambda: len(seen) == len(SUBJECTS) + len(HEADERS))
    assert all(message.data == b"hi" for message in seen)
    assert seen[0].subject == "garbage.\\xff\\xfe"
    assert (seen[0].headers or {})[UNREADABLE] == "subject"
    assert nats_connection.reconnects == 0
    for message in seen:
        # What is told of it can be printed, stored and sent on.
        message.subject.encode()
        "".join((message.headers or {}).values()).encode()


async def test_a_message_in_pieces_is_put_together(nats_connection: NatsConnection, nats_url: str) -> None:
    seen = await follow(nats_connection, "pieces")
    parser = nats_connection.nc._ps
    whole = b"PING\r\nMSG pieces 1 5\r\nab\r\nc\r\nHMSG\tpieces  1 reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n+OK\r\n"
    sid = max(nats_connection.nc._subs)
    whole = whole.replace(b"pieces 1 5", b"pieces %d 5" % sid).replace(b"pieces  1 reply", b"pieces  %d reply" % sid)
    for at in range(len(whole)):
        await parser.parse(whole[at : at + 1])
    await eventually(lambda: len(seen) == 2)
    assert [(message.reply, message.data) for message in seen] == [("", b"ab\r\nc"), ("reply", b"hi")]


@pytest.mark.parametrize("line", [b"MSG a\r\n", b"MSG a b 1\r\n", b"HMSG a 1 2\r\n", b"HELLO\r\n", b"\r\n"])
async def test_what_no_server_says_is_a_protocol_error(nats_connection: NatsConnection, line: bytes) -> None:
    with pytest.raises(nats.errors.ProtocolError):
        await nats_connection.nc._ps.parse(line)


def dead_once(transport: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next write fails as uvloop lets it fail on a socket that has died unnoticed."""

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

    monkeypatch.setattr(transport, method, fail)


async def test_publishing_on_a_socket_that_has_just_died_succeeds_over_a_new_connection(
    nats_connection: NatsConnection, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (await publisher.publish(event("0"))).sequence
    for number in range(1, 4):
        dead_once(nats_connection.nc._transport, "writelines", monkeypatch)
        assert (await publisher.publish(event(str(number)))).sequence == before + number
        assert nats_connection.reconnects == number


async def test_a_ping_on_a_dead_socket_is_an_error_of_the_connection(
    nats_connection: NatsConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_once(nats_connection.nc._transport, "write", monkeypatch)
    with pytest.raises(nats.errors.StaleConnectionError):
        await nats_connection.nc.flush(timeout=5)
    await eventually(lambda: nats_connection.healthy and nats_connection.reconnects == 1)
    await nats_connection.nc.flush(timeout=5)


async def test_writing_in_place_of_a_flusher_that_has_ended_is_an_error_of_the_connection(
    nats_connection: NatsConnection, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    flusher = nats_connection.nc._flusher_task
    assert flusher is not None
    flusher.cancel()
    await asyncio.wait([flusher])
    dead_once(nats_connection.nc._transport, "writelines", monkeypatch)
    with pytest.raises(nats.errors.StaleConnectionError):
        await nats_connection.nc.publish("x", b"y")
    await eventually(lambda: nats_connection.healthy and nats_connection.reconnects == 1)
    await publisher.publish(event("after"))


@pytest.mark.chaos
def test_storms_of_kills_under_load_end_nothing(nats_servers: Callable[[], NatsServer]) -> None:
    server = nats_servers()

    async def main() -> None:
        async with open_nats(server.url, name="tests") as connection:
            await ensure_streams(connection, TopologyOptions())
            await storm(connection)

    async def storm(connection: NatsConnection) -> None:
        publisher = Publisher(connection, source="tocsin/tests")
        acknowledged: set[int] = set()

        async def publish(number: int) -> None:
            acknowledged.add((await publisher.publish(event(str(number)))).sequence)

        for round_ in range(2):
            publishing = [asyncio.create_task(publish(round_ * 200 + number)) for number in range(200)]
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await asyncio.gather(*publishing)
        assert len(acknowledged) == 400

    # As services run: uvloop refuses to write on a socket that is closed, where asyncio looks away.
    uvloop.run(main())


async def test_a_flusher_that_ends_makes_a_new_connection(nats_connection: NatsConnection) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("closed")

    transport = nats_connection.nc._transport
    nats_connection.nc._transport = Broken()
    try:
        await nats_connection.nc.publish("x", b"y")
        await eventually(lambda: nats_connection.nc.is_reconnecting)
    finally:
        nats_connection.nc._transport = transport
    await eventually(lambda: nats_connection.healthy)
