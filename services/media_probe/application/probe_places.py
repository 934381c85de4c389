"""Who may probe now. A video server that hangs, or a store that floods us, keeps nobody from the places of others.

Each origin, and each store, has at most three quarters of the places, so that there are always some for others. A probe
that takes longer than `slow_after` gives its place back, for it only waits: places that are taken by servers that begin
to hang are free again soon. How many such wait is bounded, in all and for each. Those who wait for a place are served
by turns, an origin after the other, and first attempts before repeated ones.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

SLOW_AFTER: Final = 0.5
"""Seconds."""
_SLOW: Final = 2
"""Slow probes beside the others, at most: in multiples of the places."""


@dataclass(eq=False, slots=True)
class _Attempt:
    origin: str
    store: str
    admitted: "asyncio.Future[None]"
    slow: bool = False


class ProbePlaces:
    """Places for probes in this process."""

    def __init__(
        self, places: int, *, slow_after: float = SLOW_AFTER, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._places, self._slow_after, self._clock = places, slow_after, clock
        self._share = max(places * 3 // 4, 1)
        self._quick: OrderedDict[_Attempt, float] = OrderedDict()
        self._busy: Counter[str] = Counter()
        self._slow: Counter[str] = Counter()
        self._first: OrderedDict[str, deque[_Attempt]] = OrderedDict()
        self._again: OrderedDict[str, deque[_Attempt]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(len(queue) for queues in (self._first, self._again) for queue in queues.values())

    @asynccontextmanager
    async def place(self, origin: str, store: str, *, again: bool) -> AsyncGenerator[None]:
        """A place for the block. `again`: it is not the first attempt."""
        attempt = _Attempt(f"origin {origin}", f"store {store}", asyncio.get_running_loop().create_future())
        queues = self._again if again else self._first
        queues.setdefault(attempt.origin, deque()).append(attempt)
        self._admit()
        try:
            await attempt.admitted
            yield
        finally:
            self._end(attempt, queues)
            self._admit()

    def _end(self, attempt: _Attempt, queues: OrderedDict[str, deque[_Attempt]]) -> None:
        if attempt in self._quick:
            self._leave(attempt)
        elif attempt.slow:
            for key in (attempt.origin, attempt.store):
                self._slow[key] -= 1
            self._slow[""] -= 1
        elif attempt in (queue := queues.get(attempt.origin, deque())):
            queue.remove(attempt)

    def _leave(self, attempt: _Attempt) -> None:
        del self._quick[attempt]
        for key in (attempt.origin, attempt.store):
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]

    def _admit(self) -> None:
        """Gives free places to those who wait."""
        self._age()
        while len(self._quick) < self._places and (attempt := self._next()) is not None:
            self._quick[attempt] = self._clock()
            for key in (attempt.origin, attempt.store):
                self._busy[key] += 1
            if not attempt.admitted.done():
                attempt.admitted.set_result(None)
        if self._timer is None and self._quick and self.waiting:
            oldest = next(iter(self._quick.values()))
            left = max(oldest + self._slow_after - self._clock(), 0.01)
            self._timer = asyncio.get_running_loop().call_later(left, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._admit()

    def _next(self) -> _Attempt | None:
        for queues in (self._first, self._again):
            for origin in list(queues):
                queue = queues[origin]
                if not queue:
                    del queues[origin]
                elif self._has_room(queue[0]):
                    queues.move_to_end(origin)
                    return queue.popleft()
        return None

    def _has_room(self, attempt: _Attempt) -> bool:
        return all(self._busy[key] < self._share for key in (attempt.origin, attempt.store))

    def _age(self) -> None:
        old = self._clock() - self._slow_after
        for attempt, began in list(self._quick.items()):
            keys = (attempt.origin, attempt.store)
            if began > old or self._slow[""] >= _SLOW * self._places:
                return
            if any(self._slow[key] >= self._places for key in keys):
                continue
            self._leave(attempt)
            attempt.slow = True
            for key in (*keys, ""):
                self._slow[key] += 1
