"""Meshes started as an operator starts them: the `tocsin` command in a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.cli.runtime.process import started_at
from services.cli.runtime.state import StateDir
from tests.support.eventually import eventually
from tests.support.ports import free_port


class CommandLine:
    """`tocsin up` on a state directory, and what can be seen of it from outside."""

    def __init__(self, state_dir: Path, repository: Path, *arguments: str, **environment: str) -> None:
        self.state = StateDir(state_dir)
        self.edge_port = free_port()
        self._repository = repository
        self._arguments = arguments
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._ready = False

    @property
    def process(self) -> "subprocess.Popen[str]":
        assert self._process is not None, "not started"
        return self._process

    def start(self, **environment: str) -> None:
        """Starts it; returns at once."""
        self._ready = False
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "services.cli.main", "up", "--state-dir", str(self.state.root)),
                *("--port", str(self.edge_port), *self._arguments),
            ],
            cwd=self._repository,
            env={**own, "COLUMNS": "160", **self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    async def up(self, timeout: float = 30.0) -> dict[str, dict[str, Any]]:
        """Waits until every part is healthy; the parts by name."""

        def healthy() -> dict[str, dict[str, Any]] | None:
            parts = self.parts()
            return parts if self._ready and all(part["state"] == "healthy" for part in parts.values()) else None

        await eventually(lambda: self.process.poll() is not None or healthy(), timeout, what="a healthy mesh")
        assert self.process.poll() is None, f"it ended: {self.process.communicate()}"
        return self.parts()

    def parts(self) -> dict[str, dict[str, Any]]:
        """The parts as the status file has them; empty when there is none, or it is an earlier supervisor's."""
        try:
            instance = json.loads(self.state.instance_file.read_text())
            content = json.loads(self.state.status_file.read_text())
        except FileNotFoundError:
            return {}
        if instance["supervisor_pid"] != self.process.pid:
            return {}
        self._ready = content["ready"]
        return {part["name"]: part for part in content["parts"]}

    async def stop(self, how: signal.Signals = signal.SIGTERM, timeout: float = 20.0) -> tuple[int, str, str]:
        """Signals the supervisor and waits for its end; exit code, standard output and error."""
        self.process.send_signal(how)
        return await self.ended(timeout)

    async def ended(self, timeout: float = 20.0) -> tuple[int, str, str]:
        """Waits for the end."""
        await eventually(lambda: self.process.poll() is not None, timeout, what="the end of the supervisor")
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors


@dataclass(frozen=True)
class Outcome:
    """What a command that ended by itself has left."""

    exit_code: int
    output: str
    errors: str


class Shell:
    """Runs `tocsin` commands on one state directory to their end, without a terminal."""

    def __init__(self, state_dir: Path, repository: Path) -> None:
        self.state = StateDir(state_dir)
        self._repository = repository

    def __call__(self, *arguments: str, timeout: float = 300.0, **environment: str) -> Outcome:
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        done = subprocess.run(
            [sys.executable, "-m", "services.cli.main", *arguments, "--state-dir", str(self.state.root)],
            cwd=self._repository,
            env={**own, "COLUMNS": "160", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def alive(pids: list[int]) -> list[int]:
    """Which of the processes still run."""
    return [pid for pid in pids if started_at(pid) is not None]


def processes_of(state_dir: Path) -> list[int]:
    """Every process with the state directory in its command line, whoever its parent is."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(state_dir) in command:
                found.append(int(entry.name))
    return found


@pytest.fixture
def shell(tmp_path: Path, repository: Path) -> Iterator[Shell]:
    """Commands on a directory whose name is longer than a socket's address may be; its mesh is stopped at the end."""
    made = Shell(tmp_path / ("state" + "-long" * 20), repository)
    yield made
    made("stop")


@pytest.fixture
async def command_line(tmp_path: Path, repository: Path) -> AsyncIterator[Callable[..., CommandLine]]:
    """Makes command lines, by default with the two servers only; whatever still runs at the end is stopped."""
    made: list[CommandLine] = []

    def make(name: str = "state", *arguments: str, **environment: str) -> CommandLine:
        chosen = arguments or ("--only", "postgres,nats")
        made.append(CommandLine(tmp_path / name, repository, *chosen, **environment))
        return made[-1]

    yield make
    for one in made:
        if one._process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.communicate()
