"""What calls cost whom: CPU by process, statements, commits and syncs of PostgreSQL, messages of the broker."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import numpy as np
import psutil
from numpy.typing import NDArray

from services.cli.client import MeshClient
from services.cli.runtime.nats_accounts import SYSTEM_USER
from services.cli.runtime.nats_monitor import nats_monitor
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.status import read_reports

_QUIET_SECONDS = 10.5
"""A session of PostgreSQL that has become idle tells its counters after 10 s at the latest."""
_STATEMENT = re.compile(r"\] (\S+) LOG:  (?:statement|execute [^:]*): (.*)")
_LOGGING = {"log_statement": "'all'", "log_parameter_max_length": "0"}


def cpu_seconds(mesh: MeshClient) -> dict[str, float]:
    """Part -> seconds of CPU that it and its children have used."""
    found: dict[str, float] = {}
    for report in read_reports(mesh.state):
        if report.pid is None:
            continue
        process = psutil.Process(report.pid)
        # What ended children used is counted with their parent: backends come and go.
        own = process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in process.children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        found[report.name] = total
    return found


@dataclass
class Counts:
    """What happened between two moments. `stored` and `removed`: messages of JetStream; each is a sync of the broker
    unless many came in one batch."""

    statements: Counter[str] = field(default_factory=Counter[str])
    commits: int = 0
    syncs: int = 0
    stored: int = 0
    removed: int = 0


async def counts_at_rest(mesh: MeshClient, database: "asyncpg.Connection[asyncpg.Record]") -> NDArray[np.float64]:
    """What a mesh at rest does in a second: commits, syncs, messages stored and removed."""
    await asyncio.sleep(_QUIET_SECONDS)
    before = await _counters(mesh, database)
    await asyncio.sleep(_QUIET_SECONDS)
    return (await _counters(mesh, database) - before) / _QUIET_SECONDS


@asynccontextmanager
async def counting(
    mesh: MeshClient, database: "asyncpg.Connection[asyncpg.Record]", at_rest: NDArray[np.float64]
) -> AsyncGenerator[Counts]:
    """Counts what happens in the block, but for what `database` itself is asked and what happens `at_rest` (see
    `counts_at_rest`). Takes a quiet mesh, and 20 seconds: PostgreSQL tells its counters late."""
    log, counts, own = mesh.state.logs / "postgres.log", Counts(), list[object]()
    await asyncio.sleep(_QUIET_SECONDS)
    await _set(database, _LOGGING)
    offset, before = log.stat().st_size, await _counters(mesh, database)
    began = time.monotonic()
    database.add_query_logger(own.append)
    try:
        yield counts
    finally:
        await _reset(database)
    counts.statements.update(statements(_lines(log, offset)))
    await asyncio.sleep(_QUIET_SECONDS)
    database.remove_query_logger(own.append)
    spent = await _counters(mesh, database) - before - at_rest * (time.monotonic() - began)
    counts.commits, counts.syncs, counts.stored, counts.removed = (max(round(one), 0) for one in spent)
    counts.commits = max(counts.commits - len(own), 0)


def statements(lines: Iterable[str]) -> Iterable[str]:
    """The statements of services in the log of a server, those of more than one line in one."""
    text: str | None = None
    for line in lines:
        if line.startswith("\t"):
            text = None if text is None else f"{text} {line}"
            continue
        if text is not None:
            yield " ".join(text.split())
        found = _STATEMENT.search(line)
        text = found[2] if found and found[1] != SUPERUSER else None
    if text is not None:
        yield " ".join(text.split())


def _lines(log: Path, offset: int) -> list[str]:
    if log.stat().st_size < offset:
        raise RuntimeError(f"{log} was begun anew meanwhile: count fewer requests")
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode(errors="replace").splitlines()


async def _set(database: "asyncpg.Connection[asyncpg.Record]", settings: dict[str, str]) -> None:
    for name, value in settings.items():
        await database.execute(f"ALTER SYSTEM SET {name} = {value}")
    await _reload(database)


async def _reset(database: "asyncpg.Connection[asyncpg.Record]") -> None:
    for name in _LOGGING:
        await database.execute(f"ALTER SYSTEM RESET {name}")
    await _reload(database)


async def _reload(database: "asyncpg.Connection[asyncpg.Record]") -> None:
    before = await database.fetchval("SELECT pg_conf_load_time()")
    await database.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + 5
    while await database.fetchval("SELECT pg_conf_load_time()") == before and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _counters(mesh: MeshClient, database: "asyncpg.Connection[asyncpg.Record]") -> NDArray[np.float64]:
    row = await database.fetchrow(
        "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits,"
        " (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS syncs"
    )
    assert row is not None
    user, password = mesh.nats_login(SYSTEM_USER)
    assert user == SYSTEM_USER
    async with nats_monitor(mesh.instance.nats_url, password) as monitor:
        found = await monitor.streams()
    stored = removed = 0
    for account in found.get("account_details", []):
        for stream in account.get("stream_detail", []):
            state = stream["state"]
            stored += state["last_seq"]
            removed += state["last_seq"] - state["messages"]
    return np.array([row["commits"], row["syncs"], stored, removed], float)
