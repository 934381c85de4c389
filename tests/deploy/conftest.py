"""Deployments on a real container engine: only when named (make images-test, make compose-test)."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

ENGINE = os.environ.get("ENGINE") or "docker"


class Engine:
    """The container engine's command; what it started is removed at the end."""

    def __init__(self) -> None:
        self._containers: list[str] = []

    def __call__(self, *arguments: str, good: bool = True) -> str:
        """Runs it to its end, which has to be a good one; what it printed."""
        done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0 or not good, f"{arguments}: {done.stdout}\n{done.stderr}"
        return (done.stdout + (done.stderr if arguments[0] == "logs" else "")).strip()

    def start(self, *arguments: str) -> str:
        """A container in the background."""
        self._containers.append(self("run", "--detach", *arguments))
        return self._containers[-1]

    def clean(self) -> None:
        """Removes all of them."""
        if self._containers:
            self("rm", "--force", "--volumes", *self._containers, good=False)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    if shutil.which(ENGINE) is None:
        pytest.fail(f"there is no {ENGINE}")
    engine = Engine()
    engine("info")
    yield engine
    engine.clean()
