"""Devices that have left a place, or have come back to it: what is not evaluated, and from when it is waited for."""

from typing import Final

import numpy as np

from services.aggregation.domain.columns import Ints
from services.aggregation.domain.readings import Readings
from services.aggregation.domain.times import MINUTE, NEVER

LEAVING: Final = MINUTE
"""How long a device that has left a place may still send from there without being back."""


class Presence:
    """By local index of the series. What a device has left is absent until it sends from there again, or is told to be
    back."""

    def __init__(self) -> None:
        self._left: dict[int, int] = {}
        self._returned: dict[int, int] = {}

    def leave(self, place: int, at: int, newest: int) -> bool:
        """The device has left; false when it has sent from there since (`newest`: its newest reading)."""
        if newest > at + LEAVING:
            return False
        self._left[place] = at
        return True

    def come_back(self, place: int, at: int) -> None:
        """The device is back, and is waited for from then on."""
        self._left.pop(place, None)
        self._returned[place] = at

    @property
    def absent(self) -> list[int]:
        """The series that are not evaluated."""
        return list(self._left)

    def __contains__(self, place: int) -> bool:
        return place not in self._left

    def take(self, fresh: Readings, length: int) -> Readings:
        """Readings without those that come from where a device has just left; others bring it back. `length`: how many
        series there are."""
        if not self._left:
            return fresh
        gone = np.full(length, NEVER)
        gone[self.absent] = [at + LEAVING for at in self._left.values()]
        here = fresh.time > gone[fresh.series]
        for place in np.unique(fresh.series[here & (gone[fresh.series] != NEVER)]).tolist():
            del self._left[place]
        return fresh if here.all() else fresh.take(here)

    def expected_since(self, heard: Ints) -> Ints:
        """From when on each series is waited for: when it was heard last, or when its device came back."""
        if not self._returned:
            return heard
        since = heard.copy()
        for place, at in self._returned.items():
            since[place] = max(int(since[place]), at)
        return since
