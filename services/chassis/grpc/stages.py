"""The stages that every call passes, outermost first: see `ORDER`.

recovery    nothing escapes without a status; what reaches it is a bug of a stage, logged with its traceback
request_id  takes `x-request-id` over or makes one; it is in the logs and in the details of errors
trace       continues the caller's trace; a server span where spans are recorded
deadline    gives calls without a deadline the default one (not calls that stream: they may stay open)
log         failed and slow calls (the rest at debug level)
metrics     rates, latencies and codes per method
auth        token and scope; the principal for the use cases
errors      domain errors to statuses; an unmapped one is logged and becomes INTERNAL with fixed text
validation  the contract's rules on every request message
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc
import grpc.aio
from opentelemetry.trace import SpanKind, Status, StatusCode

from services.chassis.auth import principal
from services.chassis.auth.rules import rule_of, validates_items
from services.chassis.auth.verifier import Verifier
from services.chassis.errors import Cancelled, DeadlineExceeded, DomainError, Internal
from services.chassis.grpc import validation
from services.chassis.grpc.pipeline import Call, Handle, Method, Stage
from services.chassis.grpc.status import code_of
from services.chassis.grpc.wellformed import well_formed
from services.chassis.telemetry import context as telemetry_context
from services.chassis.telemetry import metrics, tracing
from services.chassis.telemetry.logs import get_logger

ORDER: Final = ("recovery", "request_id", "trace", "deadline", "log", "metrics", "auth", "errors", "validation")
SLOW: Final = timedelta(seconds=2)
OUR_FAULT: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)

log = get_logger(__name__)
_seconds = metrics.histogram(
    "tocsin_grpc_server_seconds", "Time to serve a call, by status code.", ("service", "method", "code")
)
_in_flight = metrics.gauge("tocsin_grpc_server_in_flight", "Calls being served.", ("service",))


def standard(verifier: Verifier, default_deadline: timedelta) -> tuple[Stage, ...]:
    """All stages in `ORDER`."""
    return (
        Recovery(),
        RequestId(),
        Trace(),
        Deadline(default_deadline),
        Log(),
        Metrics(),
        Auth(verifier),
        Errors(),
        Validation(),
    )


class Recovery:
    name = "recovery"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        async def recover(call: Call) -> Any:
            try:
                return await proceed(call)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                log.exception("stage failed", method=method.path)
                call.fail(Internal())
                call.error = error
                return None

        return recover


class RequestId:
    name = "request_id"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        async def identify(call: Call) -> Any:
            call.request_id = telemetry_context.accept_request_id(call.metadata.get("x-request-id"))
            telemetry_context.request_id.set(call.request_id)
            return await proceed(call)

        return identify


class Trace:
    name = "trace"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        attributes = {"rpc.system": "grpc", "rpc.service": method.service, "rpc.method": method.name}

        async def trace(call: Call) -> Any:
            headers = {
                key: value
                for key in (tracing.TRACEPARENT, tracing.TRACESTATE)
                if isinstance(value := call.metadata.get(key), str)
            }
            with tracing.span(
                method.path[1:], kind=SpanKind.SERVER, parent=tracing.extract(headers), attributes=attributes
            ) as span:
                result = await proceed(call)
                if call.code is not grpc.StatusCode.OK:
                    span.set_attribute("rpc.grpc.status_code", call.code.value[0])
                    if call.code in OUR_FAULT:
                        span.set_status(Status(StatusCode.ERROR, call.code.name))
                return result

        return trace


@dataclass(frozen=True)
class Deadline:
    default: timedelta
    name = "deadline"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        if method.request_streams or method.response_streams:
            return proceed
        seconds = self.default.total_seconds()

        async def bound(call: Call) -> Any:
            remaining = call.context.time_remaining()
            telemetry_context.deadline.set(time.monotonic() + (seconds if remaining is None else remaining))
            if remaining is not None:
                return await proceed(call)  # gRPC itself cancels at the caller's deadline
            scope = asyncio.timeout(seconds)
            try:
                async with scope:
                    return await proceed(call)
            except TimeoutError:
                if not scope.expired():
                    raise
                call.fail(DeadlineExceeded())
                return None

        return bound


class Log:
    name = "log"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        slow = SLOW.total_seconds()
        streams = method.request_streams or method.response_streams
        chatty = logging.getLogger(__name__).isEnabledFor  # asking structlog's proxy costs ten times as much per call

        async def record(call: Call) -> Any:
            began = time.perf_counter()
            try:
                return await proceed(call)
            except asyncio.CancelledError:
                call.code = _why_cancelled(call)
                raise
            except BaseException:
                call.code = _code_after(call)
                raise
            finally:
                took = time.perf_counter() - began
                if call.code is not grpc.StatusCode.OK or (took > slow and not streams) or chatty(logging.DEBUG):
                    self._write(call, took)

        return record

    @staticmethod
    def _write(call: Call, took: float) -> None:
        fields: dict[str, Any] = {"method": call.method.path, "code": call.code.name, "seconds": round(took, 6)}
        if isinstance(call.error, DomainError):
            fields["reason"] = call.error.reason
        if call.code in OUR_FAULT:
            log.error("call failed", **fields)
        elif call.code is not grpc.StatusCode.OK:
            log.info("call refused", **fields)
        elif took > SLOW.total_seconds():
            log.warning("call slow", **fields)
        else:
            log.debug("call served", **fields)


class Metrics:
    name = "metrics"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        by_code: dict[grpc.StatusCode, Any] = {}
        in_flight = _in_flight.labels(method.service)

        async def measure(call: Call) -> Any:
            began = time.perf_counter()
            in_flight.inc()
            try:
                return await proceed(call)
            except asyncio.CancelledError:
                call.code = _why_cancelled(call)
                raise
            except BaseException:
                call.code = _code_after(call)
                raise
            finally:
                in_flight.dec()
                child = by_code.get(call.code)
                if child is None:
                    child = by_code[call.code] = _seconds.labels(method.service, method.name, call.code.name)
                child.observe(time.perf_counter() - began, _exemplar())

        return measure


@dataclass(frozen=True)
class Auth:
    verifier: Verifier
    name = "auth"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        rule = rule_of(method.service, method.descriptor)
        if rule.public:
            return proceed
        if not rule.any_token and not rule.scopes:
            log.warning("method denied to everybody: it declares no scopes", method=method.path)
        needed = {"scopes": " ".join(sorted(rule.scopes))}

        async def authorize(call: Call) -> Any:
            header = call.metadata.get("authorization")
            try:
                caller = await self.verifier.authenticate(header)
                if not rule.any_token and (not rule.scopes or not caller.has_any(rule.scopes)):
                    raise principal.ScopeMissing(metadata=needed)
            except DomainError as error:
                call.fail(error)
                return None
            principal.enter(caller)
            telemetry_context.bearer.set(str(header)[7:].strip())
            return await proceed(call)

        return authorize


class Errors:
    name = "errors"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        async def translate(call: Call) -> Any:
            try:
                return await proceed(call)
            except grpc.aio.AbortError:
                raise
            except Exception as error:
                if code_of(error) is grpc.StatusCode.INTERNAL:
                    log.exception("unmapped error", method=method.path)
                call.fail(error)
                return None

        return translate


class Validation:
    name = "validation"

    def bind(self, method: Method, proceed: Handle) -> Handle:
        return well_formed(method, self._valid(method, proceed))

    @staticmethod
    def _valid(method: Method, proceed: Handle) -> Handle:
        if method.descriptor is None or validates_items(method.descriptor):
            return proceed
        if method.request_streams:

            async def watch(call: Call) -> Any:
                call.request = validation.checked(call.request)
                return await proceed(call)

            return watch

        async def check(call: Call) -> Any:
            validation.check(call.request)
            return await proceed(call)

        return check


def _why_cancelled(call: Call) -> grpc.StatusCode:
    remaining = call.context.time_remaining()
    if remaining is not None and remaining <= 0.0:
        call.error = DeadlineExceeded()
        return grpc.StatusCode.DEADLINE_EXCEEDED
    call.error = Cancelled()
    return grpc.StatusCode.CANCELLED


def _code_after(call: Call) -> grpc.StatusCode:
    """The code of a call that a servicer ended by `context.abort`, or that met a bug."""
    code = call.context.code()
    return next(
        (known for known in grpc.StatusCode if code in (known, known.value[0]) and known.value[0]),
        grpc.StatusCode.UNKNOWN,
    )


def _exemplar() -> dict[str, str] | None:
    if not tracing.recording() or (ids := tracing.current_ids()) is None:
        return None
    return {"trace_id": ids[0]}
