"""Questions that are answered together."""

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from services.aggregation.application.queries.single_flight import SingleFlight
from services.chassis.errors import Unavailable


class Oracle:
    """Answers when it is let, and remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.failures = list[Exception]()
        self.bad = set[int]()

    async def answer(self, key: str, questions: Sequence[int]) -> Sequence[str]:
        self.asked.append(list(questions))
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop()
        if self.bad & set(questions):
            raise ArithmeticError("not to be answered")
        return [f"{key}{question}" for question in questions]


async def settle() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def ask(flight: SingleFlight[str, int, str], key: str, *questions: int) -> list["asyncio.Task[str]"]:
    return [asyncio.create_task(flight.ask(key, question)) for question in questions]


async def test_those_who_wait_are_answered_together_and_each_gets_its_own() -> None:
    oracle = Oracle()
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    first = ask(flight, "a", 1)
    await settle()
    others = [*ask(flight, "a", 2, 3, 4), *ask(flight, "b", 5)]
    await settle()
    assert oracle.asked == [[1]], "nobody joins an answer that has begun"
    oracle.gate.set()
    assert await asyncio.gather(*first, *others) == ["a1", "a2", "a3", "a4", "b5"]
    assert oracle.asked == [[1], [2, 3, 4], [5]]
    assert not flight._waiting  # pyright: ignore[reportPrivateUsage]


async def test_no_more_than_the_bounds() -> None:
    oracle = Oracle()
    flight = SingleFlight(oracle.answer, at_once=2, limit=2)
    tasks = ask(flight, "a", *range(7))
    await settle()
    assert len(oracle.asked) == 2
    oracle.gate.set()
    assert await asyncio.gather(*tasks) == [f"a{number}" for number in range(7)]
    assert max(map(len, oracle.asked)) == 2
    assert sorted(chain.from_iterable(oracle.asked)) == list(range(7))


async def test_without_the_store_all_who_ask_fail_and_the_next_ones_are_answered() -> None:
    oracle = Oracle()
    oracle.failures = [Unavailable("no store"), Unavailable("no store")]
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    tasks = ask(flight, "a", 1, 2, 3)
    await settle()
    oracle.gate.set()
    for task in tasks:
        with pytest.raises(Unavailable):
            await task
    assert oracle.asked == [[1], [2, 3]]
    assert await flight.ask("a", 4) == "a4"


async def test_nobody_fails_for_the_question_of_another() -> None:
    oracle = Oracle()
    oracle.bad = {3}
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    tasks = ask(flight, "a", 1, 2, 3, 4)
    await settle()
    oracle.gate.set()
    assert [await tasks[place] for place in (0, 1, 3)] == ["a1", "a2", "a4"]
    with pytest.raises(ArithmeticError):
        await tasks[2]
    assert oracle.asked == [[1], [2, 3, 4], [2], [3], [4]]


async def test_the_same_question_of_many_fails_once() -> None:
    oracle = Oracle()
    oracle.bad = {3}
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    tasks = ask(flight, "a", 1, 3, 3)
    await settle()
    oracle.gate.set()
    assert await tasks[0] == "a1"
    for task in tasks[1:]:
        with pytest.raises(ArithmeticError):
            await task
    assert oracle.asked == [[1], [3, 3]]


async def test_when_the_one_who_answers_goes_away_another_takes_over() -> None:
    oracle = Oracle()
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    busy = ask(flight, "z", 0)
    tasks = ask(flight, "a", 1, 2, 3)
    await settle()
    tasks[0].cancel()  # while it waits for its turn
    await settle()
    oracle.gate.set()
    oracle.gate.clear()  # lets go only those who wait now
    await asyncio.gather(*busy)
    await settle()
    assert oracle.asked == [[0], [1, 2, 3]]
    tasks[1].cancel()  # while it is answering
    await settle()
    oracle.gate.set()
    assert await tasks[2] == "a3"
    assert oracle.asked == [[0], [1, 2, 3], [1, 2, 3]]
    assert tasks[0].cancelled()
    assert tasks[1].cancelled()


async def test_when_all_have_gone_nothing_is_left() -> None:
    oracle = Oracle()
    flight = SingleFlight(oracle.answer, at_once=1, limit=100)
    tasks = [*ask(flight, "a", 1), *ask(flight, "b", 2, 3)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not flight._waiting  # pyright: ignore[reportPrivateUsage]
    oracle.gate.set()
    assert await flight.ask("a", 4) == "a4"
