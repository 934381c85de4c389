"""Works off what is due: asks whether each reminder is needed, decides, and sends.

An occurrence is written down and claimed in one transaction, which moves its reminder on; its decision and its
notification are another. A process that dies between the two leaves an occurrence that is claimed anew when the lease
ends, and no trace of a notification. So nothing is sent twice, and nothing is forgotten, whoever dies when.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from services.chassis.errors import Aborted, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.tasks import cancel
from services.chassis.telemetry.logs import get_logger
from services.notification.application.ports.deliveries import Meter
from services.notification.application.reminders import metrics
from services.notification.application.reminders.checks import Checks
from services.notification.application.reminders.ports import ClaimedOccurrence, Decided, ReminderQueue
from services.notification.domain.channel_plan import Route
from services.notification.domain.notification import Draft
from services.notification.domain.reminders.check import OnNoAnswer
from services.notification.domain.reminders.occurrence import Decision, Reason, Verdict, judged, too_late

log = get_logger(__name__)
_PAUSE_AFTER_FAILURE = 0.5
_UNCHECKED = ""
_MOST_AT_ONCE = 512
_MOST_UNDECIDED = 2_000

ChooseRoutes = Callable[[Sequence[Draft]], Awaitable[Sequence[Route | DomainError]]]
"""The channel of each draft, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerOptions:
    """`room` occurrences of each origin are claimed at a time, and their leases renewed while they are under way. Held
    ones are asked about every `hold`."""

    room: int = 1024
    unchecked_room: int = 1024
    hold: timedelta = timedelta(minutes=1)
    poll: timedelta = timedelta(seconds=5)
    lease: timedelta = timedelta(seconds=30)
    stop_budget: timedelta = timedelta(seconds=5)


