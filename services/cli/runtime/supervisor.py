"""Runs a plan: starts parts in the order of their needs, watches and restarts them, stops them in order."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.logs import LogFile
from services.cli.runtime.part import Part, PartStatus, Plan, State, Step, Unhealthy
from services.cli.runtime.process import ChildProcess, describe_exit
from services.cli.runtime.reporter import Reporter

_PROBE_EVERY_WHILE_STARTING = 0.03
_PROBE_EVERY = 5.0
_PROBE_BUDGET = 3.0
_FAILURES_UNTIL_UNHEALTHY = 3
_TRIES_UNTIL_GIVING_UP = 3
_FIRST_DELAY = 0.25
_MAX_DELAY = 30.0
# A part that stood this long has recovered: its next restart is quick again.
_STABLE_SECONDS = 60.0
_LOG_TAIL = 8


def restart_delay(failures: int) -> float:
    """Seconds to wait before the restart after the n-th failure in a row (from 1): 0.25, 0.5, 1, ... 30."""
    return min(_FIRST_DELAY * 2.0 ** min(failures - 1, 20), _MAX_DELAY)


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
    ) -> None:
        self._plan = plan
        self._directory = directory
        self._reporter = reporter
        self._on_change = on_change
        self._start_budget = start_budget
        self._logs = {part.name: LogFile(logs, part.name) for part in plan.parts}
        self._children: dict[str, ChildProcess] = {}
        self._ready = {node.name: asyncio.Event() for node in (*plan.parts, *plan.steps)}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self.status = {part.name: PartStatus() for part in plan.parts}

    def stop(self) -> None:
        """Asks for the end; asked again, parts are killed instead of waited for."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(
        self,
        on_ready: Callable[[], None] = lambda: None,
        *,
        beside: Mapping[str, Coroutine[Any, Any, None]] = MappingProxyType({}),
    ) -> None:
        """Starts everything, calls `on_ready` once all is healthy, and returns after `stop` when all is down.

        `beside` is endless work of the caller's, by name, that goes on meanwhile; its failure ends the run.
        Raises RuntimeProblem when a part cannot be started or a step fails; everything is down by then, too.
        """
        watchers = [asyncio.create_task(self._keep(part), name=f"keep {part.name}") for part in self._plan.parts]
        steps = [asyncio.create_task(self._do(step), name=f"do {step.name}") for step in self._plan.steps]
        watchers.append(asyncio.create_task(self._trim_logs(), name="trim logs"))
        watchers += [asyncio.create_task(work, name=name) for name, work in beside.items()]
        starting = asyncio.create_task(self._all_ready(), name="all ready")
        starting.add_done_callback(lambda task: on_ready() if not task.cancelled() and not task.exception() else None)
        stopping = asyncio.create_task(self._stopping.wait(), name="stop asked for")
        try:
            pending = {*watchers, *steps, starting, stopping}
            while not stopping.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    # A failure anywhere ends the run; watchers never return by themselves.
                    task.result()
        finally:
            self._stopping.set()
            for task in (*watchers, *steps, starting, stopping):
                task.cancel()
            ended, _ = await asyncio.wait({*watchers, *steps, starting, stopping})
            for task in ended:
                # The first failure is on its way up; what failed with it adds nothing.
                if not task.cancelled():
                    task.exception()
            await self._stop_all()

    async def _all_ready(self) -> None:
        try:
            async with asyncio.timeout(self._start_budget.total_seconds()):
                for ready in self._ready.values():
                    await ready.wait()
        except TimeoutError:
            waiting = [f"{name} ({self._why(name)})" for name, ready in self._ready.items() if not ready.is_set()]
            seconds = self._start_budget.total_seconds()
            raise RuntimeProblem(f"not healthy after {seconds:.0f} s: {', '.join(waiting)}") from None

    def _why(self, name: str) -> str:
        status = self.status.get(name)
        return (status.reason or status.state) if status else "not done"

    async def _do(self, step: Step) -> None:
        await self._wait_for(step.needs)
        begun = time.monotonic()
        done = await step.run()
        self._ready[step.name].set()
        if done:
            self._reporter.step_done(step, done, time.monotonic() - begun)
        await self._stopping.wait()

    async def _wait_for(self, needs: frozenset[str]) -> None:
        for need in needs:
            await self._ready[need].wait()

    async def _keep(self, part: Part) -> None:
        """Keeps one part running, for ever."""
        status = self.status[part.name]
        await self._wait_for(part.needs)
        failures = 0
        while True:
            begun = time.monotonic()
            child = self._start(part)
            watching = asyncio.create_task(self._watch_health(part, begun), name=f"watch {part.name}")
            try:
                returncode = await child.wait()
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            failures = 1 if time.monotonic() - begun > _STABLE_SECONDS else failures + 1
            what = describe_exit(returncode)
            if not self._ready[part.name].is_set() and failures >= _TRIES_UNTIL_GIVING_UP:
                raise RuntimeProblem(f"{part.name} does not start: it {what}\n{self._last_words(part.name)}")
            delay = restart_delay(failures)
            status.restarts += 1
            self._change(part, State.RESTARTING, what)
            self._reporter.died(part, what, delay, self._logs[part.name].path)
            await asyncio.sleep(delay)

    def _start(self, part: Part) -> ChildProcess:
        status = self.status[part.name]
        output = self._logs[part.name].open()
        try:
            child = ChildProcess.start(
                part.command,
                environment=part.environment,
                directory=part.directory or self._directory,
                output=output,
                identity=part.identity,
                death_signal=part.death_signal,
            )
        finally:
            # The child has its own copy.
            os.close(output)
        self._children[part.name] = child
        status.pid, status.started_at = child.pid, time.time()
        self._change(part, State.STARTING, "")
        return child

    async def _watch_health(self, part: Part, begun: float) -> None:
        status = self.status[part.name]
        failures = 0
        while True:
            reason = await _check(part)
            if not reason:
                failures = 0
                if status.state is not State.HEALTHY:
                    self._became_healthy(part, time.monotonic() - begun)
            elif status.state is State.STARTING:
                status.reason = reason
            else:
                failures += 1
                if failures == _FAILURES_UNTIL_UNHEALTHY:
                    self._change(part, State.UNHEALTHY, reason)
                    self._reporter.unhealthy(part, reason)
            settled = status.state is State.HEALTHY and failures == 0
            await asyncio.sleep(_PROBE_EVERY if settled else self._probe_pause(status, begun))

    @staticmethod
    def _probe_pause(status: PartStatus, begun: float) -> float:
        # Quick while it matters, slower for what takes long anyway.
        if status.state is State.STARTING:
            return min(1.0, max(_PROBE_EVERY_WHILE_STARTING, (time.monotonic() - begun) / 20))
        return 1.0

    def _became_healthy(self, part: Part, seconds: float) -> None:
        status = self.status[part.name]
        again = status.state is State.UNHEALTHY
        if not again:
            status.seconds_to_healthy = seconds
        self._change(part, State.HEALTHY, "")
        self._ready[part.name].set()
        self._reporter.healthy(part, seconds, recovered=again or status.restarts > 0)

    def _change(self, part: Part, state: State, reason: str) -> None:
        status = self.status[part.name]
        status.state, status.reason = state, reason
        if state in (State.RESTARTING, State.STOPPED):
            status.pid = None
        self._on_change(self.status)

    def _last_words(self, name: str) -> str:
        log = self._logs[name]
        return "\n".join([f"the end of {log.path}:", *(f"  {line}" for line in log.tail(_LOG_TAIL))])

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(10)
            for log in self._logs.values():
                log.trim()

    async def _stop_all(self) -> None:
        ordered = sorted(self._plan.parts, key=lambda part: part.stop_rank)
        for _, together in groupby(ordered, key=lambda part: part.stop_rank):
            await asyncio.gather(*(self._stop_one(part) for part in together))

    async def _stop_one(self, part: Part) -> None:
        child = self._children.get(part.name)
        if child is None or child.returncode is not None:
            self._change(part, State.STOPPED, "")
            return
        begun = time.monotonic()
        stopping = asyncio.create_task(
            child.stop(part.stop_signal, part.stop_budget, part.death_signal), name=f"stop {part.name}"
        )
        hurried = asyncio.create_task(self._hurry.wait(), name="hurry")
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            child.send(part.death_signal)
        clean = await stopping
        hurried.cancel()
        self._change(part, State.STOPPED, "")
        self._reporter.stopped(part, time.monotonic() - begun, clean=clean and not self._hurry.is_set())


async def _check(part: Part) -> str:
    """Why the part is not healthy; empty when it is."""
    try:
        async with asyncio.timeout(_PROBE_BUDGET):
            await part.probe()
    except Unhealthy as error:
        return str(error)
    except TimeoutError:
        return f"no answer within {_PROBE_BUDGET:.0f} s"
    return ""
