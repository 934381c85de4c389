"""Runs a plan: starts parts in the order of their needs, keeps them running, stops them in order."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

from services.chassis.tasks import cancel
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.health import HealthLimits
from services.cli.runtime.keeper import Keeper
from services.cli.runtime.logs import LogFile
from services.cli.runtime.machine import Machine
from services.cli.runtime.part import Part, PartStatus, Plan, Step
from services.cli.runtime.reporter import Reporter
from services.cli.runtime.tasks import keep_going
from services.cli.runtime.triage import Triage

_TRIM_LOGS_EVERY = 10.0


class Supervisor:
    """Runs the parts of one plan. `run` is the whole life; `stop` ends it from anywhere in the same loop."""

    def __init__(
        self,
        plan: Plan,
        *,
        logs: Path,
        directory: Path,
        reporter: Reporter,
        on_change: Callable[[dict[str, PartStatus]], None] = lambda _: None,
        start_budget: timedelta = timedelta(seconds=90),
        limits: HealthLimits | None = None,
        machine: Machine | None = None,
        triage: Triage | None = None,
    ) -> None:
        self._plan = plan
        self._reporter = reporter
        self._start_budget = start_budget
        self._machine = machine or Machine()
        limits = limits or HealthLimits()
        triage = triage or Triage(reporter.notice, eased=reporter.eased, turn=limits.restart_after)
        self._keepers = {
            part.name: Keeper(
                part,
                LogFile(logs, part.name),
                directory=directory,
                reporter=reporter,
                limits=limits,
                machine=self._machine,
                triage=triage,
                changed=lambda: on_change(self.status),
                well_founded=self._well_founded,
            )
            for part in plan.parts
        }
        self.status = {name: keeper.status for name, keeper in self._keepers.items()}
        self._done = {step.name: asyncio.Event() for step in plan.steps}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    def stop(self) -> None:
        """Asks for the end; asked again, parts are killed instead of waited for."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def restart(self, name: str, why: str) -> None:
        """Stops a part (SIGTERM, its budget, SIGKILL) and starts it again; returns when its new process runs, which is
        before it is healthy. `why` is told to the operator. Raises RuntimeProblem for a part that there is none of, or
        that has not been started yet."""
        keeper = self._keepers.get(name)
        if keeper is None:
            raise RuntimeProblem(f"no part is called {name!r}; there are {', '.join(sorted(self._keepers))}")
        await keeper.restart(why)

    async def run(
        self,
        on_ready: Callable[[], None] = lambda: None,
        *,
        beside: Mapping[str, Callable[[], Awaitable[object]]] = MappingProxyType({}),
    ) -> None:
        """Starts everything, calls `on_ready` once all is healthy, and returns after `stop` when all is down.

        `beside` is endless work of the caller's, by name, that goes on meanwhile; when it ends, that is told, and it is
        begun again. Raises RuntimeProblem when a part cannot be started or a step fails; everything is down by then,
        too.
        """
        # Until a part has been healthy its failure to start is the mesh's; later nothing of one part ends the others.
        endless = [
            (f"keep {name}", partial(self._keep, keeper), keeper.unproven) for name, keeper in self._keepers.items()
        ]
        own = {"watch the machine": self._machine.watch, "trim logs": self._trim_logs}
        endless += [(name, work, lambda: False) for name, work in {**own, **beside}.items()]
        watchers = [
            asyncio.create_task(keep_going(name, work, self._reporter.fault, fatal=fatal), name=name)
            for name, work, fatal in endless
        ]
        steps = [asyncio.create_task(self._do(step), name=f"do {step.name}") for step in self._plan.steps]
        starting = asyncio.create_task(self._all_ready(), name="all ready")
        starting.add_done_callback(lambda task: on_ready() if not task.cancelled() and not task.exception() else None)
        stopping = asyncio.create_task(self._stopping.wait(), name="stop asked for")
        try:
            pending = {*watchers, *steps, starting, stopping}
            while not stopping.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    # What fails while the mesh starts ends the run; watchers never return by themselves.
                    task.result()
        finally:
            self._stopping.set()
            # The first failure is on its way up; what failed with it adds nothing. Keepers end tasks of their own.
            await cancel(*watchers, *steps, starting, stopping, again_every=timedelta(seconds=3))
            await self._stop_all()

    async def _all_ready(self) -> None:
        try:
            async with asyncio.timeout(self._start_budget.total_seconds()):
                for ready in self._readiness().values():
                    await ready.wait()
        except TimeoutError:
            waiting = [name for name, ready in self._readiness().items() if not ready.is_set()]
            told = ", ".join(f"{name} ({self._why(name)})" for name in waiting)
            raise RuntimeProblem(f"not healthy after {self._start_budget.total_seconds():.0f} s: {told}") from None

    def _readiness(self) -> dict[str, asyncio.Event]:
        return {**{name: keeper.ready for name, keeper in self._keepers.items()}, **self._done}

    def _why(self, name: str) -> str:
        status = self.status.get(name)
        return (status.reason or status.state) if status else "not done"

    def _well_founded(self, part: Part) -> bool:
        """Whether all that the part stands on is known to work."""
        return bool(part.stands_on) and all(self._keepers[name].works for name in part.stands_on)

    async def _do(self, step: Step) -> None:
        await self._wait_for(step.needs)
        begun = time.monotonic()
        done = await step.run()
        self._done[step.name].set()
        if done:
            self._reporter.step_done(step, done, time.monotonic() - begun)
        await self._stopping.wait()

    async def _wait_for(self, needs: frozenset[str]) -> None:
        readiness = self._readiness()
        for need in needs:
            await readiness[need].wait()

    async def _keep(self, keeper: Keeper) -> None:
        await self._wait_for(keeper.part.needs)
        await keeper.keep()

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(_TRIM_LOGS_EVERY)
            for keeper in self._keepers.values():
                keeper.log.trim()

    async def _stop_all(self) -> None:
        ordered = sorted(self._plan.parts, key=lambda part: part.stop_rank)
        failures: list[BaseException] = []
        for _, together in groupby(ordered, key=lambda part: part.stop_rank):
            stops = (self._keepers[part.name].stop(self._hurry) for part in together)
            ended = await asyncio.gather(*stops, return_exceptions=True)
            failures += [each for each in ended if isinstance(each, BaseException)]
        # Only now: what goes wrong with one is no reason to leave the others running, or to end them out of order.
        if failures:
            raise failures[0]
