"""Stopping a mesh from another process."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Generator

from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.instance import no_mesh
from services.cli.runtime.state import StateDir

_TELLING_SECONDS = 2.0


def stop_mesh(state: StateDir, seconds: float) -> None:
    """Asks the supervisor to stop, as Ctrl-C would, and returns when it has ended, and all its parts with it.

    Raises RuntimeProblem: with exit code 3 when no mesh is up, with 1 when it has not ended in time.
    """
    with _supervisor(state) as handle:
        try:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
        except PermissionError:
            raise RuntimeProblem(f"the mesh on {state.root} is another user's") from None
        if not select.select([handle], [], [], seconds)[0]:
            raise RuntimeProblem(
                f"the mesh on {state.root} has not ended within {seconds:.0f} s; asked again it kills what is left"
            )


@contextlib.contextmanager
def _supervisor(state: StateDir) -> Generator[int]:
    """A handle on the process that holds the directory, which no other process can take the place of."""
    deadline = time.monotonic() + _TELLING_SECONDS
    while state.in_use:
        # One that has just taken the directory tells in a moment who it is.
        if pid := state.holder():
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    # It holds the directory still, so the handle is on no other process of that id.
                    if state.in_use and state.holder() == pid:
                        yield handle
                        return
                finally:
                    os.close(handle)
        if time.monotonic() > deadline:
            raise RuntimeProblem(f"{state.root / 'lock'} does not tell which process holds it; 'fuser' does")
        time.sleep(0.02)
    raise no_mesh(state)
