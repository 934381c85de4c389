"""`tocsin notifications migrate`: brings notifications of a former system in, and undoes a run."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.errors import CommandError
from services.cli.migration_progress import MigrationLog, MigrationProgress
from services.cli.options import StateDirOption
from services.cli.output import JsonOption, console, fields, print_json, table

if TYPE_CHECKING:
    from services.notification.adapters.migration.migration import Options
    from services.notification.adapters.migration.runs import MigrationRuns, Run

_EXAMPLES = 20
"""What a dry run shows of the documents that it would set aside."""
_STATEMENT_TIMEOUT = timedelta(minutes=10)
"""Undoing looks at every notification once."""


def migrate(
    file: Annotated[
        Path | None, typer.Option("--from", exists=True, dir_okay=False, help="Extended JSON or BSON; gzip or plain.")
    ] = None,
    tenant: Annotated[list[str] | None, typer.Option(help="Whose notifications are taken; several, or all.")] = None,
    service: Annotated[list[str] | None, typer.Option(help="What a serviceName means: OLD=TENANT.")] = None,
    type_: Annotated[list[str] | None, typer.Option("--type", help="What an old type means: OLD=INFO.")] = None,
    pending: Annotated[
        str, typer.Option(help="What was still to be sent becomes FAILED (fail), or is left out (skip).")
    ] = "fail",
    retention: Annotated[
        str, typer.Option(help="Skip what is older than this: 365d. By default, what the service would delete.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, store nothing.")] = False,
    rollback: Annotated[str, typer.Option(metavar="RUN", help="Delete what this run stored.")] = "",
    changed: Annotated[
        str, typer.Option(help="With --rollback: what was read or changed since is kept (keep) or deleted (delete).")
    ] = "",
    runs: Annotated[bool, typer.Option("--runs", help="List the runs.")] = False,
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Bring in notifications of a former system from a MongoDB export; nobody is told anything.

    The same command again resumes after an interruption. Documents that cannot be used are set aside below the state
    directory, with the reason; exit code 1 when there are any.
    """
    if sum((file is not None, bool(rollback), runs)) != 1:
        raise CommandError("name a file with --from, or a run with --rollback, or ask for --runs", exit_code=2)
    _one_of("--pending", pending, ("fail", "skip"))
    _one_of("--changed", changed, ("", "keep", "delete"))
    try:
        if runs:
            asyncio.run(_list(state_dir, json=json))
        elif file is None:
            asyncio.run(_undo(state_dir, rollback, changed, json=json))
        else:
            given = _Given(file, tenant or [], service or [], type_ or [], pending == "fail", retention)
            asyncio.run(_migrate(state_dir, given, dry_run=dry_run, json=json))
    except OSError as error:
        raise CommandError(f"{error.filename or file or 'a file'}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class _Given:
    """What the command was told about a file."""

    file: Path
    tenants: list[str]
    services: list[str]
    types: list[str]
    pending: bool
    retention: str

    def options(self, keep: dict[str, timedelta]) -> "Options":
        """`keep`: the tenants that there are, and their retentions. Raises CommandError."""
        from services.cli.options import span
        from services.notification.adapters.migration.migration import Options
        from services.notification.domain.notification import Type

        names = _pairs("--service", self.services)
        types = {old: new.upper() for old, new in _pairs("--type", self.types).items()}
        for new in types.values():
            _one_of("--type", new, tuple(Type))
        for name in (*self.tenants, *names.values()):
            if name not in keep:
                raise CommandError(f"no tenant is called {name!r}; there are {', '.join(keep)}", exit_code=2)
        wanted = {name: keep[name] for name in self.tenants or keep}
        if seconds := span(self.retention, "--retention").removesuffix("s"):
            wanted = dict.fromkeys(wanted, timedelta(seconds=float(seconds)))
        return Options(
            file=self.file,
            keep=wanted,
            others=bool(self.tenants),
            tenant_names=names,
            types={old: Type(new) for old, new in types.items()},
            pending=self.pending,
        )


async def _migrate(state_dir: Path | None, given: _Given, *, dry_run: bool, json: bool) -> None:
    from services.chassis.errors import DomainError
    from services.notification.adapters.migration.documents import Damaged
    from services.notification.adapters.migration.migration import migrate_file, set_aside_path, try_file
    from services.notification.adapters.migration.set_aside import Examples

    async with _open(state_dir) as (runs, directory):
        options = given.options(dict(await runs.retentions()))
        examples = Examples(_EXAMPLES)
        with MigrationProgress(given.file, None if dry_run else directory, quiet=json) as progress:
            try:
                if dry_run:
                    run = try_file(options, progress, examples)
                else:
                    run = await migrate_file(runs, options, directory, progress)
            except Damaged as error:
                stored = error.read and not dry_run
                raise CommandError(f"{error}; what comes before is migrated" if stored else str(error)) from error
            except DomainError as error:
                raise CommandError(f"{error}; the same command goes on where it stopped") from error
            progress.ended(run)
    _show(run, dry_run=dry_run, json=json)
    if examples.found and not json:
        title = (
            "Would be set aside" if len(examples.found) < _EXAMPLES else f"Would be set aside, the first {_EXAMPLES}"
        )
        console().print(table(title, ("document>", "why"), examples.found))
    if bad := run.counts["set_aside"]:
        where = "" if dry_run else f", with the reasons, in {set_aside_path(directory, run.id)}"
        documents = "1 document" if bad == 1 else f"{bad:,} documents"
        done = "would be" if dry_run else "was" if bad == 1 else "were"
        raise CommandError(f"{documents} {done} set aside{where}")


async def _undo(state_dir: Path | None, id_: str, changed: str, *, json: bool) -> None:
    from services.notification.adapters.migration.rollback import Undone, changed_since, undo_run
    from services.notification.adapters.postgres.rows import is_own_id

    async with _open(state_dir) as (runs, directory), runs.alone():
        run = await runs.get(id_) if is_own_id(id_) else None
        if run is None:
            raise CommandError(f"there is no run {id_}; 'tocsin notifications migrate --runs' lists them")
        if not changed and (count := await changed_since(runs, run)):
            raise CommandError(
                f"{count:,} notifications of this run were read or changed since; --changed keep leaves them, "
                "--changed delete deletes them, too; nothing was undone"
            )
        with MigrationLog(directory, run.id) as log:

            def told(so_far: Undone) -> None:
                log.write("rollback.batch", {"deleted": so_far.deleted, "kept": so_far.kept})

            log.write("rollback.begun", {"changed": changed})
            done = await undo_run(runs, run, told, changed=changed == "delete")
            log.write("rollback.done", {"deleted": done.deleted, "kept": done.kept, "gone": done.gone})
    if json:
        print_json({"run": id_, "deleted": done.deleted, "kept": done.kept, "gone": done.gone})
        return
    rows = {"deleted": f"{done.deleted:,}", "kept, changed since": f"{done.kept:,}", "gone before": f"{done.gone:,}"}
    console().print(fields(f"run {id_} is undone", rows))


async def _list(state_dir: Path | None, *, json: bool) -> None:
    async with _open(state_dir) as (runs, _):
        found = await runs.all()
    if json:
        print_json([_as_json(one) | {"from": one.source} for one in found])
        return
    rows = [
        (one.id, one.state, f"{one.checkpoint.documents:,}", f"{one.counts['stored']:,}", one.source) for one in found
    ]
    console().print(table("Runs", ("run", "state", "documents>", "stored>", "from"), rows))


def _as_json(run: "Run") -> dict[str, object]:
    return {"run": run.id, "state": run.state, "documents": run.checkpoint.documents, **run.counts}


def _show(run: "Run", *, dry_run: bool, json: bool) -> None:
    if json:
        print_json(_as_json(run))
        return
    words = {
        "would be stored" if dry_run else "stored": "stored",
        "  of them as FAILED, still to be sent then": "pending",
        "known already": "known",
        "older than the retention, skipped": "too_old",
        "still to be sent then, skipped": "skipped_pending",
        "of other tenants, skipped": "other_tenants",
        "set aside": "set_aside",
    }
    counted = {word: f"{run.counts[name]:,}" for word, name in words.items() if run.counts[name] or name == "stored"}
    console().print(
        fields(run.id if dry_run else f"run {run.id}", {"documents": f"{run.checkpoint.documents:,}", **counted})
    )


@asynccontextmanager
async def _open(state_dir: Path | None) -> "AsyncGenerator[tuple[MigrationRuns, Path]]":
    """The runs of the mesh, with no more rights than the notification service has, and where their files are kept."""
    import asyncpg

    from services.chassis.errors import DomainError
    from services.chassis.postgres import PoolOptions, open_database
    from services.cli.client import open_mesh
    from services.cli.runtime.postgres_address import with_login
    from services.cli.runtime.postgres_server import session
    from services.notification.adapters.migration.runs import MigrationRuns

    mesh = open_mesh(state_dir)
    directory = mesh.state.root / "migrations"
    directory.mkdir(mode=0o700, exist_ok=True)
    try:
        async with session(mesh.instance.postgres_dsn) as connection:
            role = await connection.fetchval(
                "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'notification'"
            )
        if role is None:
            raise CommandError("this mesh has no notification service")
        dsn = with_login(mesh.instance.postgres_dsn, role, mesh.state.secret("postgres.notification"))
        options = PoolOptions(max_size=2, statement_timeout=_STATEMENT_TIMEOUT, generic_plans=True)
        async with open_database(
            dsn, schema="notification", application_name="tocsin notifications migrate", options=options
        ) as database:
            yield MigrationRuns(database, dsn), directory
    except (asyncpg.PostgresError, asyncpg.InterfaceError, DomainError) as error:
        raise CommandError(f"the database: {error}") from error


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise CommandError(f"{option} is OLD=NEW, not {text!r}", exit_code=2)
        pairs[old] = new
    return pairs


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise CommandError(f"{option} is one of {', '.join(filter(None, allowed))}, not {value!r}", exit_code=2)
