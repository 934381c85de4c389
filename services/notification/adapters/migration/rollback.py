"""The rollback of a run: what it stored goes, in steps, and nothing else."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from services.notification.adapters.migration.runs import MigrationRuns, Run
from services.notification.adapters.postgres.tenants import in_tenant

_STEP = 1000
"""Rows that one transaction deletes, at most."""
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"
# By the primary key, each row is looked at once: an index by run would cost every notification of a run an entry.
_FIND = """
    SELECT id::text AS id FROM TENANT.notifications WHERE migration_run = $1 AND id > $2 ORDER BY id LIMIT $3
"""
_DELETE = """
    DELETE FROM TENANT.notifications
    WHERE id = ANY($1::uuid[]) AND migration_run = $2 AND (version = 1 OR $3::boolean)
"""
_CHANGED = "SELECT count(*) FROM TENANT.notifications WHERE migration_run = $1 AND version <> 1"


@dataclass(frozen=True, slots=True)
class Undone:
    """What the rollback of a run has done so far: `deleted`; `kept`, because they were read or changed since; `gone`,
    because retention, somebody else or an earlier rollback removed them before (known at the end)."""

    deleted: int = 0
    kept: int = 0
    gone: int = 0


async def changed_since(runs: MigrationRuns, run: Run) -> int:
    """How many notifications of the run were read or changed since."""
    total = 0
    for tenant in run.tenants:
        async with runs.database.connection() as connection:
            total += await connection.fetchval(in_tenant(_CHANGED, tenant), run.id)
    return total


async def undo_run(runs: MigrationRuns, run: Run, told: Callable[[Undone], None], *, changed: bool) -> Undone:
    """Deletes what the run stored; may be called again after it was interrupted, or to delete what was kept. `changed`:
    also what was read or changed since. To be called within `alone`; `told` hears of each step."""
    await runs.settle(run, "ROLLING_BACK")
    done = Undone()
    for tenant in run.tenants:
        last = _BEFORE_ALL
        while last:
            async with runs.database.transaction() as connection:
                found = [row["id"] for row in await connection.fetch(in_tenant(_FIND, tenant), run.id, last, _STEP)]
                deleted = int(
                    (await connection.execute(in_tenant(_DELETE, tenant), found, run.id, changed)).split()[-1]
                )
                run.counts["deleted"] += deleted
                await connection.execute(
                    "UPDATE migration_runs SET counts = $2::json WHERE id = $1", run.id, json.dumps(run.counts)
                )
            last = found[-1] if len(found) == _STEP else ""
            done = Undone(done.deleted + deleted, done.kept + len(found) - deleted)
            if found:
                told(done)
    await runs.settle(run, "ROLLED_BACK")
    return Undone(done.deleted, done.kept, run.counts["stored"] - run.counts["deleted"] - done.kept)
