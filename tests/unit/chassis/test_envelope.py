from datetime import UTC, datetime, timedelta, timezone

from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from services.chassis.nats import Event, encode
from services.chassis.nats.envelope import trace_context


def test_the_attributes_of_an_event_stand_in_its_headers() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))
    encoded = encode(Event("some.subject", StringValue(value="x"), id="e-1", time=at), source="tocsin/tests")
    assert encoded.subject == "some.subject"
    assert StringValue.FromString(encoded.payload).value == "x"
    assert dict(encoded.headers) == {
        "Nats-Msg-Id": "e-1",
        "ce-specversion": "1.0",
        "ce-id": "e-1",
        "ce-type": "google.protobuf.StringValue",
        "ce-source": "tocsin/tests",
        "ce-time": "2026-03-01T10:00:00.250000Z",
        "content-type": "application/protobuf",
    }


def test_an_event_gets_an_id_and_the_time_of_its_making() -> None:
    before = datetime.now(UTC)
    first, second = Event("s", StringValue()), Event("s", StringValue())
    assert first.id != second.id
    assert before <= first.time <= datetime.now(UTC)


def test_the_trace_goes_along() -> None:
    tracer = TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("publish") as span:
        encoded = encode(Event("s", StringValue()), source="tocsin/tests")
    continued = trace.get_current_span(trace_context(encoded.headers)).get_span_context()
    assert continued.trace_id == span.get_span_context().trace_id
    assert continued.is_remote


@given(st.text())
def test_a_malformed_trace_is_no_trace(text: str) -> None:
    assert not trace.get_current_span(trace_context({"traceparent": text})).get_span_context().is_valid
