"""`grpc.health.v1`: the whole server ("") and each service by name, from the dependencies' checks; and `liveness`.

Everything is NOT_SERVING until all checks have answered once. After that a check has to fail for some seconds to turn
the server NOT_SERVING, and to be well once to turn it back. The answer to Check says in its trailing metadata what is
wrong, and since when. Watch streams end when the server stops (the stock servicer keeps them open, which holds a stop
up for the whole grace).

Whoever restarts processes asks for `liveness`: it is SERVING as long as this process itself works, whether or not what
it stands on does. Restarting a service whose database is away mends nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.errors import DomainError, NotFound
from services.chassis.telemetry.logs import get_logger

Check = Callable[[], Awaitable[object]]
"""Returns when the dependency answers, raises when it does not."""

LIVENESS: Final = "liveness"
"""The name under which a process answers whether it works itself."""
REASON_KEY: Final = "tocsin-health-reason"
SINCE_KEY: Final = "tocsin-health-since"
"""Trailing metadata of Check when the answer is NOT_SERVING: why, in words, and since when (RFC 3339)."""

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_PAUSE_WHILE_FAILING: Final = 0.2
_LEAST_BUDGET: Final = 0.5

log = get_logger(__name__)


class ServiceUnknown(NotFound):
    """This server has no service of that name."""

    reason = "SERVICE_UNKNOWN"


@dataclass(slots=True)
class _Dependency:
    """What is known of one dependency. `failing_since` is the loop's time when its first failing check began."""

    check: Check
    own: bool
    why: str = "has not answered yet"
    down: bool = True
    failures: int = 0
    failing_since: float = 0.0


class Health(health_pb2_grpc.HealthServicer):
    """The servicer, and the state behind /readyz. Checks run `every` so often and have the time `within`; one that
    fails for `patience`, twice at least, turns the server NOT_SERVING."""

    def __init__(
        self,
        *,
        every: timedelta = timedelta(seconds=1),
        within: timedelta = timedelta(seconds=2),
        patience: timedelta = timedelta(seconds=3),
    ) -> None:
        self._every, self._within = every.total_seconds(), within.total_seconds()
        self._patience = patience.total_seconds()
        self._dependencies: dict[str, _Dependency] = {}
        self._names: set[str] = {"", LIVENESS}
        self._serving = False
        self._since = datetime.now(UTC)
        self._stopped = False
        self._changed = asyncio.Condition()
        self._listeners: list[Callable[[bool], None]] = []
        self._callers: dict[str, Callable[[], None]] = {}

    @property
    def serving(self) -> bool:
        """Whether the server says SERVING."""
        return self._serving

    def add_check(self, name: str, check: Check, *, own: bool = False) -> None:
        """Adds a dependency; before the server starts. `own`: it is a part of this process, so that a restart may mend
        it."""
        self._dependencies[name] = _Dependency(check, own)

    def add_service(self, name: str) -> None:
        """Adds a gRPC service that clients may ask about."""
        self._names.add(name)

    def add_caller(self, name: str, heard: Callable[[], None]) -> None:
        """Whoever asks under this name tells by it that he is there: `heard` is called. The answer is that of the
        server."""
        self._names.add(name)
        self._callers[name] = heard

    def on_change(self, listener: Callable[[bool], None]) -> None:
        """Calls `listener(serving)` whenever the answer flips."""
        self._listeners.append(listener)

    def problems(self) -> dict[str, str]:
        """What keeps the server from serving: name and reason. Empty when it serves."""
        if self._stopped:
            return {"server": "is stopping"}
        failing = {name: dependency.why for name, dependency in self._dependencies.items() if dependency.down}
        return failing if failing or self._serving else {"server": "is starting"}

    async def watch_dependencies(self) -> None:
        """Runs the checks for ever; a side task of the process. Fast until everything has answered, then regular."""
        delay = 0.05
        while True:
            await asyncio.gather(*(self._look(name, dependency) for name, dependency in self._dependencies.items()))
            await self._set(not any(dependency.down for dependency in self._dependencies.values()))
            if not self._serving:
                delay = min(delay * 2, self._every)
            elif any(dependency.failures for dependency in self._dependencies.values()):
                delay = min(_PAUSE_WHILE_FAILING, self._every)
            else:
                delay = self._every
            await asyncio.sleep(delay)

    async def stop(self) -> None:
        """NOT_SERVING for good; open Watch streams end."""
        self._stopped = True
        await self._set(False)

    async def _look(self, name: str, dependency: _Dependency) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        budget = self._within
        if dependency.failures:
            # The last look before the verdict ends with the patience.
            left = dependency.failing_since + self._patience - begun
            budget = min(budget, max(left, _LEAST_BUDGET))
        try:
            async with asyncio.timeout(budget):
                await dependency.check()
        except Exception as error:
            dependency.why = _describe(error)
            dependency.failures += 1
            if dependency.failures == 1:
                dependency.failing_since = begun
            # Twice at least: what comes after a pause of the whole process is too late for its deadline, and well.
            down = dependency.failures > 1 and loop.time() - dependency.failing_since >= self._patience
            if down and not dependency.down:
                dependency.down = True
                log.warning("dependency down", dependency=name, problem=str(error) or dependency.why)
        else:
            dependency.failures, dependency.down = 0, False

    async def _set(self, serving: bool) -> None:
        serving = serving and not self._stopped
        async with self._changed:
            flipped, self._serving = serving != self._serving, serving
            if flipped:
                self._since = datetime.now(UTC)
            if flipped or self._stopped:
                self._changed.notify_all()
        if flipped:
            log.info("health", serving=serving, problems=self.problems())
            for listener in self._listeners:
                listener(serving)

    def _status(self, name: str) -> Any:
        if name not in self._names:
            return SERVICE_UNKNOWN
        if name == LIVENESS:
            own_fault = any(dependency.own and dependency.down for dependency in self._dependencies.values())
            return NOT_SERVING if own_fault else SERVING
        return SERVING if self._serving else NOT_SERVING

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        """The status of one service now. NOT_FOUND for an unknown name."""
        if request.service not in self._names:
            raise ServiceUnknown
        if (heard := self._callers.get(request.service)) is not None:
            heard()
        status = self._status(request.service)
        if status != SERVING:
            reason = "; ".join(f"{name} {why}" for name, why in self.problems().items())
            # Metadata is ASCII; what people wrote elsewhere need not be.
            reason = reason.encode("ascii", "backslashreplace").decode()
            context.set_trailing_metadata(((REASON_KEY, reason), (SINCE_KEY, self._since.isoformat())))
        return health_pb2.HealthCheckResponse(status=status)

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


def _describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    # Our own errors are worded for people outside.
    return f"fails: {error.message}" if isinstance(error, DomainError) else f"fails ({type(error).__name__})"
