"""One mesh for all end-to-end tests: started as an operator starts it, reached through Envoy."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from services.cli.client import MeshClient, open_mesh
from services.cli.demo.play import world_environment
from services.cli.demo.videos import make_videos
from services.cli.demo.world import World
from tests.support.ports import free_port
from tests.support.rest import trust
from tests.support.world import running_world

START_SECONDS = 60.0
# What a killed process had in hand is taken up again after these; the default times are for a real world.
PUBLIC_URL = "https://tocsin.test/edge"
IMPATIENT = {
    "TOCSIN_NOTIFICATION_PUBLIC_URL": PUBLIC_URL,
    "TOCSIN_NOTIFICATION_LINK_ORIGINS": "https://app.example",
    "TOCSIN_MEDIA_PROBE_ACK_WAIT": "2s",
    "TOCSIN_NOTIFICATION_WEBHOOK_TIMEOUT": "3s",
    "TOCSIN_NOTIFICATION_ATTEMPT_TIMEOUT": "4s",
    "TOCSIN_NOTIFICATION_LEASE": "6s",
}


@dataclass(frozen=True)
class Edge:
    """What a client of the mesh has: the edge's address, and tokens."""

    mesh: MeshClient
    world: World
    videos: dict[str, tuple[int, int]]
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        return self.mesh.instance.edge_url

    def token(self, *scopes: str, tenants: list[str] | None = None) -> str:
        return self.mesh.token(list(scopes) or None, tenants=tenants)

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.url.removeprefix("http://"))

    def metadata(self, *scopes: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token(*scopes)}")]


def until(condition: Callable[[], Any], timeout: float = 20.0, what: str = "the condition") -> Any:
    """The first truthy value of `condition`; an AssertionError counts as not yet."""
    deadline = time.monotonic() + timeout
    last: Any = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except AssertionError as error:
            last = error
        assert time.monotonic() < deadline, f"{what} did not come true within {timeout} s; last: {last!r}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Edge]:
    """The mesh with everything in it, and the world outside."""
    folder = tmp_path_factory.mktemp("videos")
    state_dir = tmp_path_factory.mktemp("mesh") / "state"
    sizes = make_videos(folder)
    with (
        running_world(folder) as world,
        running_mesh(repository, state_dir, {**world_environment(world, {}), **IMPATIENT}) as (mesh, process),
    ):
        yield Edge(mesh, world, sizes, process)


@contextmanager
def running_mesh(
    repository: Path, state_dir: Path, environment: Mapping[str, str]
) -> Generator[tuple[MeshClient, "subprocess.Popen[bytes]"]]:
    """A mesh with these variables and no others of Tocsin's, until the end of the block."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    state_dir.parent.mkdir(parents=True, exist_ok=True)
    with (state_dir.parent / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "services.cli.main", "up"),
                *("--state-dir", str(state_dir), "--port", environment.get("TOCSIN_EDGE_PORT") or str(free_port())),
            ],
            cwd=repository,
            env={**own, **environment, "COLUMNS": "160"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield _wait_for_mesh(process, state_dir), process
        finally:
            process.terminate()
            process.wait(40)


def _wait_for_mesh(process: "subprocess.Popen[bytes]", state_dir: Path) -> MeshClient:
    deadline = time.monotonic() + START_SECONDS
    log = state_dir.parent / "up.log"
    while True:
        assert process.poll() is None, f"the mesh ended: {log.read_text()}"
        if (state_dir / "run").exists():
            try:
                mesh = open_mesh(state_dir)
                if httpx.get(f"{mesh.instance.edge_url}/health", timeout=2, verify=trust()).status_code == 200:
                    return mesh
            except Exception as error:
                last: Exception | None = error
            else:
                last = None
        else:
            last = None
        assert time.monotonic() < deadline, f"no healthy mesh in {START_SECONDS} s ({last!r}): {log.read_text()}"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def rest(edge: Edge) -> Iterator[httpx.Client]:
    """A REST client with a token for everything."""
    headers = {"authorization": f"Bearer {edge.token()}"}
    with httpx.Client(base_url=edge.url, headers=headers, timeout=30, verify=trust()) as client:
        yield client


@pytest.fixture(scope="session")
def anonymous(edge: Edge) -> Iterator[httpx.Client]:
    """A REST client without a token."""
    with httpx.Client(base_url=edge.url, timeout=30, verify=trust()) as client:
        yield client


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes ids that no other test has: `unique("tower")`."""
    return lambda prefix: f"{prefix}-{uuid.uuid4().hex[:10]}"
