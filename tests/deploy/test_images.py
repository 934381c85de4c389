"""The images, each run as a deployment runs it: read-only, without capabilities, in 512 MiB, as a user without a name
on this host. PostgreSQL and NATS are this host's; the rest of the mesh is containers."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.cli.demo.videos import make_videos
from services.cli.runtime.postgres_address import at_database
from services.cli.runtime.settings import SERVICES, part_name
from tests.deploy.conftest import Engine
from tests.support.eventually import eventually
from tests.support.own_nats import OwnNats
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.videos import make_video
from tests.support.world import running_world

IMAGE = os.environ.get("TOCSIN_IMAGE") or "tocsin:latest"
GATEWAY_IMAGE = os.environ.get("TOCSIN_GATEWAY_IMAGE") or "tocsin-gateway:latest"
AS_DEPLOYED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "512m", "--memory-swap", "512m", "--pids-limit", "256", "--network", "host"),
)
STOP_WITHIN_SECONDS = 14.0
ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Of these the image has no encoders: what they made must be looked into all the same."""


_SIGNS = """
from babel import localedata
from services.ingestion.domain.debts.errors import ConventionsInvalid
from services.ingestion.adapters.locales import signs_of
for name in sorted(localedata.locale_identifiers()):
    try:
        print(name, signs_of(name))
    except ConventionsInvalid as error:
        print(name, error)
"""


@dataclass
class Deployed:
    """Containers by part, and where the gateway answers."""

    gateway: str
    token: str
    secrets: Path
    containers: dict[str, str] = field(default_factory=dict[str, str])


@pytest.fixture
def servers(tmp_path: Path, engine: Engine) -> Iterator[tuple[PostgresServer, OwnNats, Path]]:
    """The servers, prepared by the image: its secrets, its migrations."""
    (tmp_path / "postgres").mkdir()
    postgres = PostgresServer(tmp_path / "postgres")
    postgres.start()
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    dsn = at_database(postgres.dsn(), "plant")
    told = ("--env", f"TOCSIN_POSTGRES_DSN={dsn}")
    engine(
        "run", "--rm", *AS_DEPLOYED, *_as_operator(secrets), *told, IMAGE, "tocsin", "deployment", "secrets", "/secrets"
    )
    nats = OwnNats(tmp_path / "nats", (secrets / "nats" / "accounts.conf").read_text())
    nats.start()
    yield postgres, nats, secrets
    nats.stop()
    postgres.stop()


def _as_operator(secrets: Path) -> tuple[str, ...]:
    """What makes secrets, and signs tokens, runs as whoever they belong to."""
    return ("--user", f"{os.getuid()}:{os.getgid()}", "--volume", f"{secrets}:/secrets")


@pytest.fixture
async def deployed(
    servers: tuple[PostgresServer, OwnNats, Path], engine: Engine, tmp_path: Path
) -> AsyncIterator[Deployed]:
    _, nats, secrets = servers
    listen = {name: f"127.0.0.1:{free_port()}" for name in (*SERVICES, "gateway", "gateway_grpc", "gateway_metrics")}
    (tmp_path / "videos").mkdir()
    make_videos(tmp_path / "videos")
    for codec, encoder in ENCODERS.items():
        (tmp_path / "videos" / f"{codec}.mkv").write_bytes(make_video("matroska", encoder))
    with running_world(tmp_path / "videos") as world:
        settings = {
            "TOCSIN_NATS_URL": nats.url,
            "TOCSIN_AUTH_DEV_TOKENS": "true",
            "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": world.video_server,
            "TOCSIN_INGESTION_DEBT_UPLOAD_KEY_FILE": "/run/secrets/tocsin/uploads.keys",
            "TOCSIN_NOTIFICATION_LINK_KEY_FILE": "/run/secrets/tocsin/links.keys",
            **{f"TOCSIN_PEER_{service.upper()}": listen[service] for service in SERVICES},
        }
        shared = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        migrate = ("tocsin", "migrate", "--secrets", "/run/secrets/tocsin/secrets.json")
        engine("run", "--rm", *AS_DEPLOYED, *_mounted(secrets / "migrate"), *shared, IMAGE, *migrate)
        token = engine("run", "--rm", *_as_operator(secrets), IMAGE, "tocsin", "token", "--state-dir", "/secrets/mesh")
        mesh = Deployed(f"http://{listen['gateway']}", token, secrets)
        for service in SERVICES:
            own = {"TOCSIN_GRPC_LISTEN": listen[service], "TOCSIN_METRICS_LISTEN": f"127.0.0.1:{free_port()}"}
            where = [part for name, value in own.items() for part in ("--env", f"{name}={value}")]
            part = part_name(service)
            mesh.containers[part] = engine.start(*AS_DEPLOYED, *_mounted(secrets / part), *shared, *where, IMAGE, part)
        own = {
            "TOCSIN_GATEWAY_LISTEN": listen["gateway"],
            "TOCSIN_GATEWAY_GRPC_LISTEN": listen["gateway_grpc"],
            "TOCSIN_METRICS_LISTEN": listen["gateway_metrics"],
        }
        where = [part for name, value in own.items() for part in ("--env", f"{name}={value}")]
        mesh.containers["gateway"] = engine.start(*AS_DEPLOYED, *shared, *where, GATEWAY_IMAGE)
        yield mesh


