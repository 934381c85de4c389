"""Tokens of an identity provider of the operator's: only they are accepted by edge and services, through changes of its
keys and whatever it answers."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest

from services.cli.client import MeshClient
from services.cli.runtime.credentials import open_issuer
from tests.e2e.conftest import running_mesh, until
from tests.support.identity_provider import AUDIENCE, ISSUER, Provider, running_provider
from tests.support.rest import trust
from tocsin.ingestion.v1.catalogue_service_pb2 import ListBuildingsRequest
from tocsin.ingestion.v1.catalogue_service_pb2_grpc import CatalogueServiceStub


@dataclass(frozen=True)
class Door:
    """A mesh that takes the tokens of a provider, which was of no use when the mesh was started."""

    mesh: MeshClient
    provider: Provider
    told: Path

    def rest(self, token: str) -> int:
        """Through the edge and the gateway."""
        headers = {"authorization": f"Bearer {token}"}
        return httpx.get(
            f"{self.mesh.instance.edge_url}/v1/buildings", headers=headers, timeout=30, verify=trust()
        ).status_code

    def direct(self, token: str) -> grpc.StatusCode:
        """At the service, past the edge."""
        with grpc.insecure_channel(f"127.0.0.1:{self.mesh.instance.ports['ingestion']}") as channel:
            stub = CatalogueServiceStub(channel)
            try:
                stub.ListBuildings(ListBuildingsRequest(), metadata=[("authorization", f"Bearer {token}")], timeout=20)
            except grpc.RpcError as error:
                code: grpc.StatusCode = error.code()  # pyright: ignore[reportAttributeAccessIssue] - errors of calls have it
                return code
            return grpc.StatusCode.OK

    def until_all_asked(self) -> None:
        """The runtime, the edge and the four services have all asked the provider once more."""
        before = self.provider.asked
        until(lambda: self.provider.asked > before + 8, timeout=60, what="everybody's question")

    def until_open(self, kid: str) -> None:
        until(lambda: self.rest(self.provider.sign(kid)) == 200, timeout=30, what=f"a token of {kid} that is accepted")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("provided")
    with running_provider(directory) as provider:
        provider.behaviour = "500"
        provider.add("first")
        environment = {
            "TOCSIN_AUTH_JWKS_URL": provider.url,
            "TOCSIN_AUTH_JWKS_CA_FILE": str(provider.ca_file),
            "TOCSIN_AUTH_JWKS_REFRESH": "1s",
            "TOCSIN_AUTH_ISSUER": ISSUER,
            "TOCSIN_AUTH_AUDIENCE": AUDIENCE,
        }
        with running_mesh(repository, directory / "state", environment) as (mesh, _process):
            yield Door(mesh, provider, directory / "up.log")


def test_a_provider_that_comes_later_is_taken_up_then(door: Door) -> None:
    assert door.rest(door.provider.sign("first")) == 401
    assert door.direct(door.provider.sign("first")) is grpc.StatusCode.UNAUTHENTICATED
    until(lambda: "keys cannot be fetched" in door.told.read_text(), what="a word about it")
    assert "the provider answers 500" in door.told.read_text()
    door.provider.behaviour = ""
    door.until_open("first")
    assert door.direct(door.provider.sign("first")) is grpc.StatusCode.OK


def test_nobody_else_s_tokens_open_the_edge(door: Door, tmp_path: Path) -> None:
    door.provider.behaviour = ""
    door.until_open("first")
    sign = door.provider.sign
    foreign = Provider(tmp_path)
    foreign.add("first")
    state = door.mesh.state
    refused = {
        "another key of that name": foreign.sign("first"),
        "another issuer": sign("first", iss="https://tocsin.local"),
        "another audience": sign("first", aud="tocsin"),
        "expired": sign("first", exp=1),
        "of development": open_issuer(state).mint(),
        "of development, by that name": open_issuer(state, issuer=ISSUER, audience=AUDIENCE).mint(),
    }
    for what, token in refused.items():
        # Envoy has a code of its own for the wrong audience.
        assert door.rest(token) == (403 if what == "another audience" else 401), what
        assert door.direct(token) is grpc.StatusCode.UNAUTHENTICATED, what
    # What the services show each other opens their own doors only.
    peer = (state.credentials / "aggregation.jwt").read_text()
    assert door.direct(peer) is grpc.StatusCode.OK
    assert door.rest(peer) == 401, "its issuer is not the edge's"
    assert door.rest(sign("first", scope="readings:write")) == 403


def test_keys_may_change_and_the_provider_may_fail(door: Door) -> None:
    provider = door.provider
    provider.behaviour = ""
    door.until_open("first")
    provider.add("second", "RS256")
    door.until_open("second")
    door.until_all_asked()
    for trouble in ("500", "garbage", "slow"):
        provider.behaviour = trouble
        door.until_all_asked()
        assert door.rest(provider.sign("second")) == 200, trouble
    provider.remove("first")
    provider.add("third")
    provider.behaviour = ""
    door.until_open("third")
    old = open_issuer(door.mesh.state, issuer=ISSUER, audience=AUDIENCE)
    assert door.rest(old.mint()) == 401


def test_commands_take_the_token_that_they_are_given(door: Door, repository: Path) -> None:
    door.provider.behaviour = ""
    door.provider.add("commands")
    door.until_open("commands")

    def tocsin(*arguments: str, token: str = "") -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "services.cli.main", *arguments, "--state-dir", str(door.mesh.state.root)]
        environment = {"PATH": "", "TOCSIN_TOKEN": token}
        return subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)

    for arguments in (["token"], ["average", "b", "r"], ["deadletters", "list"]):
        done = tocsin(*arguments)
        assert done.returncode == 2, done
        assert "set TOCSIN_TOKEN" in done.stderr
    done = tocsin("deadletters", "list", token=door.provider.sign("commands"))
    assert done.returncode == 0, done
    assert tocsin("status").returncode == 0
