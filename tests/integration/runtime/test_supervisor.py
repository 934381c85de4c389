"""The supervisor with small programs of the test's own as parts."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.health import HealthLimits
from services.cli.runtime.part import Part, Plan, State, Step, Unhealthy
from services.cli.runtime.process import LAUNCHER, ChildProcess, end_leftovers, started_at
from services.cli.runtime.reporter import SilentReporter
from services.cli.runtime.supervisor import Supervisor
from tests.integration.runtime.conftest import alive
from tests.support.eventually import eventually

# Writes its name when it is ready, and again when it ends.
_OBEDIENT = """
import signal, sys
story = open(sys.argv[1], "a", buffering=1)
signal.signal(signal.SIGTERM, lambda *_: (story.write(f"{sys.argv[2]} ended\\n"), sys.exit(0)))
story.write(f"{sys.argv[2]} ready\\n")
while True:
    signal.pause()
"""
IMPATIENT = HealthLimits(
    every=timedelta(seconds=0.05),
    within=timedelta(seconds=0.5),
    unhealthy_after=timedelta(seconds=0.3),
    restart_after=timedelta(seconds=0.6),
    longest=timedelta(seconds=1),
)
_STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
open(sys.argv[1], "a").write(f"{sys.argv[2]} ready\\n{child.pid}\\n")
signal.pause()
"""


class Stage:
    """A file in which parts tell their story, and parts that do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._story = directory / "story"
        self._story.touch()
        self.events: list[str] = []

    @property
    def story(self) -> list[str]:
        return self._story.read_text().splitlines()

    def part(self, name: str, *, program: str = _OBEDIENT, needs: frozenset[str] = frozenset(), rank: int = 0) -> Part:
        async def ready(_within: timedelta) -> None:
            if f"{name} ready" not in self.story:
                raise Unhealthy("not yet")

        return Part(
            name=name,
            command=(sys.executable, "-c", program, str(self._story), name),
            environment=dict(os.environ),
            probe=ready,
            needs=needs,
            stop_rank=rank,
            stop_budget=timedelta(seconds=0.5 if program == _STUBBORN else 5),
        )

    def supervisor(self, *parts: Part, steps: tuple[Step, ...] = (), seconds: float = 30) -> Supervisor:
        return Supervisor(
            Plan(parts, steps),
            logs=self.directory,
            directory=self.directory,
            reporter=_Listener(self.events),
            start_budget=timedelta(seconds=seconds),
            limits=IMPATIENT,
        )


class _Listener(SilentReporter):
    """Writes down what the operator would see of a part's health."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def unhealthy(self, part: Part, reason: str, advice: str) -> None:
        self._events.append(f"{part.name} unhealthy: {reason}")

    def restarting(self, part: Part, why: str) -> None:
        self._events.append(f"{part.name} restarting: {why}")

    def not_mended(self, part: Part, restarts: int, pause: float, log: Path) -> None:
        self._events.append(f"{part.name} not mended by {restarts}")

    def fault(self, where: str, what: str) -> None:
        self._events.append(f"{where}: {what}")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@contextlib.asynccontextmanager
