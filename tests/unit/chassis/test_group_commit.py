"""Group commit: everybody gets the own outcome, errors reach those concerned, one flush at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from services.chassis.errors import Unavailable
from services.chassis.group_commit import GroupCommit


async def test_callers_share_flushes_and_get_their_own_outcomes() -> None:
    flushed: list[list[int]] = []
    running = 0

    async def flush(items: Sequence[int]) -> list[int]:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        flushed.append(list(items))
        running -= 1
        return [item * 2 for item in items]

    async with GroupCommit(flush, limit=40) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(100)))
    assert outcomes == [n * 2 for n in range(100)]
    assert [item for batch in flushed for item in batch] == list(range(100))
    assert max(map(len, flushed)) == 40


async def test_an_error_reaches_the_callers_of_its_flush_only() -> None:
    async def flush(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise Unavailable("no")
        return list(items)

    async with GroupCommit(flush, limit=1) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(3)), return_exceptions=True)
    assert outcomes[0] == 0
    assert isinstance(outcomes[1], Unavailable)
    assert outcomes[2] == 2


async def test_a_cancelled_caller_does_not_take_its_item_back() -> None:
    release = asyncio.Event()
    flushed: list[int] = []

    async def flush(items: Sequence[int]) -> list[int]:
        await release.wait()
        flushed.extend(items)
        return list(items)

    async with GroupCommit(flush) as group:
        caller = asyncio.create_task(group.submit(1))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        release.set()
    assert flushed == [1]
    with pytest.raises(Unavailable):
        await group.submit(2)
