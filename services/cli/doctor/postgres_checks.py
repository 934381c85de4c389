"""What is looked at of PostgreSQL: as the role that prepares the database, and as each service."""

import time
from functools import partial

import asyncpg

from services.cli.doctor.check import Check, Outcome, failed, ok, warning
from services.cli.doctor.clock import clock_outcome
from services.cli.doctor.deployment import Deployment
from services.cli.doctor.served_certificates import postgres_certificate, servers_of
from services.cli.runtime.database import pending_migrations
from services.cli.runtime.database_roles import ServiceSchema
from services.cli.runtime.disk import MIB
from services.cli.runtime.postgres_address import PostgresAddress, read_dsn, with_login
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.postgres_server import MINIMUM_VERSION, check_server, in_words, session, version_text
from services.cli.runtime.settings import POSTGRES_DSN_VARIABLE, part_name
from services.cli.runtime.steps import service_schemas

REACHED = "postgres"
_MOST_SESSIONS = 0.8
_RIGHTS = """
SELECT r.rolsuper AS super, r.rolsuper OR r.rolcreaterole AS makes_roles,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       pg_get_userbyid(d.datdba) AS owner,
       pg_has_role(current_user, d.datdba, 'USAGE') AS owns
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()
"""
_FOREIGN = """
SELECT rolname FROM pg_roles WHERE rolname = ANY($1::text[]) AND NOT pg_has_role(current_user, oid, 'MEMBER')
ORDER BY rolname
"""
_ABSENT = """
SELECT EXISTS (SELECT FROM unnest($1::text[]) AS wanted WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted))
    OR EXISTS (SELECT FROM unnest($2::text[]) AS wanted WHERE to_regnamespace(wanted) IS NULL)
"""
_OF_A_SERVICE = """
SELECT to_regnamespace($1) IS NOT NULL AS has_schema,
       coalesce(has_schema_privilege(to_regnamespace($1)::oid, 'CREATE'), false) AS may_change,
       coalesce(current_schema() = $1, false) AS finds_it,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_work,
       has_database_privilege(current_database(), 'CREATE') AS may_create,
       (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')) AS tables
"""
_SESSIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int AS used,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
       pg_database_size(current_database()) AS bytes
"""
_MIGRATE = "'tocsin migrate' makes it"


def postgres_checks(deployment: Deployment) -> list[Check]:
    """All of them, of the server that the settings name or of the mesh's own."""
    mesh = deployment.mesh
    dsn, address = mesh.admin_dsn, read_dsn(mesh.admin_dsn, POSTGRES_DSN_VARIABLE)
    schemas = service_schemas(mesh)
    where = f"{address.server}, database {address.database}"
    checks = [
        Check(name=REACHED, looks_at=f"{where}: login, version", look=partial(_reached, dsn, address)),
        Check(
            name="postgres rights",
            looks_at=f"what {address.user}, which prepares the database, may do",
            look=partial(_rights, dsn, address, schemas),
            after=REACHED,
        ),
        *(
            Check(
                name=f"postgres role of {part_name(schema.service)}",
                looks_at=f"login of {schema.role}, its schema and rights",
                look=partial(_service_role, dsn, schema),
                after=REACHED,
            )
            for schema in schemas
        ),
        Check(
            name="migrations",
            looks_at="tables of each service against this version's migrations",
            look=partial(_migrations, dsn, address, schemas),
            after=REACHED,
        ),
        Check(
            name="postgres durability",
            looks_at="fsync, full_page_writes, synchronous_commit",
            look=partial(_durability, dsn),
            after=REACHED,
        ),
        Check(name="postgres sessions", looks_at="sessions in use", look=partial(_sessions, dsn), after=REACHED),
        Check(
            name="postgres clock", looks_at="its clock against this host's", look=partial(_clock, dsn), after=REACHED
        ),
    ]
    if not deployment.own_postgres:
        checks += [
            Check(
                name=f"certificate of {host}:{port}",
                looks_at="the certificate that PostgreSQL shows",
                look=partial(postgres_certificate, host, port),
                after=REACHED,
            )
            for host, port in servers_of(address.server, 5432)
        ]
    return checks


async def _reached(dsn: str, address: PostgresAddress) -> Outcome:
    try:
        await check_server(dsn, address)
        async with session(dsn) as connection:
            version = connection.get_server_version()
            standby = await connection.fetchval("SELECT pg_is_in_recovery()")
    except asyncpg.InvalidCatalogNameError:
        return failed(f"{address.server} has no database {address.database}", _MIGRATE)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        return failed(in_words(error, address), f"see {POSTGRES_DSN_VARIABLE}, and whether the server is up")
    if standby:
        return failed("it is a standby, which takes no writes", f"name the primary in {POSTGRES_DSN_VARIABLE}")
    return ok(f"PostgreSQL {version_text(version)} (needed: {MINIMUM_VERSION} or newer)")


