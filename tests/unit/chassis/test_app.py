import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc_health.v1 import health_pb2

from services.chassis.app import App, Step
from services.chassis.errors import Unavailable
from services.chassis.grpc.health import LIVENESS, NOT_SERVING, REASON_KEY, SERVING, SINCE_KEY, Health
from services.chassis.settings import ChassisSettings
from services.chassis.telemetry import logs
from tests.support.eventually import eventually


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(form="json", level="debug", stream=stream)
    yield stream
    logs.configure()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def app() -> App:
    return App("testing", ChassisSettings())


def test_the_steps_stand_in_the_order_of_the_house() -> None:
    assert [step.name for step in sorted(Step)] == [
        "NOT_SERVING",
        "STOP_PULLING",
        "STOP_SERVER",
        "FINISH",
        "DRAIN_NATS",
        "CLOSE_POOL",
        "FLUSH_TELEMETRY",
    ]


async def test_stop_runs_the_steps_in_order_whatever_fails(logged: io.StringIO) -> None:
    process, seen = app(), list[str]()

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        yield
        seen.append("resource left")

    def note(name: str) -> Any:
        async def act() -> None:
            seen.append(name)

        return act

    async def fails() -> None:
        raise RuntimeError("no")

    async def hangs() -> None:
        await asyncio.Event().wait()

    await process.enter(resource())
    process.at_stop(Step.CLOSE_POOL, "pool", note("pool"))
    process.at_stop(Step.FINISH, "first", note("first"))
    process.at_stop(Step.FINISH, "second", note("second"))
    process.at_stop(Step.STOP_PULLING, "broken", fails)
    process.at_stop(Step.STOP_PULLING, "stuck", hangs, within=timedelta(milliseconds=10))
    process.at_stop(Step.NOT_SERVING, "health", note("health"))
    await process.stop()
    assert seen == ["health", "second", "first", "pool", "resource left"]
    lines = {line.get("name"): line["event"] for line in events(logged)}
    assert (lines["broken"], lines["stuck"]) == ("stop step failed", "stop step timed out")
    assert lines["pool"] == "stop step done"


async def test_a_side_task_that_ends_or_dies_stops_the_process(logged: io.StringIO) -> None:
    async def ends() -> None:
        return

    async def dies() -> None:
        raise RuntimeError("no")

    for work, event in ((ends, "side task ended"), (dies, "side task died")):
        process = app()
        process.task("beside", work())
        await process.stopping.wait()
        await process.stop()
        assert process.exit_code == 1
        assert [line["task"] for line in events(logged) if line["event"] == event] == ["beside"]


async def test_a_side_task_is_left_alone_until_its_step_then_given_its_patience(logged: io.StringIO) -> None:
    process, seen = app(), list[str]()

    async def graceful() -> None:
        await process.stopping.wait()
        seen.append("graceful")

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("stubborn")

    process.task("graceful", graceful(), patience=timedelta(seconds=5))
    process.task("stubborn", stubborn(), until=Step.CLOSE_POOL)
    await asyncio.sleep(0)
    await process.stop()
    assert seen == ["graceful", "stubborn"]
    assert process.exit_code == 0


def _health() -> Health:
    moment = timedelta(milliseconds=50)
    return Health(every=timedelta(milliseconds=5), within=moment, patience=moment)


async def test_health_waits_for_every_dependency_and_tolerates_a_hiccup() -> None:
    health = _health()
    down, calls, flips = {"a", "b"}, {"a": 0, "b": 0}, list[bool]()

    def check(name: str) -> Any:
        async def ask() -> None:
            calls[name] += 1
            if name in down:
                raise ConnectionError("refused")

        return ask

    for name in ("a", "b"):
        health.add_check(name, check(name))
    health.on_change(flips.append)
    watching = asyncio.create_task(health.watch_dependencies())
    try:
        down.discard("a")
        await eventually(lambda: calls["b"] >= 3)
        assert set(health.problems()) == {"b"}
        assert not health.serving
        down.clear()
        await eventually(lambda: health.serving)
        assert health.problems() == {}

        down.add("a")
        await eventually(lambda: not health.serving)
        assert health.problems() == {"a": "fails (ConnectionError)"}
        down.clear()
        await eventually(lambda: health.serving)
        await health.stop()
        assert not health.serving
        assert health.problems() == {"server": "is stopping"}
        before = calls["a"]
        await eventually(lambda: calls["a"] > before + 1)
        assert flips == [True, False, True, False]  # healthy dependencies do not bring a stopping server back
    finally:
        watching.cancel()
        await asyncio.wait([watching])


class _Context:
    """Takes the trailing metadata of a call."""

    def __init__(self) -> None:
        self.trailers: dict[str, str] = {}

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self.trailers = dict(metadata)


async def _asked(health: Health, service: str = "") -> tuple[Any, dict[str, str]]:
    context = _Context()
    reply = await health.Check(health_pb2.HealthCheckRequest(service=service), context)
    return reply.status, context.trailers


@asynccontextmanager
async def _watched(health: Health) -> AsyncIterator[None]:
    watching = asyncio.create_task(health.watch_dependencies())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_dependency_that_hangs_turns_it_not_serving_with_the_reason_and_since_when() -> None:
    health, hangs = _health(), asyncio.Event()

    async def check() -> None:
        if hangs.is_set():
            await asyncio.Event().wait()

    health.add_check("nats", check)
    async with _watched(health):
        await eventually(lambda: health.serving)
        assert await _asked(health) == (SERVING, {})
        hangs.set()
        begun = datetime.now(UTC)
        await eventually(lambda: not health.serving)
        status, trailers = await _asked(health)
        assert status == NOT_SERVING
        assert trailers[REASON_KEY] == "nats does not answer in time"
        assert begun <= datetime.fromisoformat(trailers[SINCE_KEY]) <= datetime.now(UTC)


async def test_one_failure_is_none_however_long_it_took() -> None:
    # As after a pause of the whole process: the check that was under way is too late, the next one is well.
    health, outcomes, looks = _health(), iter([None, TimeoutError()]), list[bool]()

    async def check() -> None:
        outcome = next(outcomes, None)
        looks.append(outcome is None)
        if outcome is not None:
            time.sleep(0.1)  # the whole loop stands still
            raise outcome

    flips = list[bool]()
    health.add_check("nats", check)
    health.on_change(flips.append)
    async with _watched(health):
        await eventually(lambda: len(looks) > 5)
    assert looks[:3] == [True, False, True]
    assert flips == [True]


async def test_liveness_depends_on_the_process_alone() -> None:
    health, down = _health(), set[str]()

    def check(name: str) -> Any:
        async def ask() -> None:
            if name in down:
                raise Unavailable("the message broker is away")

        return ask

    health.add_check("nats", check("nats"))
    health.add_check("workers", check("workers"), own=True)
    async with _watched(health):
        await eventually(lambda: health.serving)
        assert (await _asked(health, LIVENESS))[0] == SERVING
        down.add("nats")
        await eventually(lambda: not health.serving)
        assert (await _asked(health))[1][REASON_KEY] == "nats fails: the message broker is away"
        assert (await _asked(health, LIVENESS))[0] == SERVING
        down.add("workers")
        await eventually(lambda: len(health.problems()) == 2)
        assert (await _asked(health, LIVENESS))[0] == NOT_SERVING
