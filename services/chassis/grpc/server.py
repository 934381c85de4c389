"""The gRPC server of a service: life cycle, limits, health, reflection, the stages of `services.chassis.grpc.stages`.

It stands in for `grpc.aio.Server` where generated code registers a servicer::

    server = Server(ServerOptions.of(settings), standard(verifier, settings.grpc_default_deadline))
    add_IngestionServiceServicer_to_server(Servicer(...), server.registrar)
    port = await server.start()

Keepalive: clients ping every 30 s at the least (`services.chassis.grpc.client`), and the server allows a ping every 10
s: well under half of it, since equal values end in GOAWAY by jitter.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from services.chassis.auth.keys import KeyUrl
from services.chassis.auth.rules import validates_items
from services.chassis.auth.trust import keys_of_provider, verifier_of
from services.chassis.grpc import reflection, validation
from services.chassis.grpc.health import Health
from services.chassis.grpc.lanes import ENVELOPE, Lanes
from services.chassis.grpc.pipeline import Bound, Method, Stage, bind
from services.chassis.grpc.stages import standard
from services.chassis.settings import MIB, ChassisSettings
from services.chassis.telemetry.logs import get_logger
from tocsin.calls.v1.lane_service_pb2_grpc import add_LaneServiceServicer_to_server

MIN_PING_MS: Final = 10_000
CONNECTION_AGE: Final = timedelta(minutes=5)

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """`shared_port`: other processes listen on the same port (workers); connections then age, to spread again."""

    listen: str = "127.0.0.1:0"
    max_message: int = 4 * MIB
    max_calls: int = 4096
    shared_port: bool = False
    cert_file: Path | None = None
    key_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def of(cls, settings: ChassisSettings, *, shared_port: bool = False, listen: str | None = None) -> "ServerOptions":
        """The options that the settings name."""
        return cls(
            listen=listen or settings.grpc_listen,
            max_message=settings.grpc_max_message,
            max_calls=settings.grpc_max_calls,
            shared_port=shared_port,
            cert_file=settings.grpc_tls_cert_file,
            key_file=settings.grpc_tls_key_file,
            ca_file=settings.grpc_tls_ca_file,
        )

    def channel_arguments(self) -> list[tuple[str, int]]:
        """The gRPC core arguments."""
        arguments = [
            # Without workers a taken port must be an error, not two servers that share it by accident.
            ("grpc.so_reuseport", int(self.shared_port)),
            ("grpc.max_receive_message_length", self.max_message),
            ("grpc.max_send_message_length", self.max_message + ENVELOPE),
            ("grpc.max_metadata_size", 16 * 1024),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MS),
        ]
        if self.shared_port:
            age = int(CONNECTION_AGE.total_seconds() * 1000 * random.uniform(0.8, 1.2))
            arguments += [("grpc.max_connection_age_ms", age), ("grpc.max_connection_age_grace_ms", 60_000)]
        return arguments


class Server:
    """A server that is filled by generated `add_..._to_server` functions, started once and stopped once."""

    def __init__(self, options: ServerOptions, stages: Sequence[Stage], health: Health | None = None) -> None:
        self._options, self.stages = options, tuple(stages)
        self.health = health or Health()
        self.stopping = asyncio.Event()
        """Set when the server begins to stop: a servicer with an endless stream ends it then."""
        self.provider: KeyUrl | None = None
        """Keys that have to be kept up to date while the server runs."""
        self._handlers: dict[str, dict[str, Any]] = {}
        self._bound: dict[str, Bound] = {}
        self._server: grpc.aio.Server | None = None
        self.port = 0

    @classmethod
    def standard(cls, settings: ChassisSettings, *, shared_port: bool = False, listen: str | None = None) -> "Server":
        """A server with all stages, from the settings."""
        provider = keys_of_provider(settings)
        options = ServerOptions.of(settings, shared_port=shared_port, listen=listen)
        server = cls(options, standard(verifier_of(settings, provider), settings.grpc_default_deadline))
        server.provider = provider if isinstance(provider, KeyUrl) else None
        return server

    @property
    def registrar(self) -> grpc.aio.Server:
        """This object as what the type stubs of generated `add_..._to_server` functions ask for."""
        return cast(grpc.aio.Server, self)

    @property
    def services(self) -> tuple[str, ...]:
        """The full names of the registered services."""
        return tuple(self._handlers)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Generated code calls this and `add_registered_method_handlers` with the same methods; the latter counts."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Registers the methods of a service, each wrapped in the stages; called by generated code."""
        if self._server is not None:
            raise RuntimeError("servicers are added before the server starts")
        wrapped: dict[str, Any] = {}
        for name, original in method_handlers.items():
            method = Method.of(service_name, name, original)
            wrapped[name], self._bound[method.path] = bind(method, original, self.stages)
        self._handlers[service_name] = wrapped
        self.health.add_service(service_name)

    async def start(self) -> int:
        """Listens; returns the port. Raises OSError when the address is taken or cannot be bound."""
        own = self.services
        self._add_lanes()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.registrar)
        reflection.register(own, self)
        validation.warm(
            method.descriptor.input_type
            for method in (bound.method for bound in self._bound.values())
            if method.descriptor is not None and method.service in own and not validates_items(method.descriptor)
        )
        server = grpc.aio.server(
            options=self._options.channel_arguments(), maximum_concurrent_rpcs=self._options.max_calls
        )
        for service, handlers in self._handlers.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        try:
            self.port = self._bind(server)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._options.listen}: {error}") from None
        await server.start()
        self._server = server
        log.info("grpc server listens", address=self._options.listen, port=self.port, services=list(own))
        return self.port

    def _add_lanes(self) -> None:
        """Unary methods of this service may come by lane, too."""
        unary = {
            path: bound
            for path, bound in self._bound.items()
            if not (bound.method.request_streams or bound.method.response_streams)
        }
        options = self._options
        lanes = Lanes(unary, max_calls=options.max_calls, max_message=options.max_message, stopping=self.stopping)
        add_LaneServiceServicer_to_server(lanes, self.registrar)

    async def not_serving(self) -> None:
        """The first step of a stop: health says NOT_SERVING, endless streams are asked to end; calls are still
        taken."""
        self.stopping.set()
        await self.health.stop()

    async def stop(self, grace: timedelta) -> None:
        """Refuses new calls, lets running ones finish for up to `grace`, then cancels them."""
        await self.not_serving()
        if self._server is not None:
            await self._server.stop(grace.total_seconds())

    def _bind(self, server: grpc.aio.Server) -> int:
        options = self._options
        if options.cert_file is None or options.key_file is None or options.ca_file is None:
            return server.add_insecure_port(options.listen)
        credentials = grpc.ssl_server_credentials(
            [(options.key_file.read_bytes(), options.cert_file.read_bytes())],
            root_certificates=options.ca_file.read_bytes(),
            require_client_auth=True,
        )
        return server.add_secure_port(options.listen, credentials)
