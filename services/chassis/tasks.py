"""Ending tasks, and work that ends all the same."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


async def cancel(*tasks: asyncio.Task[Any] | None, again_every: timedelta = timedelta(seconds=1)) -> None:
    """Cancels the tasks and waits until they have ended, however they end.

    A cancellation can be lost on its way: until Python 3.12 `asyncio.wait_for` (and with it every request of the NATS
    client) passes over one that comes with the answer it waits for. A task that goes on is therefore cancelled again;
    what it does when it ends should take less than `again_every`, or is shortened by that.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=again_every.total_seconds())
        for task in done:
            if not task.cancelled():
                task.exception()  # looked at, so that nobody reports it as forgotten


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Does the work to its end also while the task is being cancelled, which it is afterwards."""
    working = asyncio.ensure_future(work)
    cancelled = False
    while not working.done():
        try:
            await asyncio.wait([working])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not working.cancelled():
            working.exception()  # the cancellation is what counts
        raise asyncio.CancelledError
    return working.result()
