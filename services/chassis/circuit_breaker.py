"""Refuses at once what would only wait for a server that does not answer anyway."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Generic, TypeVar

from services.chassis.errors import DomainError

Failure = TypeVar("Failure", bound=DomainError)


class CircuitBreaker(Generic[Failure]):
    """Closed, everybody tries. After `threshold` failures in a row it is open: for `hold_off` nobody tries. Then it is
    half-open: one at a time tries, until one succeeds. Each of these that fails doubles the hold-off, up to `longest`.

    What had queued up behind a failure is so answered at once, instead of waiting for a time-out each. Only `failure`
    counts; other errors say nothing about the server.
    """

    def __init__(
        self,
        failure: type[Failure],
        refusal: Callable[[str], Failure],
        *,
        threshold: int = 1,
        hold_off: timedelta = timedelta(milliseconds=500),
        longest: timedelta | None = None,
    ) -> None:
        """`refusal` makes what is raised while it is open, of the message of the latest failure."""
        self._failure = failure
        self._refusal = refusal
        self._threshold = threshold
        self._hold_off = hold_off.total_seconds()
        self._longest = (longest or hold_off).total_seconds()
        self._failures = 0
        self._wait = self._hold_off
        self._cause = ""
        self._next_try = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether the server is taken for dead, half-open included."""
        return self._failures >= self._threshold

    @property
    def pause(self) -> timedelta:
        """For how long nobody else may try; while one tries that is not known, and it is the shortest there is."""
        if not self.is_open:
            return timedelta(0)
        if self._trying:
            return timedelta(seconds=self._hold_off)
        return timedelta(seconds=max(self._next_try - asyncio.get_running_loop().time(), 0.0))

    @asynccontextmanager
    async def attempt(self) -> AsyncGenerator[None]:
        """Around one attempt, which raises the failure when the server fails. Raises a refusal at once while open."""
        trial = self.is_open
        if trial and (self._trying or asyncio.get_running_loop().time() < self._next_try):
            raise self._refusal(self._cause)
        self._trying = self._trying or trial
        try:
            yield
        except self._failure as error:
            self._failed(error.message, trial=trial)
            raise
        else:
            self._failures = 0
        finally:
            if trial:
                self._trying = False

    def _failed(self, cause: str, *, trial: bool) -> None:
        opened = not self.is_open
        self._failures += 1
        self._cause = cause
        if trial:
            self._wait = min(self._wait * 2, self._longest)
        elif opened:
            self._wait = self._hold_off
        if self.is_open:
            self._next_try = asyncio.get_running_loop().time() + self._wait
