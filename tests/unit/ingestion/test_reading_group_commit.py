import asyncio
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.adapters.memory.stores import MemoryCountingValues, MemoryLane
from services.ingestion.application.reading_group_commit import ReadingGroupCommit, ReadingGroupCommitOptions
from services.ingestion.domain.errors import StreamUnavailable
from services.ingestion.domain.reading import StoredReading
from services.ingestion.domain.reading_columns import Piece, pieces_of
from tests.support.eventually import eventually
from tests.support.ingestion import running, series

PARTITIONS = 4
SERIES = [series(f"d{number}", PARTITIONS) for number in range(12)]


def options(**more: object) -> ReadingGroupCommitOptions:
    return ReadingGroupCommitOptions(**{"partitions": PARTITIONS, "linger": timedelta(0)} | more)  # pyright: ignore


def poisoned(batch: Piece) -> bool:
    """A batch that holds the value -1 is refused by the lane."""
    return bool((batch.value == -1.0).any())


CALLERS = st.lists(
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from([-1.0, 1.0, 2.0, 3.0])), min_size=1, max_size=6),
    min_size=1,
    max_size=30,
)


@given(CALLERS, st.integers(1, 8), st.sampled_from([200, 400, 100_000]))
@settings(max_examples=150)
def test_every_caller_gets_its_own_outcome_whatever_the_batching(
    callers: list[list[tuple[int, float]]], max_rows: int, max_bytes: int
) -> None:
    async def scenario() -> None:
        lane = MemoryLane(poisoned)
        group_commit = ReadingGroupCommit(
            lane, MemoryCountingValues(), options(max_batch_rows=max_rows, max_batch_bytes=max_bytes)
        )
        time = iter(range(10_000))

        async def call(rows: list[tuple[int, float]]) -> list[StoredReading]:
            readings = [StoredReading(SERIES[at], next(time), value) for at, value in rows]
            if len(readings) == 1:
                only = readings[0]
                await group_commit.submit_row(only.series, only.event_time_us, only.value)
            else:
                await (await group_commit.submit(pieces_of(readings)))
            return readings

        async with running(group_commit):
            outcomes = await asyncio.gather(*map(call, callers), return_exceptions=True)
        stored = set(lane.rows())
        for rows, outcome in zip(callers, outcomes, strict=True):
            if isinstance(outcome, StreamUnavailable):
                continue  # one of its batches failed: it may have held a neighbour's poison
            assert isinstance(outcome, list)
            assert all(value != -1.0 for _, value in rows)
            assert {(r.series.key.device, r.event_time_us, r.value) for r in outcome} <= stored
        if not any(value == -1.0 for rows in callers for _, value in rows):
            assert not any(isinstance(outcome, BaseException) for outcome in outcomes)
            assert len(lane.rows()) == sum(map(len, callers)), "nothing is stored twice"
        for batch in lane.stored.values():
            assert {one.partition for one in batch.series} == {batch.partition}
            assert len(batch) <= max_rows
        assert group_commit.pending_bytes == 0

    asyncio.run(scenario())


async def test_a_failed_batch_fails_exactly_its_own_callers() -> None:
    lane = MemoryLane(poisoned)
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options(max_batch_rows=2))
    one = SERIES[0]
    lane.gate.clear()
    async with running(group_commit):
        calls = [
            asyncio.create_task(group_commit.submit_row(one, at, value))
            for at, value in enumerate([1.0, 2, -1, 4, 5, 6])
        ]
        await eventually(lambda: lane.attempts == 1)
        lane.gate.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None)] * 2 + [StreamUnavailable] * 2 + [type(None)] * 2
    assert sorted(value for *_, value in lane.rows()) == [1.0, 2.0, 5.0, 6.0]


async def test_what_arrives_during_a_publication_goes_together_and_in_order() -> None:
    lane = MemoryLane()
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options())
    one = SERIES[0]
    lane.gate.clear()
    async with running(group_commit):
        first = asyncio.create_task(group_commit.submit_row(one, 0, 0.5))
        await eventually(lambda: lane.attempts == 1)
        rest = [asyncio.create_task(group_commit.submit_row(one, at, float(at), at % 2)) for at in range(1, 200)]
        await asyncio.sleep(0)
        piece = Piece(
            one.partition,
            (SERIES[0],),
            np.zeros(3, np.uint32),
            np.array([200, 201, 202]),
            np.array([200.0, 201.0, 202.0]),
        )
        tail = await group_commit.submit([piece])
        lane.gate.set()
        await asyncio.gather(first, *rest, tail)
    batches = list(lane.stored.values())
    assert [len(batch) for batch in batches] == [1, 202]
    assert batches[1].event_time_us.tolist() == list(range(1, 203))
    assert batches[1].flags is not None
    assert batches[1].flags.tolist() == [at % 2 for at in range(1, 200)] + [0, 0, 0]
    assert batches[0].flags is None


