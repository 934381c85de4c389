"""Brings concurrent readings together into few durable messages, and gives every caller its own outcome.

Each partition has one message under way at a time: while it waits for its acknowledgement, what arrives gathers in the
next one (group commit). So an idle service answers after a single round trip, a busy one sends large messages, and
within a partition nothing overtakes. What is pending is bounded in bytes: beyond it callers wait their turn, and are
refused when it does not come in time. While the broker is away messages time out one after the other, so the wait
behind them is bounded, too: callers hear that the stream is unavailable before their own deadline.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from services.chassis.telemetry.logs import get_logger
from services.ingestion.application import metrics
from services.ingestion.application.pending_batch import PendingBatch, Ticket
from services.ingestion.application.ports import CountingValues, ReadingLane
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading_columns import ROW_BYTES, Piece
from services.ingestion.domain.recent_readings import Conflict, RecentReadings
from services.ingestion.domain.series import Series

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReadingGroupCommitOptions:
    """`linger`: how long the first reading of an idle partition waits for company. Sizes are estimates in bytes."""

    partitions: int = 8
    linger: timedelta = timedelta(0)
    max_batch_rows: int = 10_000
    max_batch_bytes: int = 640 * 1024
    max_pending_bytes: int = 64 * 1024 * 1024
    admission_timeout: timedelta = timedelta(seconds=2)
    queue_timeout: timedelta = timedelta(seconds=6)
    """How long a message may wait for those before it; then it is refused, while its callers still listen."""


class _Partition:
    """What waits to be published in one partition."""

    __slots__ = ("arrived", "number", "queue", "recent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.queue: deque[PendingBatch] = deque()
        self.arrived = asyncio.Event()
        self.recent = RecentReadings()


class ReadingGroupCommit:
    """Takes accepted readings in; `run` publishes them."""

    def __init__(self, lane: ReadingLane, counting: CountingValues, options: ReadingGroupCommitOptions) -> None:
        self._lane = lane
        self._counting = counting
        self._options = options
        self._partitions = [_Partition(number) for number in range(options.partitions)]
        self._pending = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @property
    def pending_bytes(self) -> int:
        """About the bytes that wait for their acknowledgement."""
        return self._pending

    async def submit_row(self, series: Series, event_time_us: int, value: float, flags: int = 0) -> Conflict | None:
        """Returns once the row is durable; what is known of another value of its event time. Raises
        StreamUnavailable."""
        weight = series.weight + ROW_BYTES
        await self._admit(weight)
        partition = self._partitions[series.partition]
        batch = self._open(partition, 1, weight)
        ticket = Ticket(1, weight)
        batch.enter(ticket)
        batch.add_row(series, event_time_us, value, flags)
        partition.arrived.set()
        conflicts = await ticket.future
        return conflicts[0] if conflicts else None

    async def submit(self, pieces: Sequence[Piece], key: str | None = None) -> "asyncio.Future[Sequence[Conflict]]":
        """Admits the pieces, and returns a future that is done once all are durable (or fails with StreamUnavailable):
        what is known of rows whose event time had another value.

        With a `key` they are messages of their own, whose ids derive from the key: the same again is stored once.
        """
        parts = [part for piece in pieces for part in self._split(piece)]
        weight = sum(part.weight for part in parts)
        if parts:
            await self._admit(weight)
        ticket = Ticket(len(parts), weight)
        for part in parts:
            partition = self._partitions[part.partition]
            if key is None:
                batch = self._open(partition, len(part), part.weight)
            else:
                # Named by its content: where the same request is cut in another way, other parts are other messages.
                batch = PendingBatch(f"{key}-{part.digest()}")
                partition.queue.append(batch)
            batch.enter(ticket)
            batch.add(part)
            partition.arrived.set()
        if not parts:
            ticket.future.set_result(())
        return ticket.future

    async def run(self) -> None:
        """Publishes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for partition in self._partitions:
                tasks.create_task(self._serve(partition), name=f"readings partition {partition.number}")

    async def close(self) -> None:
        """Refuses new readings and returns when nothing is pending any more."""
        self._closed = True
        await self._idle.wait()

    async def _serve(self, partition: _Partition) -> None:
        linger = self._options.linger.total_seconds()
        while True:
            if not partition.queue:
                partition.arrived.clear()
                await partition.arrived.wait()
                if linger and partition.queue[0].rows < self._options.max_batch_rows:
                    await asyncio.sleep(linger)
            batch = partition.queue.popleft()
            if time.monotonic() - batch.begun > self._options.queue_timeout.total_seconds():
                metrics.PUBLISH_FAILED.inc()
                error = StreamUnavailable("the readings before these took too long to be stored")
            else:
                error = await self._publish(partition, batch)
            self._release(sum(ticket.weight for ticket in batch.tickets if ticket.settle(error)))

    async def _publish(self, partition: _Partition, batch: PendingBatch) -> Exception | None:
        metrics.BATCH_ROWS.observe(batch.rows)
        try:
            with metrics.PUBLISH_SECONDS.time():
                piece = batch.seal(partition.number)
                await self._lane.publish(piece, batch.id or str(uuid4()))
            if suspects := partition.recent.take(piece):
                batch.tell(await self._confirmed(partition.recent, suspects))
        except StreamUnavailable as error:
            metrics.PUBLISH_FAILED.inc()
            return error
        except Exception as error:
            # A defect: it is its callers' alone, and the other partitions go on.
            metrics.PUBLISH_FAILED.inc()
            log.exception("readings.publish_defect", partition=partition.number, error=repr(error))
            return error
        return None

    async def _confirmed(self, recent: RecentReadings, suspects: Sequence[Conflict]) -> Sequence[Conflict]:
        """Those that are conflicts for certain; where nobody says so, none is told."""
        stored = await self._counting.stored([(one.series.key, one.event_time_us) for one in suspects])
        return [] if stored is None else recent.settle(suspects, stored)

    def _open(self, partition: _Partition, rows: int, weight: int) -> PendingBatch:
        """The batch that still has room, or a new one. Batches with a key of their own take nothing else in."""
        queue, options = partition.queue, self._options
        if queue:
            last = queue[-1]
            if (
                not last.id
                and last.rows + rows <= options.max_batch_rows
                and last.weight + weight <= options.max_batch_bytes
            ):
                return last
        batch = PendingBatch("")
        queue.append(batch)
        return batch

    def _split(self, piece: Piece) -> list[Piece]:
        options = self._options
        if len(piece) <= options.max_batch_rows and piece.weight <= options.max_batch_bytes:
            return [piece]
        if len(piece) == 1:
            return [piece.rows(0, 1)]
        half = len(piece) // 2
        return self._split(piece.rows(0, half)) + self._split(piece.rows(half, len(piece)))

    async def _admit(self, weight: int) -> None:
        if self._closed:
            raise StreamUnavailable("the service is stopping")
        if not self._waiting and self._fits(weight):
            self._take(weight)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((weight, turn))
        try:
            async with asyncio.timeout(self._options.admission_timeout.total_seconds()):
                await turn
        except TimeoutError:
            if turn.cancelled():
                metrics.ADMISSION_REFUSED.inc()
                raise StreamUnavailable("too many readings wait to be stored") from None
        except asyncio.CancelledError:
            if not turn.cancelled():  # the turn had just come
                self._release(weight)
            raise

    def _fits(self, weight: int) -> bool:
        return self._pending == 0 or self._pending + weight <= self._options.max_pending_bytes

    def _take(self, weight: int) -> None:
        self._pending += weight
        self._idle.clear()
        metrics.PENDING_BYTES.set(self._pending)

    def _release(self, weight: int) -> None:
        self._pending -= weight
        while self._waiting:
            waiting, turn = self._waiting[0]
            if not turn.done():
                if not self._fits(waiting):
                    break
                self._take(waiting)
                turn.set_result(None)
            self._waiting.popleft()
        metrics.PENDING_BYTES.set(self._pending)
        if self._pending == 0:
            self._idle.set()
