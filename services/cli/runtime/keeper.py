"""Keeps one part running: starts it, looks after its health, and starts it again when it ends or does not work."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from services.chassis.tasks import cancel
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.health import HealthLimits, Judge, examine, restart_delay
from services.cli.runtime.logs import LogFile
from services.cli.runtime.machine import Machine, Span
from services.cli.runtime.part import Part, PartStatus, State, Unhealthy
from services.cli.runtime.process import ChildProcess, describe_exit
from services.cli.runtime.reporter import Reporter
from services.cli.runtime.tasks import keep_going
from services.cli.runtime.triage import Triage

_PROBE_EVERY_WHILE_STARTING = 0.03
_PROBE_EVERY_WHILE_FAILING = 0.5
_TRIES_UNTIL_GIVING_UP = 3
# One that does not work is given less time to end than one that is stopped in peace.
_UNHEALTHY_STOP_BUDGET = timedelta(seconds=5)
_LOG_TAIL = 8


@dataclass(frozen=True, slots=True)
class _Restart:
    """A restart that somebody wants; `budget` is what the process has to end by itself."""

    why: str
    budget: timedelta


class Keeper:
    """One part and its process. `keep` is endless; `ready` is set once the part has been healthy."""

    def __init__(
        self,
        part: Part,
        log: LogFile,
        *,
        directory: Path,
        reporter: Reporter,
        limits: HealthLimits,
        machine: Machine,
        triage: Triage,
        changed: Callable[[], None],
        well_founded: Callable[[Part], bool],
    ) -> None:
        self.part, self.log = part, log
        self.status = PartStatus()
        self.ready = asyncio.Event()
        self._directory, self._reporter, self._limits, self._machine = directory, reporter, limits, machine
        self._changed, self._well_founded = changed, well_founded
        self._judge = Judge(part.name, limits, triage)
        self._child: ChildProcess | None = None
        self._wanted: _Restart | None = None
        self._given_up: RuntimeProblem | None = None
        self._asked = asyncio.Event()
        self._started = asyncio.Condition()

    @property
    def works(self) -> bool:
        """Whether the last look at the part was good."""
        return self.status.state is State.HEALTHY and not self._judge.failing_for

    def unproven(self) -> bool:
        """Whether the part has not been healthy yet."""
        return not self.ready.is_set()

    async def keep(self) -> None:
        """Runs the part for ever. Raises RuntimeProblem when it cannot be started for the first time."""
        failures = 0
        while True:
            begun = time.monotonic()
            child = self._child if self._child is not None and self._child.returncode is None else self._start()
            async with self._started:
                self._started.notify_all()
            wanted, returncode = await self._live(child, begun)
            if wanted is not None:
                self.status.restarts += 1
                continue
            failures = 1 if time.monotonic() - begun > self._limits.recovered_after.total_seconds() else failures + 1
            what = describe_exit(returncode)
            if not self.ready.is_set() and failures >= _TRIES_UNTIL_GIVING_UP:
                raise RuntimeProblem(f"{self.part.name} does not start: it {what}\n{self.last_words()}")
            delay = restart_delay(failures)
            self.status.restarts += 1
            self._change(State.RESTARTING, what)
            self._reporter.died(self.part, what, delay, self.log.path)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), delay)
            self._take_wish()

    async def restart(self, why: str) -> None:
        """Stops the process and starts it anew, or starts it at once where it waits for that; returns when the new one
        runs. Raises RuntimeProblem when the part has not been started yet."""
        if self._child is None:
            raise RuntimeProblem(f"{self.part.name} has not been started yet")
        before = self.status.pid
        self._wish(_Restart(why, self.part.stop_budget))
        async with self._started:
            await self._started.wait_for(lambda: self.status.pid not in (None, before))

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ends the process for good; `hurry` ends the patience with it."""
        part, child = self.part, self._child
        if child is None or child.returncode is not None:
            self._change(State.STOPPED)
            return
        begun = time.monotonic()
        stopping = asyncio.create_task(
            child.stop(part.stop_signal, part.stop_budget, part.death_signal), name=f"stop {part.name}"
        )
        hurried = asyncio.create_task(hurry.wait(), name="hurry")
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            child.send(part.death_signal)
        clean = await stopping
        hurried.cancel()
        self._change(State.STOPPED)
        self._reporter.stopped(part, time.monotonic() - begun, clean=clean and not hurry.is_set())

    def last_words(self) -> str:
        """The end of the part's log."""
        return "\n".join([f"the end of {self.log.path}:", *(f"  {line}" for line in self.log.tail(_LOG_TAIL))])

    async def _live(self, child: ChildProcess, begun: float) -> tuple[_Restart | None, int]:
        """One life of the process, to its end: the restart that was wanted, or None when it ended by itself."""
        watch = keep_going(f"watch {self.part.name}", partial(self._watch, begun), self._reporter.fault)
        watching = asyncio.create_task(watch, name=f"watch {self.part.name}")
        ended = asyncio.create_task(child.wait(), name=f"end of {self.part.name}")
        asked = asyncio.create_task(self._asked.wait(), name=f"restart of {self.part.name}")
        tasks: set[asyncio.Task[Any]] = {watching, ended, asked}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._given_up is not None:
                raise self._given_up
            if watching.done() and not ended.done() and not asked.done():
                raise RuntimeProblem(f"the watch over {self.part.name} has ended")
            wanted = None
            if not ended.done():
                wanted = self._take_wish()
        finally:
            await cancel(*tasks)
        if wanted is not None:
            self._change(State.RESTARTING, wanted.why)
            self._reporter.restarting(self.part, wanted.why)
            await child.stop(self.part.stop_signal, wanted.budget, self.part.death_signal)
        return wanted, await child.wait()

    def _wish(self, restart: _Restart) -> None:
        self._wanted = restart
        self._asked.set()

    def _take_wish(self) -> _Restart | None:
        wanted, self._wanted = self._wanted, None
        self._asked.clear()
        return wanted

    def _start(self) -> ChildProcess:
        part = self.part
        output = self.log.open()
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
        self._child = child
        self._judge.started()
        self.status.pid, self.status.started_at = child.pid, time.time()
        self._change(State.STARTING)
        return child

    async def _watch(self, begun: float) -> None:
        last = self._machine.moment()
        while True:
            looked = self._machine.moment()
            trouble = await examine(self.part, self._judge.within)
            now = self._machine.moment()
            if trouble is None:
                self._judge.well(last.until(now))
                if self.status.state is not State.HEALTHY:
                    self._became_healthy(time.monotonic() - begun)
            else:
                since = last if self._judge.failing_for else looked
                self._fails(trouble, since.until(now))
            last = now
            await asyncio.sleep(self._pause(begun))

    def _fails(self, trouble: Unhealthy, span: Span) -> None:
        status, starting = self.status, self.status.state is State.STARTING
        well_founded = self._well_founded(self.part)
        restart = self._judge.fails(span, trouble, well_founded=well_founded, starting=starting)
        status.reason, advice_before, status.advice = str(trouble), status.advice, trouble.advice
        if status.state is State.HEALTHY:
            if not self._judge.unhealthy and not trouble.certain:
                status.reason = status.advice = ""
                return
            status.unhealthy_since = time.time() - self._judge.failing_for
            self._change(State.UNHEALTHY, str(trouble), trouble.advice)
            self._reporter.unhealthy(self.part, str(trouble), trouble.advice)
        elif (
            status.state is State.UNHEALTHY and trouble.advice and trouble.advice != advice_before and not advice_before
        ):
            # Only now it shows that somebody has to do something.
            self._reporter.unhealthy(self.part, str(trouble), trouble.advice)
        if trouble.lasting and not self.ready.is_set():
            self._given_up = RuntimeProblem(f"{self.part.name} does not start: {trouble}; {trouble.advice}")
            self._asked.set()
        # Before it has been healthy for the first time, the budget of the start decides.
        if restart and self.ready.is_set() and self._wanted is None:
            if self._judge.restarted():
                self._reporter.not_mended(self.part, self._judge.in_vain - 1, self._judge.longest_pause, self.log.path)
            self._wish(_Restart(str(trouble), min(self.part.stop_budget, _UNHEALTHY_STOP_BUDGET)))

    def _pause(self, begun: float) -> float:
        # Quick while it matters, slower for what takes long anyway.
        if self.status.state is State.STARTING:
            return min(1.0, max(_PROBE_EVERY_WHILE_STARTING, (time.monotonic() - begun) / 20))
        every = self._limits.every.total_seconds()
        return min(_PROBE_EVERY_WHILE_FAILING, every) if self._judge.failing_for else every

    def _became_healthy(self, seconds: float) -> None:
        again, since = self.status.state is State.UNHEALTHY, self.status.unhealthy_since
        if not again:
            self.status.seconds_to_healthy = seconds
        if since is not None:
            seconds = time.time() - since
        self.status.unhealthy_since = None
        self._change(State.HEALTHY)
        self.ready.set()
        self._reporter.healthy(self.part, seconds, recovered=again or self.status.restarts > 0)

    def _change(self, state: State, reason: str = "", advice: str = "") -> None:
        status = self.status
        status.state, status.reason, status.advice = state, reason, advice
        if state in (State.RESTARTING, State.STOPPED):
            status.pid = None
            if state is State.RESTARTING and status.unhealthy_since is None:
                status.unhealthy_since = time.time()
        self._changed()
