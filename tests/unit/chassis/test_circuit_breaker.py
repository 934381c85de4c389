"""Who waits for a server that does not answer, and who is refused at once."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from services.chassis.circuit_breaker import CircuitBreaker
from services.chassis.errors import NotFound, Unavailable
from tests.support.eventually import eventually


def a_breaker(hold_off: timedelta = timedelta(hours=1), **more: Any) -> CircuitBreaker[Unavailable]:
    return CircuitBreaker(Unavailable, Unavailable, hold_off=hold_off, **more)


async def attempt(breaker: CircuitBreaker[Unavailable], answer: "asyncio.Future[bool]") -> None:
    async with breaker.attempt():
        if not await answer:
            raise Unavailable("no answer in time")


def answered(good: bool) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    future.set_result(good)
    return future


async def test_while_all_is_well_everybody_tries_at_once() -> None:
    breaker, answer = a_breaker(), asyncio.get_running_loop().create_future()
    calls = [asyncio.create_task(attempt(breaker, answer)) for _ in range(5)]
    await asyncio.sleep(0)
    answer.set_result(True)
    await asyncio.gather(*calls)


async def test_after_a_failure_nobody_tries_for_a_while_and_hears_its_cause() -> None:
    breaker = a_breaker()
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(False))
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(Unavailable, match="no answer in time"):
        await attempt(breaker, never)


async def test_then_one_at_a_time_tries_until_one_succeeds() -> None:
    breaker = a_breaker(timedelta(0))
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(False))
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    trial = asyncio.create_task(attempt(breaker, answer))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(True))
    answer.set_result(True)
    await trial
    await asyncio.gather(*(attempt(breaker, answered(True)) for _ in range(5)))


async def test_a_trial_that_is_given_up_leaves_the_next_one_its_turn() -> None:
    breaker = a_breaker(timedelta(0))
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(False))
    trial = asyncio.create_task(attempt(breaker, asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    trial.cancel()
    await asyncio.wait([trial])
    await attempt(breaker, answered(True))
    await attempt(breaker, answered(True))


async def fail(breaker: CircuitBreaker[Unavailable]) -> None:
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(False))


async def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = a_breaker(threshold=3)
    for _ in range(2):
        await fail(breaker)
    assert not breaker.is_open
    await attempt(breaker, answered(True))  # begins to count anew
    for _ in range(3):
        assert not breaker.is_open
        await fail(breaker)
    assert breaker.is_open
    with pytest.raises(Unavailable):
        await attempt(breaker, answered(True))


async def test_what_says_nothing_about_the_server_does_not_count() -> None:
    breaker = a_breaker()
    with pytest.raises(NotFound):
        async with breaker.attempt():
            raise NotFound
    assert not breaker.is_open


async def test_a_server_that_stays_dead_is_tried_more_and_more_rarely() -> None:
    loop = asyncio.get_running_loop()
    breaker = a_breaker(timedelta(milliseconds=20), longest=timedelta(milliseconds=80))
    tries: list[float] = []

    async def dead() -> bool:
        with suppress(Unavailable):
            async with breaker.attempt():
                tries.append(loop.time())
                raise Unavailable
        return len(tries) == 6

    await eventually(dead, interval=0.001, what="five trials")
    for least, (before, after) in zip((0.02, 0.04, 0.08, 0.08, 0.08), pairwise(tries), strict=True):
        assert after - before >= least * 0.9, tries