async def _rights(dsn: str, address: PostgresAddress, schemas: tuple[ServiceSchema, ...]) -> Outcome:
    roles, services = [schema.role for schema in schemas], [schema.service for schema in schemas]
    async with session(dsn) as connection:
        rights = await connection.fetchrow(_RIGHTS)
        assert rights is not None
        foreign = [name for (name,) in await connection.fetch(_FOREIGN, roles)]
        absent = await connection.fetchval(_ABSENT, roles, services)
    if foreign and not rights["super"]:
        mend = "; ".join(f'GRANT "{name}" TO "{address.user}" WITH ADMIN OPTION' for name in foreign)
        return failed(f"may not act for {', '.join(foreign)}", f"as a superuser: {mend}")
    missing: dict[str, str] = {}
    if not rights["makes_roles"]:
        missing["may not make roles"] = f'ALTER ROLE "{address.user}" CREATEROLE'
    if not rights["may_create"]:
        missing["may not make schemas"] = f'GRANT CREATE ON DATABASE "{address.database}" TO "{address.user}"'
    if not rights["owns"]:
        missing[f"does not own the database ({rights['owner']} does), so it may give no right on it"] = (
            f'ALTER DATABASE "{address.database}" OWNER TO "{address.user}"'
        )
    if missing:
        said, mend = "; ".join(missing), f"as a superuser: {'; '.join(missing.values())}"
        # Whoever has made all roles and schemas for it may mean it so.
        return failed(said, mend) if absent else warning(f"{said}; all roles and schemas are there", mend)
    if rights["super"] and address.user != SUPERUSER:
        return warning(f"{address.user} is a superuser", "a role with CREATEROLE that owns the database is enough")
    return ok("makes roles and schemas, and owns the database")


async def _service_role(dsn: str, schema: ServiceSchema) -> Outcome:
    if not schema.password:
        return failed("secrets.json of the state directory does not hold its password", "put it back from a backup")
    try:
        async with session(with_login(dsn, schema.role, schema.password)) as connection:
            found = await connection.fetchrow(_OF_A_SERVICE, schema.service)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        return failed(
            str(error),
            "copy secrets.json of the host that prepared the database into the state directory; 'tocsin migrate' makes "
            "a role that is missing",
        )
    assert found is not None
    if not found["has_schema"]:
        return failed(f"there is no schema {schema.service}", _MIGRATE)
    wrong = [
        text
        for text, right in (
            (f"may not change schema {schema.service}", found["may_change"]),
            (f"its search_path is not {schema.service}", found["finds_it"]),
            ("may make no temporary tables", found["may_work"]),
            ("may not make schemas of tenants", found["may_create"] or not schema.makes_schemas),
        )
        if not right
    ]
    if wrong:
        return failed("; ".join(wrong), "'tocsin migrate' gives it what is missing")
    return ok(f"logs in, and has its schema with {found['tables']} tables")


async def _migrations(dsn: str, address: PostgresAddress, schemas: tuple[ServiceSchema, ...]) -> Outcome:
    found = await pending_migrations(dsn, address, schemas)
    waiting = {service: names for service, names in found.items() if names}
    if not waiting:
        return ok("up to date")
    told = "; ".join(f"{part_name(service)}: {', '.join(names)}" for service, names in waiting.items())
    return failed(
        f"to be applied: {told}", "'tocsin migrate' with the services of the earlier version stopped, or 'tocsin up'"
    )


async def _durability(dsn: str) -> Outcome:
    names = ("fsync", "full_page_writes", "synchronous_commit", "synchronous_standby_names")
    async with session(dsn) as connection:
        rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])", list(names))
    settings = {row["name"]: row["setting"] for row in rows}
    said = ", ".join(f"{name} {settings[name]}" for name in names[:3])
    if settings["fsync"] != "on":
        return failed(said, "set fsync = on: a power cut may cost the whole cluster")
    if settings["synchronous_commit"] == "off":
        return failed(said, "set synchronous_commit = on: what is acknowledged may be lost in a crash")
    if settings["full_page_writes"] != "on":
        return warning(said, "set full_page_writes = on, unless the file system never tears a page")
    standbys = settings["synchronous_standby_names"]
    return ok(f"{said}; " + (f"synchronous standbys: {standbys}" if standbys else "no synchronous standby"))


async def _sessions(dsn: str) -> Outcome:
    async with session(dsn) as connection:
        found = await connection.fetchrow(_SESSIONS)
    assert found is not None
    used, most = found["used"], found["most"]
    said = f"{used} of {most} sessions in use; the database has {found['bytes'] // MIB:,} MiB"
    if used > most * _MOST_SESSIONS:
        return warning(
            said,
            "raise max_connections; docs/operations.md has the sums",
        )
    return ok(said)


async def _clock(dsn: str) -> Outcome:
    async with session(dsn) as connection:
        await connection.fetchval("SELECT 1")  # what prepares a statement takes its time, too
        looks: list[tuple[float, float, float]] = []
        for _ in range(3):
            before = time.time()
            told = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            looks.append((time.time() - before, told, before))
    took, told, before = min(looks)
    return clock_outcome("PostgreSQL", told, before, before + took)
