"""The figures of notifications: exact, but for the percentile, which a histogram holds to 10 %."""

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.notification.domain.errors import PeriodInvalid
from services.notification.domain.notification import ChannelName, Notification, Status, Type

GROWTH = 1.1
"""How much wider each class of the histogram is than the one before."""
MAX_POINTS = 2400


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts, and what follows from them. Rates are from 0 to 1, None where there is nothing to divide by. `delivered`:
    those that have a time from accepted to sent, `delivery` the sum of these times, `p95_class` the class of their 95th
    percentile (nearest rank)."""

    statuses: Mapping[Status, int]
    types: Mapping[Type, int]
    channels: Mapping[ChannelName, int]
    opened: int
    delivered: int
    delivery: timedelta
    p95_class: int | None

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
        return self.delivery / self.delivered if self.delivered else None

    @property
    def p95_delivery(self) -> timedelta | None:
        """The upper bound of the class of the 95th percentile."""
        return None if self.p95_class is None else timedelta(milliseconds=GROWTH**self.p95_class)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The figures of a period, and by interval, the oldest first; intervals without any are left out."""

    whole: Figures
    series: tuple[tuple[datetime, Figures], ...] = ()

    def __post_init__(self) -> None:
        if len(self.series) > MAX_POINTS:
            raise PeriodInvalid(f"leaves {len(self.series)} intervals for a series, of which there may be {MAX_POINTS}")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def delivery_class(time: timedelta) -> int:
    """The smallest whole number c >= 0 with `GROWTH ** c` milliseconds not below the time."""
    return math.ceil(math.log(max(time / timedelta(milliseconds=1), 1)) / math.log(GROWTH))


def counted(notifications: Iterable[Notification]) -> Figures:
    """The figures of all of them."""
    statuses, types, channels = dict.fromkeys(Status, 0), dict.fromkeys(Type, 0), dict.fromkeys(ChannelName, 0)
    times: list[timedelta] = []
    opened = 0
    for one in notifications:
        statuses[one.status] += 1
        types[one.type] += 1
        channels[one.channel] += 1
        opened += one.opened_at is not None
        if one.sent_at is not None:
            times.append(one.sent_at - one.created_at)
    return Figures(
        statuses=statuses,
        types=types,
        channels=channels,
        opened=opened,
        delivered=len(times),
        delivery=sum(times, timedelta(0)),
        p95_class=delivery_class(sorted(times)[math.ceil(len(times) * 0.95) - 1]) if times else None,
    )