async def running(supervisor: Supervisor):
    """Runs it for the block, which is entered when all is healthy."""
    ready = asyncio.Event()
    run = asyncio.create_task(supervisor.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        yield
    finally:
        supervisor.stop()
        await run


async def test_parts_start_after_what_they_need_and_stop_by_rank(stage: Stage) -> None:
    async def prepare() -> str:
        stage.events.append("prepared")
        assert stage.story == ["store ready"]
        return ""

    parts = (
        stage.part("front", needs=frozenset({"prepare"}), rank=1),
        stage.part("store", rank=2),
    )
    supervisor = stage.supervisor(*parts, steps=(Step(name="prepare", run=prepare, needs=frozenset({"store"})),))
    async with running(supervisor):
        assert stage.story == ["store ready", "front ready"]
        assert stage.events == ["prepared"]
    assert stage.story[2:] == ["front ended", "store ended"]
    assert {status.state for status in supervisor.status.values()} == {State.STOPPED}


async def test_a_part_that_does_not_listen_is_killed_with_its_children(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("stubborn", program=_STUBBORN))
    async with running(supervisor):
        pid = supervisor.status["stubborn"].pid
        grandchild = int(await eventually(lambda: stage.story[1:2] and stage.story[1]))
        assert pid is not None
        assert alive([pid, grandchild]) == [pid, grandchild]
    await eventually(lambda: not alive([pid, grandchild]), what="the end of both")


async def test_who_cannot_be_told_of_a_stop_keeps_no_part_from_its_own(stage: Stage) -> None:
    class Deaf(SilentReporter):
        def stopped(self, part: Part, seconds: float, *, clean: bool) -> None:
            raise OSError(5, "Input/output error")

    parts = stage.part("last", rank=2), stage.part("first", rank=1), stage.part("beside", rank=1)
    supervisor = Supervisor(Plan(parts), logs=stage.directory, directory=stage.directory, reporter=Deaf())
    with pytest.raises(OSError, match="Input/output error"):
        await supervisor.run(supervisor.stop)
    assert set(stage.story[-3:-1]) == {"first ended", "beside ended"}
    assert stage.story[-1] == "last ended"


async def test_a_look_that_passes_over_its_cancellation_does_not_keep_the_mesh_up(stage: Stage) -> None:
    part = stage.part("one")
    looking, answered = asyncio.Event(), asyncio.Event()

    async def probe(within: timedelta) -> None:
        await part.probe(within)
        # As a request of the NATS client whose answer comes together with the cancellation.
        looking.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if answered.is_set():
                raise
            answered.set()

    supervisor = stage.supervisor(replace(part, probe=probe))
    run = asyncio.create_task(supervisor.run())
    await asyncio.wait_for(looking.wait(), 20)
    supervisor.stop()
    await asyncio.wait_for(run, 10)
    assert answered.is_set()
    assert stage.story[-1] == "one ended"


async def test_a_second_stop_does_not_wait(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("slow", program=_OBEDIENT.replace("sys.exit(0)", "None")))
    loop = asyncio.get_running_loop()
    async with running(supervisor):
        supervisor.stop()
        await eventually(lambda: "slow ended" in stage.story)
        begun = loop.time()
        supervisor.stop()
    assert loop.time() - begun < 2


class Health:
    """What the probes of a test's parts answer: raises what is set for a part."""

    def __init__(self) -> None:
        self.troubles: dict[str, Exception] = {}

    def of(self, part: Part, *, stands_on: frozenset[str] = frozenset()) -> Part:
        async def probe(within: timedelta) -> None:
            await part.probe(within)
            if trouble := self.troubles.get(part.name):
                raise trouble

        return replace(part, probe=probe, stands_on=stands_on)


async def test_a_restart_that_is_asked_for(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("one"), stage.part("other"))
    async with running(supervisor):
        before, other = supervisor.status["one"].pid, supervisor.status["other"].pid
        await supervisor.restart("one", "as asked for")
        assert supervisor.status["one"].pid not in (None, before)
        assert not alive([before or 0])
        await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)
        await eventually(lambda: stage.story.count("one ready") == 2)
        assert (supervisor.status["one"].restarts, supervisor.status["other"].pid) == (1, other)
        with pytest.raises(RuntimeProblem, match="no part is called 'none'; there are one, other"):
            await supervisor.restart("none", "")
    assert stage.story.count("one ended") == 2
    assert stage.events == ["one restarting: as asked for"]


async def test_a_restart_that_is_asked_for_does_not_wait_for_the_delay_after_a_crash(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("one"))
    async with running(supervisor):
        for _ in range(6):  # so that the next start would be 8 s away
            os.kill(supervisor.status["one"].pid or 0, signal.SIGKILL)
            await eventually(lambda: supervisor.status["one"].state is State.RESTARTING)
            await supervisor.restart("one", "now")
        await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)


async def test_a_part_that_does_not_work_is_told_and_restarted(stage: Stage) -> None:
    health = Health()
    supervisor = stage.supervisor(health.of(stage.part("one")))
    async with running(supervisor):
        before = supervisor.status["one"].pid
        health.troubles["one"] = Unhealthy("writes fail")
        await eventually(lambda: supervisor.status["one"].state is State.UNHEALTHY)
        assert supervisor.status["one"].reason == "writes fail"
        since = supervisor.status["one"].unhealthy_since
        assert since is not None
        await eventually(lambda: supervisor.status["one"].pid not in (None, before))
        # What a restart does not mend is tried again, and told once.
        await eventually(lambda: "one not mended by 3" in stage.events, timeout=30)
        assert supervisor.status["one"].unhealthy_since == since
        health.troubles.clear()
        await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)
        assert supervisor.status["one"].unhealthy_since is None
    assert stage.events[:2] == ["one unhealthy: writes fail", "one restarting: writes fail"]


async def test_a_stopped_process_is_ended_in_order_and_started_again(stage: Stage) -> None:
    part = stage.part("one")

    async def answers(within: timedelta) -> None:
        await part.probe(within)
        stat = Path(f"/proc/{supervisor.status['one'].pid}/stat").read_text()
        if stat.rpartition(")")[2].split()[0] == "T":
            await asyncio.Event().wait()  # silence

    supervisor = stage.supervisor(replace(part, probe=answers))
    async with running(supervisor):
        before = supervisor.status["one"].pid or 0
        os.kill(before, signal.SIGSTOP)
        await eventually(lambda: supervisor.status["one"].pid not in (None, before), timeout=20)
        await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)
        assert "one ended" in stage.story  # it was continued so that it could
    assert stage.events[0] == "one unhealthy: does not answer within 0.5 s"


