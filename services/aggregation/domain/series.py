"""What identifies a series, how its values behave, and which partition carries it."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from services.aggregation.domain.counters.correction import Decision
from services.aggregation.domain.counters.policy import DEFAULT_RULES, CounterRules


class Kind(IntEnum):
    """How the values of a series behave; the numbers are those of the contract."""

    GAUGE = 1
    COUNTER = 2
    LEVEL = 3


class SeriesKey(NamedTuple):
    """Identity of a series; `device` may be empty."""

    building: str
    room: str
    sensor_type: str
    device: str


class Descriptor(NamedTuple):
    """A series as a message describes it; `interval` in microseconds, 0: to be estimated; `counting`: the rules of a
    counter, `own`: those of its device, not of its sensor type. `revision`: of these rules in the catalogue; a
    description with a lower one than is known is out of date."""

    key: SeriesKey
    kind: Kind
    unit: str
    interval: int
    counting: CounterRules = CounterRules()
    own: bool = False
    revision: int = 0
    last_wins: bool = False
    """Of several values of one event time the last one counts, not the first."""

    def updated(self, news: "Descriptor") -> "Descriptor":
        """What is known of the series after a message has described it."""
        newest = news if news.revision >= self.revision else self
        # Once said of a device, it holds for all that it has sent and will send.
        cautious = self.counting.cautious or news.counting.cautious
        return newest._replace(counting=newest.counting._replace(cautious=cautious))

    def with_rules(self, news: "Descriptor") -> "Descriptor":
        """What is known of the series after rules have changed in the catalogue. `news` names no building and no room;
        without a device it is about all series of its sensor type, but for counter rules that are a device's own."""
        device = news.key.device
        if news.key.sensor_type != self.key.sensor_type or device not in ("", self.key.device):
            return self
        if news.revision < self.revision:
            return self
        counting, own = self.counting, self.own
        if device or not own:
            counting, own = news.counting._replace(cautious=counting.cautious), news.own
        return news._replace(key=self.key, counting=counting, own=own)


class DeviceMove(NamedTuple):
    """A device has left a room at `time`; `to`: building and room where it stands now, None for one that is gone."""

    device: str
    origin: tuple[str, str]
    to: tuple[str, str] | None
    time: int


def partition_of(key: SeriesKey, partitions: int) -> int:
    """The partition of a series: CRC-32 (as in zlib) of the UTF-8 text ``building/room/sensorType/device``, modulo the
    number of partitions. Part of the contract with ingestion, which routes by the same rule."""
    return zlib.crc32("/".join(key).encode()) % partitions


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """What a reader knows of a series. `frontiers`: per step, windows that start before it are complete (none for a
    series without closed windows)."""

    id: int
    building: str
    room: str
    sensor_type: str
    device: str
    kind: int
    unit: str
    interval: int
    max_gap: int
    frontiers: Sequence[int]
    counting: CounterRules = DEFAULT_RULES
    decided: bool = False
    """People have decided about some of its readings."""
    decisions: Mapping[int, Decision] | None = field(default=None, compare=False)
    """These by event time; None: not read."""
