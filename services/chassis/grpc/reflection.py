"""Server reflection under both of its names (v1 and v1alpha: their messages are the same on the wire)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from services.chassis.auth.rules import HEALTH, REFLECTION


class Registrar(Protocol):
    """What takes servicers, as generated code sees it."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None: ...

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None: ...


class _UnderBothNames:
    def __init__(self, server: Registrar) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Generated code calls both; the other one counts."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        for name in REFLECTION:
            self._server.add_registered_method_handlers(name, method_handlers)


def register(services: Sequence[str], server: Registrar) -> None:
    """Adds reflection that lists `services`, health and itself (by the name whose descriptor it has)."""
    aio = cast(Any, reflection).aio  # the type stubs do not know it
    servicer = aio.ReflectionServicer((*services, HEALTH, reflection.SERVICE_NAME))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, cast(Any, _UnderBothNames(server)))
