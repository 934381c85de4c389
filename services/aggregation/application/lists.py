"""Windows and raw readings of a room, by time, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from services.aggregation.application.ports import History, Snapshot
from services.aggregation.domain.cover import SeriesInfo
from services.aggregation.domain.errors import StepUnknown
from services.aggregation.domain.history import spans
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.statistics import Statistics
from services.aggregation.domain.summary import MINUTE, SECOND
from services.chassis.paging import PageTokens, page_limit

QUARTER = 15 * MINUTE
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RoomRange:
    """What lists of a room are limited to. `start` inclusive, `end` exclusive, in microseconds; None: open."""

    building: str
    room: str
    sensor_type: str
    device: str = ""
    start: int | None = None
    end: int | None = None
    oldest_first: bool = False
    page_size: int = 0
    page_token: str = ""

    def tokens(self, name: str, step: int = 0) -> PageTokens:
        """Tokens of the list `name` with these arguments."""
        return PageTokens(
            name,
            building=self.building,
            room=self.room,
            sensor_type=self.sensor_type,
            device=self.device,
            start=self.start,
            end=self.end,
            oldest_first=self.oldest_first,
            step=step,
        )


class Page(NamedTuple, Generic[T]):
    """The items of a page, and the token of the next one (empty on the last)."""

    items: Sequence[T]
    next_token: str


class WindowItem(NamedTuple):
    """A window as people see it. `provisional`: it has not closed (again) yet."""

    series: SeriesInfo
    step: int
    start: int
    statistics: Statistics
    revision: int
    provisional: bool


class ReadingItem(NamedTuple):
    """A raw reading."""

    time: int
    value: float
    series: SeriesInfo


class _Walk:
    """The stretches of time in which there is something, one after the other in the order asked for.

    `length` is a whole number of quarters of an hour: segments of readings never cross the end of a stretch.
    """

    def __init__(self, query: RoomRange, length: int, step: int | None, after: int | None) -> None:
        self._forward = query.oldest_first
        self._length = length
        self._step = step
        self._low = max(query.start or 0, 0)
        self._high = query.end if query.end is not None else 2**62
        if after is not None and self._forward:
            self._low = max(self._low, after)
        elif after is not None:
            self._high = min(self._high, after + 1)
        self._cursor = self._low - self._low % length if self._forward else self._high

    async def next(self, snapshot: Snapshot, infos: Sequence[SeriesInfo]) -> tuple[int, int] | None:
        """[start, end) of the next stretch, None at the end."""
        while self._cursor < self._high if self._forward else self._cursor > self._low:
            found = [await snapshot.next_reading(infos, self._cursor, after=self._forward)]
            if self._step is not None:
                # Windows outlive their readings.
                found.append(await snapshot.next_window(infos, self._step, self._cursor, after=self._forward))
            places = [place for place in found if place is not None]
            if not places:
                return None
            nearest = min(places) if self._forward else max(places)
            start = nearest - nearest % self._length
            self._cursor = start + self._length if self._forward else start
            first, last = max(start, self._low), min(start + self._length, self._high)
            if first < last:
                return first, last
        return None


class Lists:
    """Answers from committed data."""

    def __init__(self, history: History, rules: Rules) -> None:
        self._history = history
        self._rules = rules

    async def readings(self, query: RoomRange) -> tuple[Page[ReadingItem], str]:
        """A page of raw readings, and their unit. Raises PageTokenInvalid."""
        tokens = query.tokens("readings")
        after = tokens.read(query.page_token, (int, str))
        size = page_limit(query.page_size)
        found: list[ReadingItem] = []
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.series(query.building, query.room, query.sensor_type, query.device)
            walk = _Walk(query, QUARTER, None, None if after is None else int(after[0]))
            while infos and len(found) <= size and (stretch := await walk.next(snapshot, infos)) is not None:
                readings = await snapshot.readings(infos, *stretch)
                items = [
                    ReadingItem(time, value, infos[place])
                    for place, time, value in zip(*(column.tolist() for column in readings), strict=True)
                ]
                items.sort(key=_reading_order, reverse=not query.oldest_first)
                found += [item for item in items if after is None or _beyond(_reading_order(item), after, query)]
        page = Page(found[:size], tokens.next(found, size, _reading_order))
        return page, infos[0].unit if infos else ""

    async def windows(self, query: RoomRange, step: int) -> Page[WindowItem]:
        """A page of windows that hold readings, by start, then device. Raises StepUnknown and PageTokenInvalid."""
        steps = self._rules.steps
        if step != BASE and step not in steps:
            known = ", ".join(f"{one // SECOND}s" for one in sorted({BASE, *steps}))
            raise StepUnknown(f"{step / SECOND:g}s", known)
        tokens = query.tokens("windows", step)
        after = tokens.read(query.page_token, (int, str))
        size = page_limit(query.page_size)
        level = steps.index(step) if step in steps else -1
        # A stretch of about a page's worth of one series' windows, a whole number of quarters.
        length = max(step, min(step * 64, 64 * 86400 * SECOND))
        length += -length % QUARTER
        found: list[WindowItem] = []
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.series(query.building, query.room, query.sensor_type, query.device)
            stored = step if level >= 0 else None
            walk = _Walk(_aligned(query, step), length, stored, None if after is None else int(after[0]))
            while infos and len(found) <= size and (stretch := await walk.next(snapshot, infos)) is not None:
                first, last = stretch[0] - stretch[0] % step, stretch[1] + -stretch[1] % step
                items = await self._items(snapshot, infos, step, level, first, last)
                items = [item for item in items if stretch[0] <= item.start < stretch[1]]
                items.sort(key=_window_order, reverse=not query.oldest_first)
                found += [item for item in items if after is None or _beyond(_window_order(item), after, query)]
        return Page(found[:size], tokens.next(found, size, _window_order))

    async def _items(
        self, snapshot: Snapshot, infos: Sequence[SeriesInfo], step: int, level: int, start: int, end: int
    ) -> list[WindowItem]:
        parts = await snapshot.pieces(infos, start, end, level)
        revisions = await snapshot.revisions(infos, step, start, end) if level >= 0 else {}
        items: list[WindowItem] = []
        for span in spans(infos, parts, start, end, step):
            info = infos[span.series]
            if not span.statistics.count:
                continue
            revision = revisions.get((span.series, span.start), 0)
            if level < 0:
                last = info.frontiers[0] if info.frontiers else 0
                closed = span.start + step <= max(last, span.newest - self._rules.grace)
                items.append(WindowItem(info, step, span.start, span.statistics, 1, not closed))
            else:
                items.append(WindowItem(info, step, span.start, span.statistics, max(revision, 1), not revision))
        return items


def _aligned(query: RoomRange, step: int) -> RoomRange:
    """The range of starts, with its ends at multiples of the step."""
    start = None if query.start is None else query.start + -query.start % step
    end = None if query.end is None else query.end + -query.end % step
    return replace(query, start=start, end=end)


def _reading_order(item: ReadingItem) -> tuple[int, str]:
    return item.time, item.series.device


def _window_order(item: WindowItem) -> tuple[int, str]:
    return item.start, item.series.device


def _beyond(order: tuple[int, str], after: tuple[object, ...], query: RoomRange) -> bool:
    mark = (int(str(after[0])), str(after[1]))
    return order > mark if query.oldest_first else order < mark
