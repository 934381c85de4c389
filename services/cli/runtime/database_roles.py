"""One role and one schema per service, in one database of a server that may have others.

What is there is looked at, and only what is missing is done: a start on a prepared database changes nothing. Roles
belong to the whole server, so their names begin with the database's (or with what the operator chose).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.postgres_address import PostgresAddress, with_login
from services.cli.runtime.postgres_server import Connection, session

RESET_VARIABLE = "TOCSIN_POSTGRES_RESET_PASSWORDS"
PREFIX_VARIABLE = "TOCSIN_POSTGRES_ROLE_PREFIX"
_LONGEST_NAME = 63
"""Bytes of a name, at which PostgreSQL cuts it."""
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('tocsin:prepare', 0))"
_FACTS = """
SELECT r.oid IS NOT NULL AS exists, coalesce(r.rolcanlogin, false) AS may_login,
       shobj_description(r.oid, 'pg_authid') AS mark, pg_get_userbyid(n.nspowner)::text AS owner,
       coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT') AND has_database_privilege(r.oid, d.oid, 'TEMPORARY'),
                false) AS may_work,
       coalesce(has_database_privilege(r.oid, d.oid, 'CREATE'), false) AS may_create,
       coalesce(pg_has_role(current_user, r.oid, $3), false) AS ours,
       EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setdatabase = d.oid AND s.setrole = r.oid
               AND 'search_path=' || $2 = ANY (s.setconfig)) AS has_path
FROM pg_database d LEFT JOIN pg_roles r ON r.rolname = $1 LEFT JOIN pg_namespace n ON n.nspname = $2
WHERE d.datname = current_database()
"""
_UNUSED = """
SELECT NOT EXISTS (SELECT FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND refobjid = r.oid)
FROM pg_roles r WHERE r.rolname = $1
"""


@dataclass(frozen=True, slots=True)
class ServiceSchema:
    """A service's place in the database. `password` has no quotes (they are made by us)."""

    service: str
    role: str
    """The role that the service logs in as."""
    password: str
    migrations: Path | None
    makes_schemas: bool = False
    """The service keeps each tenant in a schema of its own, which it makes as tenants come."""


def role_name(database: str, service: str, prefix: str = "") -> str:
    """The role of a service. No two databases of a server have one in common."""
    name = f"{prefix or database}_{service}"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{name.encode()[:30].decode(errors='ignore')}_{digest}_{service}"


def quoted(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class RolePreparation:
    """Prepares roles on one database. `reset`: passwords that this mesh does not know may be set anew."""

    dsn: str
    address: PostgresAddress
    reset: bool
    secrets_file: Path

    async def ensure(self, connection: Connection, schemas: tuple[ServiceSchema, ...]) -> None:
        """Makes what is missing, in one transaction; another runtime on this database waits. Raises RuntimeProblem when
        something of the needed names is somebody else's."""
        async with connection.transaction():
            await connection.execute(ONE_AT_A_TIME)
            for schema in schemas:
                await self._ensure_one(connection, schema)

    async def _ensure_one(self, connection: Connection, schema: ServiceSchema) -> None:
        newer = connection.get_server_version().major >= 16
        facts = await connection.fetchrow(_FACTS, schema.role, schema.service, "SET" if newer else "MEMBER")
        assert facts is not None
        role, name, database = quoted(schema.role), quoted(schema.service), quoted(self.address.database)
        earlier = f"tocsin_{schema.service}"
        owner: str | None = facts["owner"]
        mark = f"Tocsin: {schema.service} of database {self.address.database}"
        if owner not in (None, schema.role, earlier):
            raise RuntimeProblem(
                f"schema {schema.service} of database {self.address.database} on {self.address.server} belongs to "
                f"{owner}, not to Tocsin; give Tocsin a database of its own"
            )
        statements: list[str] = []
        if not facts["exists"]:
            statements.append(
                f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS "
                f"PASSWORD {_text(schema.password)}"
            )
            statements.append(f"COMMENT ON ROLE {role} IS {_text(mark)}")
        else:
            if facts["mark"] != mark and owner != schema.role and not self.reset:
                raise RuntimeProblem(
                    f"{self.address.server} has a role {schema.role} that Tocsin did not make; choose other names with "
                    f"{PREFIX_VARIABLE}"
                )
            if not await self._lets_in(schema):
                statements.append(f"ALTER ROLE {role} LOGIN PASSWORD {_text(schema.password)}")
        if not facts["ours"]:
            statements.append(f"GRANT {role} TO CURRENT_USER" + (" WITH SET TRUE" if newer else ""))
        if not facts["may_work"]:
            statements.append(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role}")
        if owner is None:
            statements.append(f"CREATE SCHEMA {name} AUTHORIZATION {role}")
        if not facts["has_path"]:
            statements.append(f"ALTER ROLE {role} IN DATABASE {database} SET search_path = {name}")
        if facts["may_create"] != schema.makes_schemas:
            verb, preposition = ("GRANT", "TO") if schema.makes_schemas else ("REVOKE", "FROM")
            statements.append(f"{verb} CREATE ON DATABASE {database} {preposition} {role}")
        for statement in statements:
            await connection.execute(statement)
        if owner == earlier != schema.role:
            await self._take_over(connection, earlier, role, database)

    async def _lets_in(self, schema: ServiceSchema) -> bool:
        """Whether the role's password is ours; False when it may be set anew, RuntimeProblem when it may not."""
        try:
            async with session(with_login(self.dsn, schema.role, schema.password)):
                return True
        except asyncpg.InsufficientPrivilegeError:
            return True  # the password is right; the right to connect is given next
        except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
            if self.reset:
                return False
            raise RuntimeProblem(
                f"{self.address.server} does not let role {schema.role} in with the password in {self.secrets_file}: "
                f"{error}. If another host runs the mesh of database {self.address.database}, copy its secrets.json "
                f"and auth/ into this state directory; if that mesh is gone, set {RESET_VARIABLE}=1 for one start"
            ) from error

    async def _take_over(self, connection: Connection, earlier: str, role: str, database: str) -> None:
        """Gives what a role with an earlier version's name owns in this database to `role`. The earlier one may have
        another mesh's schemas in another database: it goes when nothing is left to it."""
        await connection.execute(f"REASSIGN OWNED BY {quoted(earlier)} TO {role}")
        await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM {quoted(earlier)}")
        await connection.execute(f"ALTER ROLE {quoted(earlier)} IN DATABASE {database} RESET ALL")
        if await connection.fetchval(_UNUSED, earlier):
            await connection.execute(f"DROP ROLE {quoted(earlier)}")


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
