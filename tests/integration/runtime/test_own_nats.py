"""What is seen of a NATS server of the operator's before it is used."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.client import MeshClient
from services.cli.runtime import own_nats
from services.cli.runtime.credentials import ensure_nats_passwords
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.instance import Instance
from services.cli.runtime.nats_accounts import CLI_USER, DOWNSTREAM_USER, GATEWAY_USER, RUNTIME_USER
from services.cli.runtime.settings import SERVICES
from services.cli.runtime.state import StateDir
from tests.support.nats import NatsServer
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port

TENANTS = ("test", "wellness")


@pytest.fixture
def passwords(tmp_path: Path) -> dict[str, str]:
    return ensure_nats_passwords(StateDir(tmp_path / "state"), SERVICES, TENANTS)


@pytest.fixture
def server(tmp_path: Path, passwords: dict[str, str]) -> Iterator[OwnNats]:
    server = OwnNats(tmp_path / "nats", own_nats.accounts_block(SERVICES, TENANTS, passwords, MeshNames()))
    server.start()
    yield server
    server.stop()


async def test_a_server_with_the_printed_accounts_has_nothing_to_be_told(
    server: OwnNats, passwords: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await own_nats.check_server(server.url, RUNTIME_USER, passwords[RUNTIME_USER]) == []
    for user in (DOWNSTREAM_USER, GATEWAY_USER):
        assert await own_nats.check_outside_login(server.url, user, user, passwords[user]) == ""
    with pytest.raises(RuntimeProblem, match="does not let user runtime in") as refused:
        await own_nats.check_server(server.url, RUNTIME_USER, "a-guess")
    assert "a-guess" not in refused.value.message
    with pytest.raises(RuntimeProblem, match="gives user downstream no JetStream"):
        await own_nats.check_server(server.url, DOWNSTREAM_USER, passwords[DOWNSTREAM_USER])
    said = await own_nats.check_outside_login(server.url, GATEWAY_USER, GATEWAY_USER, "a-guess")
    assert said.startswith("the login of gateways does not work")
    said = await own_nats.check_outside_login(server.url, DOWNSTREAM_USER, RUNTIME_USER, passwords[RUNTIME_USER])
    assert said.startswith("the login of downstream teams (runtime) may publish anything")
    monkeypatch.setattr(own_nats, "MINIMUM_VERSION", (99, 1))
    with pytest.raises(RuntimeProblem, match=r"too old; Tocsin needs 99\.1 or newer"):
        await own_nats.check_server(server.url, RUNTIME_USER, passwords[RUNTIME_USER])


async def test_commands_reach_whichever_server_of_a_cluster_is_up(
    server: OwnNats, passwords: dict[str, str], tmp_path: Path
) -> None:
    instance = Instance(
        supervisor_pid=1,
        version="",
        edge_url="",
        edge_port=1,
        nats_url=f"nats://127.0.0.1:{free_port()},{server.url}",
        postgres_dsn="",
        external_nats=True,
        external_postgres=False,
        nats_user="",
        nats_password="",
        nats_prefix="",
        issuer="",
        audience="",
        ports={},
    )
    assert passwords[CLI_USER]
    async with MeshClient(instance, StateDir(tmp_path / "state")).nats() as client:
        assert (await client.jetstream().account_info()).streams == 0


async def test_a_server_without_logins_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = NatsServer(tmp_path / "open")
    server.start()
    try:
        (note,) = await own_nats.check_server(server.url, RUNTIME_USER, "whatever")
        assert "1,048,576 bytes" in note
        said = await own_nats.check_outside_login(server.url, GATEWAY_USER, GATEWAY_USER, "whatever")
        assert "may publish anything" in said
    finally:
        server.stop()
    monkeypatch.setattr(own_nats, "_PATIENCE_SECONDS", 0.5)
    with pytest.raises(RuntimeProblem, match="cannot be reached"):
        await own_nats.check_server(server.url, "", "")
