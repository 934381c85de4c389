"""Places for probes: nobody waits for somebody else's video server."""

import asyncio
from contextlib import AsyncExitStack

from services.media_probe.application.probe_places import ProbePlaces


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Hall:
    """Probes that are told when to end, in the order in which they have got a place."""

    def __init__(self, places: int) -> None:
        self.clock = Clock()
        self.places = ProbePlaces(places, slow_after=10, clock=self.clock)
        self.running: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, name: str, origin: str = "", store: str = "", *, again: bool = False) -> None:
        """A probe, which has a place or waits when this returns."""
        self._ends[name] = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._probe(name, origin or name, store or name, again)))
        await self.settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.settle()

    async def cancel(self, index: int) -> None:
        self._tasks[index].cancel()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Time goes by, and somebody comes who makes it felt."""
        self.clock.now += seconds
        await self.come(f"tick-{self.clock.now}")
        await self.end(f"tick-{self.clock.now}")

    async def __aenter__(self) -> "Hall":
        return self

    async def __aexit__(self, *_: object) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self.places.waiting == 0

    async def _probe(self, name: str, origin: str, store: str, again: bool) -> None:
        async with self.places.place(origin, store, again=again):
            self.running.append(name)
            await self._ends[name].wait()
            self.running.remove(name)


async def test_one_origin_leaves_places_for_others() -> None:
    async with Hall(8) as hall:
        for number in range(20):
            await hall.come(f"slow-{number}", "dripping")
        assert len(hall.running) == 6
        await hall.come("good")
        assert "good" in hall.running


async def test_one_store_leaves_places_for_others() -> None:
    async with Hall(8) as hall:
        for number in range(20):
            await hall.come(f"flood-{number}", f"server-{number}", "flooding")
        assert len(hall.running) == 6
        await hall.come("other")
        assert "other" in hall.running


async def test_probes_that_hang_give_their_places_back_up_to_a_bound() -> None:
    async with Hall(4) as hall:
        for number in range(30):
            await hall.come(f"dead-{number}", f"server-{number}")
        assert len(hall.running) == 4
        await hall.later(5)
        assert len([name for name in hall.running if name.startswith("dead")]) == 4
        for expected in (8, 12, 12):
            await hall.later(11)
            assert len([name for name in hall.running if name.startswith("dead")]) == expected


async def test_those_who_wait_are_served_by_turns_and_first_attempts_first() -> None:
    async with Hall(1) as hall:
        await hall.come("first")
        await hall.come("retry", "a", again=True)
        for name, origin in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a"), ("b2", "b")):
            await hall.come(name, origin, store=name)
        served: list[str] = []
        await hall.end("first")
        while hall.running:
            [name] = hall.running
            served.append(name)
            await hall.end(name)
        assert served == ["a1", "b1", "a2", "b2", "a3", "retry"]


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    async with Hall(1) as hall, AsyncExitStack():
        await hall.come("first")
        await hall.come("gone", "a")
        await hall.come("other", "b")
        await hall.cancel(1)
        assert hall.places.waiting == 1
        await hall.end("first")
        assert hall.running == ["other"]
        await hall.cancel(2)
        await hall.come("last")
        assert hall.running[-1] == "last"
