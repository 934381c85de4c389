"""All lanes of this process: a dispatcher for each, so that what hangs in one holds up nothing in another."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from services.notification.application.claimed_delivery import Claimed
from services.notification.application.dispatcher import Dispatcher, Places
from services.notification.application.places import Room
from services.notification.domain.lane import Lane
from services.notification.domain.notification import Notification, Status


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room in several lanes, kept free for the length of the block. See `Lanes.reserve`."""

    places: Mapping[Lane, Places]

    @property
    def rooms(self) -> dict[Lane, Room]:
        """What may be claimed in each."""
        return {lane: places.room for lane, places in self.places.items()}

    async def begin(self, claimed: Iterable[Claimed]) -> None:
        """Attempts what was claimed for these rooms, once in the block."""
        by_lane: dict[Lane, list[Claimed]] = defaultdict(list)
        for one in claimed:
            by_lane[one.lane].append(one)
        for lane, some in by_lane.items():
            await self.places[lane].begin(some)


class Lanes:
    """The dispatchers by lane."""

    def __init__(self, dispatchers: Iterable[Dispatcher]) -> None:
        self._dispatchers = {dispatcher.lane: dispatcher for dispatcher in dispatchers}

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set. See `Dispatcher.run`."""
        async with asyncio.TaskGroup() as group:
            for lane, dispatcher in self._dispatchers.items():
                group.create_task(dispatcher.run(stop), name=f"dispatcher {lane.lower()}")

    def poke(self, lanes: Collection[Lane] = tuple(Lane)) -> None:
        """Makes the dispatchers look at their queues now."""
        for lane in lanes:
            self._dispatchers[lane].poke()

    @asynccontextmanager
    async def reserve(self, wanted: Counter[Lane]) -> AsyncGenerator[Reservation]:
        """Places in each lane for up to as many attempts as are wanted there."""
        async with AsyncExitStack() as stack:
            places = {
                lane: await stack.enter_async_context(self._dispatchers[lane].reserve(count))
                for lane, count in wanted.items()
            }
            yield Reservation(places)

    async def deliver(self, claimed: Sequence[Claimed]) -> Notification | None:
        """Attempts the legs of a notification that the caller has claimed, now, and answers as soon as one of them has
        reached the user, or none is left. None where the leases were lost. A caller that is cancelled stops nothing."""
        waiting = {self._dispatchers[one.lane].start(one) for one in claimed}
        latest: Notification | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                after = task.result()
                if after is not None and (latest is None or after.version > latest.version):
                    latest = after
            if latest is not None and latest.status is Status.SENT:
                break
        return latest
