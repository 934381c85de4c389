"""No request of somebody else's reaches the mesh's own doors, by any spelling, whatever the operator allows."""

import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.client import MeshClient
from services.cli.runtime.settings import read_settings
from services.cli.runtime.status import read_reports
from tests.e2e.conftest import IMPATIENT, Edge, running_mesh
from tests.support.ports import free_port, listening_ports
from tests.support.rest import trust

EVERYTHING = "0.0.0.0/0,::/0"
ADDRESSES = (
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:0.0.0.0]", "[::127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "[::ffff:0:127.0.0.1]"),
)
NAMES = ("localhost", "LOCALHOST", "localhost.", socket.gethostname())
NO_ADDRESSES = ("2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0")
SCOPES = ["webhooks:write", "notifications:write", "notifications:read", "alerts:write", "videos:write"]
EVENTS = ["tocsin.events.v1.VideoProbed", "tocsin.events.v1.VideoProbeFailed"]


class Redirecting(BaseHTTPRequestHandler):
    """Sends everybody to the path that was asked for, as a URL: `/http://127.0.0.1:1/x`."""

    def do_GET(self) -> None:
        self.send_response(307)
        self.send_header("location", self.path.removeprefix("/"))
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Says nothing."""


@contextmanager
def redirecting_server() -> Generator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass(frozen=True)
class Attack:
    """A mesh whose operator allows everything, a token that may name targets and nothing else, and who redirects."""

    mesh: MeshClient
    client: httpx.Client
    redirecting: str

    @property
    def ports(self) -> dict[str, int]:
        return self.mesh.instance.ports


@pytest.fixture(scope="module")
def attack(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Attack]:
    # Longer than the path of a socket may be.
    state_dir = tmp_path_factory.mktemp("doors") / ("long-" * 20) / "state"
    requests = read_settings(state_dir, {}, environment={}).port_requests()
    ports = {request.variable: str(free_port()) for request in requests}
    hosts = {name.lower().rstrip(".") for name in NAMES}
    named = [f"{scheme}://{host}:{port}" for port in ports.values() for host in hosts for scheme in ("http", "https")]
    environment = {
        **IMPATIENT,
        **ports,
        "TOCSIN_NOTIFICATION_ALLOWED_TARGETS": ",".join([EVERYTHING, *named]),
        "TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS": ",".join([EVERYTHING, *named]),
        "TOCSIN_INGESTION_VIDEO_ORIGINS": ",".join([EVERYTHING, *named]),
    }
    with (
        redirecting_server() as redirecting,
        running_mesh(repository, state_dir, {**environment, "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": redirecting}) as (
            mesh,
            _process,
        ),
    ):
        headers = {"authorization": f"Bearer {mesh.token(SCOPES, tenants=['test'])}"}
        with httpx.Client(base_url=mesh.instance.edge_url, headers=headers, timeout=30, verify=trust()) as client:
            yield Attack(mesh, client, redirecting)
        # Who was attacked stands as it stood: every part, with its first process, through every door.
        assert all(part.healthy and part.restarts == 0 for part in read_reports(mesh.state)), read_reports(mesh.state)
        for name in ("edge", "gateway", "notification", "envoy_metrics"):
            with socket.create_connection(("127.0.0.1", mesh.instance.ports[name]), timeout=2):
                pass
        assert httpx.get(f"{mesh.instance.edge_url}/health", timeout=5, verify=trust()).status_code == 200


def requests_to(attack: Attack, url: str, unique: str) -> dict[str, httpx.Response]:
    """Every way to name a target."""
    subscription = {"url": url, "eventTypes": EVENTS}
    endpoint = {"tenant": "test", "channel": "WEBHOOK", "address": url}
    alert = {"uid": unique, "video": url, "timestamp": 1_720_000_000.5, "store": "s"}
    return {
        "subscription": attack.client.post("/v1/webhookSubscriptions", json=subscription),
        "endpoint": attack.client.post("/v1/users/mallory/endpoints", json=endpoint),
        "alert": attack.client.post("/v1/alerts", json=alert),
        "probe": attack.client.post("/v1/videos:probe", json={"video": url}),
    }


def test_every_listener_of_the_mesh_is_one_of_its_ports(attack: Attack) -> None:
    parts = {part.pid for part in read_reports(attack.mesh.state) if part.pid}
    processes = {attack.mesh.instance.supervisor_pid, *parts}
    listening = {port for process in processes for port in listening_ports(process)}
    assert listening == set(attack.ports.values())


@pytest.mark.parametrize("host", [*ADDRESSES, *NAMES])
def test_no_port_of_the_mesh_is_called(attack: Attack, unique: Callable[[str], str], host: str) -> None:
    for name, port in attack.ports.items():
        url = f"{'https' if name.startswith('edge') else 'http'}://{host}:{port}/quitquitquit"
        answers = requests_to(attack, url, unique("doors"))
        for way, reason in (
            ("subscription", "TARGET_BLOCKED"),
            ("endpoint", "TARGET_BLOCKED"),
            ("alert", "VIDEO_NOT_ALLOWED"),
        ):
            problem = answers[way].json()
            assert (answers[way].status_code, problem["reason"]) == (400, reason), (name, url, problem)
            assert "Tocsin itself listens on port" in problem["detail"]
        probed = answers["probe"].json()
        assert (probed["state"], probed["failure"]) == ("FAILED", "BLOCKED_TARGET"), (name, url, probed)
        assert "Tocsin itself listens on port" in probed["message"]


@pytest.mark.parametrize("host", NO_ADDRESSES)
def test_what_only_some_take_for_an_address_is_none(attack: Attack, unique: Callable[[str], str], host: str) -> None:
    answers = requests_to(attack, f"http://{host}:{attack.ports['gateway']}/", unique("doors"))
    for way in ("subscription", "endpoint", "alert"):
        assert answers[way].status_code == 400, (way, answers[way].text)
    assert answers["probe"].json()["failure"] == "BLOCKED_TARGET"


@pytest.mark.parametrize("part", ["envoy_metrics", "edge", "gateway", "nats", "postgres"])
def test_who_redirects_leads_nobody_in(attack: Attack, unique: Callable[[str], str], part: str) -> None:
    inside = f"http://127.0.0.1:{attack.ports[part]}/quitquitquit"
    probed = attack.client.post("/v1/videos:probe", json={"video": f"{attack.redirecting}/{inside}"}).json()
    assert (probed["state"], probed["failure"]) == ("FAILED", "BLOCKED_TARGET"), probed
    user = unique("user")
    endpoint = {"tenant": "test", "channel": "WEBHOOK", "address": f"{attack.redirecting}/{inside}"}
    assert attack.client.post(f"/v1/users/{user}/endpoints", json=endpoint).status_code == 200
    sent = attack.client.post(
        "/v1/notifications",
        json={"tenant": "test", "user": user, "type": "INFO", "title": "T", "channel": "WEBHOOK", "wait": True},
    )
    assert sent.json()["error"] == "HTTP_307: the receiver answered 307, a redirect, which is not followed", sent.text


def test_what_is_not_the_mesh_is_as_free_as_the_operator_says(attack: Attack) -> None:
    body = {"url": f"{attack.redirecting}/hook", "eventTypes": EVENTS}
    assert attack.client.post("/v1/webhookSubscriptions", json=body).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "10.1.2.3", "169.254.169.254"])
def test_by_itself_no_mesh_calls_what_is_not_public(edge: Edge, rest: httpx.Client, host: str) -> None:
    url = f"http://{host}:{free_port()}"
    refused = rest.post("/v1/webhookSubscriptions", json={"url": f"{url}/hook", "eventTypes": EVENTS})
    assert (refused.status_code, refused.json()["reason"]) == (400, "TARGET_BLOCKED")
    assert f"TOCSIN_NOTIFICATION_ALLOWED_TARGETS={url}" in refused.json()["detail"]
    probed = rest.post("/v1/videos:probe", json={"video": f"{url}/v.mp4"}).json()
    assert probed["failure"] == "BLOCKED_TARGET", probed
    # The one receiver that the operator has named is on loopback, too.
    receiver = {"url": edge.world.webhook_url, "eventTypes": EVENTS}
    made = rest.post("/v1/webhookSubscriptions", json=receiver)
    assert made.status_code == 200, made.text
    assert rest.delete(f"/v1/webhookSubscriptions/{made.json()['id']}").status_code == 200
