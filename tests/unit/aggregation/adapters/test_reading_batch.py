"""The columnar reader against protobuf, and what it refuses."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.adapters.nats.reading_batch import (
    Malformed,  # pyright: ignore[reportPrivateUsage]
    _scan,  # pyright: ignore[reportPrivateUsage]
    parse_batch,  # pyright: ignore[reportPrivateUsage]
    parse_descriptor,  # pyright: ignore[reportPrivateUsage]
)
from services.aggregation.domain.series import SeriesKey, partition_of
from services.ingestion.domain import series as ingestion
from tocsin.events.v1.readings_pb2 import ReadingBatch, SeriesDescriptor

descriptors = st.builds(
    SeriesDescriptor,
    building=st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True),
    room=st.just("r"),
    sensor_type=st.just("t"),
    device=st.sampled_from(["", "d"]),
    kind=st.sampled_from(["GAUGE", "COUNTER", "LEVEL"]),
    unit=st.text(max_size=3),
    expected_interval_us=st.integers(0, 2**40),
    own_counter_rules=st.booleans(),
    rules_revision=st.one_of(st.just(0), st.integers(1, 2**62)),
)
changes = st.builds(
    SeriesDescriptor,
    sensor_type=st.just("t"),
    device=st.sampled_from(["", "d"]),
    kind=st.just("COUNTER"),
    counter_policy=st.sampled_from(["RESET", "REJECT"]),
    own_counter_rules=st.booleans(),
    rules_revision=st.integers(1, 2**62),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def batches(draw: st.DrawFn) -> ReadingBatch:
    series = draw(st.lists(descriptors, min_size=1, max_size=300))
    rows = draw(st.lists(st.tuples(st.integers(0, len(series) - 1), st.integers(0, 2**51), numbers), max_size=40))
    return ReadingBatch(
        partition=draw(st.integers(0, 9)),
        series=series,
        series_index=[row[0] for row in rows],
        event_time_us=[row[1] for row in rows],
        value=[row[2] for row in rows],
        flags=draw(st.sampled_from([[], [1] * len(rows)])),
        changed=draw(st.lists(changes, max_size=3)),
    )


def same(found: object, batch: ReadingBatch) -> None:
    columns = parse_batch(found) if isinstance(found, bytes) else found
    assert columns.partition == batch.partition  # pyright: ignore
    assert [SeriesDescriptor.FromString(raw) for raw in columns.descriptors] == list(batch.series)  # pyright: ignore
    assert columns.index.tolist() == list(batch.series_index)  # pyright: ignore
    assert columns.time.tolist() == list(batch.event_time_us)  # pyright: ignore
    assert columns.value.tolist() == list(batch.value)  # pyright: ignore
    assert [
        (*one.key, int(one.kind), int(one.counting.policy), one.own, one.revision)
        for one in columns.changed  # pyright: ignore
    ] == [
        ("", "", one.sensor_type, one.device, one.kind, one.counter_policy, one.own_counter_rules, one.rules_revision)
        for one in batch.changed
    ]


@given(batches())
def test_columns_are_those_of_protobuf(batch: ReadingBatch) -> None:
    same(batch.SerializeToString(), batch)


def test_other_valid_encodings_are_read_too() -> None:
    batch = ReadingBatch(series=[SeriesDescriptor(building="b", room="r", sensor_type="t")], value=[1.5, 2.5])
    batch.series_index.extend([0, 0])
    plain = batch.SerializeToString()
    unpacked = b"".join(bytes([4 << 3 | 1]) + struct.pack("<q", at) for at in (7, 8))
    batch.event_time_us.extend([7, 8])
    same(plain + unpacked, batch)


def test_changed_rules_come_without_rows_and_are_read_in_place() -> None:
    change = SeriesDescriptor(sensor_type="energy", kind="COUNTER", counter_policy="REJECT", rules_revision=2**50)
    batch = ReadingBatch(partition=3, changed=[change])
    batch.accept_time.FromMicroseconds(5)
    data = batch.SerializeToString()
    assert _scan(data) is not None
    same(data, batch)
    unknown = data + bytes([15 << 3, 0])
    assert _scan(unknown) is None
    same(unknown, batch)
    for senseless in (SeriesDescriptor(kind="COUNTER"), SeriesDescriptor(sensor_type="energy")):
        with pytest.raises(Malformed):
            parse_batch(ReadingBatch(changed=[senseless]).SerializeToString())


def test_a_description_without_a_revision_may_be_of_the_devices_own_rules() -> None:
    named = SeriesDescriptor(building="b", room="r", sensor_type="t", kind="COUNTER")
    assert parse_descriptor(named.SerializeToString()).own is True
    named.rules_revision = 1
    assert parse_descriptor(named.SerializeToString()).own is False
    named.own_counter_rules = True
    assert parse_descriptor(named.SerializeToString())[5:] == (True, 1, False)
    named.last_wins = True
    assert parse_descriptor(named.SerializeToString()).last_wins


@given(st.binary(max_size=200))
def test_noise_is_malformed_and_nothing_else(noise: bytes) -> None:
    try:
        columns = parse_batch(noise)
    except Malformed:
        return
    assert len(columns.time) == len(columns.value) == len(columns.index)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": [1.0]}, "different lengths"),
        ({"series_index": [0, 1]}, "not described"),
        ({"value": [1.0, float("nan")]}, "not a number"),
        ({"event_time_us": [5, -5]}, "before 1970"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, list[float]], reason: str) -> None:
    fields = {"series_index": [0, 0], "event_time_us": [5, 6], "value": [1.0, 2.0], **change}
    batch = ReadingBatch(series=[SeriesDescriptor(building="b")], **fields)  # pyright: ignore
    with pytest.raises(Malformed, match=reason):
        parse_batch(batch.SerializeToString())


@pytest.mark.parametrize("raw", [b"\xff", SeriesDescriptor(building="b").SerializeToString(), b""])
def test_descriptions_that_say_too_little_are_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_descriptor(raw)


@given(st.tuples(*[st.from_regex(r"[A-Za-z0-9_-]{0,10}", fullmatch=True)] * 4), st.integers(1, 64))
def test_series_are_routed_as_ingestion_routes_them(key: tuple[str, str, str, str], partitions: int) -> None:
    expected = ingestion.partition_of(ingestion.SeriesKey(*key), partitions)
    assert partition_of(SeriesKey(*key), partitions) == expected
