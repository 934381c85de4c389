"""The dispatcher: takes what is due, attempts it through its channel, and writes down what became of it."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports import Channel, DeliveryQueue, Meter
from services.notification.application.work import Claimed, EventMessage, Settlement
from services.notification.domain.delivery import (
    Decision,
    Endpoint,
    Failure,
    FailureKind,
    Outcome,
    decide,
    still_open,
)
from services.notification.domain.notification import ChannelName, Notification
from services.notification.domain.retry import RetrySchedule

log = get_logger(__name__)

CONSOLE = Endpoint("console", ChannelName.CONSOLE, "console")
_CRASHES = 10
"""Claims beyond the schedule after which a delivery that never reports an outcome is given up: it kills processes."""
_PAUSE_AFTER_FAILURE = 0.5
_IN_HAND = 16
"""Deliveries that are claimed, attempted, or wait for their commit, at most: in multiples of `concurrency`. A commit
may take as long as some hundred attempts."""
_CLAIM = 500
"""Deliveries of one claim, at the most: it holds a lock for each of their users."""
_HANDLERS = {channel: f"notifications.{channel.lower()}" for channel in ChannelName}


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    """`notifications` and `events` are the retry schedules; an attempt at all addresses of a delivery ends after
    `attempt_timeout`. What was claimed begins its attempt within `patience` or is handed back: with an attempt it must
    fit well into the queue's lease."""

    notifications: RetrySchedule = field(default_factory=RetrySchedule)
    events: RetrySchedule = field(default_factory=RetrySchedule)
    concurrency: int = 64
    poll: timedelta = timedelta(seconds=5)
    attempt_timeout: timedelta = timedelta(seconds=30)
    patience: timedelta = timedelta(seconds=5)
    stop_budget: timedelta = timedelta(seconds=8)
    event_stop_budget: timedelta = timedelta(seconds=2)
    """The same for events to subscribers. Nobody waits for them, and a receiver that has taken one anyway knows it
    by its id when it comes again: one that hangs need not hold up a stop."""


