"""What identifies a series, how its values behave, and which partition carries it."""

import zlib
from typing import NamedTuple

from services.aggregation.domain.policy import CounterRules
from services.aggregation.domain.summary import Kind


class SeriesKey(NamedTuple):
    """Identity of a series; `device` may be empty."""

    building: str
    room: str
    sensor_type: str
    device: str


class Descriptor(NamedTuple):
    """A series as a message describes it; `interval` in microseconds, 0: to be estimated; `counting`: the rules of a
    counter."""

    key: SeriesKey
    kind: Kind
    unit: str
    interval: int
    counting: CounterRules = CounterRules()


def partition_of(key: SeriesKey, partitions: int) -> int:
    """The partition of a series: CRC-32 (as in zlib) of the UTF-8 text ``building/room/sensorType/device``, modulo the
    number of partitions. Part of the contract with ingestion, which routes by the same rule."""
    return zlib.crc32("/".join(key).encode()) % partitions
