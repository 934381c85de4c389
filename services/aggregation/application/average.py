"""The average of a room."""

from collections.abc import Callable
from dataclasses import dataclass

from services.aggregation.application.ports import History
from services.aggregation.domain.cover import SeriesInfo
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.history import Span, spans
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.statistics import Statistics, combine
from services.aggregation.domain.summary import DAY, MINUTE, NEVER

DEFAULT_WINDOW = 15 * MINUTE
DEFAULT_SENSOR_TYPE = "temperature"


@dataclass(frozen=True, slots=True)
class GetRoomAverage:
    """`window` and `at` in microseconds; None: 15 minutes, now."""

    building: str
    room: str
    sensor_type: str = DEFAULT_SENSOR_TYPE
    window: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class RoomAverage:
    """The answer. `statistics` of all series together (`known` false: no data)."""

    start: int
    end: int
    unit: str
    statistics: Statistics
    provisional: bool


class Averages:
    """Answers from a few windows and some raw readings at the edges, however long the history is."""

    def __init__(self, history: History, rules: Rules, clock: Callable[[], int]) -> None:
        self._history = history
        self._rules = rules
        self._clock = clock

    async def get(self, query: GetRoomAverage) -> RoomAverage:
        """Raises FieldInvalid."""
        now = self._clock()
        window = DEFAULT_WINDOW if query.window is None else query.window
        if window % BASE or not BASE <= window <= 31 * DAY:
            raise FieldInvalid("window", "must be a whole multiple of 5s, from 5s to 31 days")
        # Without a time the running 5 s belong to the span: what has just been accepted counts.
        end = now + BASE if query.at is None else query.at
        if not window <= end <= now + DAY:
            raise FieldInvalid("at", "must be between 1970 and tomorrow")
        end -= end % BASE
        start = end - window
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.series(query.building, query.room, query.sensor_type, "")
            if not infos:
                return RoomAverage(start, end, "", Statistics(length=window), False)
            parts = await snapshot.pieces(infos, start, end, len(self._rules.steps) - 1)
        found = [span for span in spans(infos, parts, start, end, window) if span.statistics.known]
        total = combine([span.statistics for span in found]) if found else Statistics(length=window)
        unit = infos[found[0].series].unit if found else ""
        open_still = any(self._open(infos[span.series], span, end, now) for span in found)
        return RoomAverage(start, end, unit, total, open_still)

    def _open(self, info: SeriesInfo, span: Span, end: int, now: int) -> bool:
        """Whether readings that change the span would be no surprise."""
        if span.newest != NEVER and span.newest >= end + self._rules.grace:
            return False
        return now < max(end, span.newest) + min(info.max_gap, self._rules.edge_wait) + self._rules.grace
