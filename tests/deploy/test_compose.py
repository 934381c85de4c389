"""The Compose deployment, as its page in the docs starts it, and the demo's scenario played against it.

COMPOSE names the command (`docker compose` by default), COMPOSE_IMAGES a file of image names, by default that of the
stand-ins (deploy/compose/stand-ins), which have no Grafana.
"""

import ipaddress
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.demo.downstream import Downstream
from services.cli.demo.edge import Edge
from services.cli.demo.scenario import Scenario
from services.cli.demo.videos import make_videos
from services.cli.demo.world import World
from tests.deploy.conftest import Engine
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.world import running_world

pytestmark = pytest.mark.timeout(900)  # a service may take its time where others build beside it
COMMAND = (os.environ.get("COMPOSE") or "docker compose").split()
PROJECT = "tocsin-test"
STAND_INS = "deploy/compose/stand-ins/images.env"
STARTED = ("envoy", "videos", "mail", "prometheus", "otel-collector")
"""With these come all that they depend on, which is everything but Grafana."""


@dataclass
class Deployment:
    """What `compose` was told, the edge, and the world around it."""

    files: tuple[str, ...]
    environment: dict[str, str]
    secrets: Path
    world: World
    videos: dict[str, tuple[int, int]]
    edge: str

    def __call__(self, *arguments: str, timeout: float = 500) -> str:
        done = subprocess.run(
            [*COMMAND, "--project-name", PROJECT, *self.files, *arguments],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def container(self, service: str) -> str:
        return self("ps", "--quiet", service)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, repository: Path, engine: Engine) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("compose")
    (directory / "videos").mkdir()
    videos = make_videos(directory / "videos")
    for path in (directory, directory / "videos"):
        path.chmod(0o755)  # nginx runs as a user of its own
    subnet = engine("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}")
    host = str(next(ipaddress.ip_network(subnet).hosts()))  # this host, as containers see it
    with running_world(directory / "videos", host) as world:
        port = free_port()
        environment = {
            "TOCSIN_SECRETS": str(directory / "secrets"),
            "TOCSIN_VIDEOS": str(directory / "videos"),
            "TOCSIN_USER": f"{os.getuid()}:{os.getgid()}",
            "TOCSIN_AUTH_DEV_TOKENS": "true",
            "TOCSIN_EDGE_PORT": str(port),
            "TOCSIN_EDGE_TLS_PORT": str(free_port()),
            "TOCSIN_TRACE_RATIO": "1",
            "TOCSIN_NOTIFICATION_SMTP_HOST": host,
            "TOCSIN_NOTIFICATION_SMTP_PORT": str(world.smtp_port),
            "TOCSIN_NOTIFICATION_ALLOWED_TARGETS": world.webhook_origin,
            "TOCSIN_NOTIFICATION_REMINDER_CHECK_ORIGINS": world.webhook_origin,
        }
        images = repository / (os.environ.get("COMPOSE_IMAGES") or STAND_INS)
        files = ("--file", str(repository / "deploy/compose/compose.yaml"), "--env-file", str(images))
        made = Deployment(files, environment, directory / "secrets", world, videos, f"http://127.0.0.1:{port}")
        (directory / "secrets").mkdir(mode=0o700)
        try:
            made("run", "--rm", "secrets")
            try:
                made("up", "--detach", *STARTED)
            except AssertionError as error:
                error.add_note(made("ps") + made("logs", "--tail", "20"))
                raise
            yield made
        finally:
            made("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="module")
def token(deployment: Deployment) -> str:
    """Once the edge says that the whole mesh is well."""
    deadline = time.monotonic() + 300
    with httpx.Client(base_url=deployment.edge) as client:
        while True:
            try:
                answer = client.get("/health")
                if answer.status_code == 200:
                    break
                last = answer.text
            except httpx.HTTPError as error:
                last = repr(error)
            assert time.monotonic() < deadline, f"the mesh does not become well: {last}"
            time.sleep(0.5)
    return deployment("run", "--rm", "cli", "tocsin", "token").splitlines()[-1]


async def test_the_demo_plays_against_it(deployment: Deployment, token: str, engine: Engine) -> None:
    broker = engine(
        "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", deployment.container("nats")
    )
    login = (deployment.secrets / "mesh" / "credentials" / "downstream.env").read_text()
    user, password = (re.findall(rf"^NATS_{name}=(.*)$", login, re.MULTILINE)[0] for name in ("USER", "PASSWORD"))
    connection = await nats.connect(f"nats://{broker}:4222", user=user, password=password)
    downstream = Downstream(connection, MeshNames())
    await downstream.start()
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=deployment.edge, headers=headers, timeout=30) as client:
        scenario = Scenario(Edge(client), deployment.world, deployment.videos, run=os.urandom(3).hex())
        for _, step in scenario.steps():
            await step()
    assert downstream.seen["tocsin.videos.v1.probed", "VideoProbed"] == 6
    assert downstream.seen["tocsin.alarms.v1.raised", "AlarmRaised"] >= 2
    await connection.close()


