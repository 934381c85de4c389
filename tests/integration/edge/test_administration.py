"""Envoy's administration: a socket for its owner, metrics for Prometheus, and no port."""

import stat
from datetime import timedelta

import httpx
import pytest

from services.cli.runtime.probes import edge_probe
from tests.integration.edge.conftest import Edge
from tests.support.eventually import eventually
from tests.support.ports import listening_ports
from tests.support.rest import trust


async def test_envoy_listens_on_the_edge_and_for_metrics_and_nowhere_else(edge_stack: Edge) -> None:
    assert listening_ports(edge_stack.envoy_pid) == {edge_stack.port, edge_stack.metrics_port}


async def test_the_administration_is_a_socket_of_its_owner(edge_stack: Edge) -> None:
    found = edge_stack.admin_socket.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    transport = httpx.AsyncHTTPTransport(uds=str(edge_stack.admin_socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://envoy") as client:
        assert (await client.get("/ready")).text == "LIVE\n"


async def test_the_metrics_are_all_that_the_port_gives(edge_stack: Edge) -> None:
    address = f"http://127.0.0.1:{edge_stack.metrics_port}"
    async with httpx.AsyncClient(base_url=address, verify=trust()) as client:
        answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert "envoy_http_downstream_rq_total" in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/quitquitquit"),
        ("POST", "/drain_listeners"),
        ("GET", "/config_dump"),
        ("POST", "/metrics"),
        ("GET", "/metrics/../quitquitquit"),
        ("GET", "/metrics%2f..%2fconfig_dump"),
        ("GET", "/metrics/"),
        ("GET", "/stats/prometheus"),
    ],
)
async def test_nothing_else_of_the_administration_is_reached(edge_stack: Edge, method: str, path: str) -> None:
    async with httpx.AsyncClient(verify=trust()) as client:
        address = f"http://127.0.0.1:{edge_stack.metrics_port}"
        assert (await client.request(method, f"{address}{path}")).status_code == 404
        assert (await client.get(f"http://127.0.0.1:{edge_stack.port}/livez")).status_code == 200


async def test_the_access_log_holds_clients_without_queries_and_not_the_supervisor(edge_stack: Edge) -> None:
    await edge_probe("127.0.0.1", edge_stack.port)(timedelta(seconds=5))
    async with httpx.AsyncClient(base_url=edge_stack.url, verify=trust()) as client:
        assert (await client.put("/v1/debtFiles:content?token=signed")).status_code not in (200, 401)
        assert (await client.get("/v1/after-the-probe")).status_code == 401
    log = edge_stack.admin_socket.with_name("envoy.log")
    # Envoy writes it out every ten seconds.
    await eventually(lambda: "/v1/after-the-probe" in log.read_text(), timeout=20, what="the client's request")
    assert "supervisor" not in log.read_text()
    assert "/v1/debtFiles:content" in log.read_text()
    assert "signed" not in log.read_text()
