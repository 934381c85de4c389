"""Three NATS servers, each stream on all of them: each server is killed in turn in a storm of readings."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.client import MeshClient
from services.cli.runtime.credentials import ensure_nats_passwords
from services.cli.runtime.own_nats import accounts_block
from services.cli.runtime.settings import SERVICES
from services.cli.runtime.state import StateDir
from tests.e2e.conftest import running_mesh
from tests.support.eventually import eventually
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port
from tests.support.storm import Storm

TENANTS = ("test", "wellness")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[OwnNats]]:
    state = StateDir(tmp_path / "state")
    accounts = accounts_block(SERVICES, TENANTS, ensure_nats_passwords(state, SERVICES, TENANTS), MeshNames())
    ports = [free_port() for _ in range(3)]
    servers = [OwnNats(tmp_path / f"nats-{port}", accounts, [port, *(set(ports) - {port})]) for port in ports]
    for server in servers:
        server.start()
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture
def mesh(cluster: list[OwnNats], tmp_path: Path, repository: Path) -> Iterator[MeshClient]:
    urls = ",".join(server.url for server in cluster)
    environment = {"TOCSIN_NATS_URL": urls, "TOCSIN_NATS_REPLICAS": "3"}
    with running_mesh(repository, tmp_path / "state", environment) as (one, _):
        yield one


@pytest.mark.timeout(240)
async def test_nothing_acknowledged_is_lost_with_any_server(
    mesh: MeshClient, cluster: list[OwnNats], unique_building: Callable[[], str]
) -> None:
    async with mesh.nats() as client:
        infos = await client.jetstream().streams_info()
    assert {info.config.num_replicas for info in infos} == {3}
    storm = Storm(mesh, unique_building())
    async with storm.blowing():
        for server in cluster:
            await _more(storm)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await _more(storm)
            await asyncio.to_thread(server.start)
        await _more(storm)
    assert storm.count > 1000
    assert await storm.lost() == {}


async def _more(storm: Storm) -> None:
    """Waits until some more readings have been acknowledged."""
    before = storm.count
    await eventually(lambda: storm.count > before + 3000, 40, what="readings taken")
