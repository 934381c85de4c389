"""Who waits for a broker that takes nothing, and who is refused at once."""

import asyncio
from datetime import timedelta

import pytest

from services.ingestion.adapters.nats.circuit_breaker import CircuitBreaker
from services.ingestion.domain.errors import StreamUnavailable


async def attempt(breaker: CircuitBreaker, answer: "asyncio.Future[bool]") -> None:
    async with breaker.attempt():
        if not await answer:
            raise StreamUnavailable("no answer in time")


def answered(good: bool) -> "asyncio.Future[bool]":
    future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    future.set_result(good)
    return future


async def test_while_all_is_well_everybody_tries_at_once() -> None:
    breaker, answer = CircuitBreaker(), asyncio.get_running_loop().create_future()
    calls = [asyncio.create_task(attempt(breaker, answer)) for _ in range(5)]
    await asyncio.sleep(0)
    answer.set_result(True)
    await asyncio.gather(*calls)


async def test_after_a_failure_nobody_tries_for_a_while_and_hears_its_cause() -> None:
    breaker = CircuitBreaker(timedelta(hours=1))
    with pytest.raises(StreamUnavailable):
        await attempt(breaker, answered(False))
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(StreamUnavailable, match="no answer in time"):
        await attempt(breaker, never)


async def test_then_one_at_a_time_tries_until_one_succeeds() -> None:
    breaker = CircuitBreaker(timedelta(0))
    with pytest.raises(StreamUnavailable):
        await attempt(breaker, answered(False))
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    trial = asyncio.create_task(attempt(breaker, answer))
    await asyncio.sleep(0)
    with pytest.raises(StreamUnavailable):
        await attempt(breaker, answered(True))
    answer.set_result(True)
    await trial
    await asyncio.gather(*(attempt(breaker, answered(True)) for _ in range(5)))


async def test_a_trial_that_is_given_up_leaves_the_next_one_its_turn() -> None:
    breaker = CircuitBreaker(timedelta(0))
    with pytest.raises(StreamUnavailable):
        await attempt(breaker, answered(False))
    trial = asyncio.create_task(attempt(breaker, asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    trial.cancel()
    await asyncio.wait([trial])
    await attempt(breaker, answered(True))
    await attempt(breaker, answered(True))
