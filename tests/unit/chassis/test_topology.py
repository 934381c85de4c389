"""The limits of the streams follow the room that there is for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.nats import TopologyOptions
from services.chassis.nats.topology import LEAST_STREAM_BYTES, MIB, READINGS, fitted, stream_bytes

DEFAULTS = stream_bytes(TopologyOptions())
LEAST = LEAST_STREAM_BYTES * len(DEFAULTS)


def test_with_room_enough_nothing_changes() -> None:
    assert stream_bytes(fitted(TopologyOptions(), sum(DEFAULTS.values()))) == DEFAULTS


def test_a_little_less_room_halves_all() -> None:
    sizes = stream_bytes(fitted(TopologyOptions(), sum(DEFAULTS.values()) - 1))
    assert sizes == {name: size // 2 for name, size in DEFAULTS.items()}


@given(room=st.integers(0, 64 * 1024 * MIB))
def test_streams_fit_where_they_can_and_never_vanish(room: int) -> None:
    sizes = stream_bytes(fitted(TopologyOptions(), room))
    assert sum(sizes.values()) <= max(room, LEAST)
    assert all(LEAST_STREAM_BYTES <= size <= DEFAULTS[name] for name, size in sizes.items())


@given(room=st.integers(0, 64 * 1024 * MIB), more=st.integers(0, 1024 * MIB))
def test_more_room_never_makes_a_stream_smaller(room: int, more: int) -> None:
    smaller, larger = (stream_bytes(fitted(TopologyOptions(), each)) for each in (room, room + more))
    assert all(smaller[name] <= larger[name] for name in DEFAULTS)


@pytest.mark.parametrize("room", [0, 4096 * MIB])
def test_what_an_operator_chose_is_kept(room: int) -> None:
    chosen = TopologyOptions(max_bytes={READINGS: 3 * 1024 * MIB})
    assert stream_bytes(fitted(chosen, room))[READINGS] == 3 * 1024 * MIB
