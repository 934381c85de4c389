"""Group commit: everybody gets the own outcome, one bad item harms nobody, what waits is bounded, a stop drains."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import Aborted, AlreadyExists, DomainError, Unavailable
from services.chassis.group_commit import GroupCommit
from services.chassis.telemetry import context as telemetry_context
from tests.support.eventually import eventually


class Store:
    """Keeps what it is given; `poison` fails a flush as a whole, `taken` has an error of its own."""

    def __init__(self, *, poison: frozenset[int] = frozenset(), error: type[Exception] = ValueError) -> None:
        self.flushes: list[list[int]] = []
        self.kept: list[int] = []
        self.running = 0
        self.most = 0
        self.poison = poison
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()

    async def flush(self, items: Sequence[int]) -> list[int | DomainError]:
        self.running += 1
        self.most = max(self.most, self.running)
        self.flushes.append(list(items))
        try:
            await self.gate.wait()
            if self.poison & set(items):
                raise self.error("poisoned")
            outcomes: list[int | DomainError] = []
            for item in items:
                outcomes.append(AlreadyExists(metadata={"id": str(item)}) if item in self.kept else item * 2)
                self.kept.append(item)
            return outcomes
        finally:
            self.running -= 1


async def settled(*calls: "asyncio.Task[int]") -> list[int | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_callers_of_one_moment_share_flushes_in_their_order() -> None:
    store = Store()
    async with GroupCommit("test", store.flush, limit=40) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(100)))
    assert outcomes == [n * 2 for n in range(100)]
    assert store.flushes == [list(range(40)), list(range(40, 80)), list(range(80, 100))]
    assert store.most == 1


async def test_who_is_alone_waits_for_nobody_and_who_comes_meanwhile_shares_the_next() -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit("test", store.flush, patience=timedelta(hours=1)) as group:
        first = asyncio.create_task(group.submit(1))
        await eventually(lambda: store.flushes == [[1]], interval=0.001)
        others = [asyncio.create_task(group.submit(n)) for n in range(2, 6)]
        await asyncio.sleep(0)
        assert store.flushes == [[1]]
        store.gate.set()
        await settled(first, *others)
    assert store.flushes == [[1], [2, 3, 4, 5]]


async def test_an_item_s_own_error_is_its_own_caller_s() -> None:
    store = Store()
    async with GroupCommit("test", store.flush) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in (1, 2, 1, 3)), return_exceptions=True)
    assert (outcomes[0], outcomes[1], outcomes[3]) == (2, 4, 6)
    assert isinstance(outcomes[2], AlreadyExists)
    assert outcomes[2].metadata == {"id": "1"}


@given(count=st.integers(1, 60), poison=st.frozensets(st.integers(0, 59), max_size=4), limit=st.integers(1, 64))
async def test_only_what_is_to_blame_fails(count: int, poison: frozenset[int], limit: int) -> None:
    store = Store(poison=poison)
    async with GroupCommit("test", store.flush, limit=limit) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(count)), return_exceptions=True)
    for item, outcome in enumerate(outcomes):
        if item in poison:
            assert isinstance(outcome, ValueError)
        else:
            assert outcome == item * 2
    assert store.kept == [n for n in range(count) if n not in poison]


async def test_a_conflict_with_others_is_tried_again_in_parts() -> None:
    store = Store(poison=frozenset({3}), error=Aborted)
    async with GroupCommit("test", store.flush) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(8)), return_exceptions=True)
    assert [isinstance(outcome, Aborted) for outcome in outcomes] == [n == 3 for n in range(8)]


async def test_what_everybody_would_meet_is_not_tried_again_and_each_has_its_own_error() -> None:
    store = Store(poison=frozenset({0}), error=Unavailable)
    async with GroupCommit("test", store.flush) as group:
        outcomes = await asyncio.gather(*(group.submit(n) for n in range(8)), return_exceptions=True)
    assert len(store.flushes) == 1
    assert all(isinstance(outcome, Unavailable) and outcome.message == "poisoned" for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 8


async def test_a_flush_that_takes_long_holds_up_nobody_else() -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit("test", store.flush, patience=timedelta(milliseconds=1), lanes=2) as group:
        stuck = asyncio.create_task(group.submit(1))
        await eventually(lambda: store.flushes == [[1]], interval=0.001)
        beside = asyncio.create_task(group.submit(2))
        await eventually(lambda: store.flushes == [[1], [2]], interval=0.001)
        third = asyncio.create_task(group.submit(3))
        await asyncio.sleep(0)
        store.gate.set()
        assert await settled(stuck, beside, third) == [2, 4, 6]
    assert store.most == 2


async def test_flushes_that_never_end_are_given_up_and_keep_nobody_out() -> None:
    store = Store()
    store.gate.clear()
    short = timedelta(milliseconds=20)
    async with GroupCommit("test", store.flush, patience=timedelta(0), timeout=short, lanes=2) as group:
        stuck = [asyncio.create_task(group.submit(1))]
        await eventually(lambda: store.flushes == [[1]], interval=0.001)
        stuck.append(asyncio.create_task(group.submit(2)))
        assert [type(outcome) for outcome in await settled(*stuck)] == [Unavailable, Unavailable]
        assert store.running == 0
        store.gate.set()
        assert await group.submit(3) == 6
    assert store.kept == [3]


@pytest.mark.parametrize("keep", [False, True])
async def test_a_caller_who_left_before_the_flush_is_left_out(keep: bool) -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit("test", store.flush, patience=timedelta(hours=1), keep_abandoned=keep) as group:
        first = asyncio.create_task(group.submit(1))
        await eventually(lambda: store.flushes == [[1]], interval=0.001)
        second, third = asyncio.create_task(group.submit(2)), asyncio.create_task(group.submit(3))
        await asyncio.sleep(0)
        for left in (first, second):
            left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
        store.gate.set()
        assert await third == 6
    # The first was under way already: it may stand, and its caller will find it when it comes again.
    assert store.kept == ([1, 2, 3] if keep else [1, 3])


async def test_no_more_wait_than_the_bound() -> None:
    store = Store()
    store.gate.clear()
    async with GroupCommit("test", store.flush, patience=timedelta(hours=1), max_waiting=3) as group:
        first = asyncio.create_task(group.submit(0))
        await eventually(lambda: store.flushes == [[0]], interval=0.001)
        waiting = [asyncio.create_task(group.submit(n)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await group.submit(4)
        assert refused.value.retry_after == timedelta(seconds=1)
        store.gate.set()
        assert await settled(first, *waiting) == [0, 2, 4, 6]


async def test_closing_refuses_what_comes_and_finishes_what_waits() -> None:
    store = Store()
    store.gate.clear()
    group = GroupCommit("test", store.flush, limit=2, patience=timedelta(hours=1))
    calls = [asyncio.create_task(group.submit(n)) for n in range(5)]
    await eventually(lambda: store.flushes == [[0, 1]], interval=0.001)
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stopping"):
        await group.submit(9)
    assert not closing.done()
    store.gate.set()
    assert await settled(*calls) == [0, 2, 4, 6, 8]
    await closing
    assert store.kept == list(range(5))


async def test_a_flush_is_no_caller_s_own() -> None:
    seen: list[str] = []

    async def flush(items: Sequence[str]) -> Sequence[str]:
        seen.append(telemetry_context.request_id.get())
        return items

    async def call(name: str) -> str:
        telemetry_context.request_id.set(name)
        return await group.submit(name)

    async with GroupCommit("test", flush) as group:
        names = ["a", "b"]
        assert await asyncio.gather(*map(call, names)) == names
    assert seen == [telemetry_context.request_id.get()]
