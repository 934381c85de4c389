"""Lends the sessions of an asyncpg pool, and lends one that came back in order again as it is.

asyncpg's pool arms a timeout for each loan and starts a task for each return, which is more work than a short statement
is. Here a session that comes back in order is the next caller's at once, or waits at hand for up to a second; whatever
else happens to a session (an exception, an open transaction, rest) goes through the pool, which mends and closes them.
"""

import asyncio
from collections import deque
from typing import Final, TypeAlias

import asyncpg
import asyncpg.pool

from services.chassis.telemetry.logs import get_logger

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Lent: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

log = get_logger(__name__)

AT_HAND: Final = 1.0
"""Seconds after which what is at hand goes back to the pool, which closes what it does not need."""


class Sessions:
    """The sessions of `pool`, up to its size at a time. Whoever comes first is served first."""

    def __init__(self, pool: Pool, *, patience: float) -> None:
        self._pool, self._patience = pool, patience
        self._lent = 0
        self._at_hand: list[Lent] = []
        self._waiters: deque[asyncio.Future[Lent | None]] = deque()
        self._rest: asyncio.TimerHandle | None = None
        self._resting: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def idle(self) -> int:
        """How many nobody has taken."""
        return self._pool.get_idle_size() + len(self._at_hand)

    async def take(self) -> Lent:
        """A session, to be given back by `give_back` or `give_up`. Raises TimeoutError after the pool's patience, and
        what connecting raises."""
        while not self._waiters:
            if self._at_hand:
                session = self._at_hand.pop()
                if _lives(session):
                    return session
                await self.give_up(session)
            elif self._lent < self._pool.get_max_size():
                self._lent += 1
                return await self._acquire()
            else:
                break
        return await self._wait()

    def give_back(self, session: Lent) -> bool:
        """Takes back a session whose block ended well; false when it is not in order: then it is for `give_up`."""
        if self._closed or not _lives(session) or session.is_in_transaction():
            return False
        if not self._hand_on(session):
            self._at_hand.append(session)
            if self._rest is None:
                self._rest = asyncio.get_running_loop().call_later(AT_HAND, self._put_away)
        return True

    async def give_up(self, session: Lent) -> None:
        """Gives a session back to the pool, which mends it or closes it."""
        try:
            await self._pool.release(session)
        finally:
            self._leave()

    async def close(self) -> None:
        """Gives back what is at hand; from now on nothing stays there."""
        self._closed = True
        if self._rest is not None:
            self._rest.cancel()
        self._put_away()
        await asyncio.gather(*self._resting, return_exceptions=True)  # each is logged

    async def _acquire(self) -> Lent:
        try:
            return await self._pool.acquire(timeout=self._patience)
        except BaseException:
            self._leave()
            raise

    async def _wait(self) -> Lent:
        waiter: asyncio.Future[Lent | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._patience):
                session = await waiter
        except BaseException:
            if not waiter.done() or waiter.cancelled():
                self._forget(waiter)
            elif (got := waiter.result()) is None:
                self._leave()
            elif not self.give_back(got):
                await self.give_up(got)
            raise
        if session is None:
            return await self._acquire()
        if _lives(session):
            return session
        await self.give_up(session)
        return await self.take()

    def _forget(self, waiter: "asyncio.Future[Lent | None]") -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _leave(self) -> None:
        """Leaves a place among the lent ones to whoever waits."""
        if not self._hand_on(None):
            self._lent -= 1

    def _hand_on(self, session: "Lent | None") -> bool:
        """Gives the session, or the place for one, to whoever waits longest; false when nobody does."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(session)
                return True
        return False

    def _put_away(self) -> None:
        self._rest = None
        idle, self._at_hand = self._at_hand, []
        for session in idle:
            task = asyncio.get_running_loop().create_task(self.give_up(session), name="session put away")
            self._resting.add(task)
            task.add_done_callback(self._rested)

    def _rested(self, task: "asyncio.Task[None]") -> None:
        self._resting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a session could not be given back", error=repr(error))  # the pool has closed it


def _lives(session: Lent) -> bool:
    try:
        return not session.is_closed()
    except asyncpg.InterfaceError:
        return False  # the pool took it back when its connection was lost
