"""Values that came for an event time of which the series had another one, newest event time first, in pages."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.aggregation.application.queries.corrections import CorrectionFilter
from services.aggregation.domain.series import SeriesKey
from services.chassis.paging import Page, PageTokens, page_limit


class ListedConflict(NamedTuple):
    """The last value of a reading that does not count, and the one that counted then; `times`: how many such values
    came. Times in microseconds."""

    series_id: int
    key: SeriesKey
    unit: str
    time: int
    value: float
    counting: float
    superseded: bool
    times: int
    created: int


class ReadingConflictLog(Protocol):
    """Where conflicts are kept."""

    async def page(
        self, wanted: CorrectionFilter, after: tuple[int, int] | None, limit: int
    ) -> Sequence[ListedConflict]:
        """Up to `limit` by (time, series id), greatest first, below `after`."""
        ...


class ReadingConflicts:
    """The query."""

    def __init__(self, log: ReadingConflictLog) -> None:
        self._log = log

    async def page(self, wanted: CorrectionFilter, page_size: int, page_token: str) -> Page[ListedConflict]:
        """A page. Raises PageTokenInvalid."""
        tokens = PageTokens(
            "readingConflicts",
            building=wanted.building,
            room=wanted.room,
            sensor_type=wanted.sensor_type,
            device=wanted.device,
            start=wanted.start,
            end=wanted.end,
        )
        mark = tokens.read(page_token, (int, int))
        size = page_limit(page_size)
        found = await self._log.page(wanted, None if mark is None else (int(mark[0]), int(mark[1])), size + 1)
        return Page(found[:size], tokens.next(found, size, lambda item: (item.time, item.series_id)))
