"""Waiting for those who own partitions: until what they were asked for is done, or all that had been accepted is."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from services.aggregation.domain.series import SeriesKey, partition_of

T = TypeVar("T")
_SOON: Final = 0.02
_SELDOM: Final = 1.0


async def until_done(look: Callable[[], Awaitable[T | None]]) -> T:
    """What `look` finds, as soon as it finds anything: often at first, then once a second."""
    pause = _SOON
    while (found := await look()) is None:
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _SELDOM)
    return found


class Owners(Protocol):
    """The owners of all partitions."""

    async def ask(self, partition: int) -> int:
        """An entry; it is done when all that had been accepted by now has had its effect."""
        ...

    async def reached(self, entry: int) -> bool | None:
        """True; None while it is not done."""
        ...


class Visibility:
    """`partitions` of the readings."""

    def __init__(self, owners: Owners, partitions: int) -> None:
        self._owners = owners
        self._partitions = partitions

    async def wait(self, series: SeriesKey) -> None:
        """Returns when the readings of the series are stored that had been accepted before."""
        entry = await self._owners.ask(partition_of(series, self._partitions))
        await until_done(lambda: self._owners.reached(entry))
