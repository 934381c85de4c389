import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.adapters.nats.packed_fields import varint
from services.ingestion.adapters.nats.reading_lane import encode_batch
from services.ingestion.domain.reading_columns import Piece
from tests.support.ingestion import series
from tocsin.events.v1 import readings_pb2

SERIES = tuple(series(f"d{n}", 1) for n in range(3))
ROWS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 127, 128, 16_383, 16_384, 2**21, 2**28, 2**32 - 1]) | st.integers(0, 2**32 - 1),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.integers(0, 255),
    ),
    max_size=50,
)


@given(ROWS, st.booleans(), st.integers(0, 1023), st.integers(0, 2**62))
@settings(max_examples=100)
def test_a_batch_by_hand_is_what_the_generated_class_reads(
    rows: list[tuple[int, int, float, int]], flagged: bool, partition: int, at_ns: int
) -> None:
    batch = Piece(
        partition,
        SERIES,
        np.array([row[0] for row in rows], np.uint32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.uint8) if flagged else None,
    )
    message = readings_pb2.ReadingBatch.FromString(encode_batch(batch, at_ns))
    assert message.partition == partition
    assert [(s.building, s.room, s.sensor_type, s.device, s.unit) for s in message.series] == [
        ("b1", "r1", "temperature", f"d{n}", "K") for n in range(3)
    ]
    assert message.series[0].kind == readings_pb2.SeriesDescriptor.GAUGE
    assert list(message.series_index) == [row[0] for row in rows]
    assert list(message.event_time_us) == [row[1] for row in rows]
    assert np.array_equal(np.array(message.value), batch.value, equal_nan=True)
    assert list(message.flags) == ([row[3] for row in rows] if flagged else [])
    assert message.accept_time.ToNanoseconds() == at_ns


@given(st.integers(0, 2**64 - 1))
def test_varints_are_what_protobuf_writes(value: int) -> None:
    message = readings_pb2.ReadingBatch(partition=value & 0xFFFFFFFF or 1)
    assert message.SerializeToString() == b"\x08" + varint(message.partition)
    assert len(varint(value)) == max(1, (value.bit_length() + 6) // 7)
