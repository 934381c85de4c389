"""What time it is: the database's, which is the same for all replicas."""

from datetime import datetime
from typing import Protocol

from services.chassis.postgres import Connection


class Clock(Protocol):
    """The time that schedules and rate limits go by."""

    async def now(self, connection: Connection) -> datetime:
        """The time, aware (UTC)."""
        ...

    def at(self, server_time: datetime) -> datetime:
        """The time, of which a statement has just told by the way that the server's clock shows `server_time`."""
        ...


class DatabaseClock:
    """The clock of the database server; it moves within a transaction."""

    async def now(self, connection: Connection) -> datetime:
        """The server's time."""
        return await connection.fetchval("SELECT clock_timestamp()")

    def at(self, server_time: datetime) -> datetime:
        """The same."""
        return server_time
