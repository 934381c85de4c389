"""The series of a building: what has ever sent a reading, in pages."""

from dataclasses import dataclass

from services.aggregation.application.queries.history import History
from services.aggregation.domain.series import SeriesInfo
from services.chassis.paging import Page, PageTokens, page_limit


@dataclass(frozen=True, slots=True)
class SeriesFilter:
    """What the list is limited to: a building; `room` and `sensor_type` where they are not empty."""

    building: str
    room: str = ""
    sensor_type: str = ""


class SeriesList:
    """The query."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def page(self, wanted: SeriesFilter, page_size: int, page_token: str) -> Page[SeriesInfo]:
        """By room, sensor type and device. Raises PageTokenInvalid."""
        tokens = PageTokens("series", building=wanted.building, room=wanted.room, sensor_type=wanted.sensor_type)
        mark = tokens.read(page_token, (str, str, str))
        after = None if mark is None else (str(mark[0]), str(mark[1]), str(mark[2]))
        size = page_limit(page_size)
        async with self._history.snapshot() as snapshot:
            found = await snapshot.list_series(wanted.building, wanted.room, wanted.sensor_type, after, size + 1)
        return Page(found[:size], tokens.next(found, size, lambda info: (info.room, info.sensor_type, info.device)))
