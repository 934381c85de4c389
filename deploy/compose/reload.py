"""Runs a module, and starts it again when the code changes: `python reload.py services.ingestion`. For development."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

_CODE = Path("/opt/code/services")
_LOOK_SECONDS = 1.0


def newest() -> int:
    """When the code was changed last. (A look at each file: changes on the host raise no event in a container.)"""
    return max(path.stat().st_mtime_ns for path in (_CODE, *_CODE.rglob("*.py"), *_CODE.rglob("*.sql")))


def main(module: str) -> int:
    """Until a signal comes, or the module ends by itself with a status that starting again does not mend."""
    running: list[subprocess.Popen[bytes]] = []
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        running[-1].terminate()

    while True:
        seen = newest()
        running[:] = [subprocess.Popen([sys.executable, "-m", module])]
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        while running[-1].poll() is None and newest() == seen:
            time.sleep(_LOOK_SECONDS)
        if stopping:
            return running[-1].wait()
        running[-1].terminate()
        running[-1].wait()
        # One that ended by itself would end again until the code changes.
        while newest() == seen and not stopping:
            time.sleep(_LOOK_SECONDS)
        if stopping:
            return 0
        print(f"{module}: the code has changed; starting again", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
