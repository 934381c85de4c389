"""Two meshes on one PostgreSQL and one NATS server of the operator's: two databases, and a prefix for one of them."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.chassis.nats.topology import PAYLOADS, READINGS
from services.cli.client import MeshClient
from services.cli.runtime.lag import read_lag_by_client
from services.cli.runtime.postgres_address import at_database
from tests.e2e.conftest import running_mesh
from tests.e2e.test_readings import average, average_of, reading
from tests.support.nats import NatsServer
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[dict[str, MeshClient]]:
    """By prefix."""
    folder = tmp_path_factory.mktemp("shared")
    postgres, nats = PostgresServer(folder), NatsServer(folder / "nats")
    with ExitStack() as stack:
        for server in (postgres, nats):
            stack.callback(server.stop)
            server.start()
        up: dict[str, MeshClient] = {}
        for prefix in ("", "stage"):
            name = prefix or "plain"
            environment = {
                "TOCSIN_POSTGRES_DSN": at_database(postgres.dsn(), name),
                "TOCSIN_NATS_URL": nats.url,
                "TOCSIN_NATS_PREFIX": prefix,
            }
            up[prefix], _ = stack.enter_context(running_mesh(repository, folder / name / "state", environment))
        yield up


async def test_what_one_is_sent_is_in_that_one_only(meshes: dict[str, MeshClient]) -> None:
    now = datetime.now(UTC).isoformat()
    with ExitStack() as stack:
        clients = {prefix: stack.enter_context(mesh.http()) for prefix, mesh in meshes.items()}
        for number, client in enumerate(clients.values()):
            answer = client.post("/v1/readings", json=reading("tower", f"room-{number}", 290.0 + number, eventTime=now))
            assert answer.status_code == 200, answer.text
        for number, client in enumerate(clients.values()):
            found = average_of(client, "tower", f"room-{number}", 1)
            assert found["statistics"] | {"mean": 290.0 + number, "count": "1"} == found["statistics"]
            assert average(client, "tower", f"room-{1 - number}")["state"] != "OK"
            assert _rooms(client) == [f"room-{number}"]
    for prefix, mesh in meshes.items():
        async with mesh.nats() as client:
            streams = {stream.name: stream for stream in await read_lag_by_client(client, mesh.names)}
            assert {name.startswith("STAGE_") for name in streams if not name.startswith("OBJ_")} == {bool(prefix)}
            consumers = streams[mesh.names.stream(PAYLOADS)].consumers
            assert [consumer.name for consumer in consumers] == ["ingestion_payloads"]
            state = (await client.jetstream().stream_info(mesh.names.stream(READINGS))).state
            # Its own reading, and what its ingestion tells at its first start, once for all partitions.
            assert (state.last_seq, state.messages) == (2, 0)


def _rooms(client: httpx.Client) -> list[str]:
    answer = client.get("/v1/buildings/tower/rooms")
    assert answer.status_code == 200, answer.text
    return [room["id"] for room in answer.json()["rooms"]]
