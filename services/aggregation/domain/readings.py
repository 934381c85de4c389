"""Readings in columns."""

from typing import NamedTuple

import numpy as np

from services.aggregation.domain.columns import Bools, Floats, Ints, order_by


class Readings(NamedTuple):
    """Columns: the local index of the series, the event time, the value."""

    series: Ints
    time: Ints
    value: Floats

    def take(self, chosen: Ints | Bools) -> "Readings":
        """Those chosen by index or mask."""
        return Readings(self.series[chosen], self.time[chosen], self.value[chosen])

    def __add__(self, other: object) -> "Readings":
        if not isinstance(other, Readings):
            return NotImplemented
        return Readings(
            np.concatenate([self.series, other.series]),
            np.concatenate([self.time, other.time]),
            np.concatenate([self.value, other.value]),
        )

    def sorted(self) -> "Readings":
        """By series, then time; equal ones keep their order."""
        return self.take(order_of(self.series, self.time))


def order_of(series: Ints, time: Ints) -> Ints:
    """The stable order by series, then time. Batches mostly come in the order of time: then the series, whose small
    numbers sort by radix, are all that is left to sort."""
    if not (time[1:] < time[:-1]).any():
        return order_by(series)
    by_time = np.argsort(time, kind="stable")
    return by_time[order_by(series[by_time])]


def no_readings() -> Readings:
    """None."""
    return Readings(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
