"""Work on a stream with several items under way, answered in the order of the questions."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


async def answer_in_order(
    questions: AsyncIterator[Q], begin: Callable[[Q], Awaitable["asyncio.Future[A]"]], *, limit: int
) -> AsyncGenerator[A, None]:
    """Yields the answers in the order of `questions`. `begin` sets one under way and gives the future of its answer; at
    most `limit` answers are outstanding, then no more questions are read. The first failure ends the stream, after the
    answers before it."""
    under_way: asyncio.Queue[asyncio.Future[A] | None] = asyncio.Queue(maxsize=limit)

    async def read() -> None:
        try:
            async for question in questions:
                await under_way.put(await begin(question))
        finally:
            await under_way.put(None)

    reader = asyncio.create_task(read(), name="read questions")
    try:
        while (answer := await under_way.get()) is not None:
            yield await answer
        await reader
    finally:
        reader.cancel()
        while not reader.done():
            # The reader may wait for room to leave its last word.
            with suppress(asyncio.QueueEmpty):
                _drop(under_way.get_nowait())
            await asyncio.wait([reader], timeout=0)
        while not under_way.empty():
            _drop(under_way.get_nowait())


def _drop(answer: "asyncio.Future[A] | None") -> None:
    if answer is not None:
        answer.cancel()