async def test_a_key_makes_a_message_of_its_own_whose_id_repeats() -> None:
    lane = MemoryLane()
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options())
    readings = [StoredReading(one, 7, 1.0) for one in SERIES]
    async with running(group_commit):
        for _ in range(2):
            done = await group_commit.submit(pieces_of(readings), "key")
            other = asyncio.create_task(group_commit.submit_row(SERIES[0], 8, 2.0))
            await asyncio.gather(done, other)
    keyed = [name for name in lane.stored if name.startswith("key-")]
    assert len(keyed) == len({one.partition for one in SERIES})
    assert sum(len(lane.stored[name]) for name in keyed) == len(SERIES)


async def test_too_much_pending_makes_callers_wait_then_refuses_them() -> None:
    lane = MemoryLane()
    one = SERIES[0]
    group_commit = ReadingGroupCommit(
        lane,
        MemoryCountingValues(),
        options(max_pending_bytes=3 * (one.weight + 20), admission_timeout=timedelta(milliseconds=100)),
    )
    lane.gate.clear()
    async with running(group_commit):
        inside = [asyncio.create_task(group_commit.submit_row(one, at, 1.0)) for at in range(3)]
        await eventually(lambda: lane.attempts == 1)
        refused = await asyncio.gather(
            *(group_commit.submit_row(one, at, 1.0) for at in (4, 5)), return_exceptions=True
        )
        assert all(isinstance(error, StreamUnavailable) and error.retry_after for error in refused)
        waiting = asyncio.create_task(group_commit.submit_row(one, 6, 1.0))
        gone = asyncio.create_task(group_commit.submit_row(one, 7, 1.0))
        await asyncio.sleep(0)
        gone.cancel()
        lane.gate.set()
        await asyncio.gather(*inside, waiting)
    assert sorted(at for _, at, _ in lane.rows()) == [0, 1, 2, 6]
    assert group_commit.pending_bytes == 0


async def test_a_caller_that_leaves_takes_nothing_with_it() -> None:
    lane = MemoryLane()
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options())
    lane.gate.clear()
    async with running(group_commit):
        stays = asyncio.create_task(group_commit.submit_row(SERIES[0], 1, 1.0))
        leaves = asyncio.create_task(group_commit.submit_row(SERIES[0], 2, 2.0))
        await eventually(lambda: lane.attempts == 1)
        leaves.cancel()
        lane.gate.set()
        await stays
        await group_commit.close()
        with pytest.raises(StreamUnavailable, match="stopping"):
            await group_commit.submit_row(SERIES[0], 3, 3.0)
    assert {at for _, at, _ in lane.rows()} == {1, 2}


async def test_nothing_to_submit_is_done_at_once() -> None:
    lane = MemoryLane()
    submitted = await ReadingGroupCommit(lane, MemoryCountingValues(), options()).submit([])
    assert submitted.done()
    assert not lane.rows()


class _SlowLane(MemoryLane):
    """Refuses every message, and takes its time for it, as a broker that is away."""

    def __init__(self, takes: float) -> None:
        super().__init__()
        self.tries = 0
        self._takes = takes

    async def publish(self, batch: Piece, message_id: str) -> None:
        self.tries += 1
        await asyncio.sleep(self._takes)
        raise StreamUnavailable("the message broker is away")


async def test_what_waits_behind_refused_messages_is_refused_in_time_without_a_try_of_its_own() -> None:
    lane = _SlowLane(0.1)
    group_commit = ReadingGroupCommit(
        lane, MemoryCountingValues(), options(partitions=1, max_batch_rows=1, queue_timeout=timedelta(seconds=0.15))
    )
    only = series("d0", 1)
    async with running(group_commit):
        callers = (group_commit.submit_row(only, at, 1.0) for at in range(50))
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        # One after the other they would have taken five seconds.
        assert lane.tries < 10
        assert all(isinstance(outcome, StreamUnavailable) for outcome in outcomes)
        assert group_commit.pending_bytes == 0


async def test_a_defect_is_its_callers_alone_and_no_partition_stops() -> None:
    class Broken(MemoryLane):
        async def publish(self, batch: Piece, message_id: str) -> None:
            if poisoned(batch):
                raise RuntimeError("the handler is closed")
            await super().publish(batch, message_id)

    lane = Broken()
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options())
    async with running(group_commit):
        for one in SERIES[:4]:
            with pytest.raises(RuntimeError):
                await group_commit.submit_row(one, 1, -1.0)
            await group_commit.submit_row(one, 2, 1.0)
    assert len(lane.rows()) == 4


async def test_what_a_request_brings_the_second_time_is_stored_although_its_parts_are_cut_otherwise() -> None:
    lane = MemoryLane()
    group_commit = ReadingGroupCommit(lane, MemoryCountingValues(), options())
    first, second = (next(one for one in SERIES if one.partition == partition) for partition in (0, 1))
    async with running(group_commit):
        # A type that was unknown has been created meanwhile.
        await (await group_commit.submit(pieces_of([StoredReading(second, 7, 1.0)]), "key"))
        both = [StoredReading(first, 7, 1.0), StoredReading(second, 7, 1.0)]
        await (await group_commit.submit(pieces_of(both), "key"))
    assert sorted(lane.rows()) == sorted((one.key.device, 7, 1.0) for one in (first, second))