class ReminderScheduler:
    """Claims for `origins`, the servers that may be asked, and for reminders without a check."""

    def __init__(
        self,
        queue: ReminderQueue,
        checks: Checks,
        choose: ChooseRoutes,
        origins: Iterable[str],
        options: SchedulerOptions,
        meter: Meter,
    ) -> None:
        self._queue = queue
        self._checks = checks
        self._choose = choose
        self._options = options
        self._meter = meter
        self._capacity = dict.fromkeys(origins, options.room) | {_UNCHECKED: options.unchecked_room}
        self._taken: Counter[str] = Counter()
        self._woken = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], ClaimedOccurrence] = {}
        self.deciding = GroupCommit[Decided, bool]("reminders", self._decide, limit=500, keep_abandoned=True)
        """The group commit of decisions; whoever makes this closes it."""

    def poke(self) -> None:
        """Makes it look at what is due now."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then lets what is under way finish within its budget and hands back the rest."""
        keeper = asyncio.create_task(self._keep_leases(), name="leases of reminders")
        try:
            await self._work(stop, keeper)
        finally:
            await self._finish()
            await cancel(keeper)

    async def _work(self, stop: asyncio.Event, keeper: "asyncio.Task[None]") -> None:
        adopted, limit = False, _MOST_AT_ONCE
        while not stop.is_set():
            self._woken.clear()
            if keeper.done():
                keeper.result()
            if self._undecided() > _MOST_UNDECIDED:
                await self._wait(stop, self._options.poll)
                continue
            try:
                if not adopted:
                    await self._adopt()
                    adopted = True
                claims = await self._queue.claim(self._rooms(), limit=limit)
            except DomainError as error:
                log.warning("reminders.claim_failed", error=repr(error))
                await self._wait(stop, timedelta(seconds=_PAUSE_AFTER_FAILURE))
                continue
            for one in claims.claimed:
                self._start(one)
            origins = {one.lane for one in claims.claimed}
            if claims.next_due is None or claims.next_due or (origins and all(map(self._full, origins))):
                # While there is room for any of what was due, what is due next is not waited for.
                due = self._options.poll if not claims.next_due else min(claims.next_due, self._options.poll)
                await self._wait(stop, max(due, timedelta(milliseconds=5)))
            rooms = self._rooms()
            # What is written down beyond what there is room for is claimed later, which costs another write. What asks
            # a server whose room is full holds up nobody behind it all the same.
            limit = min(max((rooms[origin] for origin in origins), default=_MOST_AT_ONCE), _MOST_AT_ONCE) or 1

    async def _keep_leases(self) -> None:
        while True:
            before = set(self._under_way)
            await asyncio.sleep(self._options.lease.total_seconds() / 3)
            if old := [claimed for task, claimed in self._under_way.items() if task in before]:
                try:
                    await self._queue.renew(old)
                except DomainError as error:
                    log.warning("reminders.leases_not_renewed", occurrences=len(old), error=repr(error))

    async def _adopt(self) -> None:
        if count := await self._queue.adopt(sorted(self._capacity)):
            log.warning("reminders.origins_gone", occurrences=count)

    def _rooms(self) -> dict[str, int]:
        return {origin: max(most - self._taken[origin], 0) for origin, most in self._capacity.items()}

    def _undecided(self) -> int:
        """Occurrences whose verdict is not written down yet."""
        return len(self._under_way) - self._taken.total()

    def _leave(self, lane: str) -> None:
        was_full = self._full(lane)
        self._taken[lane] -= 1
        if was_full and not self._full(lane):
            self._woken.set()

    def _full(self, lane: str) -> bool:
        # A claim costs nearly the same for one as for many.
        return self._taken[lane] > self._capacity[lane] // 2

    def _start(self, claimed: ClaimedOccurrence) -> None:
        task = asyncio.create_task(self._process(claimed), name=f"remind {claimed.tenant}/{claimed.reminder}")
        self._under_way[task] = claimed
        self._taken[claimed.lane] += 1
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        if self._undecided() == _MOST_UNDECIDED:
            self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("reminders.died", task=task.get_name(), exc_info=error)

    async def _finish(self) -> None:
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=self._options.stop_budget.total_seconds())
        left = [self._under_way[task] for task in late]
        await cancel(*late)
        if left:
            with suppress(DomainError):  # their leases end
                await self._queue.release(left)

    async def _process(self, claimed: ClaimedOccurrence) -> None:
        began = time.perf_counter()
        try:
            verdict = await self._judge(claimed)
        finally:
            # What waits for its commit holds up nobody who waits to be asked about.
            self._leave(claimed.lane)
        waited = timedelta(0)
        while waited < self._options.lease:
            try:
                ours = await self.deciding.submit(Decided(claimed, verdict))
            except (Aborted, Unavailable) as error:
                log.warning("reminders.decision_postponed", reminder=claimed.reminder, error=repr(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
                waited += timedelta(seconds=_PAUSE_AFTER_FAILURE)
                continue
            if ours:
                late = claimed.late.total_seconds() + time.perf_counter() - began
                metrics.LATE.observe(late)
            break
        unanswered = verdict.answer is not None and verdict.reason is Reason.UNANSWERED
        self._meter.observe("reminders", time.perf_counter() - began, error="UNANSWERED" if unanswered else "")

    async def _judge(self, claimed: ClaimedOccurrence) -> Verdict:
        patience, hold = claimed.content.patience, self._options.hold
        if claimed.late > (patience + hold if claimed.held else patience):
            return too_late()
        check = claimed.content.check
        if check is None:
            return judged(None, OnNoAnswer.SEND, hold=None)
        lane = metrics.ASKING.labels(claimed.lane or "other")
        with lane.track_inprogress():
            answer = await self._checks.ask(check, user=claimed.user, reminder=claimed.reminder, occurrence=claimed.at)
        left = patience - claimed.late
        return judged(answer, check.on_no_answer, hold=min(hold, left) if left > timedelta(0) else None)

    async def _decide(self, decided: Sequence[Decided]) -> Sequence[bool]:
        """Decides many at once; one that cannot be sent by any channel is skipped."""
        sending = [one for one in decided if one.verdict.decision is Decision.SENT]
        drafts = [one.claimed.content.draft(one.claimed.tenant, one.claimed.user) for one in sending]
        routes = await self._choose(drafts) if drafts else []
        chosen = iter(zip(drafts, routes, strict=True))
        final = [_with_route(one, *next(chosen)) if one.verdict.decision is Decision.SENT else one for one in decided]
        ours = await self._queue.decide(final)
        for one, kept in zip(final, ours, strict=True):
            if kept:
                metrics.DECISIONS.labels(one.verdict.decision, one.verdict.reason).inc()
        return ours

    async def _wait(self, stop: asyncio.Event, most: timedelta) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._woken)]
        try:
            await asyncio.wait(waits, timeout=most.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(*waits)


def _with_route(one: Decided, draft: Draft, route: Route | DomainError) -> Decided:
    if not isinstance(route, DomainError):
        return Decided(one.claimed, one.verdict, (draft, route))
    before = one.verdict
    unreachable = Verdict(
        decision=Decision.SKIPPED, reason=Reason.UNREACHABLE, answer=before.answer, error=route.reason
    )
    return Decided(one.claimed, unreachable)
