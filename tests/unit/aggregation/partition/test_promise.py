"""The promise, against a broker that does its worst: whatever was acknowledged is stored once, or told to be lost.

A worker (its reader, its lane, its transactions) runs on the model of a broker, while an adversary takes turns with it
at every step: loses pulls, delivers again, out of order, to somebody else, loses acknowledgements, crashes the worker
before or after a commit, goes away, loses the end or the middle of its stream, comes back from a copy or anew.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from services.aggregation.adapters.memory.partition_store import InMemoryPartitionStore
from services.aggregation.application.partition import worker as worker_module
from services.aggregation.application.partition.lease_store import Lease
from services.aggregation.application.partition.partition_store import Write
from services.aggregation.application.partition.worker import PartitionWorker, WorkerOptions
from services.aggregation.domain.partition.continuity import Cause
from services.aggregation.domain.rules import Rules
from services.aggregation.domain.times import DAY, SECOND
from services.chassis.errors import Unavailable
from tests.support.aggregation.broker_model import BrokerModel, ModelLanes, Publisher
from tests.support.aggregation.mesh import batch
from tests.support.aggregation.partition import T0, descriptor

RULES = Rules(lateness=30 * DAY)
SERIES = descriptor(0)


class CrashingStore(InMemoryPartitionStore):
    """Breaks off one commit, before or after it stands, as an outage does or a crash."""

    crash: str = ""

    async def commit(self, lease: Lease, write: Write) -> None:
        crash, self.crash = self.crash, ""
        if crash == "before":
            raise Unavailable("crashed")
        await super().commit(lease, write)
        if crash == "after":
            raise Unavailable("crashed")


class World:
    """A broker, its publishers, and a worker that may be killed at any time."""

    def __init__(self) -> None:
        self.broker = BrokerModel()
        self.publishers = [Publisher("a"), Publisher("b")]
        self.store = CrashingStore(RULES)
        self.store.epochs[0] = 1
        self.times: dict[int, int] = {}
        """Key of the message -> event time of its reading."""
        self._worker: asyncio.Task[None] | None = None
        self.start()

    def start(self) -> None:
        self.lanes = lanes = ModelLanes(self.broker)
        options = WorkerOptions(breath=WorkerOptions().min_tick * 0)
        worker = PartitionWorker(Lease(0, "me", 1), self.store, lanes.open, lanes.stream, RULES, options)
        self._worker = asyncio.create_task(worker.run())

    async def kill(self) -> None:
        assert self._worker is not None
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker

    def publish(self, publisher: int) -> None:
        if not self.broker.up:
            return
        time = T0 + len(self.times) * SECOND
        payload = batch(0, [(SERIES, time, float(len(self.times)))]).SerializeToString()
        self.times[self.broker.publish(self.publishers[publisher], payload)] = time

    async def act(self, what: str, how: int) -> None:
        broker = self.broker
        match what:
            case "publish":
                self.publish(how % 2)
            case "new publisher":
                self.publishers[how % 2] = Publisher(f"p{len(self.times)}-{how}")
            case "send":
                broker.send(how)
            case "lose the pull":
                broker.lose_wire()
            case "steal":
                broker.steal()
            case "redeliver":
                broker.expire(first=how % 2 == 0)
            case "acknowledgements":
                broker.losing_acks = how % 2 == 0
            case "crash a commit":
                self.store.crash = ("before", "after")[how % 2]
            case "kill":
                await self.kill()
                self.start()
            case "away":
                broker.up = False
            case "back":
                broker.up = True
            case "copy":
                broker.copy()
            case "restore":
                broker.restore()
            case "cut":
                broker.cut(how)
            case "lose the middle":
                broker.lose_middle(how)
            case "replace":
                broker.replace()
            case _:
                raise AssertionError(what)

    async def settle(self) -> None:
        """Every publisher has its say once more, nobody disturbs any longer, and all is worked off."""
        self.broker.up, self.broker.losing_acks, self.store.crash = True, False, ""
        for publisher in range(2):
            self.publish(publisher)
        for _ in range(20_000):
            if not self.broker.entries:
                return
            if not self.broker._due and not self.broker.wire:
                self.broker.expire(first=False)
            await asyncio.sleep(0)
        raise AssertionError(f"not worked off: {self.broker.entries}")

    def stored(self) -> set[int]:
        return set(self.store.counted.get(1, {})) | set(self.store.skipped.get(1, {}))


Actions = Sequence[tuple[str, int, int]]
"""(what, how, turns of the loop after it)."""
HARMLESS = ["publish", "new publisher", "send", "lose the pull", "steal", "redeliver", "acknowledgements"]
HARMLESS += ["crash a commit", "kill", "away", "back"]
HARMFUL = ["copy", "restore", "cut", "lose the middle", "replace"]


def actions(*names: str) -> st.SearchStrategy[Actions]:
    one = st.tuples(st.sampled_from(["publish"] * 4 + list(names)), st.integers(0, 6), st.integers(0, 12))
    return st.lists(one, min_size=5, max_size=60)


async def play(script: Actions) -> World:
    world = World()
    try:
        for what, how, turns in script:
            await world.act(what, how)
            for _ in range(turns):
                await asyncio.sleep(0)
        await world.settle()
    finally:
        await world.kill()
    return world


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_PAUSE_AFTER_FAILURE", 0.0)


PROPERTY = settings(
    max_examples=40,
    deadline=None,
    # Explaining a failure traces every line of the engine, for minutes.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
A_PAUSE: Actions = [
    ("publish", 0, 40),
    *[("publish", 0, 0)] * 6,
    ("send", 6, 0),
    ("lose the pull", 0, 0),
    ("publish", 1, 40),
    ("redeliver", 1, 40),
]
A_STOLEN_ONE: Actions = [("publish", 0, 40), ("publish", 0, 0), ("steal", 0, 0), ("publish", 0, 40)]


@given(actions(*HARMLESS))
@example(A_PAUSE)
@example(A_STOLEN_ONE)
@PROPERTY
def test_a_broker_that_loses_nothing_is_never_a_reason_to_lose_anything(script: Actions) -> None:
    world = asyncio.run(play(script))
    assert world.stored() == set(world.times.values())
    assert world.store.lost == []


A_TORN_TAIL: Actions = [
    *[("publish", 0, 3)] * 8,
    ("away", 0, 0),
    ("back", 0, 0),
    ("cut", 6, 0),
    *[("publish", 0, 9)] * 3,
]
AN_OLD_COPY: Actions = [
    *[("publish", 0, 9)] * 3,
    ("copy", 0, 0),
    *[("publish", 1, 9)] * 4,
    ("kill", 0, 0),
    ("restore", 0, 0),
    *[("publish", 1, 9)] * 6,
]
LOST_BEFORE_IT_WAS_READ: Actions = [
    ("publish", 0, 40),
    ("away", 0, 40),
    ("back", 0, 0),
    *[("publish", 0, 0)] * 4,
    ("cut", 3, 0),
    ("publish", 0, 40),
]


AN_OLD_COPY_OF_WHAT_WAS_READ: Actions = [
    *[("publish", 0, 0)] * 4,
    ("copy", 0, 0),
    ("publish", 0, 60),
    ("publish", 0, 200),
    ("restore", 0, 400),
    ("publish", 0, 200),
]


@given(actions(*HARMLESS, *HARMFUL))
@example(AN_OLD_COPY_OF_WHAT_WAS_READ)
@example(A_TORN_TAIL)
@example(AN_OLD_COPY)
@example(LOST_BEFORE_IT_WAS_READ)
@PROPERTY
def test_what_the_broker_lost_is_told_and_everything_else_is_stored(script: Actions) -> None:
    world = asyncio.run(play(script))
    stored, broker = world.stored(), world.broker
    missing = {key for key, time in world.times.items() if time not in stored}
    assert missing <= broker.gone
    told = {publisher.name: publisher.noticed for publisher in world.publishers}
    for key in missing:
        name, sequence = broker.ledger[key]
        if name not in told:
            continue  # what a publisher had acknowledged last before it went for good, nobody can speak for
        ranges = [*told[name], *((lost.first, lost.last or sequence) for lost in world.store.lost)]
        assert any(first <= sequence <= last for first, last in ranges), (key, sequence, ranges)
    # And a gap is never told for nothing: in each of them lies something that the broker has lost.
    lost_numbers = [broker.ledger[key][1] for key in broker.gone]
    for lost in world.store.lost:
        if lost.cause is Cause.GAP:
            assert lost.last is not None
            assert any(lost.first <= number <= lost.last for number in lost_numbers), (lost, lost_numbers)


async def test_a_message_that_nobody_foresaw_is_put_aside_and_the_others_are_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    for _ in range(6):
        world.publish(0)
    poison = sorted(world.times.values())[2]
    commit = CrashingStore.commit

    async def refuse(store: CrashingStore, lease: Lease, write: Write) -> None:
        if poison in write.raw.time.tolist():
            raise RuntimeError("a defect that one reading brings to light")
        await commit(store, lease, write)

    monkeypatch.setattr(CrashingStore, "commit", refuse)
    try:
        await world.settle()
        assert world.stored() == set(world.times.values()) - {poison}
        (letter,) = world.lanes.dead_letters
        assert letter.headers["Tocsin-Dead-Reason"] == "a defect that one reading brings to light"
        assert world.store.lost == []
    finally:
        await world.kill()
