"""A real PostgreSQL for tests: one server per test process, a database of its own for each test.

A database that a test has left is emptied and given to another test, because that costs a tenth of making one; one
whose tables are no longer those of the migrations is dropped.
"""

import itertools
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import asyncpg

from services.chassis.postgres import migrate
from services.cli.runtime.postgres_cluster import SUPERUSER, PostgresCluster
from tests.support.ports import free_port
from tests.support.postgres_reuse import Template, emptied, remembered

_PASSWORD = "tests-only"
# Data of tests need not survive a power cut (but the crash of a process); everything else is as in production.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "min_wal_size": "64MB",
    "log_min_messages": "warning",
}

Schemas = Mapping[str, Path | None]
"""Schema -> directory with its migrations (None: the chassis' tables only)."""
Prepare = Callable[[str], Awaitable[None]]
"""Makes what the service itself would make at its first start, in the database at the dsn."""


class PostgresServer:
    """One server process. It can be killed and started again with the same data."""

    def __init__(self, directory: Path, settings: Mapping[str, str] = MappingProxyType(_SETTINGS)) -> None:
        """`settings` come on top of production's; benchmarks give none, so that every commit reaches the disk."""
        self.port = free_port()
        self._directory = directory
        self._cluster = PostgresCluster.at(directory / "data", self.port, settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._templates: dict[tuple[tuple[tuple[str, Path | None], ...], Prepare | None], Template] = {}
        self._numbers = itertools.count(1)

    def dsn(self, database: str = "postgres") -> str:
        """Where to connect, as the superuser."""
        return f"postgresql://{SUPERUSER}:{_PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Its first process. Raises RuntimeError when it does not run."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has logged so far."""
        return (self._directory / "postgres.log").read_text()

    def start(self) -> None:
        """Makes the cluster when it is new, and returns once the server takes sessions."""
        if not self._cluster.exists:
            command = self._cluster.prepare_initdb(_PASSWORD)
            # Thousands of rounds for a password that everybody knows would cost more than the sessions of most tests.
            command = (*command, "--no-sync", "--set", "scram_iterations=1")
            command = self._cluster.launched(command, signal.SIGTERM)
            done = subprocess.run(command, capture_output=True, check=False, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
            self._cluster.finish_initdb()
        self._cluster.clear_leftovers()
        with (self._directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._cluster.launched(self._cluster.server_command()), stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log}")
            time.sleep(0.01)

    def _ready(self) -> bool:
        try:
            lines = (self._directory / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def crash(self) -> None:
        """Ends all its processes at once, without a shutdown checkpoint."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Ends it in order, cutting sessions; nothing happens when it does not run."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=30)

    @asynccontextmanager
    async def database(self, schemas: Schemas, prepare: Prepare | None = None) -> AsyncGenerator[str]:
        """A database with the schemas migrated, what `prepare` makes, and nothing else in it, for one test. Gives its
        dsn. What a service makes at its start is better made once here: a database that has become another is not used
        again."""
        template = await self._template(schemas, prepare)
        if template.free:
            name = template.free.pop()
        else:
            name = f"test_{next(self._numbers)}"
            await self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{template.name}" STRATEGY file_copy')
        try:
            yield self.dsn(name)
        finally:
            if await emptied(self.dsn(name), template.shape):
                template.free.append(name)
            else:
                await self._admin(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _template(self, schemas: Schemas, prepare: Prepare | None) -> Template:
        key = tuple(sorted(schemas.items())), prepare
        if key not in self._templates:
            name = f"template_{next(self._numbers)}"
            await self._admin(f'CREATE DATABASE "{name}"')
            for schema, directory in schemas.items():
                await migrate(self.dsn(name), schema, directory)
            if prepare is not None:
                await prepare(self.dsn(name))
            self._templates[key] = Template(name, await remembered(self.dsn(name)))
        return self._templates[key]

    async def _admin(self, statement: str) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                connection = await asyncpg.connect(self.dsn())
                break
            except (OSError, asyncpg.CannotConnectNowError):
                if time.monotonic() > deadline:
                    raise
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
