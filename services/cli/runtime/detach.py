"""A mesh in the background: a process of its own that outlives the terminal, and how its start went."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.instance import Instance
from services.cli.runtime.journal import JOURNAL
from services.cli.runtime.logs import LogFile
from services.cli.runtime.process import describe_exit
from services.cli.runtime.reporter import SilentReporter
from services.cli.runtime.settings import RuntimeSettings
from services.cli.runtime.up import run_mesh

_HANDLES = 65_536


class _Notices(SilentReporter):
    """Keeps what the operator ought to know for the one who waits for the start."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notice(self, text: str) -> None:
        """Kept."""
        self.texts.append(text)


def start_detached(settings: RuntimeSettings) -> list[str]:
    """Starts a mesh in a session of its own and returns, when all is healthy, what the operator ought to know of it.

    Raises RuntimeProblem, the mesh's own, when it does not come up; interrupted, it takes the mesh down again. Call it
    before there are threads.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_the_supervisor(settings, writing)
    os.close(writing)
    try:
        with os.fdopen(reading) as outcome:
            told = outcome.read()
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        raise
    if not told:
        _, status = os.waitpid(pid, 0)
        exit_code = os.waitstatus_to_exitcode(status)
        if exit_code == 0:
            raise RuntimeProblem("the mesh was stopped while it started")
        log = LogFile(settings.state_dir / "logs", JOURNAL).path
        raise RuntimeProblem(f"the mesh ended while it started: it {describe_exit(exit_code)}; {log} may tell why")
    content: dict[str, Any] = json.loads(told)
    if "problem" in content:
        os.waitpid(pid, 0)
        raise RuntimeProblem(content["problem"], content["code"])
    return content["notices"]


def _be_the_supervisor(settings: RuntimeSettings, writing: int) -> NoReturn:
    """The life of the new process."""
    code = 1
    try:
        os.setsid()
        _let_go_of_the_terminal(writing)
        code = _run(settings, writing)
    finally:
        # Not as the caller, whose clean-up is its own.
        os._exit(code)


def _run(settings: RuntimeSettings, writing: int) -> int:
    def tell(**content: object) -> None:
        # Whoever started us may have gone.
        with contextlib.suppress(OSError):
            os.write(writing, json.dumps(content).encode())
            os.close(writing)

    def on_ready(_instance: Instance, _stop: Callable[[], None]) -> None:
        tell(notices=notices.texts)

    notices = _Notices()
    try:
        asyncio.run(run_mesh(settings, notices, on_ready))
    except RuntimeProblem as error:
        tell(problem=error.message, code=error.exit_code)
        return error.exit_code
    except BaseException:
        _write_down(settings.state_dir, traceback.format_exc())
        return 1
    return 0


def _let_go_of_the_terminal(keep: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    # Pipes that whoever called us waits for the end of.
    os.closerange(3, keep)
    os.closerange(keep + 1, _HANDLES)


def _write_down(state_dir: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        handle = LogFile(state_dir / "logs", JOURNAL).open()
        os.write(handle, text.encode())
        os.close(handle)
