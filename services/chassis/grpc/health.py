"""`grpc.health.v1`: the whole server ("") and each service by name, from the dependencies' checks.

Everything is NOT_SERVING until all checks have answered once. After that a check has to fail three times running to
turn the server NOT_SERVING, and once well to turn it back. Watch streams end when the server stops (the stock servicer
keeps them open, which holds a stop up for the whole grace).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.errors import NotFound
from services.chassis.telemetry.logs import get_logger

Check = Callable[[], Awaitable[object]]
"""Returns when the dependency answers, raises when it does not."""

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_TOLERATED: Final = 2

log = get_logger(__name__)


class ServiceUnknown(NotFound):
    """This server has no service of that name."""

    reason = "SERVICE_UNKNOWN"


class Health(health_pb2_grpc.HealthServicer):
    """The servicer, and the state behind /readyz."""

    def __init__(self, *, every: timedelta = timedelta(seconds=2), within: timedelta = timedelta(seconds=2)) -> None:
        self._every, self._within = every.total_seconds(), within.total_seconds()
        self._checks: dict[str, Check] = {}
        self._failures: dict[str, tuple[int, str]] = {}
        self._names: set[str] = {""}
        self._serving = False
        self._stopped = False
        self._changed = asyncio.Condition()
        self._listeners: list[Callable[[bool], None]] = []

    @property
    def serving(self) -> bool:
        """Whether the server says SERVING."""
        return self._serving

    def add_check(self, name: str, check: Check) -> None:
        """Adds a dependency; before the server starts."""
        self._checks[name] = check
        self._failures[name] = (_TOLERATED + 1, "has not answered yet")

    def add_service(self, name: str) -> None:
        """Adds a gRPC service that clients may ask about."""
        self._names.add(name)

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Calls `listener(serving)` whenever the answer flips."""
        self._listeners.append(listener)

    def problems(self) -> dict[str, str]:
        """What keeps the server from serving: name and reason. Empty when it serves."""
        if self._stopped:
            return {"server": "is stopping"}
        failing = {name: why for name, (count, why) in self._failures.items() if count > _TOLERATED}
        return failing if failing or self._serving else {"server": "is starting"}

    async def watch_dependencies(self) -> None:
        """Runs the checks for ever; a side task of the process. Fast until everything has answered, then regular."""
        delay = 0.05
        while True:
            await asyncio.gather(*(self._look(name, check) for name, check in self._checks.items()))
            await self._set(not any(count > _TOLERATED for count, _ in self._failures.values()))
            delay = self._every if self._serving else min(delay * 2, self._every)
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        """NOT_SERVING for good; open Watch streams end."""
        self._stopped = True
        await self._set(False)

    async def _look(self, name: str, check: Check) -> None:
        try:
            async with asyncio.timeout(self._within):
                await check()
        except Exception as error:
            count = self._failures[name][0] + 1
            why = "does not answer in time" if isinstance(error, TimeoutError) else f"fails ({type(error).__name__})"
            self._failures[name] = (count, why)
            if count == _TOLERATED + 1:
                log.warning("dependency down", dependency=name, problem=str(error) or why)
        else:
            self._failures[name] = (0, "")

    async def _set(self, serving: bool) -> None:
        serving = serving and not self._stopped
        async with self._changed:
            flipped, self._serving = serving != self._serving, serving
            if flipped or self._stopped:
                self._changed.notify_all()
        if flipped:
            log.info("health", serving=serving, problems=self.problems())
            for listener in self._listeners:
                listener(serving)

    def _status(self, name: str) -> Any:
        if name not in self._names:
            return SERVICE_UNKNOWN
        return SERVING if self._serving else NOT_SERVING

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status of one service now. NOT_FOUND for an unknown name."""
        if request.service not in self._names:
            raise ServiceUnknown
        return health_pb2.HealthCheckResponse(status=self._status(request.service))

    async def List(self, request: health_pb2.HealthListRequest, context: Any) -> health_pb2.HealthListResponse:
        """The status of every service now."""
        statuses = {name: health_pb2.HealthCheckResponse(status=self._status(name)) for name in self._names}
        return health_pb2.HealthListResponse(statuses=statuses)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The status of one service now and whenever it changes, until the server stops."""
        while True:
            told = self._status(request.service)
            yield health_pb2.HealthCheckResponse(status=told)
            async with self._changed:
                while not self._stopped and self._status(request.service) == told:
                    await self._changed.wait()
            if self._stopped:
                if told == SERVING:
                    yield health_pb2.HealthCheckResponse(status=self._status(request.service))
                return
