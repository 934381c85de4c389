"""Asks whether a reminder is needed: with retries, and for each server its own places and circuit breaker.

The servers that may be asked are few and named by the operator. What one of them does (hang, fail, answer slowly) is so
felt by the reminders that ask it, and by no other.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.telemetry.logs import get_logger
from services.notification.application.reminders import metrics
from services.notification.application.reminders.ports import CheckClient, CheckServerFailed, Unanswered
from services.notification.domain.reminders.check import Answer, Check, CheckOutcome

log = get_logger(__name__)

ATTEMPTS = 3
"""Questions about one occurrence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """`concurrency` questions at a time to each server. After `threshold` failures in a row it is left alone for
    `hold_off`, doubled with each trial that fails, up to `longest`. Pauses of `backoff` lie between the questions about
    one occurrence, the second twice as long."""

    concurrency: int = 64
    threshold: int = 5
    hold_off: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=1)
    backoff: timedelta = timedelta(milliseconds=500)


class Checks:
    """Asks servers of these origins."""

    def __init__(
        self,
        client: CheckClient,
        origins: Iterable[str],
        options: CheckOptions,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._options = options
        self._randomness = randomness
        self._servers = {origin: _Server(origin, options) for origin in origins}

    async def ask(self, check: Check, *, user: str, reminder: str, occurrence: datetime) -> Answer:
        """The answer, after ATTEMPTS questions at the most. Nothing is raised: no answer is an answer."""
        server = self._servers.get(str(check.origin))
        if server is None:
            # The operator has allowed it once, and does no longer.
            return Answer(outcome=CheckOutcome.NO_ANSWER, attempts=0, error="ORIGIN_FORBIDDEN")
        url = check.filled(user=user, reminder=reminder, occurrence=occurrence)
        attempt, pause = 1, self._options.backoff.total_seconds()
        while True:
            try:
                taken = await server.ask(self._client, url, check.timeout)
            except CheckServerFailed as error:
                if attempt == ATTEMPTS:
                    return Answer(outcome=CheckOutcome.NO_ANSWER, attempts=attempt, error=error.code)
            except Unanswered as error:
                # It answers others: asking the same again would change nothing.
                return Answer(outcome=CheckOutcome.NO_ANSWER, attempts=attempt, error=error.code)
            else:
                outcome = CheckOutcome.TAKEN if taken else CheckOutcome.NOT_TAKEN
                return Answer(outcome=outcome, attempts=attempt)
            # Without a place: whoever waits here holds up nobody.
            await asyncio.sleep(pause * (0.75 + self._randomness() / 2))
            attempt, pause = attempt + 1, pause * 2


class _Server:
    """Places and circuit breaker of one origin."""

    def __init__(self, origin: str, options: CheckOptions) -> None:
        self._origin = origin
        self._places = asyncio.Semaphore(options.concurrency)
        self._breaker = CircuitBreaker(
            CheckServerFailed,
            lambda cause: CheckServerFailed("CIRCUIT_OPEN", cause),
            threshold=options.threshold,
            hold_off=options.hold_off,
            longest=options.longest,
        )
        self._seconds = metrics.CHECK_SECONDS.labels(origin)
        self._open = metrics.CIRCUIT_OPEN.labels(origin)
        self._answered = metrics.CHECKS.labels(origin, "ANSWERED")
        self._told_open = False

    async def ask(self, client: CheckClient, url: str, timeout: timedelta) -> bool:
        """One question. Raises Unanswered, or CheckServerFailed."""
        async with self._places:
            try:
                async with self._breaker.attempt():
                    began = perf_counter()
                    try:
                        taken = await client.ask(url, timeout)
                    finally:
                        self._seconds.observe(perf_counter() - began)
            except Unanswered as error:
                metrics.CHECKS.labels(self._origin, error.code).inc()
                self._tell(error)
                raise
            self._answered.inc()
            self._tell(None)
            return taken

    def _tell(self, error: Unanswered | None) -> None:
        opened = self._breaker.is_open
        if opened is self._told_open:
            return
        self._told_open = opened
        self._open.set(opened)
        if opened and error is not None:
            log.error("reminders.check_server_dead", origin=self._origin, code=error.code, error=error.message)
        else:
            log.info("reminders.check_server_back", origin=self._origin)
