"""Group commit: calls that are accepted one by one share a transaction, and each has its own outcome (ADR 0018).

What arrives while a flush is under way gathers and is the next one, so under load a flush serves as many callers as
came meanwhile, and a caller who is alone waits for nobody. The outcome reaches each caller after the flush has
returned, which is after its commit.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import Generic, Self, TypeVar

from services.chassis.errors import DomainError, Unavailable
from services.chassis.telemetry.logs import get_logger
from services.chassis.telemetry.metrics import counter, histogram

Item = TypeVar("Item")
Result = TypeVar("Result")
Flush = Callable[[Sequence[Item]], Awaitable[Sequence[Result | DomainError]]]
"""Does the work of all items, or of none (then it raises); returns the outcome of each, in their order. Items that are
about the same thing have the outcomes that they would have one after another. A DomainError is its own caller's."""

_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_items = histogram("tocsin_group_commit_items", "Calls that shared a flush.", ["group"], buckets=_SIZES)
_seconds = histogram("tocsin_group_commit_seconds", "Time of a flush.", ["group"])
_split = counter("tocsin_group_commit_split", "Flushes that failed for one of their calls and were split.", ["group"])
_refused = counter("tocsin_group_commit_refused", "Calls that were refused because too many waited.", ["group"])
_RETRY_AFTER = timedelta(seconds=1)

log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Flushing:
    task: "asyncio.Task[None]"
    """Held: the loop itself keeps no task alive."""
    slow: bool = False


class GroupCommit(Generic[Item, Result]):
    """Calls `flush` with up to `limit` items at a time, in the order in which they came.

    One flush is under way at a time. One that takes longer than `patience` holds up nobody else: another begins beside
    it, up to `lanes` of them. What items of two flushes have in common, the store keeps in order, as it does between
    replicas. One that has not ended after `timeout` is cancelled and `Unavailable`: no caller's deadline ends it, and
    sessions that a lost network left without an answer must not keep its lane for good.

    A flush that fails is tried again in halves, so that only the item that is to blame fails; `Unavailable` has no such
    item, and reaches everybody in the flush. An item whose caller has gone before its flush began is left out (with
    `keep_abandoned` it is not); afterwards it may have been done.

    At most `max_waiting` items wait; more are refused with `Unavailable`. `close` (or leaving it as a context manager)
    refuses what comes, and flushes what is left.
    """

    def __init__(
        self,
        name: str,
        flush: Flush[Item, Result],
        *,
        limit: int = 200,
        lanes: int = 2,
        patience: timedelta = timedelta(milliseconds=50),
        timeout: timedelta = timedelta(seconds=20),
        max_waiting: int = 10_000,
        keep_abandoned: bool = False,
    ) -> None:
        self._name = name
        self._flush = flush
        self._limit = limit
        self._lanes = lanes
        self._patience = patience.total_seconds()
        self._timeout = timeout.total_seconds()
        self._max_waiting = max_waiting
        self._keep_abandoned = keep_abandoned
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[_Flushing] = set()
        self._due = False
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()
        # A flush is nobody's in particular: it must not log and trace as the caller who happened to begin it.
        self._context = contextvars.Context()
        self._items, self._seconds = _items.labels(name), _seconds.labels(name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Refuses what comes, and returns when all that waited has its outcome."""
        self._closing = True
        await self._idle.wait()

    async def submit(self, item: Item) -> Result:
        """The outcome of the item, after its commit. Raises the item's DomainError; Unavailable when too many wait, the
        group is closed, or the flush met it."""
        if self._closing:
            raise Unavailable("the service is stopping")
        if len(self._waiting) >= self._max_waiting:
            _refused.labels(self._name).inc()
            raise Unavailable("too many calls wait for the store", retry_after=_RETRY_AFTER)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        self._idle.clear()
        if not self._due:
            # Not at once: whoever arrives in this turn of the loop joins.
            self._due = True
            loop.call_soon(self._advance, context=self._context)
        return await future

    def _advance(self) -> None:
        self._due = False
        while self._waiting and len(self._running) < self._lanes and all(one.slow for one in self._running):
            if batch := self._take():
                loop = asyncio.get_running_loop()
                task = loop.create_task(self._serve(batch), name=f"group commit {self._name}", context=self._context)
                flushing = _Flushing(task)
                self._running.add(flushing)
                timer = loop.call_later(self._patience, self._slow, flushing, context=self._context)
                task.add_done_callback(partial(self._ended, flushing, timer), context=self._context)
        if not self._waiting and not self._running:
            self._idle.set()

    def _take(self) -> list[tuple[Item, "asyncio.Future[Result]"]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._limit:
            item, future = self._waiting.popleft()
            if self._keep_abandoned or not future.done():
                batch.append((item, future))
        return batch

    def _slow(self, flushing: _Flushing) -> None:
        flushing.slow = True
        self._advance()

    def _ended(self, flushing: _Flushing, timer: asyncio.TimerHandle, _: "asyncio.Task[None]") -> None:
        timer.cancel()
        self._running.discard(flushing)
        self._advance()

    async def _serve(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        began = perf_counter()
        try:
            outcomes = await self._in_time([item for item, _ in batch])
            for (_, future), outcome in list(zip(batch, outcomes, strict=True)):
                if future.done():
                    continue
                if isinstance(outcome, DomainError):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            await self._failed(batch, error)
        else:
            self._items.observe(len(batch))
            self._seconds.observe(perf_counter() - began)

    async def _in_time(self, items: Sequence[Item]) -> Sequence[Result | DomainError]:
        scope = asyncio.timeout(self._timeout)
        try:
            async with scope:
                return await self._flush(items)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise Unavailable("the store did not answer in time") from error

    async def _failed(self, batch: Sequence[tuple[Item, "asyncio.Future[Result]"]], error: Exception) -> None:
        if isinstance(error, Unavailable):
            for _, future in batch:
                if not future.done():
                    # Each has its own: an error that several tasks raise would gather their tracebacks.
                    future.set_exception(_own(error))
        elif len(batch) == 1:
            if not (future := batch[0][1]).done():
                future.set_exception(error)
        else:
            _split.labels(self._name).inc()
            log.warning("group_commit.split", group=self._name, items=len(batch), error=repr(error))
            half = len(batch) // 2
            await self._serve(batch[:half])
            await self._serve(batch[half:])


def _own(error: Unavailable) -> Unavailable:
    own = Unavailable(error.message, retry_after=error.retry_after, reason=error.reason, metadata=error.metadata)
    own.__cause__ = error
    return own
