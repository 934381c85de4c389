"""Which places readings name, and how many there may be that nobody has made but readings."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from services.ingestion.domain.series import SeriesKey


class PlaceCounts(NamedTuple):
    """Numbers of places, by kind."""

    buildings: int = 0
    rooms: int = 0
    devices: int = 0

    def plus(self, other: "PlaceCounts", times: int = 1) -> "PlaceCounts":
        """Kind by kind."""
        return PlaceCounts(*(mine + times * its for mine, its in zip(self, other, strict=True)))

    def beyond(self, limit: int) -> bool:
        """Whether there are more than `limit` of a kind."""
        return max(self) > limit


@dataclass(frozen=True, slots=True)
class NamedPlaces:
    """NamedPlaces by kind; a room is named with its building."""

    buildings: set[str] = field(default_factory=set[str])
    rooms: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    devices: set[str] = field(default_factory=set[str])

    @classmethod
    def of(cls, keys: Iterable[SeriesKey]) -> "NamedPlaces":
        """Those that the series refer to."""
        found = cls()
        for key in keys:
            found.buildings.add(key.building)
            found.rooms.add((key.building, key.room))
            if key.device:
                found.devices.add(key.device)
        return found

    def __and__(self, other: "NamedPlaces") -> "NamedPlaces":
        return NamedPlaces(self.buildings & other.buildings, self.rooms & other.rooms, self.devices & other.devices)

    def __or__(self, other: "NamedPlaces") -> "NamedPlaces":
        return NamedPlaces(self.buildings | other.buildings, self.rooms | other.rooms, self.devices | other.devices)

    @property
    def counts(self) -> PlaceCounts:
        """How many there are."""
        return PlaceCounts(len(self.buildings), len(self.rooms), len(self.devices))
