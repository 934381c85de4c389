"""Many small writes in one transaction: whoever asks while a flush runs joins the next one.

Under load a transaction serves as many callers as have gathered meanwhile; when idle a caller waits for nobody. The
outcome reaches each caller after the commit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from services.chassis.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Calls `flush` with up to `limit` items at a time, one call at a time; it returns the outcome of each item.

    Use it as a context manager: leaving it flushes what is left. An error of `flush` reaches every caller in it.
    """

    def __init__(self, flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, limit: int = 500) -> None:
        self._flush = flush
        self._limit = limit
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._woken = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="group commit")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._woken.set()
        if self._task is not None:
            await self._task

    async def submit(self, item: Item) -> Result:
        """The outcome of the item, after its commit. Cancelling the caller does not take the item back."""
        if self._closing or self._task is None:
            raise Unavailable("the service is stopping")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._woken.set()
        return await future

    async def _run(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._woken.clear()
                await self._woken.wait()
                continue
            batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
            try:
                outcomes = await self._flush([item for item, _ in batch])
                pairs = list(zip(batch, outcomes, strict=True))
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), outcome in pairs:
                if not future.done():
                    future.set_result(outcome)
