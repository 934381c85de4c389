"""The life of a service's process: start, side tasks, readiness, and a stop in named, bounded steps.

`__main__.py` of a service is `run("ingestion", IngestionSettings, bootstrap)`, and `bootstrap.py`::

    async def bootstrap(app: App, settings: IngestionSettings) -> None:
        pool = await app.enter(open_pool(settings))                  # closed after all stop steps, in reverse order
        app.check("postgres", pool.ping)                             # NOT_SERVING until it answers
        app.at_stop(Step.CLOSE_POOL, "postgres", pool.close)
        app.task("outbox", relay.run())                              # a dead side task stops the process with exit 1
        add_IngestionServiceServicer_to_server(Servicer(...), app.server.registrar)

The server starts when bootstrap returns. SIGTERM and SIGINT stop the process with exit status 0; a failure to start or
a dead side task with 1; settings that make no sense with 2.
"""

import asyncio
import enum
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from services.chassis import workers
from services.chassis.allocator import one_arena
from services.chassis.settings import ChassisSettings, Refused, load, refuse, split_address
from services.chassis.tasks import cancel
from services.chassis.telemetry import logs, metrics, tracing
from services.chassis.version import tocsin_version

if TYPE_CHECKING:
    from services.chassis.grpc.client import PeerChannel
    from services.chassis.grpc.health import Check

log = logs.get_logger(__name__)
T = TypeVar("T")
S = TypeVar("S", bound=ChassisSettings)


class Step(enum.IntEnum):
    """The order in which a process stops. Within a step, what was registered last goes first."""

    NOT_SERVING = 1
    STOP_PULLING = 2
    STOP_SERVER = 3
    FINISH = 4
    DRAIN_NATS = 5
    CLOSE_POOL = 6
    FLUSH_TELEMETRY = 7


@dataclass(frozen=True, slots=True)
class _Stop:
    step: Step
    name: str
    act: Callable[[], Awaitable[object]]
    within: float


