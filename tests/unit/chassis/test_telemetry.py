import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis.telemetry import logs, tracing

TRACE, SPAN = "1" * 32, "2" * 16


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(form="json", level="info", service="testing", stream=stream)
    yield stream
    logs.configure()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_fixed_fields_and_the_trace(logged: io.StringIO) -> None:
    with tracing.span("work", parent=tracing.extract({"traceparent": f"00-{TRACE}-{SPAN}-01"})):
        logs.get_logger("x.y").info("did it", count=3)
    (line,) = lines(logged)
    assert line["time"].endswith("Z")
    assert (line["event"], line["level"], line["logger"], line["service"]) == ("did it", "info", "x.y", "testing")
    assert (line["count"], line["trace_id"]) == (3, TRACE)


def test_standard_loggers_pass_through(logged: io.StringIO) -> None:
    logging.getLogger("library").warning("odd %s", "thing", extra={"password": "hunter2"})
    logging.getLogger("library").debug("not shown")
    (line,) = lines(logged)
    assert (line["event"], line["password"]) == ("odd thing", logs.REDACTED)


@pytest.mark.parametrize(
    "key",
    ["authorization", "Password", "nats_password", "token", "access_token", "client_secret", "postgres_dsn", "api_key"],
)
def test_secrets_are_blanked_by_key_at_any_depth(logged: io.StringIO, key: str) -> None:
    logs.get_logger("x").info("event", **{key: "hunter2"}, nested={"list": [{key: "hunter2"}]})
    assert "hunter2" not in logged.getvalue()
    assert logged.getvalue().count(logs.REDACTED) == 2


@pytest.mark.parametrize(
    "text",
    [
        "sent Bearer hunter2hunter2",
        "postgresql://me:hunter2@host/db refused",
        "got eyJhbGciOiJF.eyJhunter2Zn.hunter2hunter2",
        "key whsec_hunter2hunter2",
    ],
)
def test_secrets_are_blanked_inside_text(logged: io.StringIO, text: str) -> None:
    logs.get_logger("x").info("event", text=text)
    with suppress(RuntimeError):
        raise_with(text)
    assert "hunter2" not in logged.getvalue()
    assert logged.getvalue().count(logs.REDACTED) >= 2


def raise_with(text: str) -> None:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        logs.get_logger("x").exception("failed")
        raise


def test_local_variables_stay_out_of_tracebacks(logged: io.StringIO) -> None:
    harmless_name = "hunter2"
    try:
        raise RuntimeError("failed")
    except RuntimeError:
        logs.get_logger("x").exception("failed", length=len(harmless_name))
    (line,) = lines(logged)
    assert line["exception"][0]["frames"][-1]["name"] == "test_local_variables_stay_out_of_tracebacks"
    assert "hunter2" not in logged.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}x-{SPAN}-01",
    ],
)
def test_malformed_contexts_count_as_none(header: str) -> None:
    with tracing.span("work", parent=tracing.extract({"traceparent": header})):
        ids = tracing.current_ids()
    assert ids is not None
    assert ids[0] != TRACE


@given(st.text(max_size=80))
def test_any_header_is_survived(header: str) -> None:
    tracing.extract({"traceparent": header, "tracestate": header})


def test_a_context_travels_without_an_exporter() -> None:
    headers: dict[str, str] = {}
    tracing.inject(headers)
    assert headers == {}
    with tracing.span("work", parent=tracing.extract({"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"})):
        tracing.inject(headers)
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, flags, headers["tracestate"]) == ("00", TRACE, "01", "a=b")
    assert span != SPAN


def test_spans_are_recorded_with_parent_link_and_failure() -> None:
    exporter = InMemorySpanExporter()
    tracing.use("testing", SimpleSpanProcessor(exporter))
    try:
        context = tracing.extract({"traceparent": f"00-{TRACE}-{SPAN}-01"})
        with pytest.raises(KeyError), tracing.span("outer", parent=context, attributes={"a": 1}):
            with tracing.span("inner", links=[context]):
                pass
            raise KeyError("secret")
    finally:
        spans = {span.name: span for span in exporter.get_finished_spans()}
        tracing.flush()
    outer, inner = spans["outer"], spans["inner"]
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == SPAN
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert f"{inner.links[0].context.trace_id:032x}" == TRACE
    assert outer.status.description == "KeyError"
    assert not tracing.recording()


def test_spans_tell_service_and_version() -> None:
    exporter = InMemorySpanExporter()
    tracing.use("media_probe", SimpleSpanProcessor(exporter), version="1.2.3")
    try:
        with tracing.span("work"):
            pass
    finally:
        tracing.flush()
    (span,) = exporter.get_finished_spans()
    told = {name: span.resource.attributes[name] for name in ("service.name", "service.version")}
    assert told == {"service.name": "tocsin-media-probe", "service.version": "1.2.3"}


def test_unsampled_traces_stay_unsampled() -> None:
    exporter = InMemorySpanExporter()
    tracing.use("testing", SimpleSpanProcessor(exporter))
    try:
        with tracing.span("work", parent=tracing.extract({"traceparent": f"00-{TRACE}-{SPAN}-00"})):
            assert tracing.current_ids() is not None
    finally:
        tracing.flush()
    assert exporter.get_finished_spans() == ()
