"""Runs in the database: each batch is stored with the checkpoint behind it, and every notification knows its run."""

import json
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from services.chassis.errors import Aborted
from services.chassis.ids import new_id
from services.chassis.postgres import Database, open_session
from services.chassis.postgres.errors import translated
from services.notification.adapters.migration.rows import store_rows
from services.notification.adapters.postgres.rows import Row
from services.notification.adapters.postgres.weeks import add_weeks_of, week_of
from services.notification.domain.old_notification import OldNotification

_ALONE = "SELECT pg_try_advisory_lock(hashtextextended('tocsin:notifications:migrate', 0))"
_RUN = """
    SELECT id::text AS id, source, tenants, state, documents, position, set_aside_bytes, counts::text AS counts
    FROM migration_runs
"""
_CHECKPOINT = """
    UPDATE migration_runs SET documents = $3, position = $4, set_aside_bytes = $5, counts = $6::json
    WHERE id = $1 AND documents = $2 AND state = 'RUNNING'
"""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a run is: documents that are done, where the next one begins, and how long the file of those that were
    set aside is."""

    documents: int = 0
    position: int = 0
    set_aside_bytes: int = 0


@dataclass(slots=True)
class Run:
    """A run as it is stored. `tenants`: whose notifications it may have stored."""

    id: str
    source: str
    tenants: tuple[str, ...]
    state: str = "RUNNING"
    checkpoint: Checkpoint = Checkpoint()
    counts: Counter[str] = field(default_factory=Counter[str])


class MigrationRuns:
    """The runs of a deployment. `dsn`: for the session of whoever works alone."""

    def __init__(self, database: Database, dsn: str) -> None:
        self.database = database
        self._dsn = dsn
        self._weeks: set[tuple[str, datetime]] = set()

    @asynccontextmanager
    async def alone(self) -> AsyncGenerator[None]:
        """Nobody else brings in or undoes anything during the block. Raises Aborted when somebody does."""
        with translated():
            session = await open_session(self._dsn, self.database.settings)
        try:
            if not await session.fetchval(_ALONE):
                raise Aborted("another migration of notifications is under way")
            yield
        finally:
            try:
                await session.close(timeout=5)
            except (OSError, TimeoutError, asyncpg.InterfaceError):
                session.terminate()

    async def retentions(self) -> Mapping[str, timedelta]:
        """For how long the service keeps the notifications of each of its tenants."""
        async with self.database.connection() as connection:
            found = await connection.fetch("SELECT tenant, keep FROM retentions ORDER BY tenant")
        return {row["tenant"]: row["keep"] for row in found}

    async def open(self, source: str, fingerprint: bytes, tenants: Iterable[str]) -> Run:
        """The run of this file that was interrupted, else a new one."""
        async with self.database.transaction() as connection:
            found = await connection.fetchrow(f"{_RUN} WHERE fingerprint = $1 AND state = 'RUNNING'", fingerprint)
            if found is not None:
                return _run(found)
            run = Run(new_id(), source, tuple(tenants))
            await connection.execute(
                "INSERT INTO migration_runs (id, source, fingerprint, tenants) VALUES ($1, $2, $3, $4)",
                *(run.id, source, fingerprint, run.tenants),
            )
        return run

    async def get(self, id_: str) -> Run | None:
        """The run of that id, in the form that `open` gives it."""
        async with self.database.connection() as connection:
            found = await connection.fetchrow(f"{_RUN} WHERE id = $1", id_)
        return None if found is None else _run(found)

    async def all(self) -> Sequence[Run]:
        """The latest runs, the newest first."""
        async with self.database.connection() as connection:
            return [_run(row) for row in await connection.fetch(f"{_RUN} ORDER BY id DESC LIMIT 100")]

    async def store(
        self, run: Run, batch: Sequence[OldNotification], counts: Mapping[str, int], to: Checkpoint
    ) -> Counter[str]:
        """Stores a batch and the checkpoint behind it in one transaction; `counts`, with what was stored and what was
        known already. Raises Aborted when somebody else has gone on with the run."""
        by_tenant: dict[str, list[OldNotification]] = defaultdict(list)
        for one in batch:
            by_tenant[one.tenant].append(one)
        for tenant, group in by_tenant.items():
            await self._add_weeks(tenant, group)
        outcome = Counter(counts)
        async with self.database.transaction() as connection:
            for tenant in sorted(by_tenant):
                group = by_tenant[tenant]
                stored = await store_rows(connection, tenant, run.id, group)
                pending = stored & {one.id for one in group if one.pending}
                outcome += Counter(stored=len(stored), known=len(group) - len(stored), pending=len(pending))
            changed = await connection.execute(
                _CHECKPOINT,
                run.id,
                run.checkpoint.documents,
                to.documents,
                to.position,
                to.set_aside_bytes,
                json.dumps(run.counts + outcome),
            )
            if changed != "UPDATE 1":
                raise Aborted("somebody else has gone on with this run, or undoes it")
        run.checkpoint = to
        run.counts += outcome
        return outcome

    async def settle(self, run: Run, state: str) -> None:
        """The run is in that state from now on."""
        async with self.database.connection() as connection:
            await connection.execute("UPDATE migration_runs SET state = $2 WHERE id = $1", run.id, state)
        run.state = state

    async def _add_weeks(self, tenant: str, group: Sequence[OldNotification]) -> None:
        """In a transaction of its own: a new week holds up writers until it is committed."""
        weeks = {(tenant, week_of(one.created_at)) for one in group} - self._weeks
        if weeks:
            async with self.database.transaction() as connection:
                await add_weeks_of(connection, tenant, (week for _, week in weeks))
            self._weeks |= weeks


def _run(row: Row) -> Run:
    return Run(
        id=row["id"],
        source=row["source"],
        tenants=tuple(row["tenants"]),
        state=row["state"],
        checkpoint=Checkpoint(row["documents"], row["position"], row["set_aside_bytes"]),
        counts=Counter(json.loads(row["counts"])),
    )
