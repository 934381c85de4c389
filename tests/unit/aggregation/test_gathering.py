"""Questions that are answered together."""

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from services.aggregation.application.gathering import Gathering


class Oracle:
    """Answers when it is let, and remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.failures = 0

    async def answer(self, key: str, questions: Sequence[int]) -> Sequence[str]:
        self.asked.append(list(questions))
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no answer")
        return [f"{key}{question}" for question in questions]


async def settle() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


def ask(gathering: Gathering[str, int, str], key: str, *questions: int) -> list["asyncio.Task[str]"]:
    return [asyncio.create_task(gathering.ask(key, question)) for question in questions]


async def test_those_who_wait_are_answered_together_and_each_gets_its_own() -> None:
    oracle = Oracle()
    gathering = Gathering(oracle.answer, at_once=1, most=100)
    first = ask(gathering, "a", 1)
    await settle()
    others = [*ask(gathering, "a", 2, 3, 4), *ask(gathering, "b", 5)]
    await settle()
    assert oracle.asked == [[1]], "nobody joins an answer that has begun"
    oracle.gate.set()
    assert await asyncio.gather(*first, *others) == ["a1", "a2", "a3", "a4", "b5"]
    assert oracle.asked == [[1], [2, 3, 4], [5]]
    assert not gathering._waiting  # pyright: ignore[reportPrivateUsage]


async def test_no_more_than_the_bounds() -> None:
    oracle = Oracle()
    gathering = Gathering(oracle.answer, at_once=2, most=2)
    tasks = ask(gathering, "a", *range(7))
    await settle()
    assert len(oracle.asked) == 2
    oracle.gate.set()
    assert await asyncio.gather(*tasks) == [f"a{number}" for number in range(7)]
    assert max(map(len, oracle.asked)) == 2
    assert sorted(chain.from_iterable(oracle.asked)) == list(range(7))


async def test_a_failure_is_everybodys_and_the_next_ones_are_answered() -> None:
    oracle = Oracle()
    oracle.failures = 2
    gathering = Gathering(oracle.answer, at_once=1, most=100)
    tasks = ask(gathering, "a", 1, 2, 3)
    await settle()
    oracle.gate.set()
    for task in tasks:
        with pytest.raises(ConnectionError):
            await task
    assert oracle.asked == [[1], [2, 3]]
    assert await gathering.ask("a", 4) == "a4"


async def test_when_the_one_who_answers_goes_away_another_takes_over() -> None:
    oracle = Oracle()
    gathering = Gathering(oracle.answer, at_once=1, most=100)
    busy = ask(gathering, "z", 0)
    tasks = ask(gathering, "a", 1, 2, 3)
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
    gathering = Gathering(oracle.answer, at_once=1, most=100)
    tasks = [*ask(gathering, "a", 1), *ask(gathering, "b", 2, 3)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not gathering._waiting  # pyright: ignore[reportPrivateUsage]
    oracle.gate.set()
    assert await gathering.ask("a", 4) == "a4"
