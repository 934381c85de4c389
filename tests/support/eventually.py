"""Waiting for a condition instead of for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    condition: Callable[[], Awaitable[T] | T], timeout: float = 10.0, *, interval: float = 0.02, what: str = ""
) -> T:
    """The first truthy value of `condition`; fails the test, with the last value or error, after `timeout` seconds.

    An AssertionError raised by `condition` counts as "not yet".
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    last: object = None
    while True:
        try:
            outcome = condition()
            value = await outcome if inspect.isawaitable(outcome) else outcome
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if loop.time() >= deadline:
            raise AssertionError(f"{what or 'the condition'} did not come true within {timeout} s; last: {last!r}")
        await asyncio.sleep(interval)
