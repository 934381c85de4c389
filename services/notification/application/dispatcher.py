"""The dispatcher of a lane: takes what is due, attempts it, and writes down what became of it."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.notification.application.attempts import Attempts
from services.notification.application.claimed_delivery import Claimed, Completion
from services.notification.application.places import LanePlaces, Room
from services.notification.application.ports.deliveries import DeliveryQueue
from services.notification.domain.delivery import Decision
from services.notification.domain.lane import OF_MANY_RECEIVERS
from services.notification.domain.notification import Notification

log = get_logger(__name__)

_PAUSE_AFTER_FAILURE = 0.5
_GATHER = timedelta(milliseconds=20)
"""How long a claim waits for room for a good many."""
_LOOK_FOR_SLOW = timedelta(milliseconds=250)
"""How often a lane without room looks whether attempts have become slow."""
_UNWRITTEN = 8
"""Deliveries that were attempted and wait for their commit, at most: in multiples of the lane's places. A commit may
take as long as some hundred attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatcherOptions:
    """What took longer than `patience` to claim is handed back: with an attempt it must fit well into the queue's
    lease. Attempts that are under way at a stop have `stop_budget` to end."""

    poll: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(seconds=5)
    stop_budget: timedelta = timedelta(seconds=8)


class Places(AbstractAsyncContextManager["Places"]):
    """Room for attempts, kept free for the length of the block. See `Dispatcher.reserve`."""

    def __init__(self, dispatcher: "Dispatcher", room: Room) -> None:
        self.room = room
        self._dispatcher = dispatcher
        self._begin_by = dispatcher.begin_by()

    async def __aenter__(self) -> Self:
        return self

    async def begin(self, claimed: Sequence[Claimed]) -> None:
        """Attempts what was claimed for this room, once in the block."""
        await self._dispatcher.begin(claimed, by=self._begin_by)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dispatcher.leave(self.room.places)


class Dispatcher:
    """Runs the attempts of a lane, as its places allow, in the order in which they were claimed.

    What is claimed is attempted at once: a claim says that the attempt may have been made, so nothing is claimed that
    must wait for others. What was attempted waits for its commit without holding up anybody. So claims and commits are
    of many where there is much to do, and their cost is shared.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        attempts: Attempts,
        completing: GroupCommit[Completion, Notification | None],
        places: LanePlaces,
        options: DispatcherOptions,
    ) -> None:
        self.lane = places.lane
        self._queue = queue
        self._attempts = attempts
        self._completing = completing
        self._places = places
        self._options = options
        self._woken = asyncio.Event()
        self._under_way: dict[asyncio.Task[Notification | None], tuple[Claimed, int]] = {}
        """Attempts that have not ended, and their places."""
        self._attempted: set[asyncio.Task[Notification | None]] = set()
        """Attempts that have ended, and whose outcome is not durable yet."""
        self._reserved = 0
        self._short_of_room = False
        """Whether places that become free are waited for."""
        self._held_back = False
        """Whether receivers were at their share when it last claimed."""
        self._many = max(places.concurrency // 2, 1)
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
        places = Places(self, self._places.room(max(min(wanted, self._room()), 0)))
        self._reserved += places.room.places
        return places

    def leave(self, reserved: int) -> None:
        """Gives reserved places back."""
        self._reserved -= reserved
        self._look_if_short()

    def start(self, claimed: Claimed) -> "asyncio.Task[Notification | None]":
        """Attempts what the caller has claimed, now. The task has the notification after its change."""
        task = asyncio.create_task(self._process(claimed), name=f"deliver {claimed.id}")
        self._under_way[task] = claimed, self._places.begin(claimed.receiver)
        task.add_done_callback(self._ended)
        return task

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets attempts finish within their budget and hands back the rest."""
        while not stop.is_set():
            self._woken.clear()
            if self._room() < self._many:
                # A claim costs nearly the same for one as for many; but attempts that hang hold up nobody for long.
                await self._wait_for_room(stop)
            # The other places are left to who claims what they accept.
            places = min(self._room(), self._many)
            if places <= 0 or stop.is_set():
                continue
            room, by = self._places.room(places), self.begin_by()
            self._held_back = room.held_back
            self._reserved += places
            try:
                claims = await self._queue.claim(room)
            except DomainError as error:
                log.warning("dispatcher.claim_failed", lane=self.lane.value, error=repr(error))
                await self._wait(stop, timedelta(seconds=_PAUSE_AFTER_FAILURE))
                continue
            finally:
                self._reserved -= places
            await self.begin(claims.claimed, by=by)
            if not claims.claimed:
                due = self._options.poll if claims.next_due is None else min(claims.next_due, self._options.poll)
                await self._wait(stop, max(due, timedelta(milliseconds=5)))
        self._stopping = True
        await self._finish()

    async def _wait_for_room(self, stop: asyncio.Event) -> None:
        self._short_of_room = True
        try:
            slow = _LOOK_FOR_SLOW if self.lane in OF_MANY_RECEIVERS else None
            await self._wait(stop, _GATHER if self._room() > 0 else slow)
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
            self.start(one)

    def _room(self) -> int:
        """How many attempts may begin."""
        if self._stopping or self._away or len(self._attempted) > _UNWRITTEN * self._places.concurrency:
            return 0
        return self._places.free() - self._reserved

    async def _hand_back(self, left: Sequence[Claimed]) -> None:
        if left:
            try:
                await self._queue.release(left)
            except DomainError as error:
                log.warning("dispatcher.hand_back_failed", deliveries=len(left), error=repr(error))
            else:
                log.warning("dispatcher.handed_back", deliveries=len(left))

    def _ended(self, task: "asyncio.Task[Notification | None]") -> None:
        if (broken_off := self._under_way.pop(task, None)) is not None:
            self._places.end(broken_off[1])
        self._attempted.discard(task)
        self._look_if_short()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatcher.attempt_died", task=task.get_name(), exc_info=error)

    def _look_if_short(self) -> None:
        if self._short_of_room and self._room() >= self._many:
            self._woken.set()
        elif self._held_back:
            # Somebody's share may be free again; a claim for a few is worth one.
            self._held_back = False
            asyncio.get_running_loop().call_later(_GATHER.total_seconds(), self._woken.set)

    async def _finish(self) -> None:
        tasks = self._under_way.keys() | self._attempted
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._options.stop_budget.total_seconds())
        # What was attempted is not handed back, it would go again: the group commit keeps its outcome and ends later.
        left = [self._under_way[task][0] for task in late if task in self._under_way]
        await cancel(*late)
        await self._hand_back(left)

    async def _process(self, claimed: Claimed) -> Notification | None:
        decision = await self._attempts.make(claimed)
        task = asyncio.current_task()
        assert task is not None
        _, place = self._under_way.pop(task)
        self._places.end(place, answered=decision.failure is None or not decision.failure.unanswered)
        self._attempted.add(task)
        self._look_if_short()
        return await self._complete(claimed, decision)

    async def _complete(self, claimed: Claimed, decision: Decision) -> Notification | None:
        away = False
        try:
            while True:
                try:
                    after = await self._completing.submit(Completion(claimed, decision))
                    break
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
        if decision.gone and after is not None and claimed.endpoint is not None:
            log.warning(
                "endpoint.removed",
                tenant=after.tenant,
                user=after.user,
                channel=claimed.channel.value,
                endpoint=claimed.endpoint.id,
                code=decision.failure.code if decision.failure else "",
            )
        return after

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