async def test_a_supervisor_that_does_not_run_holds_it_against_nobody(stage: Stage) -> None:
    part, looks, answers = stage.part("one"), asyncio.Event(), asyncio.Event()

    async def answers_soon(within: timedelta) -> None:
        looks.set()
        await asyncio.sleep(0.1)
        await part.probe(within)
        answers.set()

    supervisor = stage.supervisor(replace(part, probe=answers_soon))
    async with running(supervisor):
        for _ in range(3):
            looks.clear()
            await looks.wait()
            # Answer and time limit are both due when the loop goes on, long after the limit for a restart.
            time.sleep(1.5)
            answers.clear()
            await answers.wait()
        await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)
        assert supervisor.status["one"].restarts == 0


async def test_only_the_part_at_fault_is_restarted_not_what_stands_on_it(stage: Stage) -> None:
    health = Health()
    parts = health.of(stage.part("store")), health.of(stage.part("front"), stands_on=frozenset({"store"}))
    supervisor = stage.supervisor(*parts)
    async with running(supervisor):
        front, store = supervisor.status["front"], supervisor.status["store"]
        before = front.pid
        health.troubles = {"store": Unhealthy("writes fail"), "front": Unhealthy("not serving", own=False)}
        await eventually(lambda: store.restarts >= 2, timeout=20)
        assert (front.pid, front.restarts, front.state) == (before, 0, State.UNHEALTHY)
        # On good ground the fault is its own after all.
        del health.troubles["store"]
        await eventually(lambda: front.restarts >= 1, timeout=20)


async def test_a_part_that_cannot_be_examined_is_not_called_healthy_nor_restarted_for_it(stage: Stage) -> None:
    health = Health()
    supervisor = stage.supervisor(health.of(stage.part("one")))
    async with running(supervisor):
        one = supervisor.status["one"]
        before = one.pid
        health.troubles["one"] = OSError(24, "Too many open files")
        await eventually(lambda: one.state is State.UNHEALTHY)
        assert (one.pid, one.reason) == (before, "it cannot be examined: OSError: [Errno 24] Too many open files")
        health.troubles["one"] = Unhealthy("now really")
        await eventually(lambda: one.pid not in (None, before), timeout=20)


async def test_work_beside_that_fails_harms_nobody(stage: Stage) -> None:
    async def work() -> None:
        raise OSError(28, "No space left on device", "somewhere")

    supervisor = stage.supervisor(stage.part("one"))
    run = asyncio.create_task(supervisor.run(beside={"renew": work}))
    await eventually(lambda: supervisor.status["one"].state is State.HEALTHY)
    await eventually(lambda: stage.events)
    assert not run.done()
    supervisor.stop()
    await run
    assert stage.events == ["renew: no space left on device (somewhere); it is begun again"]


async def test_a_part_that_cannot_start_ends_the_run_with_its_last_words(stage: Stage) -> None:
    broken = stage.part("broken", program="import sys; sys.exit('the reason')")
    supervisor = stage.supervisor(stage.part("fine"), broken)
    with pytest.raises(RuntimeProblem, match=r"broken does not start: it exited with code 1(.|\n)*the reason"):
        await supervisor.run()
    assert all(status.pid is None for status in supervisor.status.values())


async def test_a_failing_step_ends_the_run(stage: Stage) -> None:
    async def fail() -> str:
        raise RuntimeProblem("no way")

    supervisor = stage.supervisor(stage.part("fine"), steps=(Step(name="prepare", run=fail),))
    with pytest.raises(RuntimeProblem, match="no way"):
        await supervisor.run()


async def test_what_never_gets_healthy_is_told_after_the_budget(stage: Stage) -> None:
    mute = stage.part("mute", program="import signal; signal.pause()")
    with pytest.raises(RuntimeProblem, match=r"not healthy after 1 s: mute \(not yet\)"):
        await stage.supervisor(mute, seconds=1).run()


async def test_a_program_that_does_not_exist_is_told(stage: Stage) -> None:
    part = stage.part("ghost")
    ghost = Part(name="ghost", command=("/nowhere/ghost",), environment={}, probe=part.probe)
    with pytest.raises(RuntimeProblem, match=r"cannot start /nowhere/ghost"):
        await stage.supervisor(ghost).run()


def test_a_child_whose_parent_has_gone_ends_itself() -> None:
    # As if the parent had died before the child could ask for its signal: its parent is not the one it was told.
    command = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid() + 1), "9", "-", "echo", "started"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not done.stdout


async def test_leftovers_of_an_earlier_run_are_ended_but_not_their_namesakes(stage: Stage) -> None:
    with (stage.directory / "log").open("w") as output:
        start = partial(
            ChildProcess.start,
            (sys.executable, "-c", "import signal; signal.pause()"),
            environment=dict(os.environ),
            directory=stage.directory,
            output=output.fileno(),
        )
        leftover, namesake = start(), start()
    begun = {child.pid: started_at(child.pid) or 0 for child in (leftover, namesake)}
    recorded = {"leftover": (leftover.pid, begun[leftover.pid]), "reused": (namesake.pid, begun[namesake.pid] - 1)}
    assert await end_leftovers(recorded, timedelta(seconds=5)) == ["leftover"]
    assert await leftover.wait() == -signal.SIGKILL
    assert alive([namesake.pid])
    await namesake.kill()