async def test_commands_reach_it(deployment: Deployment, token: str) -> None:
    assert "energy" in deployment("run", "--rm", "cli", "tocsin", "sensor-types", "list")


async def test_what_is_published_and_what_is_not(deployment: Deployment, token: str, engine: Engine) -> None:
    published: dict[str, set[str]] = {}
    for container in deployment("ps", "--quiet").split():
        found = json.loads(engine("inspect", container))[0]
        name = found["Config"]["Labels"]["com.docker.compose.service"]
        bindings = found["HostConfig"]["PortBindings"] or {}
        hosts = {one["HostIp"] for several in bindings.values() for one in several}
        if hosts:
            published[name] = hosts
    assert published.keys() <= {"envoy", "mail", "prometheus", "grafana"}
    assert set[str]().union(*published.values()) == {"127.0.0.1"}


def _expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


async def test_every_part_is_watched(deployment: Deployment, token: str, repository: Path) -> None:
    async with httpx.AsyncClient() as client:

        async def up() -> bool:
            answer = await client.get("http://127.0.0.1:9090/api/v1/query", params={"query": "up"})
            found = {one["metric"]["part"]: one["value"][1] for one in answer.json()["data"]["result"]}
            assert found.keys() == {"ingestion", "aggregation", "media-probe", "notification", "gateway", "envoy"}
            return set(found.values()) == {"1"}

        await eventually(up, 60, interval=0.5, what="metrics of all parts")
        dashboard = (repository / "deploy/compose/grafana/provisioning/dashboards/tocsin.json").read_text()
        wanted = {expression for panel in json.loads(dashboard)["panels"] for expression in _expressions(panel)}
        for expression in wanted:
            answer = await client.get("http://127.0.0.1:9090/api/v1/query", params={"query": expression})
            assert answer.json()["status"] == "success", expression
            assert answer.json()["data"]["result"], f"nothing has the metric of {expression}"


async def test_traces_reach_the_collector(deployment: Deployment, token: str) -> None:
    await eventually(lambda: "/v1/traces" in deployment("logs", "otel-collector"), 60, interval=1, what="traces")


async def test_a_service_that_is_killed_comes_back(deployment: Deployment, token: str, engine: Engine) -> None:
    container = deployment.container("aggregation")
    pid = engine("inspect", "--format", "{{.State.Pid}}", container)
    os.kill(int(pid), signal.SIGKILL)

    async def well() -> bool:
        # Just after the kill the engine may tell of the process that is gone.
        now, health = engine("inspect", "--format", "{{.State.Pid}} {{.State.Health.Status}}", container).split()
        return health == "healthy" and now not in ("0", pid.strip())

    await eventually(well, 90, interval=1, what="a healthy aggregation")
