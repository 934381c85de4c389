"""Channels to the other services of the mesh.

    async with connect(settings.peer_ingestion, services=["tocsin.ingestion.v1.IngestionService"]) as channel:
        stub = IngestionServiceStub(channel.channel)
        reply = await stub.GetReading(request)          # raises a DomainError, never an RpcError

Every call has a deadline (the default of the channel, or `timeout=` seconds of the call; never past the deadline of the
call being served), carries the trace context and request id, and a token: the one given, else the caller's own.
UNAVAILABLE is retried by gRPC on methods whose contract declares an `idempotency_level`.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from services.chassis.auth.verifier import TokenMissing
from services.chassis.grpc.status import unpack
from services.chassis.settings import MIB, ChassisSettings
from services.chassis.telemetry import context, tracing

DEFAULT_DEADLINE: Final = timedelta(seconds=10)
KEEPALIVE_MS: Final = 30_000
Token = Callable[[], str]
"""Gives the token for a call, or an empty string for none."""

# gRPC rounds a timeout up by as much as 1 % where it writes it down; what is left of a deadline must not grow.
_ON_THE_WIRE: Final = 0.99


class PeerChannel:
    """A channel that generated stubs take. Unary calls are awaited; streams are async iterators of messages."""

    def __init__(self, channel: grpc.aio.Channel, deadline: timedelta, token: Token) -> None:
        self._inner, self._deadline, self._token = channel, deadline.total_seconds(), token

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """This object as what the type stubs of generated stubs ask for."""
        return cast(grpc.aio.Channel, self)

    async def close(self) -> None:
        """Cancels what is under way and closes the connections."""
        await self._inner.close(None)

    async def ready(self) -> None:
        """Returns when the peer is connected; for a health check with a time limit around it."""
        await self._inner.channel_ready()

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Awaitable[Any]]:
        """For generated stubs."""
        return self._single(cast(Any, self._inner).unary_unary(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., Awaitable[Any]]:
        """For generated stubs."""
        return self._single(cast(Any, self._inner).stream_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., AsyncIterator[Any]]:
        """For generated stubs."""
        return self._many(cast(Any, self._inner).unary_stream(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Callable[..., AsyncIterator[Any]]:
        """For generated stubs."""
        return self._many(cast(Any, self._inner).stream_stream(method, *args, **kwargs))

    def _single(self, call: Any) -> Callable[..., Awaitable[Any]]:
        async def invoke(
            request: Any, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()
        ) -> Any:
            try:
                return await call(request, timeout=self._timeout(timeout), metadata=self._metadata(metadata))
            except grpc.RpcError as error:
                raise unpack(error) from error

        return invoke

    def _many(self, call: Any) -> Callable[..., AsyncIterator[Any]]:
        async def invoke(
            request: Any, *, timeout: float | None = None, metadata: Sequence[tuple[str, str]] = ()
        ) -> AsyncIterator[Any]:
            stream = call(request, timeout=self._timeout(timeout), metadata=self._metadata(metadata))
            try:
                async for message in stream:
                    yield message
            except grpc.RpcError as error:
                raise unpack(error) from error
            finally:
                stream.cancel()  # no effect once it has ended; otherwise the reader has left early

        return invoke

    def _timeout(self, asked: float | None) -> float:
        limit = asked if asked is not None else self._deadline
        until = context.deadline.get()
        return limit if until is None else max(min(limit, (until - time.monotonic()) * _ON_THE_WIRE), 0.0)

    def _metadata(self, given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        headers = dict(given)
        tracing.inject(headers)
        if request_id := context.request_id.get():
            headers.setdefault("x-request-id", request_id)
        if "authorization" not in headers and (token := self._token()):
            headers["authorization"] = f"Bearer {token}"
        return tuple(headers.items())


def connect(
    target: str,
    *,
    services: Iterable[str] = (),
    deadline: timedelta = DEFAULT_DEADLINE,
    token: Token | None = None,
    max_message: int = 4 * MIB,
    credentials: grpc.ChannelCredentials | None = None,
) -> PeerChannel:
    """A channel to `target` (host:port); it connects when it is first used. `services` are the full names of the
    services whose idempotent methods may be retried (their generated code must be imported). `token` gives the token
    per call; without one the token of the call being served is passed on."""
    options: list[tuple[str, int | str]] = [
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_send_message_length", max_message),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.service_config", service_config(services)),
        ("grpc.service_config_disable_resolution", 1),
    ]
    channel = (
        grpc.aio.insecure_channel(target, options=options)
        if credentials is None
        else grpc.aio.secure_channel(target, credentials, options=options)
    )
    return PeerChannel(channel, deadline, token or forwarded)


def connect_peer(target: str, settings: ChassisSettings, services: Iterable[str] = ()) -> PeerChannel:
    """A channel as the settings say: mTLS where it is configured, the service's own token where a file names it."""
    credentials = None
    if settings.grpc_tls_ca_file and settings.grpc_tls_key_file and settings.grpc_tls_cert_file:
        credentials = grpc.ssl_channel_credentials(
            settings.grpc_tls_ca_file.read_bytes(),
            settings.grpc_tls_key_file.read_bytes(),
            settings.grpc_tls_cert_file.read_bytes(),
        )
    token = token_file(settings.peer_token_file) if settings.peer_token_file else None
    return connect(
        target, services=services, token=token, max_message=settings.grpc_max_message, credentials=credentials
    )


def forwarded() -> str:
    """The token of the call being served; empty outside of one."""
    return context.bearer.get()


def token_file(path: Path) -> Token:
    """The token in `path`, read again when the file changes. Raises TokenMissing while it cannot be read."""
    seen: tuple[int, str] = (-1, "")

    def read() -> str:
        nonlocal seen
        try:
            stamp = path.stat().st_mtime_ns
            if stamp != seen[0]:
                seen = (stamp, path.read_text().strip())
        except OSError as error:
            raise TokenMissing(f"The service's own token is not readable: {error.strerror}.") from error
        return seen[1]

    return read


def service_config(services: Iterable[str]) -> str:
    """The gRPC service config: UNAVAILABLE is retried on the methods that declare an idempotency level."""
    names = [
        {"service": service, "method": method.name}
        for service in services
        for method in _descriptor(service).methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    ]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": retry}] if names else []})


def _descriptor(service: str) -> ServiceDescriptor:
    return cast(Any, descriptor_pool.Default()).FindServiceByName(service)
