"""One child process: started through the launcher in a session of its own, stopped in bounded time."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.identity import Identity

_LAST_BUDGET = timedelta(seconds=2)
LAUNCHER = Path(__file__).with_name("launcher.py")


class ChildProcess:
    """A running child. Must be started from the main thread: the death signal follows the thread that forked."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._exited = asyncio.Event()
        self._handle = os.pidfd_open(process.pid)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._handle, self._reap)

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: Path,
        output: int,
        identity: Identity | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> "ChildProcess":
        """Starts `command`; `output` is a descriptor for standard output and error.

        The child's own session keeps the terminal's Ctrl-C away from it; `death_signal` is what the kernel sends it
        when this process dies, however that happens.
        """
        wrapped = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), str(int(death_signal))]
        wrapped += [identity.as_argument() if identity else "-", *command]
        return cls(
            subprocess.Popen(
                wrapped,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )

    @property
    def pid(self) -> int:
        """The child's process id (that of the command itself, the launcher having become it)."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Returns the exit code when the child has ended."""
        await self._exited.wait()
        assert self._process.returncode is not None
        return self._process.returncode

    async def stop(self, stop_signal: signal.Signals, budget: timedelta, last_signal: signal.Signals) -> bool:
        """Asks the child to end; past the budget sends `last_signal`, then kills. False when asking was not enough."""
        self.send(stop_signal)
        # One that was stopped (SIGSTOP) hears nothing but this and SIGKILL.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGCONT)
        clean = await self._ended_within(budget)
        if not clean:
            self.send(last_signal)
            await self._ended_within(_LAST_BUDGET)
        # What is left of the child's own children goes with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.wait()
        return clean

    async def kill(self) -> None:
        """Ends the child at once and returns when it is gone."""
        self.send(signal.SIGKILL)
        await self.wait()

    async def _ended_within(self, budget: timedelta) -> bool:
        try:
            async with asyncio.timeout(budget.total_seconds()):
                await self.wait()
        except TimeoutError:
            return False
        return True

    def send(self, wanted: signal.Signals) -> None:
        """Sends a signal, unless the child has ended."""
        if self._process.returncode is None:
            self._process.send_signal(wanted)

    def _reap(self) -> None:
        if self._process.poll() is None:
            return
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._exited.set()


def describe_exit(returncode: int) -> str:
    """`exited with code 3`, `was killed by SIGKILL`."""
    if returncode < 0:
        try:
            return f"was killed by {signal.Signals(-returncode).name}"
        except ValueError:
            return f"was killed by signal {-returncode}"
    return f"exited with code {returncode}"


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; with the id it names a process for good. None: no such one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold anything; what follows is regular.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


async def end_leftovers(children: Mapping[str, tuple[int, int]], budget: timedelta) -> list[str]:
    """Kills children of an earlier supervisor that still run (`name -> (pid, started_at)`); returns their names.
    Raises RuntimeProblem when one does not end in time."""
    alive = {name: pid for name, (pid, started) in children.items() if started_at(pid) == started}
    for pid in alive.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + budget.total_seconds()
    # Not our children: only /proc tells when they are gone.
    while left := [f"{name} ({pid})" for name, pid in alive.items() if started_at(pid) == children[name][1]]:
        if time.monotonic() > deadline:
            raise RuntimeProblem(
                f"of an earlier run {', '.join(left)} did not end within {budget.total_seconds():g} s of SIGKILL; "
                "start again when 'ps' shows no more of it"
            )
        await asyncio.sleep(0.01)
    return sorted(alive)
