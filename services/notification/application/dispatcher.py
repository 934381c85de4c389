"""The dispatcher: takes what is due, attempts it through its channel, and writes down what became of it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.notification.application.claimed_delivery import Claimed, Completion, EventMessage
from services.notification.application.ports import Channel, DeliveryQueue, Meter
from services.notification.domain.delivery import Decision, Endpoint, Failure, FailureKind, Outcome, decide, still_open
from services.notification.domain.notification import ChannelName, Notification
from services.notification.domain.retry_schedule import RetrySchedule

log = get_logger(__name__)

CONSOLE = Endpoint("console", ChannelName.CONSOLE, "console")
_CRASHES = 10
"""Claims beyond the schedule after which a delivery that never reports an outcome is given up: it kills processes."""
_PAUSE_AFTER_FAILURE = 0.5
_GATHER = timedelta(milliseconds=20)
"""How long a claim waits for room for a good many."""
_UNWRITTEN = 8
"""Deliveries that were attempted and wait for their commit, at most: in multiples of `concurrency`. A commit may take
as long as some hundred attempts."""
_HANDLERS = {channel: f"notifications.{channel.lower()}" for channel in ChannelName}


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    """`notifications` and `events` are the retry schedules; an attempt at all addresses of a delivery ends after
    `attempt_timeout`. What took longer than `patience` to claim is handed back: with an attempt it must fit well into
    the queue's lease."""

    notifications: RetrySchedule = field(default_factory=RetrySchedule)
    events: RetrySchedule = field(default_factory=RetrySchedule)
    concurrency: int = 128
    poll: timedelta = timedelta(seconds=5)
    attempt_timeout: timedelta = timedelta(seconds=30)
    patience: timedelta = timedelta(seconds=5)
    stop_budget: timedelta = timedelta(seconds=8)
    event_stop_budget: timedelta = timedelta(seconds=2)
    """The same for events to subscribers. Nobody waits for them, and a receiver that has taken one anyway knows it
    by its id when it comes again: one that hangs need not hold up a stop."""


class Places(AbstractAsyncContextManager["Places"]):
    """Room for `count` attempts, kept free for the length of the block. See `Dispatcher.reserve`."""

    def __init__(self, dispatcher: "Dispatcher", count: int) -> None:
        self.count = count
        self._dispatcher = dispatcher
        self._begin_by = dispatcher.begin_by()

    async def __aenter__(self) -> Self:
        return self

    async def begin(self, claimed: Sequence[Claimed]) -> None:
        """Attempts what was claimed for these places: at most `count`, once in the block."""
        await self._dispatcher.begin(claimed, by=self._begin_by)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dispatcher.leave(self.count)


