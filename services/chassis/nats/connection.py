"""The one NATS connection of a process: reconnects for ever, tells of every trouble, drains when closed."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import nats.errors
import structlog
from nats.js import JetStreamContext

from services.chassis.errors import Unavailable
from services.chassis.mesh_names import MeshNames
from services.chassis.nats import metrics
from services.chassis.nats.client import Client
from services.chassis.tasks import cancel

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

# What is published while the connection is down waits in this many bytes; publishers time out by themselves.
_PENDING_BYTES = 32 * 1024 * 1024
_DRAIN_SECONDS = 10


class NatsConnection:
    """`nc` and `js` of nats-py, and what consumers and supervisors need to know about the connection.

    `nc` and `js` take and give the server's names of subjects and streams, which `names` knows.
    """

    def __init__(self, name: str, names: MeshNames) -> None:
        self.name = name
        self.names = names
        self.nc = Client()
        self.js: JetStreamContext = self.nc.jetstream(timeout=5)
        self.reconnects = 0
        """Grows with each reconnect: pull requests made under a smaller number are lost."""
        self._closing = False
        self._lost = asyncio.Event()

    @property
    def healthy(self) -> bool:
        """Whether the connection stands at this moment."""
        return self.nc.is_connected

    async def open(self, url: str, *, user: str | None, password: str | None, wait_until_up: timedelta) -> None:
        """Connects; raises `Unavailable` when no server lets us in within `wait_until_up`."""
        try:
            async with asyncio.timeout(wait_until_up.total_seconds()):
                await self.nc.connect(
                    url.split(","),
                    name=self.name,
                    user=user,
                    password=password,
                    connect_timeout=2,
                    reconnect_time_wait=0.1,  # pyright: ignore[reportArgumentType] - annotated int, used by sleep()
                    max_reconnect_attempts=-1,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    pending_size=_PENDING_BYTES,
                    drain_timeout=_DRAIN_SECONDS,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnect,
                    reconnected_cb=self._on_reconnect,
                    closed_cb=self._on_close,
                )
        except TimeoutError as error:
            cause = self.nc.last_error
            self._closing = True
            await self._abandon()
            raise Unavailable(f"the message broker cannot be reached: {cause}") from error
        metrics.CONNECTED.set(1)

    async def wait_lost(self) -> None:
        """Returns only when the client has given up by itself (the server refused it): the process must stop."""
        await self._lost.wait()

    async def close(self) -> None:
        """Sends what is pending, then closes. Bounded in time; safe to call while disconnected."""
        self._closing = True
        try:
            async with asyncio.timeout(_DRAIN_SECONDS + 2):
                with _unless_cancelled():
                    await self.nc.drain()
        except (nats.errors.Error, OSError, RuntimeError) as error:
            log.warning("nats.drain_failed", error=repr(error))
        finally:
            if not self.nc.is_closed:
                await self._abandon()
        metrics.CONNECTED.set(0)

    async def _abandon(self) -> None:
        # While disconnected, close() tries to write what is pending to the dead socket, fails on it and leaves the
        # tasks of all subscriptions running. Nobody would receive it; senders have got no acknowledgement.
        self.nc._pending = []  # pyright: ignore[reportPrivateUsage]
        self.nc._pending_data_size = 0  # pyright: ignore[reportPrivateUsage]
        with _unless_cancelled():
            await self.nc.close()
        await self._end_reconnecting()

    async def _end_reconnecting(self) -> None:
        # close() cancels the attempt to reconnect once. One that is just being refused takes that for the refusal, and
        # would try again for ever.
        task = self.nc._reconnection_task  # pyright: ignore[reportPrivateUsage]
        if task is not asyncio.current_task():
            await cancel(task, again_every=timedelta(milliseconds=50))

    async def _on_error(self, error: Exception) -> None:
        metrics.ERRORS.labels(kind=type(error).__name__).inc()
        # While it is down every attempt fails the same way; the disconnect has been told already.
        level = "warning" if self.nc.is_connected else "debug"
        getattr(log, level)("nats.error", connection=self.name, error=repr(error))

    async def _on_disconnect(self) -> None:
        metrics.CONNECTED.set(0)
        if not self._closing:
            log.warning("nats.disconnected", connection=self.name)

    async def _on_reconnect(self) -> None:
        self.reconnects += 1
        metrics.CONNECTED.set(1)
        metrics.RECONNECTS.inc()
        log.info("nats.reconnected", connection=self.name, reconnects=self.reconnects)

    async def _on_close(self) -> None:
        if not self._closing:
            log.error("nats.closed", connection=self.name, error=repr(self.nc.last_error))
            self._lost.set()


@contextmanager
def _unless_cancelled() -> Generator[None]:
    """Lets a cancellation pass only if it is meant for the task at hand.

    Several tasks of the client wait for the end of one socket by the same future: cancelling one of them cancels it for
    close(), too, which has done all by then.
    """
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise


@asynccontextmanager
async def open_nats(
    url: str,
    *,
    name: str,
    user: str | None = None,
    password: str | None = None,
    prefix: str = "",
    wait_until_up: timedelta = timedelta(seconds=30),
) -> AsyncGenerator[NatsConnection]:
    """Connects to one or several (comma-separated) servers and drains at the end of the block.

    `prefix` is the mesh's, see `MeshNames`.
    """
    connection = NatsConnection(name, MeshNames(prefix))
    await connection.open(url, user=user, password=password, wait_until_up=wait_until_up)
    try:
        yield connection
    finally:
        await connection.close()