def _mounted(directory: Path) -> tuple[str, str]:
    return ("--volume", f"{directory}:/run/secrets/tocsin:ro")


async def test_each_image_is_well_and_answers(
    deployed: Deployed, engine: Engine, capsys: pytest.CaptureFixture
) -> None:
    for part, container in deployed.containers.items():
        if part == "gateway":
            ask = ("tocsin-gateway", "healthcheck")
        else:
            ask = ("tocsin", "healthcheck", part, "--wait", "60s")
        try:
            await asyncio.to_thread(engine, "exec", container, *ask)
        except AssertionError as error:
            error.add_note(engine("logs", container))
            raise
    headers = {"authorization": f"Bearer {deployed.token}"}
    async with httpx.AsyncClient(base_url=deployed.gateway, headers=headers, timeout=30) as client:
        health = await client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "SERVING"), health.text

        async def found(path: str, **expected: str) -> bool:
            answer = await client.get(path)
            return answer.status_code == 200 and expected.items() <= answer.json().items()

        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        reading = {
            "building": "b",
            "room": "r",
            "sensorType": "temperature",
            "value": 21.5,
            "unit": "C",
            "eventTime": now,
        }
        assert (await client.post("/v1/readings", json=reading)).status_code == 200  # ingestion
        await eventually(lambda: found("/v1/buildings/b/rooms/r/average", state="OK"), what="aggregation's average")
        alert = {"uid": "cam-1", "video": "/videos/dock.mp4", "timestamp": time.time(), "store": "s"}
        assert (await client.post("/v1/alerts", json=alert)).status_code == 200
        await eventually(lambda: found("/v1/videos/cam-1", state="PROBED", codec="mpeg4"), what="the probed video")
        for codec in ENCODERS:
            alert = {"uid": codec, "video": f"/videos/{codec}.mkv", "timestamp": time.time(), "store": "s"}
            assert (await client.post("/v1/alerts", json=alert)).status_code == 200
        for codec in ENCODERS:
            await eventually(
                lambda codec=codec: found(f"/v1/videos/{codec}", state="PROBED", codec=codec), what=f"the {codec} video"
            )
        note = {"tenant": "test", "user": "ann", "type": "INFO", "title": "Hi", "channel": "CONSOLE", "wait": True}
        sent = await client.post("/v1/notifications", json=note)
        assert (sent.status_code, sent.json().get("status")) == (200, "SENT"), sent.text
    stats = engine("stats", "--no-stream", "--format", "{{json .}}", *deployed.containers.values())
    memory = {json.loads(line)["ID"]: json.loads(line)["MemUsage"] for line in stats.splitlines()}
    with capsys.disabled():
        for part, container in deployed.containers.items():
            print(f"\n    {part:12} {memory[container[:12]]}", end="")
        print()
    for part, container in deployed.containers.items():
        begun = time.monotonic()
        await asyncio.to_thread(engine, "stop", "--time", "30", container)
        assert time.monotonic() - begun < STOP_WITHIN_SECONDS, f"{part} heeds no SIGTERM"
        assert engine("inspect", "--format", "{{.State.ExitCode}}", container) == "0", engine("logs", container)


@pytest.mark.parametrize("image", [IMAGE, GATEWAY_IMAGE])
def test_what_an_image_says_of_itself(image: str, engine: Engine) -> None:
    config = json.loads(engine("image", "inspect", image))[0]["Config"]
    assert config["User"] == "10001:10001"
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels.keys() >= {"title", "description", "version", "revision", "created", "licenses"}
    assert all(labels.values())


def test_the_image_has_nothing_to_build_with_and_nothing_of_the_build(engine: Engine) -> None:
    look = "command -v cc gcc ld pip pip3 apt-get || find / -xdev -name '*.whl' -o -xdev -name hatchling"
    found = engine("run", "--rm", "--user", "0", "--entrypoint", "sh", IMAGE, "-c", look)
    assert [line for line in found.splitlines() if not line.startswith("/usr/share/python-wheels")] == []


def test_versions_are_those_of_the_label(engine: Engine) -> None:
    version = engine(
        "image", "inspect", "--format", '{{index .Config.Labels "org.opencontainers.image.version"}}', IMAGE
    )
    assert engine("run", "--rm", *AS_DEPLOYED, IMAGE, "tocsin", "--version") == f"tocsin {version}"


def test_it_knows_how_numbers_and_dates_are_written_everywhere(engine: Engine) -> None:
    """Of the data of locales it has no more than that."""
    known = engine("run", "--rm", *AS_DEPLOYED, IMAGE, "python", "-c", _SIGNS)
    here = subprocess.run([sys.executable, "-c", _SIGNS], capture_output=True, text=True, check=True)
    assert len(known.splitlines()) > 500
    assert known == here.stdout.strip()
