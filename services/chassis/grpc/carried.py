"""A carried call on its way through the service: see `services.chassis.grpc.lanes`."""

import asyncio
from collections.abc import Iterable
from typing import Final, NoReturn

import grpc
import grpc.aio

from services.chassis.errors import Internal
from services.chassis.grpc.pipeline import Bound, Call
from services.chassis.telemetry.logs import get_logger
from tocsin.calls.v1 import lane_service_pb2 as pb

Trailers = Iterable[tuple[str, str | bytes]]
_OK: Final = grpc.StatusCode.OK

log = get_logger(__name__)


class CarriedContext:
    """What stages and servicers of unary methods use of `grpc.aio.ServicerContext`."""

    __slots__ = ("_code", "_details", "_loop", "_metadata", "_trailers", "until")

    def __init__(self, metadata: dict[str, str | bytes], until: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._metadata = metadata
        self.until = until
        """When the caller gives up, on the loop's clock; None: never."""
        self._code, self._details = _OK, ""
        self._trailers: tuple[tuple[str, str | bytes], ...] = ()

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """As in gRPC."""
        return tuple(self._metadata.items())

    def time_remaining(self) -> float | None:
        """As in gRPC."""
        return None if self.until is None else max(self.until - self._loop.time(), 0.0)

    def code(self) -> grpc.StatusCode:
        """As in gRPC."""
        return self._code

    def details(self) -> str:
        """As in gRPC."""
        return self._details

    def trailing_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """As in gRPC."""
        return self._trailers

    def set_code(self, code: grpc.StatusCode) -> None:
        """As in gRPC."""
        self._code = code

    def set_details(self, details: str) -> None:
        """As in gRPC."""
        self._details = details

    def set_trailing_metadata(self, trailing_metadata: Trailers) -> None:
        """As in gRPC."""
        self._trailers = tuple(trailing_metadata)

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Trailers = ()) -> NoReturn:
        """As in gRPC."""
        self._code, self._details, self._trailers = code, details, tuple(trailing_metadata)
        raise grpc.aio.AbortError


class Carried:
    """One call: run once, then answered once."""

    __slots__ = ("_bound", "_call", "_context", "_request", "_timer", "number")

    def __init__(self, call: pb.CarriedCall, bound: Bound) -> None:
        self.number = call.id
        metadata = {
            entry.key: entry.value if entry.key.endswith("-bin") else entry.value.decode("latin-1")
            for entry in call.metadata
        }
        until = asyncio.get_running_loop().time() + call.timeout_us / 1e6 if call.timeout_us else None
        self._bound, self._request = bound, call.request
        self._context = CarriedContext(metadata, until)
        self._call = Call(bound.method, None, self._context, metadata)
        self._timer: asyncio.TimerHandle | None = None

    def bind(self, task: "asyncio.Task[bytes | None]") -> None:
        """Cancels the task, which runs this call, at the caller's deadline."""
        if self._context.until is not None:
            self._timer = asyncio.get_running_loop().call_at(self._context.until, task.cancel)

    async def run(self, max_message: int) -> bytes | None:
        """Makes the call; the encoded response, or None where the status is not OK."""
        try:
            self._call.request = self._bound.parse(self._request)
            response = await self._bound.run(self._call)
            if self._context.code() is not _OK:
                return None
            encoded = self._bound.serialize(response)
        except grpc.aio.AbortError:
            return None
        except Exception as error:  # beyond the stages, which let none out
            log.exception("carried call failed", method=self._bound.method.path)
            self._call.fail(Internal())
            self._call.error = error
            return None
        if len(encoded) > max_message:
            self._context.set_code(grpc.StatusCode.RESOURCE_EXHAUSTED)
            self._context.set_details(f"The answer has more than {max_message} bytes.")
            return None
        return encoded

    def answer(self, task: "asyncio.Task[bytes | None]") -> pb.CarriedAnswer:
        """What `task`, which ran this call and is done, comes to."""
        if self._timer is not None:
            self._timer.cancel()
        context = self._context
        if task.cancelled():
            expired = context.time_remaining() == 0.0
            context.set_code(grpc.StatusCode.DEADLINE_EXCEEDED if expired else grpc.StatusCode.CANCELLED)
        elif (response := task.result()) is not None:
            answer = pb.CarriedAnswer(id=self.number, response=response)
            self._add_trailers(answer)
            return answer
        answer = pb.CarriedAnswer(id=self.number, code=context.code().value[0], message=context.details())
        self._add_trailers(answer)
        return answer

    def _add_trailers(self, answer: pb.CarriedAnswer) -> None:
        for key, value in self._context.trailing_metadata():
            answer.trailers.add(key=key, value=value.encode() if isinstance(value, str) else value)
