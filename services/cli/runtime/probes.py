"""Health checks of the parts: each speaks the part's own protocol, none guesses from a process being alive."""

import asyncio
import contextlib
import errno
import struct
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.cli.runtime.disk import LEAST_ROOM_BYTES, free_bytes
from services.cli.runtime.errors import describe
from services.cli.runtime.part import Probe, Unhealthy

_POSTGRES_PROTOCOL = 3 << 16
_SHARE_OF_ONE_CALL = 2 / 3
# None: of several addresses, each failed in its own way.
_NOBODY_THERE = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOENT, None})
_SERVING = b"\x08\x01"
# Leads nowhere. Envoy's access log leaves it out, so that the log holds clients' requests alone.
_EDGE_PROBE_PATH = "/v1/-/supervisor"
# A HealthCheckRequest for `liveness`, and the key of the reason: services/chassis/grpc/health.py.
_LIVENESS = b"\x0a\x08liveness"
_REASON = "tocsin-health-reason"
_TLS_FILES = ("cert_file", "key_file", "ca_file")


def http_probe(host: str, port: int, path: str) -> Probe:
    """Healthy when `GET path` is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def probe(_within: timedelta) -> None:
        status = await _http_status(host, port, request)
        if not status.startswith("200"):
            raise Unhealthy(f"GET {path} is answered with {status or 'nothing'}")

    return probe


def edge_probe(host: str, port: int) -> Probe:
    """Healthy when the listener that clients use answers by itself: it asks a call without a token for one. Nothing
    behind it is asked, so that a gateway that hangs is not Envoy's fault."""
    request = f"GET {_EDGE_PROBE_PATH} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()

    async def probe(_within: timedelta) -> None:
        status = await _http_status(host, port, request)
        if not status.startswith("401"):
            raise Unhealthy(f"a call without a token is answered with {status or 'nothing'}")

    return probe


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcTls:
    """What services that speak mutual TLS are asked with. `name` is what must be in their certificate; empty for the
    address that is asked."""

    cert_file: str
    key_file: str
    ca_file: str
    name: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str], peer: str) -> "GrpcTls | None":
        """As the variables say; None where they name no files. `peer` is the service's `host:port` for the others."""
        files = {name: environment.get(f"TOCSIN_GRPC_TLS_{name.upper()}", "") for name in _TLS_FILES}
        return cls(**files, name=peer.rpartition(":")[0].strip("[]")) if all(files.values()) else None

    def contents(self) -> tuple[bytes, bytes, bytes]:
        """The authorities, the key and the certificate, as they are now."""
        ca, key, certificate = (Path(file).read_bytes() for file in (self.ca_file, self.key_file, self.cert_file))
        return ca, key, certificate


def grpc_probe(address: str, tls: GrpcTls | None = None) -> Probe:
    """Healthy when the standard health service answers SERVING for the server as a whole.

    When it does not, `liveness` tells whether that is the service's own fault. A service without that name is asked
    too much: its fault is its own.
    """
    host, _, port = address.rpartition(":")

    async def probe(within: timedelta) -> None:
        each = within.total_seconds() * _SHARE_OF_ONE_CALL
        await reach(host, int(port))
        # Only now: connecting again and again is cheaper without a channel, and so is starting up without gRPC.
        import grpc
        import grpc.aio

        channel = grpc.aio.insecure_channel(address)
        if tls is not None:
            options = [("grpc.ssl_target_name_override", tls.name)] if tls.name else []
            channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*tls.contents()), options)
        async with channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
            )
            try:
                call = check(b"", timeout=each)
                if await call == _SERVING:
                    return
                # Names and values are text, as long as a name does not end in "-bin".
                said = {str(name): str(value) for name, value in await call.trailing_metadata() or ()}
            except grpc.aio.AioRpcError as error:
                raise Unhealthy(f"health check: {error.code().name}") from error
            try:
                alive = await check(_LIVENESS, timeout=each) == _SERVING
            except grpc.aio.AioRpcError:
                alive = False
        raise Unhealthy(said.get(_REASON, "not serving"), own=not alive)

    return probe


def postgres_hello(host: str, port: int) -> Probe:
    """Healthy when the server takes sessions: it asks who we are, and does not say that it is starting or stopping.

    That is what can be asked at any time and costs next to nothing; `postgres_health` goes on from there.
    """
    parameters = b"user\0tocsin_probe\0database\0postgres\0\0"
    hello = struct.pack("!ii", 8 + len(parameters), _POSTGRES_PROTOCOL) + parameters

    async def probe(_within: timedelta) -> None:
        async with _connection(host, port) as (reader, writer):
            writer.write(hello)
            await writer.drain()
            kind, length = struct.unpack("!ci", await reader.readexactly(5))
            body = await reader.readexactly(length - 4)
        if kind == b"E" and b"\0C57P03\0" in b"\0" + body:
            raise Unhealthy("not accepting sessions yet", own=False)

    return probe


async def reach(host: str, port: int) -> None:
    """Raises Unhealthy when nothing listens there."""
    async with _connection(host, port):
        pass


def shows_silence(error: OSError) -> bool:
    """Whether a connection failed because nobody takes it there, not because we ran out of something (descriptors,
    ports, memory): that is no fault of the part's."""
    return error.errno in _NOBODY_THERE


def check_room(directory: Path) -> None:
    """Raises Unhealthy when the disk of the directory is full."""
    if (free := free_bytes(directory)) < LEAST_ROOM_BYTES:
        raise Unhealthy(
            f"no room left on the disk: {free // 1024:,} KiB free",
            own=False,
            advice=f"free some of the disk of {directory}; it goes on by itself then",
        )


async def _http_status(host: str, port: int, request: bytes) -> str:
    async with _connection(host, port) as (reader, writer):
        writer.write(request)
        await writer.drain()
        return " ".join((await reader.readline()).decode("latin-1").split()[1:])


@contextlib.asynccontextmanager
async def _connection(host: str, port: int) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        if shows_silence(error):
            raise Unhealthy(f"nothing listens on {host}:{port}") from None
        raise Unhealthy(f"{host}:{port} cannot be asked: {describe(error)}", own=False) from error
    try:
        yield reader, writer
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        raise Unhealthy(f"connection lost: {error}") from error
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
