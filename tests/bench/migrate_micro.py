"""Notifications of a former system: an export to committed rows, beside COPY of the same rows into an equal table.

`python -m tests.bench.migrate_micro [documents] [repeats]` starts its own PostgreSQL (every commit reaches the disk, as
in production) and writes an export of eighty days, both shapes mixed, with nested data. In turn: a process brings it in
as `tocsin notifications migrate` does, then one connection copies what it stored, in binary, into the tables of another
tenant (the same weeks, indexes and counts). Prints medians, the ratio, CPU, and the process' peak of resident memory.
`--profile=FILE` writes a profile of the process.
"""

import io
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import uvloop

from services.chassis.postgres import PoolOptions, migrate, open_database
from services.notification.adapters.migration.migration import Options, migrate_file
from services.notification.adapters.migration.runs import MigrationRuns, Run
from services.notification.adapters.postgres.tenants import TENANT_MIGRATIONS, schema_of
from services.notification.adapters.postgres.weeks import add_weeks_of
from tests.support.postgres import PostgresServer

MIGRATIONS = Path(__file__).parents[2] / "services" / "notification" / "migrations"
TENANT, REFERENCE = "test", "reference"
KEEP = timedelta(days=90)
_TIMES = "SELECT DISTINCT date_trunc('week', created_at, 'UTC') AS at FROM notifications"


class Silent:
    """Hears nothing."""

    def begun(self, run: Run) -> None:
        """See Watcher."""

    def batch(self, run: Run, read: int, outcome: Mapping[str, int]) -> None:
        """See Watcher."""


def make_export(path: Path, count: int) -> None:
    """About 330 bytes a document."""
    now = datetime.now(UTC)
    with path.open("w") as file:
        for n in range(count):
            at = now - timedelta(days=80 * (1 - n / count), seconds=1)
            times = [one.isoformat(timespec="milliseconds") for one in (at, at + timedelta(seconds=1 + n % 7))]
            key, body = {"$oid": f"{n:024x}"}, f"Reading {n} of your device is out of its range. " * 2
            if n % 4 == 0:
                seconds = int(at.timestamp())
                document = {"_id": key, "user_id": n % 5000, "kind": "info", "message": body, "created_at": seconds}
                document |= {"service": TENANT, "status": "delivered", "sent_at": seconds + 2}
            else:
                data = {"device": {"id": n % 977, "tags": ["a", "b"]}, "value": n / 7}
                document = {"_id": key, "userId": f"auth0|{n % 5000}", "type": "ALERT", "title": f"Notice {n}"}
                document |= {"body": body, "data": data, "status": "FAILED" if n % 97 == 0 else "SENT"}
                document |= {"createdAt": {"$date": times[0]}, "sentAt": {"$date": times[1]}, "serviceName": TENANT}
            file.write(json.dumps(document) + "\n")


async def bring_in(dsn: str, file: Path) -> None:
    """What the measured process does."""
    options = PoolOptions(max_size=2, generic_plans=True)
    async with open_database(dsn, schema="notification", application_name="bench", options=options) as database:
        given = Options(file=file, keep={TENANT: KEEP})
        await migrate_file(MigrationRuns(database, dsn), given, file.parent, Silent())
    # Of this program alone: what a parent measures begins with its own memory.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"cpu": time.process_time(), "memory": int(peak[1]) // 1024}))


def run_process(dsn: str, file: Path) -> tuple[float, float, int]:
    """Seconds, seconds of its CPU, and the most memory in MiB of a process that brings the file in and then says it."""
    profile = [argument.removeprefix("--profile=") for argument in sys.argv if argument.startswith("--profile=")]
    command = [sys.executable, *(["-m", "cProfile", "-o", profile[0]] if profile else [])]
    began = time.perf_counter()
    command += ["-m", "tests.bench.migrate_micro", f"--file={file}", f"--dsn={dsn}"]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return time.perf_counter() - began, said["cpu"], said["memory"]


async def copy_again(connection: "asyncpg.Connection[asyncpg.Record]") -> tuple[float, int]:
    """Seconds of COPY into the other tenant's tables, and the rows."""
    content = io.BytesIO()
    rows = f"SELECT * FROM {schema_of(TENANT)}.notifications"
    await connection.copy_from_query(rows, output=content, format="binary")

    async def source() -> AsyncIterator[bytes]:
        view = content.getbuffer()
        for first in range(0, len(view), 1 << 20):
            yield bytes(view[first : first + (1 << 20)])

    await connection.execute("CHECKPOINT")
    began = time.perf_counter()
    done = await connection.copy_to_table(
        "notifications", source=source(), format="binary", schema_name=schema_of(REFERENCE)
    )
    return time.perf_counter() - began, int(done.split()[-1])


async def measure(postgres: PostgresServer, file: Path, count: int, repeats: int) -> None:
    """All figures."""
    rates: list[float] = []
    copied: list[float] = []
    async with postgres.database({"notification": MIGRATIONS}) as dsn:
        for tenant in (TENANT, REFERENCE):
            await migrate(dsn, schema_of(tenant), TENANT_MIGRATIONS, chassis=False)
        connection = await asyncpg.connect(dsn)
        for _ in range(repeats):
            await connection.execute("CHECKPOINT")
            took, cpu, memory = run_process(dsn, file)
            weeks = await connection.fetch(_TIMES.replace("FROM ", f"FROM {schema_of(TENANT)}."))
            async with connection.transaction():
                await add_weeks_of(connection, REFERENCE, [row["at"] for row in weeks])
            raw, rows = await copy_again(connection)
            assert rows == count
            rates.append(count / took)
            copied.append(count / raw)
            print(
                f"{count:,} documents: {rates[-1]:8,.0f}/s, {cpu / count * 1e6:5.0f} µs of CPU each, most memory "
                f"{memory} MiB; COPY {copied[-1]:8,.0f}/s; ratio {rates[-1] / copied[-1]:.2f}",
                flush=True,
            )
            for schema in map(schema_of, (TENANT, REFERENCE)):
                await connection.execute(f"TRUNCATE {schema}.notifications, {schema}.notification_counts")
        await connection.close()
    ratio = statistics.median(mine / other for mine, other in zip(rates, copied, strict=True))
    print(f"medians: {statistics.median(rates):,.0f}/s beside {statistics.median(copied):,.0f}/s, ratio {ratio:.2f}")


async def main() -> None:
    """Reads the arguments."""
    named = dict(argument[2:].split("=", 1) for argument in sys.argv[1:] if argument.startswith("--"))
    if "file" in named:
        await bring_in(named["dsn"], Path(named["file"]))
        return
    numbers = [int(argument) for argument in sys.argv[1:] if not argument.startswith("--")]
    count, repeats = [*numbers, *(1_000_000, 1)[len(numbers) :]]
    with tempfile.TemporaryDirectory(prefix="migrate-micro-") as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "pg").mkdir()
        file = root / "export.jsonl"
        make_export(file, count)
        postgres = PostgresServer(root / "pg", {})
        postgres.start()
        try:
            await measure(postgres, file, count, repeats)
        finally:
            postgres.stop()


if __name__ == "__main__":
    uvloop.run(main())
