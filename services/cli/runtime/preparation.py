"""The steps between parts: a new cluster, schemas and migrations, streams, and the last look through the edge.

Each returns what it did in a few words, empty when there was nothing to do.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.journal import JOURNAL
from services.cli.runtime.logs import LogFile
from services.cli.runtime.part import Probe, Unhealthy
from services.cli.runtime.postgres_cluster import PostgresCluster
from services.cli.runtime.process import ChildProcess, describe_exit
from services.cli.runtime.state import StateDir

if TYPE_CHECKING:
    import structlog.typing

    from services.chassis.nats.topology import TopologyOptions
    from services.cli.runtime.database import DatabaseOptions
    from services.cli.runtime.database_roles import ServiceSchema
    from services.cli.runtime.postgres_address import PostgresAddress


@dataclass(slots=True)
class Preparation:
    """What the steps did to database and streams; with `dry_run` what they would do, and have not done."""

    dry_run: bool = False
    migrations: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Ids by service, in their order."""
    streams: list[str] = field(default_factory=list[str])


_CONNECT_BUDGET = timedelta(seconds=15)
_EDGE_POLL_SECONDS = 0.05
_EDGE_LOOK = timedelta(seconds=10)


async def ensure_cluster(
    cluster: PostgresCluster, password: str, environment: Mapping[str, str], state: StateDir
) -> str:
    """Makes the PostgreSQL cluster at the first start; after a crash clears what the last run left."""
    if cluster.exists:
        cluster.clear_leftovers()
        return ""
    try:
        await _run_initdb(cluster, cluster.prepare_initdb(password), environment, state)
    finally:
        cluster.clear_initdb()
    return "a new PostgreSQL cluster"


async def _run_initdb(
    cluster: PostgresCluster, command: tuple[str, ...], environment: Mapping[str, str], state: StateDir
) -> None:
    log = LogFile(state.logs, "initdb")
    output = log.open()
    try:
        child = ChildProcess.start(
            command, environment=environment, directory=state.root, output=output, identity=cluster.identity
        )
    finally:
        os.close(output)
    try:
        returncode = await child.wait()
    except asyncio.CancelledError:
        await child.kill()
        raise
    if returncode != 0:
        tail = "\n".join(f"  {line}" for line in log.tail(8))
        raise RuntimeProblem(f"initdb {describe_exit(returncode)}; the end of {log.path}:\n{tail}")
    cluster.finish_initdb()


async def prepare_schemas(
    admin_dsn: str,
    address: "PostgresAddress",
    schemas: tuple["ServiceSchema", ...],
    options: "DatabaseOptions",
    done: Preparation,
) -> str:
    """Roles, schemas and migrations."""
    # Imported here and below so that PostgreSQL and NATS start while the drivers load.
    from services.cli.runtime.database import pending_migrations, prepare_database

    if done.dry_run:
        done.migrations = await pending_migrations(admin_dsn, address, schemas)
        return ""
    done.migrations = await prepare_database(admin_dsn, address, schemas, options)
    count = sum(len(names) for names in done.migrations.values())
    return f"{count} migrations applied" if count else ""


async def prepare_streams(
    url: str,
    user: str,
    password: str,
    log: Path,
    *,
    prefix: str,
    options: "TopologyOptions",
    store: Path | None,
    done: Preparation,
) -> str:
    """JetStream's streams, as the topology declares them; what the client says on the way goes to the file `log`.

    `store` is where our own server keeps them: their limits follow its disk.
    """
    import nats.errors
    import structlog

    from services.chassis.errors import DomainError
    from services.cli.runtime.disk import streams_on_disk

    smaller = ""
    if store is not None:
        options, smaller = await asyncio.to_thread(streams_on_disk, options, store)
    with log.open("a") as output:
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(output), processors=_journal_lines())
        try:
            done.streams = await _ensure_streams(url, user, password, prefix, options, dry_run=done.dry_run)
        except (nats.errors.Error, DomainError) as error:
            raise RuntimeProblem(f"the streams cannot be prepared on {url}: {error}") from error
        finally:
            structlog.reset_defaults()
    if done.dry_run:
        return ""
    return "; ".join(filter(None, [f"{len(done.streams)} streams made or changed" if done.streams else "", smaller]))


def _journal_lines() -> list["structlog.typing.Processor"]:
    """What makes lines of the journal's shape."""
    import structlog

    def of_the_runtime(
        _logger: object, _method: str, event: "structlog.typing.EventDict"
    ) -> "structlog.typing.EventDict":
        return {"time": event.pop("time"), "level": event.pop("level"), "service": JOURNAL, **event}

    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        of_the_runtime,
        structlog.processors.JSONRenderer(default=str),
    ]


async def _ensure_streams(
    url: str, user: str, password: str, prefix: str, options: "TopologyOptions", *, dry_run: bool
) -> list[str]:
    from services.chassis.nats.connection import open_nats
    from services.chassis.nats.topology import ensure_streams

    async with open_nats(
        url,
        name="tocsin-runtime",
        user=user or None,
        password=password or None,
        prefix=prefix,
        wait_until_up=_CONNECT_BUDGET,
    ) as connection:
        return await ensure_streams(connection, options, dry_run=dry_run)


async def wait_for_edge(probe: Probe) -> str:
    """Returns once the mesh is healthy as a client sees it. The supervisor's start budget bounds it."""
    while True:
        try:
            await probe(_EDGE_LOOK)
        except Unhealthy:
            await asyncio.sleep(_EDGE_POLL_SECONDS)
        else:
            return ""
