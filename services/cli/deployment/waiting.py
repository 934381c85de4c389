"""Waits until a service can be started: until both servers let it in and have what its version expects of them."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import asyncpg
import nats.errors

from services.chassis.errors import DomainError, FailedPrecondition
from services.chassis.nats.connection import open_nats
from services.chassis.nats.topology import TopologyOptions, stream_specs
from services.chassis.postgres.migrations import NewerDatabase, pending
from services.chassis.settings import ChassisSettings
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.postgres_address import read_dsn
from services.cli.runtime.postgres_server import in_words, session
from services.cli.runtime.settings import POSTGRES_DSN_VARIABLE
from services.cli.runtime.steps import migrations_of

_LOOK = timedelta(seconds=5)
_PAUSE = 1.0


class _NotYet(Exception):
    """What is waited for, in words."""


async def wait_until_prepared(
    service: str, settings: ChassisSettings, within: timedelta, tell: Callable[[str], None]
) -> None:
    """Returns once the service's own logins work, no migration of its version is to come, and the streams are there.
    `tell` hears what is waited for, whenever that changes. Raises RuntimeProblem after `within`.

    A database that is newer is well: after a rollback the older version works on what the newer one has added.
    """
    deadline = time.monotonic() + within.total_seconds()
    told = ""
    while True:
        try:
            await _look_at_database(service, settings)
            await _look_at_streams(service, settings)
        except _NotYet as reason:
            if time.monotonic() >= deadline:
                raise RuntimeProblem(f"{service} cannot be started: {reason}") from None
            if str(reason) != told:
                told = str(reason)
                tell(told)
            await asyncio.sleep(_PAUSE)
        else:
            return


async def _look_at_database(service: str, settings: ChassisSettings) -> None:
    dsn = settings.postgres_dsn.get_secret_value()
    address = read_dsn(dsn, POSTGRES_DSN_VARIABLE)
    try:
        async with asyncio.timeout(_LOOK.total_seconds()), session(dsn) as connection:
            missing = await pending(connection, service, migrations_of(service))
    except NewerDatabase:
        return
    except FailedPrecondition as error:  # a migration that was changed after it was applied: waiting mends nothing
        raise RuntimeProblem(error.message) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise _NotYet(in_words(error, address)) from error
    if missing:
        raise _NotYet(f"{len(missing)} migrations are to come, {missing[0]} first ('tocsin migrate')")


async def _look_at_streams(service: str, settings: ChassisSettings) -> None:
    try:
        async with open_nats(
            settings.nats_url,
            name=f"tocsin-wait-{service}",
            user=settings.nats_user or None,
            password=settings.nats_password.get_secret_value() or None,
            prefix=settings.nats_prefix,
            wait_until_up=_LOOK,
        ) as connection:
            wanted = [connection.names.stream(spec.name) for spec in stream_specs(TopologyOptions())]
            there = {info.config.name for info in await connection.js.streams_info()}
    except (nats.errors.Error, DomainError, OSError, TimeoutError) as error:
        raise _NotYet(f"NATS: {error}") from error
    if missing := [name for name in wanted if name not in there]:
        raise _NotYet(f"{len(missing)} streams are to be made, {missing[0]} first ('tocsin migrate')")
