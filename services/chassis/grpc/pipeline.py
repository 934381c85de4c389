"""How a call passes the server: named stages around the servicer's method, composed once per method.

grpc.aio runs interceptors by looking the handler up again on every call and offers them four shapes of methods. Here
each method is wrapped once, when its servicer is registered: every shape becomes one coroutine on a `Call`, and a stage
is an object that wraps that coroutine. The order of the stages is `services.chassis.grpc.stages.ORDER`.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, cast

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError

from services.chassis.errors import Unimplemented
from services.chassis.grpc.status import DETAILS_KEY, code_of, to_status


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC method: `path` is `/package.Service/Method`."""

    path: str
    service: str
    name: str
    request_streams: bool
    response_streams: bool
    descriptor: MethodDescriptor | None

    @classmethod
    def of(cls, service: str, name: str, handler: Any) -> "Method":
        """The method that `handler` serves, with its descriptor when its generated code is imported."""
        try:
            found: MethodDescriptor | None = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
        except KeyError:
            found = None
        return cls(f"/{service}/{name}", service, name, handler.request_streaming, handler.response_streaming, found)


@dataclass(slots=True)
class Call:
    """One call under way. `request` is a message, or an async iterator of messages. `code` and `error` tell the outer
    stages how it ended."""

    method: Method
    request: Any
    context: Any
    metadata: dict[str, str | bytes]
    request_id: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Ends the call with the status of `error`. It does not raise: the stage returns None after it."""
        status = to_status(error, self.request_id)
        self.code, self.error = code_of(error), error
        self.context.set_code(self.code)
        self.context.set_details(status.message)
        self.context.set_trailing_metadata(((DETAILS_KEY, status.SerializeToString()),))


Handle = Callable[[Call], Awaitable[Any]]


class Stage(Protocol):
    """One named part of the pipeline."""

    @property
    def name(self) -> str: ...

    def bind(self, method: Method, proceed: Handle) -> Handle:
        """The coroutine function that does this stage's work for `method` around `proceed`. Called once per method."""
        ...


def compose(method: Method, behaviour: Callable[[Any, Any], Any], stages: Sequence[Stage]) -> Handle:
    """The servicer's method inside all stages; the first stage is the outermost."""
    if _left_out(behaviour):
        innermost = _unimplemented
    else:
        innermost = _stream(behaviour) if method.response_streams else _unary(behaviour)
    return reduce(lambda inner, stage: stage.bind(method, inner), reversed(stages), innermost)


@dataclass(frozen=True, slots=True)
class Bound:
    """A method with all stages around it. `parse` gives Malformed for what is no message."""

    method: Method
    run: Handle
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


def bind(method: Method, original: Any, stages: Sequence[Stage]) -> "tuple[grpc.RpcMethodHandler[Any, Any], Bound]":
    """The method of the gRPC handler `original` with all stages around it, as a handler and by itself."""
    make, behaviour = {
        (False, False): (grpc.unary_unary_rpc_method_handler, original.unary_unary),
        (False, True): (grpc.unary_stream_rpc_method_handler, original.unary_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, original.stream_unary),
        (True, True): (grpc.stream_stream_rpc_method_handler, original.stream_stream),
    }[method.request_streams, method.response_streams]
    run = compose(method, behaviour, stages)
    bound = Bound(method, run, _tolerant(original.request_deserializer), original.response_serializer)

    async def enter(request: Any, context: Any) -> Any:
        return await run(Call(method, request, context, dict(context.invocation_metadata() or ())))

    handler = make(cast(Any, enter), request_deserializer=bound.parse, response_serializer=original.response_serializer)
    return handler, bound


@dataclass(frozen=True, slots=True)
class Malformed:
    """Stands for a request whose bytes are no message of the method's type."""


def _tolerant(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """gRPC answers UNKNOWN, with a stack trace in the log, when a deserializer raises; the validation stage refuses
    what is malformed as it refuses what is invalid."""

    def read(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except DecodeError:
            return Malformed()

    return read


def _left_out(behaviour: Callable[[Any, Any], Any]) -> bool:
    """Whether the servicer leaves the method to its generated base class."""
    return (getattr(behaviour, "__module__", None) or "").endswith("_pb2_grpc")


async def _unimplemented(call: Call) -> Any:
    raise Unimplemented(metadata={"method": call.method.path})


def _unary(behaviour: Callable[[Any, Any], Any]) -> Handle:
    if not inspect.iscoroutinefunction(behaviour):
        raise TypeError(f"{behaviour!r} must be an async function: a plain one would block every other call")

    async def run(call: Call) -> Any:
        return await behaviour(call.request, call.context)

    return run


def _stream(behaviour: Callable[[Any, Any], Any]) -> Handle:
    async def run(call: Call) -> None:
        result = behaviour(call.request, call.context)
        if not isinstance(result, AsyncIterator):
            await result  # it writes to the context itself
            return
        write = call.context.write
        async with aclosing(cast(Any, result)) as messages:
            async for message in messages:
                await write(message)

    return run
