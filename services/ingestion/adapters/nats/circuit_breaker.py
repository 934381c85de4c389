"""Refuses at once what would only wait for a broker that does not take anything now."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from services.ingestion.domain.errors import StreamUnavailable


class CircuitBreaker:
    """Open after a failure: for `hold_off` nobody tries, then one at a time does, until one succeeds.

    What had queued up behind a failure is so answered with it, instead of waiting for a time-out each.
    """

    def __init__(self, hold_off: timedelta = timedelta(milliseconds=500)) -> None:
        self._hold_off = hold_off.total_seconds()
        self._cause = ""
        self._next_try = 0.0
        self._trying = False

    @asynccontextmanager
    async def attempt(self) -> AsyncGenerator[None]:
        """Around one attempt, which raises StreamUnavailable when it fails. Raises that at once while open."""
        trial = bool(self._cause)
        if trial and (self._trying or asyncio.get_running_loop().time() < self._next_try):
            raise StreamUnavailable(self._cause)
        self._trying = self._trying or trial
        try:
            yield
        except StreamUnavailable as error:
            self._cause = error.message
            self._next_try = asyncio.get_running_loop().time() + self._hold_off
            raise
        else:
            self._cause = ""
        finally:
            if trial:
                self._trying = False