class App:
    """What `bootstrap` fills."""

    def __init__(self, service: str, settings: ChassisSettings, worker: "workers.Worker | None" = None) -> None:
        from services.chassis.grpc.server import Server

        self.service, self.settings = service, settings
        self.worker = worker.index if worker else 0
        """Number of this worker process, from 0. Work that only one process may do belongs to number 0."""
        self.stopping = asyncio.Event()
        """Set when the process begins to stop."""
        self.stack = AsyncExitStack()
        self.server: Server = Server.standard(settings, shared_port=worker is not None)
        self.exit_code = 0
        self._stops: list[_Stop] = []
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        if worker is not None:
            self.server.health.on_change(worker.report)

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Enters a context manager that is left after all stop steps, last one first."""
        return await self.stack.enter_async_context(resource)

    def check(self, name: str, check: "Check", *, own: bool = False) -> None:
        """Makes readiness depend on `check`, which raises when the dependency does not answer. `own`: it is a part of
        this process, so that a restart may mend it."""
        self.server.health.add_check(name, check, own=own)

    def at_stop(
        self, step: Step, name: str, act: Callable[[], Awaitable[object]], within: timedelta = timedelta(seconds=5)
    ) -> None:
        """Does `act` in `step` of the stop, for at most `within`; a failure or time-out is logged, and the stop
        goes on."""
        self._stops.append(_Stop(step, name, act, within.total_seconds()))

    def task(
        self,
        name: str,
        work: Coroutine[Any, Any, object],
        *,
        until: Step = Step.FINISH,
        patience: timedelta = timedelta(0),
    ) -> None:
        """Runs `work` beside the server. If it ends before the process stops, the process stops with status 1. In step
        `until` it has `patience` to end by itself, then it is cancelled."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(partial(self._ended, name))
        self.at_stop(until, name, partial(_end, task, patience.total_seconds()), within=patience + timedelta(seconds=3))

    async def peer(self, name: str, services: tuple[str, ...] = ()) -> "PeerChannel":
        """A channel to the service `name` (as in TOCSIN_PEER_<NAME>); closed with the process. Raises Refused when its
        address is not configured. See `services.chassis.grpc.client`."""
        from services.chassis.grpc.client import connect_peer

        target: str = getattr(self.settings, f"peer_{name}")
        if not target:
            raise Refused(self.settings.env(f"peer_{name}"), "is not set")
        return await self.enter(connect_peer(target, self.settings, services))

    def fail(self, event: str, **fields: object) -> None:
        """Stops the process with exit status 1; `event` says why in the log."""
        log.critical(event, **fields)
        self.exit_code = self.exit_code or 1
        self.stopping.set()

    async def stop(self) -> None:
        """Runs the stop steps, then leaves the stack."""
        self.stopping.set()
        began = time.monotonic()
        order = sorted(range(len(self._stops)), key=lambda at: (self._stops[at].step, -at))
        for stop in [self._stops[at] for at in order]:
            await self._do(stop)
        await self._do(_Stop(Step.FLUSH_TELEMETRY, "resources", self.stack.aclose, 5.0))
        await self._do(_Stop(Step.FLUSH_TELEMETRY, "traces", partial(asyncio.to_thread, tracing.flush), 4.0))
        log.info("stopped", seconds=round(time.monotonic() - began, 3), exit_code=self.exit_code)

    async def _do(self, stop: _Stop) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(stop.within):
                await stop.act()
        except TimeoutError:
            log.error("stop step timed out", step=stop.step.name, name=stop.name, within=stop.within)
        except Exception:
            log.exception("stop step failed", step=stop.step.name, name=stop.name)
        else:
            took = round(time.monotonic() - began, 3)
            log.debug("stop step done", step=stop.step.name, name=stop.name, seconds=took)

    def _ended(self, name: str, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(name, None)
        if task.cancelled() and self.stopping.is_set():
            return
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail("side task died", task=name, exc_info=error)
        elif not self.stopping.is_set():
            self.fail("side task ended", task=name)


async def _end(task: asyncio.Task[Any], patience: float) -> None:
    if not task.done() and patience:
        await asyncio.wait([task], timeout=patience)
    await cancel(task)


Bootstrap = Callable[[App, S], Awaitable[None]]


def run(service: str, settings_type: type[S], bootstrap: Bootstrap[S]) -> NoReturn:
    """Runs a service until it is told to stop, and exits."""
    settings = load(settings_type)
    worker = workers.current()
    if worker is None and settings.grpc_workers > 1:
        logs.configure(form=settings.log_format, level=settings.log_level, service=service)
        sys.exit(workers.supervise(settings))
    logs.configure(
        form=settings.log_format,
        level=settings.log_level,
        service=service,
        worker=worker.index if worker else None,
    )
    one_arena()
    import uvloop

    sys.exit(uvloop.run(serve(service, settings, bootstrap, worker)))


async def serve(service: str, settings: S, bootstrap: Bootstrap[S], worker: "workers.Worker | None" = None) -> int:
    """The life of one process; returns its exit status."""
    asyncio.get_running_loop().set_exception_handler(_loop_failed)
    version = tocsin_version()
    tracing.configure(service, endpoint=settings.otlp_endpoint, ratio=settings.trace_ratio, version=version)
    metrics.set_build_info(version, settings.commit)
    app = App(service, settings, worker)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, partial(_signalled, app, number))
    try:
        starting = asyncio.create_task(_start(app, bootstrap, settings, worker), name="start")
        waiting = asyncio.create_task(app.stopping.wait(), name="stopping")
        await asyncio.wait([starting, waiting], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            await cancel(starting)
        if not starting.cancelled():
            starting.result()
        await waiting
    except Refused as refusal:
        await app.stop()
        refuse(refusal)
    except Exception as error:
        app.fail("cannot start", exc_info=error)
    await app.stop()
    return app.exit_code


async def _start(app: App, bootstrap: Bootstrap[S], settings: S, worker: "workers.Worker | None") -> None:
    health, server = app.server.health, app.server
    if settings.metrics_listen and worker is None:
        from services.chassis.telemetry.http import OpsEndpoint

        host, port = split_address(settings.metrics_listen)
        await app.enter(OpsEndpoint(host, port, health.problems))
    await bootstrap(app, settings)
    app.at_stop(
        Step.STOP_SERVER, "grpc", partial(server.stop, settings.stop_grace), settings.stop_grace + timedelta(seconds=2)
    )
    if server.provider is not None:
        app.task("keys of the identity provider", server.provider.keep())
    await server.start()
    app.task("health", health.watch_dependencies(), until=Step.NOT_SERVING)
    app.at_stop(Step.NOT_SERVING, "health", server.not_serving)
    gc.collect()
    gc.freeze()  # what the start made stays: full collections need not walk it while calls wait


def _signalled(app: App, number: signal.Signals) -> None:
    if not app.stopping.is_set():
        log.info("stopping", signal=number.name)
        app.stopping.set()


def _loop_failed(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("event loop", problem=context.get("message", ""), exc_info=context.get("exception"))
