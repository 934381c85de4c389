"""The supervisor with small programs of the test's own as parts."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from services.cli.runtime.errors import RuntimeProblem
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
        async def ready() -> None:
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
            reporter=SilentReporter(),
            start_budget=timedelta(seconds=seconds),
        )


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


async def test_a_second_stop_does_not_wait(stage: Stage) -> None:
    supervisor = stage.supervisor(stage.part("slow", program=_OBEDIENT.replace("sys.exit(0)", "None")))
    loop = asyncio.get_running_loop()
    async with running(supervisor):
        supervisor.stop()
        await eventually(lambda: "slow ended" in stage.story)
        begun = loop.time()
        supervisor.stop()
    assert loop.time() - begun < 2


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
        start: Callable[[], ChildProcess] = lambda: ChildProcess.start(  # noqa: E731
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
