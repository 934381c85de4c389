"""The figures of notifications, made of counts: exact, but for the percentile, which a histogram holds to 5 %."""

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.notification.domain.errors import PeriodInvalid
from services.notification.domain.notification import ChannelName, Notification, Status, Type

GROWTH = 1.1
"""How much wider each class of the histogram is than the one before."""
MAX_POINTS = 2400
NOT_SENT = -1
"""The class of what has not been sent."""


class Interval(enum.Enum):
    """The step of a series (UTC)."""

    HOUR = timedelta(hours=1)
    DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """Notifications accepted from `since` on, and before `until`."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise PeriodInvalid("must be after from")


@dataclass(frozen=True, slots=True)
class Count:
    """How many notifications are alike. `start`: of their interval; `delivery_us`: the sum of their times from accepted
    to sent, microseconds; `class_`: of each of these times, see `delivery_class`."""

    start: datetime | None
    type: Type
    channel: ChannelName
    status: Status
    opened: bool
    class_: int
    count: int
    delivery_us: int


def delivery_class(time: timedelta) -> int:
    """The smallest whole number c >= 0 with `GROWTH ** c` milliseconds not below the time."""
    return math.ceil(math.log(max(time / timedelta(milliseconds=1), 1)) / math.log(GROWTH))


def count_of(notification: Notification, start: datetime | None) -> Count:
    """One notification's."""
    taken = None if notification.sent_at is None else notification.sent_at - notification.created_at
    return Count(
        start,
        notification.type,
        notification.channel,
        notification.status,
        notification.opened_at is not None,
        NOT_SENT if taken is None else delivery_class(taken),
        1,
        0 if taken is None else round(taken / timedelta(microseconds=1)),
    )


@dataclass(slots=True)
class Figures:
    """Sums of counts, and what follows from them. Rates are from 0 to 1, None where there is nothing to divide by."""

    statuses: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    types: dict[Type, int] = field(default_factory=lambda: dict.fromkeys(Type, 0))
    channels: dict[ChannelName, int] = field(default_factory=lambda: dict.fromkeys(ChannelName, 0))
    opened: int = 0
    _classes: dict[int, int] = field(default_factory=dict[int, int])
    _delivery_us: int = 0

    def add(self, one: Count) -> None:
        """Adds a count."""
        self.statuses[one.status] += one.count
        self.types[one.type] += one.count
        self.channels[one.channel] += one.count
        if one.opened:
            self.opened += one.count
        if one.class_ != NOT_SENT:
            self._classes[one.class_] = self._classes.get(one.class_, 0) + one.count
            self._delivery_us += one.delivery_us

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.statuses.values())

    @property
    def success_rate(self) -> float | None:
        """Of those that have ended, the share that was sent."""
        return _share(self.statuses[Status.SENT], self.statuses[Status.SENT] + self.statuses[Status.FAILED])

    @property
    def open_rate(self) -> float | None:
        """Of those that were sent, the share that was opened."""
        return _share(self.opened, self.statuses[Status.SENT])

    @property
    def mean_delivery(self) -> timedelta | None:
        """The mean time from accepted to sent."""
        sent = sum(self._classes.values())
        return timedelta(microseconds=round(self._delivery_us / sent)) if sent else None

    @property
    def p95_delivery(self) -> timedelta | None:
        """The upper bound of the class of the 95th percentile (nearest rank)."""
        rank = math.ceil(sum(self._classes.values()) * 0.95)
        below = 0
        for class_ in sorted(self._classes):
            below += self._classes[class_]
            if rank and below >= rank:
                return timedelta(milliseconds=GROWTH**class_)
        return None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def summed(counts: Iterable[Count]) -> Figures:
    """The figures of all of them."""
    figures = Figures()
    for one in counts:
        figures.add(one)
    return figures


def series(counts: Iterable[Count]) -> Sequence[tuple[datetime, Figures]]:
    """The figures by interval, the oldest first; those without any are left out. Raises PeriodInvalid for more than
    MAX_POINTS."""
    points: dict[datetime, Figures] = {}
    for one in counts:
        if one.start is not None:
            points.setdefault(one.start, Figures()).add(one)
    if len(points) > MAX_POINTS:
        raise PeriodInvalid(f"leaves {len(points)} intervals for a series, of which there may be {MAX_POINTS}")
    return sorted(points.items(), key=lambda point: point[0])
