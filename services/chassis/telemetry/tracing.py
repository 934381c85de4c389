"""Traces over gRPC, NATS and whatever has string headers (W3C trace context).

Spans are recorded and exported (OTLP over HTTP) only when an endpoint is configured. Without one nothing of the SDK is
loaded, but a context still travels: every call gets a trace id, which the logs show on all services that it touches.

Spend spans per call or per batch, never per reading.
"""

import random
import re
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")

_NO_CONTEXT: Final = Context()

_provider: "TracerProvider | None" = None
_tracer: trace.Tracer | None = None


def configure(service: str, *, endpoint: str = "", ratio: float = 0.1, version: str = "") -> None:
    """Starts exporting spans to `endpoint` (an OTLP/HTTP collector, as http://host:4318); does nothing when it is
    empty. New traces are sampled with probability `ratio`; a trace that arrives sampled (or not) stays so."""
    if not endpoint:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    url = endpoint if endpoint.rstrip("/").endswith("/v1/traces") else endpoint.rstrip("/") + "/v1/traces"
    use(service, BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=5)), ratio=ratio, version=version)


def use(service: str, processor: object, *, ratio: float = 1.0, version: str = "") -> None:
    """Records spans into `processor` (an SDK SpanProcessor). `configure` calls it; tests pass an in-memory one."""
    global _provider, _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    if not isinstance(processor, SpanProcessor):
        raise TypeError("processor must be an OpenTelemetry SDK SpanProcessor")
    _provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        resource=Resource.create({"service.name": f"tocsin-{service.replace('_', '-')}", "service.version": version}),
        shutdown_on_exit=False,
    )
    _provider.add_span_processor(processor)
    trace.set_tracer_provider(_provider)  # for code that asks the API for a tracer; the first one stays
    _tracer = _provider.get_tracer("tocsin")


def flush(within: timedelta = timedelta(seconds=3)) -> None:
    """Sends what is left and stops recording. Blocks up to `within`: call it off the event loop."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.force_flush(int(within.total_seconds() * 1000))
        provider.shutdown()


def recording() -> bool:
    """Whether spans are being recorded at all."""
    return _tracer is not None


def extract(headers: Mapping[str, str]) -> Context:
    """The trace context in `headers` (lower-case keys); an empty one if there is none or it is malformed."""
    header = headers.get(TRACEPARENT)
    parts = _TRACEPARENT.fullmatch(header) if header else None
    if parts is None or parts[1] == "ff":
        return _NO_CONTEXT
    span = SpanContext(
        int(parts[2], 16),
        int(parts[3], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parts[4], 16)),
        trace_state=TraceState.from_header([state]) if (state := headers.get(TRACESTATE)) else None,
    )
    return trace.set_span_in_context(NonRecordingSpan(span), _NO_CONTEXT) if span.is_valid else _NO_CONTEXT


def inject(headers: MutableMapping[str, str]) -> None:
    """Writes the current trace context into `headers`; leaves them alone when there is none."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return
    headers[TRACEPARENT] = traceparent(span)
    if span.trace_state:
        headers[TRACESTATE] = span.trace_state.to_header()


def traceparent(span: SpanContext) -> str:
    """The W3C header value of the span context."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def current_ids() -> tuple[str, str] | None:
    """Trace id and span id (hex) of the work at hand."""
    span = trace.get_current_span().get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    links: Sequence[Context] = (),
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> Generator[Span]:
    """Makes a span current inside the block; an exception marks it failed (by type, never by text).

    `parent` is an extracted context (default: the current span); `links` are the contexts of a batch's messages.
    Without an exporter the span is not recorded but still carries on, or starts, a trace id.
    """
    context = parent if parent is not None else otel_context.get_current()
    if _tracer is None:
        made: Span = NonRecordingSpan(_child(trace.get_current_span(context).get_span_context()))
    else:
        made = _tracer.start_span(
            name,
            context,
            kind,
            dict(attributes or {}),
            [trace.Link(trace.get_current_span(link).get_span_context()) for link in links],
        )
    token = otel_context.attach(trace.set_span_in_context(made, context))
    try:
        yield made
    except Exception as error:
        made.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        otel_context.detach(token)
        made.end()


def _child(parent: SpanContext) -> SpanContext:
    return SpanContext(
        parent.trace_id if parent.is_valid else random.getrandbits(128) or 1,
        random.getrandbits(64) or 1,
        is_remote=False,
        trace_flags=parent.trace_flags if parent.is_valid else TraceFlags(0),
        trace_state=parent.trace_state,
    )
