"""One mesh for the tests that break parts of it and leave it whole, started as an operator starts it."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from services.cli.client import MeshClient
from services.cli.runtime.status import PartReport, read_reports
from tests.e2e.conftest import running_mesh, until
from tests.support.rest import trust


class Parts:
    """The parts of a mesh, to be broken."""

    def __init__(self, mesh: MeshClient) -> None:
        self.mesh = mesh

    def report(self, part: str) -> PartReport:
        """As `tocsin status` shows it."""
        return next(report for report in read_reports(self.mesh.state) if report.name == part)

    def pid(self, part: str) -> int:
        """Its process, as soon as it has one."""
        return until(lambda: self.report(part).pid, what=f"a process of {part}")

    def send(self, part: str, wanted: signal.Signals) -> int:
        """Sends a signal; the process that got it."""
        pid = self.pid(part)
        os.kill(pid, wanted)
        return pid

    def resume(self, pid: int) -> None:
        """Lets a stopped process go on, unless the supervisor has ended it meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def all_healthy(self, within: float = 60.0) -> None:
        """Returns once every part is healthy, also as a client sees it."""
        url = f"{self.mesh.instance.edge_url}/health"

        def healthy() -> bool:
            if not all(report.healthy for report in read_reports(self.mesh.state)):
                return False
            with suppress(httpx.TransportError):
                return httpx.get(url, timeout=5, verify=trust()).status_code == 200
            return False

        until(healthy, within, what="a healthy mesh")


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Parts]:
    """A mesh of the module's own."""
    with running_mesh(repository, tmp_path_factory.mktemp("mesh") / "state", {}) as (mesh, _):
        yield Parts(mesh)


@pytest.fixture
def unique_building() -> Callable[[], str]:
    """Names of buildings that nobody else uses."""
    return lambda: f"storm-{os.urandom(4).hex()}"
