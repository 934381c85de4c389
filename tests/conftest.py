"""Fixtures for all tests: real servers, and a watch over every event loop."""

import asyncio
import gc
import inspect
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from services.chassis.bucket_settings import BucketAddress
from services.chassis.nats import NatsConnection, Publisher, TopologyOptions, ensure_streams, open_nats
from services.chassis.postgres import Database, open_database
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer
from tests.support.s3 import make_bucket, s3_server
from tests.support.sessions import kept

SCHEMA = "chassis_test"
# How long an example takes says more about the machine's other work than about the code. The same examples each time: a
# run says something about the change that it is for. `--hypothesis-profile=explore` looks for others.
hypothesis.settings.register_profile("tocsin", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("tocsin")

# Whoever starts the tests may ignore these (nohup, a shell's background job), and children would, too.
for _ignored, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, _usual)

_ORDER = ("e2e", "integration", "contract", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every asynchronous test runs under `watched_loop`, set up before its other fixtures and torn down last.

    Long tests come first, so that at the end no worker waits for another.
    """
    items.sort(key=lambda item: _ORDER.index(kind) if (kind := _kind(item)) in _ORDER else len(_ORDER))
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.fixturenames.insert(0, "watched_loop")


def _kind(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


class _OneMesh(LoadScopeScheduling):
    """Every test goes to the worker that is free, but all end-to-end tests to one: a second mesh would cost more than
    two workers gain."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _OneMesh:
    """As the option `--dist loadgroup` would, which pytest-xdist 3.8 does not heed under pytest 9."""
    return _OneMesh(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """No test leaves its thread with another scheduling: see `kept_scheduling`."""
    if sys.platform == "linux" and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail("the test has left its thread real-time")


def pytest_collection_finish() -> None:
    """What has been imported stays: `watched_loop` need not look through it after every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture
async def watched_loop() -> AsyncIterator[None]:
    """Fails the test for exceptions that nobody handled and for tasks that it leaves behind."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: problems.append(context))
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        # What is ending already may end.
        _, left = await asyncio.wait(left, timeout=2)
    gc.collect()
    await asyncio.sleep(0)
    for task in left:
        task.cancel()
    assert not left, f"the test left tasks behind: {left}"
    problems = _without_lost_sessions(problems)
    assert not problems, f"nobody handled: {problems}"


def _without_lost_sessions(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what asyncpg says, in two ways, of a session that the server ends in the middle of a rollback: the caller
    has got an error of his own."""
    lost = [
        problem
        for problem in problems
        if problem["message"].startswith("Future exception")
        and isinstance(problem.get("exception"), asyncpg.ConnectionDoesNotExistError)
    ]
    if not lost:
        return problems
    return [
        problem
        for problem in problems
        if problem not in lost and not problem["message"].startswith("Resetting connection with an active transaction")
    ]


@pytest.fixture(scope="session", autouse=True)
def _clean_sessions() -> Iterator[None]:
    """Every pool that a test closes must have sessions as they were when they were opened (see ADR 0013)."""
    close = Database.close

    async def checked(self: Database, *rest: Any, **more: Any) -> None:
        found = await kept(self)
        await close(self, *rest, **more)
        assert not found, f"pooled sessions have kept {found}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "close", checked)
        yield


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The PostgreSQL of this test process. Do not stop it; make another with `postgres_servers` for that."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], PostgresServer]]:
    """Makes (started) servers of the test's own, which it may kill and restart."""
    with ExitStack() as stack:

        def make() -> PostgresServer:
            server = PostgresServer(tmp_path_factory.mktemp("postgres"))
            stack.callback(server.stop)
            server.start()
            return server

        yield make


@pytest.fixture
def databases(postgres_server: PostgresServer) -> Callable[..., AbstractAsyncContextManager[str]]:
    """`async with databases({"ingestion": Path(...)}) as dsn`: a migrated database of the test's own."""
    return postgres_server.database


@pytest.fixture
async def chassis_dsn(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """A database that has the chassis' tables in schema `chassis_test`."""
    async with postgres_server.database({SCHEMA: None}) as dsn:
        yield dsn


@pytest.fixture
async def chassis_database(chassis_dsn: str) -> AsyncIterator[Database]:
    """A pool on `chassis_dsn`."""
    async with open_database(chassis_dsn, schema=SCHEMA, application_name="tests") as database:
        yield database


@pytest.fixture(scope="session")
def _shared_nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def nats_url(_shared_nats_server: NatsServer) -> AsyncIterator[str]:
    """A server without any stream; what the test makes is removed after it."""
    yield _shared_nats_server.url
    async with open_nats(_shared_nats_server.url, name="cleaner") as connection:
        for stream in await connection.js.streams_info():
            await connection.js.delete_stream(stream.config.name or "")


@pytest.fixture
def nats_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], NatsServer]]:
    """Makes (started) servers of the test's own, which it may kill and restart."""
    with ExitStack() as stack:

        def make() -> NatsServer:
            server = NatsServer(tmp_path_factory.mktemp("nats"))
            stack.callback(server.stop)
            server.start()
            return server

        yield make


@pytest.fixture
async def nats_connection(nats_url: str) -> AsyncIterator[NatsConnection]:
    """A connection to `nats_url`, where all streams of the topology exist."""
    async with open_nats(nats_url, name="tests") as connection:
        await ensure_streams(connection, TopologyOptions())
        yield connection


@pytest.fixture
def publisher(nats_connection: NatsConnection) -> Publisher:
    """Publishes over `nats_connection`."""
    return Publisher(nats_connection, source="tocsin/tests")


@pytest.fixture(scope="session")
def _shared_s3_server() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture
def s3_bucket(_shared_s3_server: str) -> BucketAddress:
    """A bucket of the test's own."""
    return make_bucket(_shared_s3_server, f"tests-{uuid4()}")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return Path(__file__).parent.parent
