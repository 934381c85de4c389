"""When a reminder is due: times of day, or a cron expression, in a time zone.

Times are reckoned on the wall, where a day has each time once, and then mapped to instants (see `zones`). So a time
that the clocks leave out is not lost, and one that they show twice comes once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from cronsim import CronSim, CronSimError

from services.notification.domain.reminders.errors import ScheduleInvalid
from services.notification.domain.reminders.zones import instant_of, wall_time, zone

_FIELDS: Final = 5
_DAY: Final = timedelta(days=1)
LAST_YEAR: Final = 2200
"""Nobody plans further, and calendars end at 9999."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """Either `times` of each day, or a `cron` expression of five fields, in the zone of that name. Raises
    ScheduleInvalid."""

    zone: str
    times: tuple[time, ...] = ()
    cron: str = ""

    def __post_init__(self) -> None:
        if bool(self.times) == bool(self.cron):
            raise ScheduleInvalid("reminder.timesOfDay", "either timesOfDay or cron must be given")
        try:
            zone(self.zone)
        except ValueError as error:
            raise ScheduleInvalid("reminder.timeZone", str(error)) from None
        if self.cron:
            _check(self.cron)

    def after(self, instant: datetime) -> Iterator[datetime]:
        """The instants at which it is due, later than `instant`, in order, each once; in UTC."""
        where, latest = zone(self.zone), instant
        for wall in self._walls(wall_time(instant, where)):
            found = instant_of(wall, where)
            # What the clocks leave out may meet what comes next; what they show twice may have been the first time.
            if found > latest:
                yield found
                latest = found

    def next_after(self, instant: datetime) -> datetime | None:
        """The first instant later than `instant`; None when it never comes again."""
        return next(self.after(instant), None)

    def _walls(self, after: datetime) -> Iterator[datetime]:
        if self.cron:
            yield from _until(LAST_YEAR, CronSim(self.cron, after))
            return
        day = after.replace(hour=0, minute=0, second=0, microsecond=0)
        while day.year < LAST_YEAR:
            for at in sorted(self.times):
                wall = datetime.combine(day, at)
                if wall > after:
                    yield wall
            day += _DAY


def _until(year: int, walls: Iterator[datetime]) -> Iterator[datetime]:
    for wall in walls:
        if wall.year >= year:
            return
        yield wall


def _check(expression: str) -> None:
    if len(expression.split()) != _FIELDS:
        raise ScheduleInvalid("reminder.cron", "must have five fields: minute, hour, day of month, month, day of week")
    try:
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None))
    except CronSimError as error:
        raise ScheduleInvalid("reminder.cron", f"is no cron expression: {error}") from None
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        # Combinations that the library's parser does not foresee, like `1#2/3`.
        raise ScheduleInvalid("reminder.cron", "is no cron expression") from error
