"""Health checks of the parts: each speaks the part's own protocol, none guesses from a process being alive."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncGenerator

from services.cli.runtime.part import Probe, Unhealthy

_POSTGRES_PROTOCOL = 3 << 16
_SERVING = b"\x08\x01"


def http_probe(host: str, port: int, path: str) -> Probe:
    """Healthy when `GET path` is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def probe() -> None:
        async with _connection(host, port) as (reader, writer):
            writer.write(request)
            await writer.drain()
            words = (await reader.readline()).decode("latin-1").split()
        if len(words) < 2 or words[1] != "200":
            raise Unhealthy(f"GET {path} is answered with {' '.join(words[1:]) or 'nothing'}")

    return probe


def grpc_probe(address: str) -> Probe:
    """Healthy when the standard health service answers SERVING for the server as a whole."""
    host, _, port = address.rpartition(":")

    async def probe() -> None:
        async with _connection(host, int(port)):
            pass
        # Only now: connecting again and again is cheaper without a channel, and so is starting up without gRPC.
        import grpc
        import grpc.aio

        async with grpc.aio.insecure_channel(address) as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
            )
            try:
                answer = await check(b"", timeout=2)
            except grpc.aio.AioRpcError as error:
                raise Unhealthy(f"health check: {error.code().name}") from error
        if answer != _SERVING:
            raise Unhealthy("not serving")

    return probe


def postgres_probe(host: str, port: int) -> Probe:
    """Healthy when the server takes sessions: it asks who we are, and does not say that it is starting or stopping.

    Leaves it at that, as no password is worth spending on a check; the step that prepares the database logs in.
    """
    parameters = b"user\0tocsin_probe\0database\0postgres\0\0"
    hello = struct.pack("!ii", 8 + len(parameters), _POSTGRES_PROTOCOL) + parameters

    async def probe() -> None:
        async with _connection(host, port) as (reader, writer):
            writer.write(hello)
            await writer.drain()
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            body = await reader.readexactly(length - 4)
        if kind == b"E" and b"\0C57P03\0" in b"\0" + body:
            raise Unhealthy("not accepting sessions yet")

    return probe


@contextlib.asynccontextmanager
async def _connection(host: str, port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        raise Unhealthy(f"nothing listens on {host}:{port}") from None
    try:
        yield reader, writer
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise Unhealthy(f"connection lost: {error}") from error
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