class Dispatcher:
    """Runs attempts, at most `concurrency` at a time, in the order in which they were claimed.

    What is claimed is attempted at once: a claim says that the attempt may have been made, so nothing is claimed that
    must wait for others. What was attempted waits for its commit without holding up anybody. So claims and commits are
    of many where there is much to do, and their cost is shared.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        channels: Mapping[ChannelName, Channel],
        completing: GroupCommit[Completion, Notification | None],
        options: DispatcherOptions,
        meter: Meter,
        *,
        randomness: Callable[[], float] = random.random,
    ) -> None:
        self._queue = queue
        self._channels = channels
        self._completing = completing
        self._options = options
        self._meter = meter
        self._randomness = randomness
        self._woken = asyncio.Event()
        self._under_way: dict[asyncio.Task[Notification | None], Claimed] = {}
        """Attempts that have not ended."""
        self._attempted: set[asyncio.Task[Notification | None]] = set()
        """Attempts that have ended, and whose outcome is not durable yet."""
        self._reserved = 0
        self._short_of_room = False
        """Whether places that become free are waited for."""
        self._many = max(options.concurrency // 2, 1)
        """What a claim waits for, and takes, at the most."""
        self._away = 0
        """Outcomes that the store was away for. Until they are written, nothing is begun, and nothing claimed: their
        leases may be over, and who claimed them would send them again."""
        self._stopping = False

    def poke(self) -> None:
        """Makes it look at the queue now."""
        self._woken.set()

    def reserve(self, wanted: int) -> Places:
        """Places for up to `wanted` attempts (perhaps none), for who claims by other means than the queue."""
        places = Places(self, max(min(wanted, self._room()), 0))
        self._reserved += places.count
        return places

    def leave(self, reserved: int) -> None:
        """Gives reserved places back."""
        self._reserved -= reserved
        self._look_if_short()

    async def deliver(self, claimed: Claimed) -> Notification | None:
        """Attempts what the caller has claimed, now. A caller that is cancelled does not stop the attempt."""
        return await asyncio.shield(self._start(claimed))

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets attempts finish within their budgets and hands back the rest."""
        while not stop.is_set():
            self._woken.clear()
            if self._room() < self._many:
                # A claim costs nearly the same for one as for many; but attempts that hang hold up nobody for long.
                await self._wait_for_room(stop)
            # The other places are left to who claims what they accept.
            room = min(self._room(), self._many)
            if room <= 0 or stop.is_set():
                continue
            by = self.begin_by()
            self._reserved += room
            try:
                claims = await self._queue.claim(room)
            except DomainError as error:
                log.warning("dispatcher.claim_failed", error=repr(error))
                await self._wait(stop, timedelta(seconds=_PAUSE_AFTER_FAILURE))
                continue
            finally:
                self._reserved -= room
            await self.begin(claims.claimed, by=by)
            if not claims.claimed:
                due = self._options.poll if claims.next_due is None else min(claims.next_due, self._options.poll)
                await self._wait(stop, max(due, timedelta(milliseconds=5)))
        self._stopping = True
        await self._finish()

    async def _wait_for_room(self, stop: asyncio.Event) -> None:
        self._short_of_room = True
        try:
            await self._wait(stop, _GATHER if self._room() > 0 else None)
        finally:
            self._short_of_room = False

    def begin_by(self) -> float:
        """When what is claimed now must have begun, by the clock of the event loop."""
        return asyncio.get_running_loop().time() + self._options.patience.total_seconds()

    async def begin(self, claimed: Sequence[Claimed], *, by: float) -> None:
        """Attempts what was claimed; hands it back where that took too long, and where no attempt may begin now."""
        if self._stopping or self._away or asyncio.get_running_loop().time() > by:
            await self._hand_back(claimed)
            return
        for one in claimed:
            self._start(one)

    def _room(self) -> int:
        """How many attempts may begin."""
        if self._stopping or self._away or len(self._attempted) > _UNWRITTEN * self._options.concurrency:
            return 0
        return self._options.concurrency - len(self._under_way) - self._reserved

    async def _hand_back(self, left: Sequence[Claimed]) -> None:
        if left:
            try:
                await self._queue.release(left)
            except DomainError as error:
                log.warning("dispatcher.hand_back_failed", deliveries=len(left), error=repr(error))
            else:
                log.warning("dispatcher.handed_back", deliveries=len(left))

    def _start(self, claimed: Claimed) -> "asyncio.Task[Notification | None]":
        task = asyncio.create_task(self._process(claimed), name=f"deliver {claimed.id}")
        self._under_way[task] = claimed
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Notification | None]") -> None:
        self._under_way.pop(task, None)
        self._attempted.discard(task)
        self._look_if_short()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatcher.attempt_died", task=task.get_name(), exc_info=error)

    def _look_if_short(self) -> None:
        if self._short_of_room and self._room() >= self._many:
            self._woken.set()

    async def _finish(self) -> None:
        events = {task for task, claimed in self._under_way.items() if isinstance(claimed.message, EventMessage)}
        others = (self._under_way.keys() - events) | self._attempted
        await asyncio.gather(
            self._end(events, self._options.event_stop_budget), self._end(others, self._options.stop_budget)
        )

    async def _end(self, tasks: "set[asyncio.Task[Notification | None]]", budget: timedelta) -> None:
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=budget.total_seconds())
        # What was attempted is not handed back, it would go again: the group commit keeps its outcome and ends later.
        left = [self._under_way[task] for task in late if task in self._under_way]
        await cancel(*late)
        await self._hand_back(left)

    async def _process(self, claimed: Claimed) -> Notification | None:
        decision = await self._decide(claimed)
        task = asyncio.current_task()
        assert task is not None
        del self._under_way[task]
        self._attempted.add(task)
        self._look_if_short()
        return await self._complete(claimed, decision)

    async def _decide(self, claimed: Claimed) -> Decision:
        began = time.perf_counter()
        decision = await self._attempt(claimed)
        handler = "events" if isinstance(claimed.message, EventMessage) else _HANDLERS[claimed.channel]
        self._meter.observe(handler, time.perf_counter() - began, failed=not decision.sent)
        self._tell(claimed, decision)
        return decision

    async def _complete(self, claimed: Claimed, decision: Decision) -> Notification | None:
        away = False
        try:
            while True:
                try:
                    return await self._completing.submit(Completion(claimed, decision))
                except (Aborted, Unavailable) as error:
                    # The outcome is known: writing it down late beats sending twice.
                    if isinstance(error, Unavailable) and not away:
                        away = True
                        self._away += 1
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE)
        finally:
            if away:
                self._away -= 1
                self._look_if_short()

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
