"""Servers of the operator's as `tocsin status` shows them: asked on the spot, as the supervisor does not run them."""

import asyncio
import time
from dataclasses import dataclass

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.instance import Instance

_WITHIN = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReport:
    """One server; `reason` says why it is not healthy. No part of it holds a login."""

    name: str
    address: str
    version: str = ""
    healthy: bool = False
    reason: str = ""
    round_trip_seconds: float | None = None


async def look_at_servers(instance: Instance, nats_login: tuple[str, str] | None) -> list[ServerReport]:
    """Those that a mesh uses in place of own ones, each asked once. `nats_login` is None where NATS is its own."""
    looks = [_postgres(instance.postgres_dsn)] if instance.external_postgres else []
    if nats_login is not None:
        looks.append(_nats(instance.nats_url, *nats_login))
    return await asyncio.gather(*looks)


async def _postgres(dsn: str) -> ServerReport:
    import asyncpg

    from services.cli.runtime.postgres_address import read_dsn
    from services.cli.runtime.postgres_server import in_words, session, version_text

    address = read_dsn(dsn, "TOCSIN_POSTGRES_DSN")
    begun = time.monotonic()
    try:
        async with asyncio.timeout(_WITHIN), session(dsn) as connection:
            begun = time.monotonic()
            standby = await connection.fetchval("SELECT pg_is_in_recovery()")
            took = time.monotonic() - begun
            version = connection.get_server_version()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        return ServerReport(name="postgres", address=address.server, reason=in_words(error, address))
    return ServerReport(
        name="postgres",
        address=address.server,
        version=version_text(version),
        healthy=not standby,
        reason="it is a standby, which takes no writes" if standby else "",
        round_trip_seconds=took,
    )


async def _nats(url: str, user: str, password: str) -> ServerReport:
    from services.cli.runtime.own_nats import look_at_server

    try:
        server = await look_at_server(url, user, password)
    except RuntimeProblem as problem:
        return ServerReport(name="nats", address=url, reason=problem.message)
    return ServerReport(
        name="nats",
        address=url,
        version=server.version,
        healthy=True,
        round_trip_seconds=server.round_trip_seconds,
    )
