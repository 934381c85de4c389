"""Windows and raw readings of a room, by time, in pages."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import lcm
from typing import Final, NamedTuple

from services.aggregation.application.queries.history import History, Snapshot
from services.aggregation.domain.errors import FieldInvalid, StepUnknown
from services.aggregation.domain.late.amendments import Amendment
from services.aggregation.domain.rules import BASE, Rules
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.times import DAY, MINUTE, NEVER, NO_END, SECOND
from services.aggregation.domain.windows.span_statistics import spans
from services.aggregation.domain.windows.statistics import Statistics
from services.chassis.paging import Page, PageTokens, page_limit

QUARTER = 15 * MINUTE
_MIN_WINDOWS: Final = 16
_MAX_WINDOWS: Final = 512


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

    def check(self) -> None:
        """Raises FieldInvalid for a range that can hold nothing."""
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise FieldInvalid("to", "must be after from")

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


class WindowItem(NamedTuple):
    """A window as people see it. `provisional`: it has not closed (again) yet. `revision` 0: it holds no reading, so
    that it is stored nowhere; what is known of it follows from the readings around it."""

    series: SeriesInfo
    step: int
    start: int
    statistics: Statistics
    revision: int
    provisional: bool


class ReadingItem(NamedTuple):
    """A raw reading. `amendment`: what was made of it after it had come."""

    time: int
    value: float
    series: SeriesInfo
    amendment: Amendment | None = None


Find = Callable[[int], Awaitable[int | None]]
"""Where the next thing is, at or after a bound, or the last one before it; the bound is a whole quarter of an hour."""


class _TimeWalk:
    """The spans of time in which there is something, one after the other in the order asked for.

    They begin and end at multiples of `unit`, a whole number of quarters of an hour (segments of readings never cross
    the end of one), and are of `length`, a whole number of units.
    """

    def __init__(self, query: RoomRange, unit: int, length: int, after: int | None) -> None:
        self._forward = query.oldest_first
        self._unit = unit
        self._length = length
        self._low = max(query.start or 0, 0)
        self._high = query.end if query.end is not None else NO_END
        if after is not None and self._forward:
            self._low = max(self._low, after)
        elif after is not None:
            self._high = min(self._high, after + 1)
        self._cursor = self._low - self._low % unit if self._forward else self._high + -self._high % unit

    async def next(self, find: Find) -> tuple[int, int] | None:
        """[start, end) of the next span, None at the end."""
        while self._cursor < self._high if self._forward else self._cursor > self._low:
            nearest = await find(self._cursor)
            if nearest is None:
                return None
            start = nearest - nearest % self._unit
            if not self._forward:
                # Up to where there is something, so that it is full of it.
                start -= self._length - self._unit
            end = start + self._length
            self._cursor = end if self._forward else start
            first, last = max(start, self._low), min(end, self._high)
            if first < last:
                return first, last
        return None


class Lists:
    """Answers from committed data."""

    def __init__(self, history: History, rules: Rules) -> None:
        self._history = history
        self._rules = rules

    async def readings(self, query: RoomRange) -> tuple[Page[ReadingItem], str]:
        """A page of raw readings, and their unit. Raises FieldInvalid and PageTokenInvalid."""
        query.check()
        tokens = query.tokens("readings")
        after = tokens.read(query.page_token, (int, str))
        size = page_limit(query.page_size)
        found: list[ReadingItem] = []
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.series(query.building, query.room, query.sensor_type, query.device)
            walk = _TimeWalk(query, QUARTER, QUARTER, None if after is None else int(after[0]))
            find = partial(snapshot.next_reading, infos, after=query.oldest_first)
            while infos and len(found) <= size and (span := await walk.next(find)) is not None:
                readings = await snapshot.readings(infos, *span)
                amended = await snapshot.amendments(infos, *span)
                items = [
                    ReadingItem(time, value, infos[place], amended.get((place, time)))
                    for place, time, value in zip(*(column.tolist() for column in readings), strict=True)
                ]
                items.sort(key=_reading_order, reverse=not query.oldest_first)
                found += [item for item in items if after is None or _beyond(_reading_order(item), after, query)]
        page = Page(found[:size], tokens.next(found, size, _reading_order))
        return page, infos[0].unit if infos else ""

    async def windows(self, query: RoomRange, step: int) -> Page[WindowItem]:
        """A page of windows that hold readings, or time that the readings around them make known: by start, then
        device. Only what the page asks for is worked out. Raises FieldInvalid, StepUnknown and
        PageTokenInvalid."""
        query.check()
        steps = self._rules.steps
        if step != BASE and step not in steps:
            known = ", ".join(f"{one // SECOND}s" for one in sorted({BASE, *steps}))
            raise StepUnknown(f"{step / SECOND:g}s", known)
        tokens = query.tokens("windows", step)
        after = tokens.read(query.page_token, (int, str))
        size = page_limit(query.page_size)
        level = steps.index(step) if step in steps else -1
        found: list[WindowItem] = []
        async with self._history.snapshot() as snapshot:
            infos = await snapshot.series(query.building, query.room, query.sensor_type, query.device)
            unit = lcm(step, QUARTER)
            length = _range_length(step, unit, -(-(size + 1) // max(len(infos), 1)))
            walk = _TimeWalk(_aligned(query, step), unit, length, None if after is None else int(after[0]))
            find = self._find(snapshot, infos, step, length, after=query.oldest_first)
            while infos and len(found) <= size and (span := await walk.next(find)) is not None:
                first, last = span[0] - span[0] % step, span[1] + -span[1] % step
                items = await self._items(snapshot, infos, step, level, first, last)
                items = [item for item in items if span[0] <= item.start < span[1]]
                items.sort(key=_window_order, reverse=not query.oldest_first)
                found += [item for item in items if after is None or _beyond(_window_order(item), after, query)]
        return Page(found[:size], tokens.next(found, size, _window_order))

    def _find(self, snapshot: Snapshot, infos: Sequence[SeriesInfo], step: int, length: int, *, after: bool) -> Find:
        async def find(bound: int) -> int | None:
            known = await snapshot.next_known(infos, bound, after=after)
            near = known is not None and (known < bound + length if after else known >= bound - length)
            if near or step not in self._rules.steps:
                return known
            # Windows outlive their readings.
            stored = await snapshot.next_window(infos, step, bound, known, after=after)
            places = [place for place in (known, stored) if place is not None]
            return (min if after else max)(places, default=None)

        return find

    async def _items(
        self, snapshot: Snapshot, infos: Sequence[SeriesInfo], step: int, level: int, start: int, end: int
    ) -> list[WindowItem]:
        parts = await snapshot.pieces(infos, start, end, level)
        revisions = await snapshot.revisions(infos, step, start, end) if level >= 0 else {}
        items: list[WindowItem] = []
        newest: dict[int, int] | None = None
        for span in spans(infos, parts, start, end, step):
            if not span.statistics.known:
                continue
            info, holds = infos[span.series], span.statistics.count > 0
            if level >= 0 and holds:
                revision = revisions.get((span.series, span.start), 0)
                items.append(WindowItem(info, step, span.start, span.statistics, max(revision, 1), not revision))
                continue
            # Stored nowhere: as far as the windows that are, or as readings may have them closed.
            frontier = info.frontiers[max(level, 0)] if info.frontiers else 0
            until, grace = span.start + step, self._rules.grace
            closed = until <= max(frontier, span.newest - grace)
            if not closed:  # by what was read; where the page ends must not matter
                newest = await snapshot.newest(infos, end) if newest is None else newest
                closed = until <= newest.get(span.series, NEVER) - grace
            items.append(WindowItem(info, step, span.start, span.statistics, int(holds), not closed))
        return items


def _range_length(step: int, unit: int, windows: int) -> int:
    """So much time that one span mostly holds so many windows, and a page costs little more than what it shows."""
    length = min(step * min(max(windows, _MIN_WINDOWS), _MAX_WINDOWS), 64 * DAY)
    # A unit more: that in which the span begins or ends may be empty but for its edge.
    return length + -length % unit + (unit if step < unit else 0)


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
