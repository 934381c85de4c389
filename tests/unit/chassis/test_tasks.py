"""Ending tasks."""

import asyncio
from datetime import timedelta

from services.chassis.tasks import cancel

_SOON = timedelta(milliseconds=10)


async def test_tasks_are_over_when_it_returns_however_they_end() -> None:
    async def fails_at_its_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("at its end")

    async def nothing() -> None:
        pass

    tasks = [asyncio.create_task(work()) for work in (fails_at_its_end, asyncio.Event().wait, nothing)]
    await asyncio.sleep(0)
    await cancel(*tasks, None)
    assert all(task.done() for task in tasks)
    await cancel()


async def test_a_cancellation_that_came_with_an_answer_is_not_lost() -> None:
    turns = 0
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def asks_for_ever() -> None:
        nonlocal turns, answer
        while True:
            answer = asyncio.get_running_loop().create_future()
            # Before Python 3.12 this returns the answer instead of being cancelled.
            await asyncio.wait_for(answer, 60)
            turns += 1

    task = asyncio.create_task(asks_for_ever())
    await asyncio.sleep(0)
    answer.set_result(None)
    await asyncio.wait_for(cancel(task, again_every=_SOON), 10)
    assert task.cancelled()
    assert turns <= 1
