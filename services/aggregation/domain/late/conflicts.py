"""Values that come for an event time of which the series has another one: which of them counts."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.aggregation.domain.late.amendments import RawReading


class StoredReading(NamedTuple):
    """`amended`: a person has said what counts."""

    reading: RawReading
    amended: bool = False


class ReadingConflict(NamedTuple):
    """A value that does not count, and the one that does. `series` is a local index; `superseded`: it had counted."""

    series: int
    time: int
    value: float
    counting: float
    superseded: bool


class Repeats(NamedTuple):
    """What repeated readings come to: conflicts, and (series, event time, value) that count from now on."""

    conflicts: list[ReadingConflict]
    superseding: list[tuple[int, int, float]]


def settle_repeats(
    repeated: Iterable[tuple[int, int, float]],
    stored: Mapping[tuple[int, int], StoredReading],
    last_wins: Mapping[int, bool],
) -> Repeats:
    """Readings (series, event time, value) in the order in which they came, of which something is `stored`. The same
    value is no conflict; what a person has said holds, whatever comes."""
    found = Repeats([], [])
    counting: dict[tuple[int, int], float] = {}
    for series, time, value in repeated:
        known = stored.get((series, time))
        if known is None:
            continue
        now = counting.get((series, time), known.reading.value)
        if value == now:
            continue
        if known.reading.voided or known.amended or not last_wins[series]:
            found.conflicts.append(ReadingConflict(series, time, value, now, superseded=False))
            continue
        counting[series, time] = value
        found.conflicts.append(ReadingConflict(series, time, now, value, superseded=True))
    found.superseding.extend((*key, value) for key, value in counting.items() if value != stored[key].reading.value)
    return found
