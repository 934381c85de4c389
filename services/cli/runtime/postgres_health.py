"""Whether the embedded PostgreSQL works: a new session is taken, and a write is committed."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from services.cli.runtime.part import Unhealthy
from services.cli.runtime.postgres_address import with_login
from services.cli.runtime.probes import check_room, postgres_hello, shows_silence

if TYPE_CHECKING:
    import asyncpg

_SHARE_OF_WRITE = 5 / 6
# LOCK_FILE_LINE_PM_STATUS of PostgreSQL's miscadmin.h, counted from 0.
_STATUS_LINE = 7
_PREPARE = """
CREATE SCHEMA IF NOT EXISTS tocsin_runtime;
CREATE TABLE IF NOT EXISTS tocsin_runtime.heartbeat (id smallint PRIMARY KEY CHECK (id = 1), at timestamptz NOT NULL);
"""
_WRITE = """
INSERT INTO tocsin_runtime.heartbeat (id, at) VALUES (1, now()) ON CONFLICT (id) DO UPDATE SET at = excluded.at
"""


class PostgresHealth:
    """The probe of the part. It keeps one session for its writes, which shows what open pools meet, and begins another
    each time without logging in, which shows what new ones meet."""

    def __init__(self, host: str, port: int, *, user: str, password: str, data: Path) -> None:
        self._hello = postgres_hello(host, port)
        # The database that every cluster has: that of the mesh may still have to be made.
        self._dsn = with_login(f"postgresql://{host}:{port}/postgres?sslmode=disable", user, password)
        self._data = data
        self._session: asyncpg.Connection[asyncpg.Record] | None = None
        self._up_before = False

    async def __call__(self, within: timedelta) -> None:
        """Returns when a write is committed; raises Unhealthy. The very first time it is content with a session, so
        that the mesh need not wait for the driver to load."""
        self._check_ready()
        await self._hello(within)
        if self._up_before:
            check_room(self._data)
            await self._write(within.total_seconds() * _SHARE_OF_WRITE)
        self._up_before = True

    async def _write(self, within: float) -> None:
        import asyncpg

        try:
            async with asyncio.timeout(within):
                session = self._session
                if session is None or session.is_closed():
                    self._session = session = await asyncpg.connect(self._dsn, server_settings=_SETTINGS)
                    await session.execute(_PREPARE)
                await session.execute(_WRITE)
        except asyncpg.DiskFullError as error:
            self._give_up()
            advice = f"free some of the disk of {self._data}; it goes on by itself then"
            raise Unhealthy(f"a write fails: {error}", own=False, advice=advice) from error
        except (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
            self._give_up()
            raise Unhealthy(f"takes no session: {error}", own=False) from error
        except TimeoutError:
            self._give_up()
            raise Unhealthy(f"a write is not committed within {within:g} s") from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            self._give_up()
            own = not isinstance(error, OSError) or shows_silence(error)
            raise Unhealthy(f"a write fails: {error}", own=own) from error
        except BaseException:
            self._give_up()
            raise

    def _check_ready(self) -> None:
        """A server that starts or stops logs each session that it turns down, as FATAL; it also says in its lock file
        how far it is, and that costs nobody a line."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return  # it does not listen yet either
        if len(lines) <= _STATUS_LINE or lines[_STATUS_LINE].strip() != "ready":
            raise Unhealthy("not accepting sessions yet", own=False)

    async def close(self) -> None:
        """Ends the session."""
        self._give_up()

    def _give_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.terminate()


_SETTINGS = {"application_name": "tocsin-runtime", "client_min_messages": "warning"}