class Dispatcher:
    """Runs attempts, at most `concurrency` at a time, in the order in which they were claimed.

    Claims go ahead of them: what the next attempts need is there when their turn comes, and what was attempted waits
    for its commit without holding up anybody. So claims and commits are of many, and their cost is shared.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        channels: Mapping[ChannelName, Channel],
        settling: GroupCommit[Settlement, Notification | None],
        options: DispatcherOptions,
        meter: Meter,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._channels = channels
        self._settling = settling
        self._options = options
        self._meter = meter
        self._randomness = randomness
        self._woken = asyncio.Event()
        self._in_flight: dict[asyncio.Task[Notification | None], Claimed] = {}
        self._ready: deque[tuple[float, Claimed]] = deque()
        """Claimed, and not begun; with the time by which they must begin."""
        self._attempts = 0
        self._stuck = False
        """Whether what was claimed had to be handed back, and no attempt has ended since: others may be quicker."""
        self._unwritten = 0
        """Outcomes that the store was away for. Until they are written, nothing is begun, and nothing claimed: their
        leases may be over, and who claimed them would send them again."""

    def poke(self) -> None:
        """Makes it look at the queue now."""
        self._woken.set()

    async def deliver(self, claimed: Claimed) -> Notification | None:
        """Attempts what the caller has claimed, now. A caller that is cancelled does not stop the attempt."""
        return await asyncio.shield(self._start(claimed, self._process(claimed)))

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets attempts finish within their budgets and hands back the rest."""
        most = _IN_HAND * self._options.concurrency
        while not stop.is_set():
            self._woken.clear()
            await self._hand_back_late()
            room = most - len(self._ready) - len(self._in_flight)
            # A claim costs nearly the same for one as for many: wait until there is room for a good many.
            if self._stuck or self._unwritten or room < max(most // 3, 1):
                await self._wait(stop, self._until_late())
                continue
            begin_by = self._now() + self._options.patience.total_seconds()
            try:
                claims = await self._queue.claim(min(room, _CLAIM))
            except DomainError as error:
                log.warning("dispatcher.claim_failed", error=repr(error))
                await self._wait(stop, timedelta(seconds=_PAUSE_AFTER_FAILURE))
                continue
            self._ready.extend((begin_by, claimed) for claimed in claims.claimed)
            self._begin()
            if not claims.claimed:
                due = self._options.poll if claims.next_due is None else min(claims.next_due, self._options.poll)
                await self._wait(stop, min(max(due, timedelta(milliseconds=5)), self._until_late() or due))
        await self._finish()

    def _begin(self) -> None:
        while self._ready and self._attempts < self._options.concurrency and not self._unwritten:
            _, claimed = self._ready.popleft()
            self._attempts += 1
            self._start(claimed, self._process_in_turn(claimed))

    def _until_late(self) -> timedelta | None:
        return timedelta(seconds=max(self._ready[0][0] - self._now(), 0.001)) if self._ready else None

    async def _hand_back_late(self) -> None:
        """Those before them were slow. Their lease must not end while they wait, and whoever is next may have them."""
        late: list[Claimed] = []
        while self._ready and self._ready[0][0] <= self._now():
            late.append(self._ready.popleft()[1])
        self._stuck = self._stuck or bool(late)
        await self._hand_back(late)

    async def _hand_back(self, left: Sequence[Claimed]) -> None:
        if left:
            try:
                await self._queue.release(left)
            except DomainError as error:
                log.warning("dispatcher.hand_back_failed", deliveries=len(left), error=repr(error))
            else:
                log.warning("dispatcher.handed_back", deliveries=len(left))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _start(
        self, claimed: Claimed, work: Coroutine[Any, Any, Notification | None]
    ) -> "asyncio.Task[Notification | None]":
        task = asyncio.create_task(work, name=f"deliver {claimed.id}")
        self._in_flight[task] = claimed
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Notification | None]") -> None:
        del self._in_flight[task]
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatcher.attempt_died", task=task.get_name(), exc_info=error)

    async def _finish(self) -> None:
        unbegun = [claimed for _, claimed in self._ready]
        self._ready.clear()
        await self._hand_back(unbegun)
        events = {task for task, claimed in self._in_flight.items() if isinstance(claimed.message, EventMessage)}
        others = self._in_flight.keys() - events
        await asyncio.gather(
            self._end(events, self._options.event_stop_budget), self._end(others, self._options.stop_budget)
        )

    async def _end(self, tasks: "set[asyncio.Task[Notification | None]]", budget: timedelta) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=budget.total_seconds())
        left = [self._in_flight[task] for task in late]
        await cancel(*late)
        await self._hand_back(left)

    async def _process(self, claimed: Claimed) -> Notification | None:
        return await self._settle(claimed, await self._decide(claimed))

    async def _process_in_turn(self, claimed: Claimed) -> Notification | None:
        try:
            decision = await self._decide(claimed)
        finally:
            self._attempts -= 1
            self._stuck = False
            self._begin()
            self._woken.set()
        return await self._settle(claimed, decision)

    async def _decide(self, claimed: Claimed) -> Decision:
        began = time.perf_counter()
        decision = await self._attempt(claimed)
        handler = "events" if isinstance(claimed.message, EventMessage) else _HANDLERS[claimed.channel]
        self._meter.observe(handler, time.perf_counter() - began, failed=not decision.sent)
        self._tell(claimed, decision)
        return decision

    async def _settle(self, claimed: Claimed, decision: Decision) -> Notification | None:
        away = False
        try:
            while True:
                try:
                    return await self._settling.submit(Settlement(claimed, decision))
                except (Aborted, Unavailable) as error:
                    # The outcome is known: writing it down late beats sending twice.
                    if isinstance(error, Unavailable) and not away:
                        away = True
                        self._unwritten += 1
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE)
        finally:
            if away:
                self._unwritten -= 1
                self._begin()
                self._woken.set()

    async def _attempt(self, claimed: Claimed) -> Decision:
        event = isinstance(claimed.message, EventMessage)
        schedule = self._options.events if event else self._options.notifications
        hopeless = claimed.blocked or self._hopeless(claimed, schedule)
        if hopeless is not None:
            return Decision(sent=False, failure=hopeless, done=claimed.done)
        points = [CONSOLE] if claimed.channel is ChannelName.CONSOLE else list(claimed.endpoints)
        points = still_open(points, claimed.done)
        if not points:
            gone = Failure(
                kind=FailureKind.PERMANENT,
                code="NO_ENDPOINT",
                message="the user has no address for the channel any more",
            )
            return Decision(sent=False, failure=gone, done=claimed.done)
        if len(points) == 1:
            outcomes = [await self._send(claimed, points[0])]  # nearly all: spares a task
        else:
            outcomes = await asyncio.gather(*(self._send(claimed, point) for point in points))
        return decide(
            dict(zip((point.id for point in points), outcomes, strict=True)),
            failures=claimed.attempts + 1,
            done=claimed.done,
            schedule=schedule,
            randomness=self._randomness(),
        )

    @staticmethod
    def _hopeless(claimed: Claimed, schedule: RetrySchedule) -> Failure | None:
        if claimed.claims <= schedule.max_attempts + _CRASHES:
            return None
        return Failure(
            kind=FailureKind.PERMANENT,
            code="NO_OUTCOME",
            message=f"taken up {claimed.claims} times, and never an outcome",
        )

    async def _send(self, claimed: Claimed, point: Endpoint) -> Outcome:
        channel = self._channels.get(claimed.channel)
        if channel is None:
            return Failure(
                kind=FailureKind.PERMANENT,
                code="CHANNEL_NOT_CONFIGURED",
                message=f"there is no channel {claimed.channel}",
            )
        try:
            async with asyncio.timeout(self._options.attempt_timeout.total_seconds()):
                return await channel.send(claimed.message, point)
        except TimeoutError:
            return Failure(
                kind=FailureKind.TRANSIENT, code="TIMEOUT", message="the attempt did not end in time", unknown=True
            )
        except Exception as error:
            log.exception("dispatcher.channel_defect", channel=claimed.channel, delivery=claimed.id)
            return Failure(kind=FailureKind.TRANSIENT, code="DEFECT", message=type(error).__name__)

    def _tell(self, claimed: Claimed, decision: Decision) -> None:
        failure = decision.failure
        if failure is None:
            return
        fields = {"delivery": claimed.id, "reference": claimed.reference, "channel": claimed.channel.value}
        if failure.critical:
            log.critical("delivery.operator_needed", code=failure.code, error=failure.message, **fields)
        if decision.sent:
            log.info("delivery.partly_sent", code=failure.code, **fields)
        elif decision.wait is None:
            log.error("delivery.given_up", code=failure.code, attempts=claimed.attempts + 1, **fields)
        else:
            wait = round(decision.wait.total_seconds(), 3)
            log.warning("delivery.failed", code=failure.code, attempts=claimed.attempts + 1, wait=wait, **fields)

    async def _wait(self, stop: asyncio.Event, time: timedelta | None) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._woken)]
        try:
            await asyncio.wait(
                waits, timeout=time.total_seconds() if time else None, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
