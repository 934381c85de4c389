"""Works on one partition as long as its lease is ours: fetch, compute, commit, acknowledge."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from services.aggregation.application import metrics
from services.aggregation.application.alarms.partition_alarms import NoAlarms
from services.aggregation.application.alarms.silence import SilenceWatch
from services.aggregation.application.partition.lease_store import Lease, LeaseLost
from services.aggregation.application.partition.loss_reports import LossReports
from services.aggregation.application.partition.partition_store import Emptied, PartitionStore
from services.aggregation.application.partition.poison_messages import PoisonMessages
from services.aggregation.application.partition.processor import OpenAlarms, Processor, wall_clock_us
from services.aggregation.application.partition.reading_lane import Message, ReadingLane
from services.aggregation.domain.partition.continuity import Continuity, Lost, Stream, resume
from services.aggregation.domain.rules import Rules
from services.chassis.errors import DomainError
from services.chassis.handler_stage import stage_of
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


_MAILBOX_LIMIT = 1000


_MAILBOX_POLL = 5.0


_PAUSE_AFTER_FAILURE = 0.5


_CATCHING_UP = 0.02


OpenLane = Callable[[int], AbstractAsyncContextManager[ReadingLane]]


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """`max_rows`: readings of one transaction, about."""

    max_rows: int = 100_000
    breath: timedelta = timedelta(milliseconds=100)
    """After a small transaction (below `breath_rows`) more readings are awaited for this long: a trickle of single
    readings would otherwise cost a transaction each. It adds as much to the time until a reading is visible."""
    breath_rows: int = 2_000
    breath_messages: int = 24
    """No breath after this many messages either: more are waiting already."""
    min_tick: timedelta = timedelta(milliseconds=100)
    """Windows of quiet series close in rounds of at least this distance."""


class PartitionWorker:
    """One lease, from its acquisition to its end."""

    def __init__(
        self,
        lease: Lease,
        store: PartitionStore,
        open_lane: OpenLane,
        stream: Callable[[], Awaitable[Stream]],
        rules: Rules,
        options: WorkerOptions,
        open_alarms: OpenAlarms = lambda _engine, _descriptors: NoAlarms(),
        losses: LossReports | None = None,
    ) -> None:
        self.lease = lease
        self._store = store
        self._open_lane = open_lane
        self._stream = stream
        self._rules = rules
        self._options = options
        self._open_alarms = open_alarms
        self._losses = losses
        self._stop = asyncio.Event()
        self._mail = asyncio.Event()
        self._processor: Processor | None = None
        self.failures = PoisonMessages()
        """What went wrong with which message."""

    @property
    def series(self) -> int:
        """How many series it holds in memory."""
        return 0 if self._processor is None else len(self._processor.engine.states)

    def stop(self) -> None:
        """Ends the work after the transaction at hand."""
        self._stop.set()

    def wake(self) -> None:
        """Something lies in the mailbox, or rules of alarms have changed."""
        self._mail.set()

    async def run(self) -> None:
        """Returns when it was stopped or the lease is lost; survives outages of the broker and the store."""
        while not self._stop.is_set():
            try:
                await self._session()
            except LeaseLost:
                log.warning("aggregation.lease_lost", partition=self.lease.partition, epoch=self.lease.epoch)
                return
            except DomainError as error:
                # In memory is more than was committed: start over from what is stored.
                metrics.RELOADS.labels(type(error).__name__).inc()
                log.warning("aggregation.partition_reload", partition=self.lease.partition, error=repr(error))
                await self._pause()
            except Exception as error:
                # A defect, or a message that nobody foresaw: from here on one at a time, so that it stands alone.
                metrics.RELOADS.labels(type(error).__name__).inc()
                log.exception("aggregation.partition_failed", partition=self.lease.partition, error=repr(error))
                self.failures.failed(error)
                await self._pause()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(_PAUSE_AFTER_FAILURE):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _session(self) -> None:
        loop = asyncio.get_running_loop()
        # In this order: what is stored by then is in the stream.
        bookmark = await self._store.bookmark(self.lease)
        stream = await self._stream()
        here, lost = resume(bookmark, stream)
        async with self._open_lane(self.lease.partition) as lane:
            processor = Processor(
                self._store, self.lease, self._rules, lane.describe, loop.time, self._open_alarms, self._losses
            )
            await processor.load()
            if here != bookmark:
                await processor.move(here, [] if lost is None else [lost])
            self._processor = processor
            log.info(
                "aggregation.partition_open",
                partition=self.lease.partition,
                epoch=self.lease.epoch,
                position=here.position.sequence,
                series=len(processor.engine.states),
            )
            self._mail.set()
            await _Session(self, lane, processor, Continuity(here)).run()

    async def mailbox(self) -> Sequence[Emptied]:
        """Containers emptied, if any were announced."""
        if not self._mail.is_set():
            return ()
        self._mail.clear()
        found = await self._store.mailbox(self.lease.partition, _MAILBOX_LIMIT)
        if len(found) == _MAILBOX_LIMIT:
            self._mail.set()
        return found

    @property
    def stopping(self) -> asyncio.Event:
        """Set when the work is to end."""
        return self._stop

    @property
    def mail(self) -> asyncio.Event:
        """Set when something may lie in the mailbox."""
        return self._mail

    @property
    def options(self) -> WorkerOptions:
        """As given."""
        return self._options


class _Session:
    """From opening the lane to its end."""

    def __init__(
        self, worker: PartitionWorker, lane: ReadingLane, processor: Processor, continuity: Continuity
    ) -> None:
        self._worker = worker
        self._lane = lane
        self._processor = processor
        self._continuity = continuity
        self._deadline: float | None = None
        self._last_tick = 0.0
        self._silence = SilenceWatch(lane, processor)
        self._recomputing = True
        self._asked = wall_clock_us()
        self._waiting = False
        self._stage = stage_of(f"aggregation/readings_{worker.lease.partition}")

    async def run(self) -> None:
        worker = self._worker
        fetching: asyncio.Task[Sequence[Message]] | None = None
        stopping = asyncio.create_task(worker.stopping.wait(), name="stopping")
        mail = asyncio.create_task(worker.mail.wait(), name="mail")
        self._deadline = self._processor.next_deadline()
        try:
            while not stopping.done():
                fetching = fetching or asyncio.create_task(self._lane.fetch(), name="fetch")
                await asyncio.wait(
                    {fetching, stopping, mail}, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
                )
                messages: Sequence[Message] = ()
                if fetching.done():
                    messages, fetching = fetching.result(), None
                emptied = await worker.mailbox()
                if mail.done():
                    mail = asyncio.create_task(worker.mail.wait(), name="mail")
                    self._recomputing, self._asked = True, wall_clock_us()
                await self._work(messages, emptied)
                await self._close_quiet(caught_up=not messages)
                if self._processor.amending:
                    self._recomputing, self._asked = True, wall_clock_us()
                if self._recomputing:
                    # A chunk at a time: what comes in meanwhile does not wait for all of it.
                    self._recomputing = await self._processor.recompute(self._caught_up)
                    self._deadline = self._processor.next_deadline()
                await self._silence.watch(messages)
                if self._may_breathe(messages):
                    await asyncio.wait(
                        {stopping, mail},
                        timeout=worker.options.breath.total_seconds(),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
        finally:
            await cancel(fetching, stopping, mail)

    def _may_breathe(self, messages: Sequence[Message]) -> bool:
        options = self._worker.options
        rows = sum(len(message.time) for message in messages)
        return 0 < rows < options.breath_rows and len(messages) < options.breath_messages

    def _patience(self) -> float:
        if self._recomputing:
            return _CATCHING_UP if self._waiting else 0.0
        now = asyncio.get_running_loop().time()
        patience = self._silence.patience(_MAILBOX_POLL)
        if self._deadline is None:
            return patience
        soonest = max(self._deadline, self._last_tick + self._worker.options.min_tick.total_seconds())
        return min(max(soonest - now, 0.0), patience)

    async def _caught_up(self) -> bool:
        """Rules that changed before a recomputation was asked for may still be on their way."""
        self._waiting = not await self._silence.reached(self._asked)
        return not self._waiting

    async def _work(self, messages: Sequence[Message], emptied: Sequence[Emptied]) -> None:
        done = False
        failures = self._worker.failures
        for part in _cut(messages, 0 if failures.wary else self._worker.options.max_rows):
            if failures.wary and (error := failures.hopeless(part[0].position)) is not None:
                part[0] = await self._lane.put_aside(part[0], error)
            new: list[Message] = []
            lost: list[Lost] = []
            for message in part:
                is_new, missing = self._continuity.meet(message.position, message.follows)
                if is_new:
                    new.append(message)
                else:
                    metrics.READINGS.labels("redelivered").inc(len(message.time))
                if missing is not None:
                    lost.append(missing)
            if new:
                failures.begin(part)
                work = self._processor.process(new, emptied, self._continuity.bookmark, lost)
                await self._stage.run(len(new), work)
                failures.end()
                emptied, done = (), True
            await self._lane.done(part)
        if emptied:
            await self._processor.process([], emptied)
            done = True
        if done:
            self._deadline = self._processor.next_deadline()

    async def _close_quiet(self, *, caught_up: bool) -> None:
        """Not while there is a backlog: what looks quiet by the wall clock may only be waiting in the stream."""
        now = asyncio.get_running_loop().time()
        if not caught_up or self._deadline is None or now < self._deadline:
            return
        self._last_tick = now
        await self._processor.close_quiet()
        self._deadline = self._processor.next_deadline()


def _cut(messages: Sequence[Message], max_rows: int) -> list[list[Message]]:
    """Into parts of about `max_rows` readings."""
    parts: list[list[Message]] = []
    rows = max_rows
    for message in messages:
        if rows >= max_rows:
            parts.append([])
            rows = 0
        parts[-1].append(message)
        rows += len(message.time)
    return parts
