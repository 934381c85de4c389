"""Lets processes stand still for a moment, and go on whatever happens."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.cli.runtime.errors import RuntimeProblem

_GUARD = Path(__file__).with_name("guard.py")
_STOP_SECONDS = 2.0
_STOPPED = frozenset("TtZX")


@contextmanager
def standing_still(groups: Sequence[int]) -> Generator[None]:
    """Every process of these groups stands still for the block, and goes on after it, also when this process is killed
    in it. Raises RuntimeProblem when one does not stop in time."""
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), *map(str, groups)],
        stdin=subprocess.PIPE,
        # Ctrl-C in the terminal is for us.
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        for group in groups:
            os.killpg(group, signal.SIGSTOP)
        _wait_until_stopped(set(groups))
        yield
    finally:
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGCONT)
        guard.stdin.close()
        guard.wait()


def _wait_until_stopped(groups: set[int]) -> None:
    """The signal is on its way only when killpg returns; a process may still be writing."""
    deadline = time.monotonic() + _STOP_SECONDS
    while moving := [pid for pid, (state, group) in _processes() if group in groups and state not in _STOPPED]:
        if time.monotonic() > deadline:
            raise RuntimeProblem(f"process {moving[0]} does not stand still; is its disk slow? try again")
        time.sleep(0.001)


def _processes() -> Generator[tuple[int, tuple[str, int]]]:
    """State and group of every process."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold anything; what follows is regular.
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        yield int(name), (fields[0], int(fields[2]))
