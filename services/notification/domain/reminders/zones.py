"""Time zones of the tz database, and the instants that wall times in them stand for.

The database is the pinned package's, not the machine's: every replica, and every test, means the same.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

_PACKAGE: Final = resources.files("tzdata")
_MINUTE: Final = timedelta(minutes=1)


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones, old spellings included."""
    return frozenset(_PACKAGE.joinpath("zones").read_text(encoding="ascii").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone. Raises ValueError for a name that is none."""
    if name not in zone_names():
        raise ValueError("is no time zone of the tz database, like Europe/Istanbul")
    with _PACKAGE.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def wall_time(instant: datetime, where: ZoneInfo) -> datetime:
    """What the clocks show at the instant, naive."""
    return instant.astimezone(where).replace(tzinfo=None, fold=0)


def instant_of(wall: datetime, where: ZoneInfo) -> datetime:
    """When the clocks show the naive wall time: the first time where they show it twice; the next whole minute that
    they show where they leave it out. In UTC."""
    instant = wall.replace(tzinfo=where, fold=0).astimezone(UTC)
    if wall_time(instant, where) == wall:
        return instant
    # Left out. Reckoned with the offset before the gap the instant is behind the change, with the one after it before.
    before, after = wall.replace(tzinfo=where, fold=1).astimezone(UTC), instant
    offset = before.astimezone(where).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if middle.astimezone(where).utcoffset() == offset else (before, middle)
    past_minute = wall_time(after, where) - wall_time(after, where).replace(second=0, microsecond=0)
    return after if not past_minute else after + _MINUTE - past_minute
