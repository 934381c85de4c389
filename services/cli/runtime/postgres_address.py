"""A PostgreSQL server as an operator names it. No message holds a password or the text of a DSN."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from services.cli.runtime.errors import ConfigurationProblem

ENCODE = "percent-encode what is special in user and password (@ is %40, / is %2F, # is %23, : is %3A)"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """What may be shown of a DSN."""

    server: str
    """`host:port`."""
    user: str
    database: str


def read_dsn(dsn: str, variable: str) -> PostgresAddress:
    """The address in a DSN; raises ConfigurationProblem, which names the variable and what is wrong with it."""
    scheme, separator, rest = dsn.partition("://")
    if not separator or scheme not in ("postgresql", "postgres"):
        raise ConfigurationProblem(f"{variable} must be like postgresql://user:password@host:5432/database")
    parts = urlsplit(dsn)
    login, _, server = parts.netloc.rpartition("@")
    if "@" in login or (parts.fragment and "@" in rest) or ("@" not in parts.netloc and "@" in rest.partition("?")[0]):
        raise ConfigurationProblem(f"{variable} cannot be read: {ENCODE}")
    for one in server.split(","):
        if not re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[^:\[\]]*)(:\d{1,5})?", one):
            raise ConfigurationProblem(f"{variable} cannot be read: after @ it must have host:port; {ENCODE}")
    database = unquote(parts.path[1:])
    if not database or "/" in database:
        raise ConfigurationProblem(
            f"{variable} must name the database for Tocsin's schemas: .../database after the host"
        )
    hosts = server or "the local socket"
    return PostgresAddress(
        hosts if "," in hosts or not server or re.search(r":\d+$", server) else f"{server}:5432",
        unquote(login.partition(":")[0]),
        database,
    )


def with_login(dsn: str, role: str, password: str, database: str | None = None) -> str:
    """`dsn` with another role and password and, where given, another database."""
    parts = urlsplit(dsn)
    address = parts.netloc.rpartition("@")[2]
    path = parts.path if database is None else f"/{quote(database, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{address}", path=path))


def at_database(dsn: str, database: str) -> str:
    """`dsn` with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{quote(database, safe='')}"))
