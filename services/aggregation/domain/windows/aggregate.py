"""Several series together: what they have in common is their kind and unit, else they do not mix."""

from typing import NamedTuple

from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.times import NEVER
from services.aggregation.domain.windows.span_statistics import Span
from services.aggregation.domain.windows.statistics import Statistics, combine


class _Group(NamedTuple):
    statistics: Statistics
    newest: int
    open: bool
    rooms: int


class Aggregate(NamedTuple):
    """Series of one kind and unit together. `rooms`: how many of them have data; `provisional`: readings that change it
    would be no surprise; `silent`: how many series, of any unit, nothing is known about."""

    unit: str
    statistics: Statistics
    provisional: bool
    rooms: int
    silent: int


class Aggregator:
    """Takes in spans, series by series, in the order of rooms; its size does not depend on how many there are.

    A sensor type has one kind and one unit, so that its series have them too. Where some still carry an older unit
    (their devices have sent nothing since the catalogue changed), the series with the newest reading decide which unit
    is answered for, and those of another kind or unit stay out.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._groups: dict[tuple[int, str], _Group] = {}
        self._rooms: dict[tuple[int, str], str] = {}
        self._silent = 0

    def add(self, info: SeriesInfo, span: Span, *, still_open: bool) -> None:
        """One series. It is only counted when nothing is known about it."""
        if not span.statistics.known:
            self._silent += 1
            return
        key = (info.kind, info.unit)
        known = self._groups.get(key)
        if known is None:
            self._groups[key] = _Group(span.statistics, span.newest, still_open, 1)
        else:
            self._groups[key] = _Group(
                combine((known.statistics, span.statistics)),
                max(known.newest, span.newest),
                known.open or still_open,
                known.rooms + (self._rooms[key] != info.room),
            )
        self._rooms[key] = info.room

    def result(self) -> Aggregate:
        """What they are together; a count of 0 and no covered time where there is nothing."""
        if not self._groups:
            return Aggregate("", Statistics(length=self._length), False, 0, self._silent)
        (_, unit), group = max(self._groups.items(), key=_weight)
        return Aggregate(unit, group.statistics, group.open, group.rooms, self._silent)


def _weight(item: tuple[tuple[int, str], _Group]) -> tuple[int, int, int, str]:
    """The newest reading decides; then the more series, and a rule that is always the same."""
    (kind, unit), group = item
    return group.newest if group.newest != NEVER else -1, group.statistics.series, kind, unit
