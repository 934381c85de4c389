"""Readings of counters that were not taken at their word, newest first, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.aggregation.domain.counters.correction import Doubt
from services.aggregation.domain.series import SeriesKey
from services.chassis.paging import Page, PageTokens, page_limit


@dataclass(frozen=True, slots=True)
class CorrectionFilter:
    """What the list is limited to: a room; `sensor_type` and `device` where they are not empty; `start` inclusive,
    `end` exclusive, in microseconds, None: open."""

    building: str
    room: str
    sensor_type: str = ""
    device: str = ""
    start: int | None = None
    end: int | None = None


class CorrectionDecision(NamedTuple):
    """What a person has decided; `created` in microseconds, `kind` as in the contract. `withdrawn`: the reading was
    replaced since, and that holds."""

    kind: str
    value: float | None
    author: str
    reason: str
    created: int
    withdrawn: bool = False


class StoredCorrection(NamedTuple):
    """A correction of a series, see `Correction`. `decision`: what holds in its place."""

    series_id: int
    key: SeriesKey
    unit: str
    time: int
    value: float
    level: float
    kind: str
    last_time: int
    readings: int = 1
    doubt: Doubt | None = None
    decision: CorrectionDecision | None = None

    @property
    def id(self) -> str:
        """As it is listed."""
        return f"{self.series_id}-{self.time}"


class CorrectionLog(Protocol):
    """Where corrections are kept."""

    async def page(
        self, wanted: CorrectionFilter, after: tuple[int, int] | None, limit: int
    ) -> tuple[Sequence[StoredCorrection], int]:
        """Up to `limit` by (time, series id), greatest first, below `after`; and how many there are in all."""
        ...


class Corrections:
    """The query."""

    def __init__(self, log: CorrectionLog) -> None:
        self._log = log

    async def one(self, building: str, room: str, series_id: int, time: int) -> StoredCorrection | None:
        """The correction of a reading."""
        wanted = CorrectionFilter(building, room, start=time, end=time + 1)
        found, _ = await self._log.page(wanted, (time, series_id + 1), 1)
        return found[0] if found and found[0].series_id == series_id else None

    async def page(
        self, wanted: CorrectionFilter, page_size: int, page_token: str
    ) -> tuple[Page[StoredCorrection], int]:
        """A page, and how many there are on all pages. Raises PageTokenInvalid."""
        tokens = PageTokens(
            "corrections",
            building=wanted.building,
            room=wanted.room,
            sensor_type=wanted.sensor_type,
            device=wanted.device,
            start=wanted.start,
            end=wanted.end,
        )
        mark = tokens.read(page_token, (int, int))
        after = None if mark is None else (int(mark[0]), int(mark[1]))
        size = page_limit(page_size)
        found, total = await self._log.page(wanted, after, size + 1)
        return Page(found[:size], tokens.next(found, size, lambda item: (item.time, item.series_id))), total
