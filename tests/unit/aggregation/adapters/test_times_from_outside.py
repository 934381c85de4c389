"""Times as clients write them: what POSIX time has no number for is refused, or mapped by one rule."""

import json
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from services.aggregation.adapters.grpc.mappers import average_query, range_query
from services.aggregation.domain.errors import FieldInvalid
from services.ingestion.adapters.grpc.mappers import raw_reading
from services.ingestion.domain.errors import PayloadNotUnderstood
from services.ingestion.domain.formats.document import Document
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.ingestion.v1 import reading_pb2

LEAP = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("moment", [Timestamp(nanos=1_500_000_000), Timestamp(nanos=-1), Timestamp(seconds=10**17)])
def test_a_question_about_no_instant_is_refused_by_name(moment: Timestamp) -> None:
    average = pb.GetRoomAverageRequest(building="b", room="r", at=moment)
    with pytest.raises(FieldInvalid) as found:
        average_query(average)
    assert found.value.violations[0].field == "at"
    for field in ("from", "to"):
        listing = pb.ListWindowsRequest(building="b", room="r")
        getattr(listing, field).CopyFrom(moment)
        with pytest.raises(FieldInvalid) as found:
            range_query(listing)
        assert found.value.violations[0].field == field


def test_nanoseconds_beyond_the_second_are_added() -> None:
    """Some libraries write 23:59:60.5 as 23:59:59 and 1.5e9 ns: it is 00:00:00.5, as POSIX reckons."""
    message = reading_pb2.Reading(event_time=Timestamp(seconds=LEAP - 1, nanos=1_500_000_000))
    assert raw_reading(message).event_time_us == LEAP * 1_000_000 + 500_000


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5+00:00", "2026-06-30T12:00:61Z"])
def test_a_sixtieth_second_in_a_payload_is_refused(text: str) -> None:
    with pytest.raises(PayloadNotUnderstood, match="must be a time like 2026-01-31T12:00:00Z"):
        Document.parse(json.dumps({"ts": text}).encode()).time_us("ts")


@pytest.mark.parametrize("seconds", [LEAP - 1, LEAP, LEAP + 1])
def test_numbers_are_posix_time(seconds: int) -> None:
    assert Document.parse(json.dumps({"ts": seconds}).encode()).time_us("ts") == seconds * 1_000_000
