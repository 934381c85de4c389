"""What `tocsin up` takes from options and the environment."""

from pathlib import Path

import pytest

from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.settings import DEFAULT_EDGE_PORT, SERVICES, port_variable, read_settings
from services.cli.runtime.up import warnings_about

_STATE = Path("/nowhere")


def test_only_the_edge_has_a_fixed_port() -> None:
    settings = read_settings(_STATE, {}, environment={})
    assert settings.configured_ports == {"edge": DEFAULT_EDGE_PORT}
    assert settings.edge_host == "127.0.0.1"


def test_an_option_wins_over_its_variable() -> None:
    environment = {"TOCSIN_EDGE_PORT": "9000", "TOCSIN_NATS_PORT": "9001"}
    settings = read_settings(_STATE, {"edge": 9100, "nats": None}, environment=environment)
    assert settings.configured_ports["edge"] == 9100
    assert settings.configured_ports["nats"] == 9001


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_variables_for_its_ports(service: str) -> None:
    environment = {port_variable(service): "9001", port_variable(f"{service}_metrics"): "9002"}
    ports = read_settings(_STATE, {}, environment=environment).configured_ports
    assert (ports[service], ports[f"{service}_metrics"]) == (9001, 9002)


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", "80.0", "²"])
def test_a_port_that_is_none_is_refused_by_variable(value: str) -> None:
    with pytest.raises(ConfigurationProblem, match="TOCSIN_EDGE_PORT"):
        read_settings(_STATE, {}, environment={"TOCSIN_EDGE_PORT": value})


def test_servers_of_the_operator_replace_own_ones() -> None:
    environment = {"TOCSIN_POSTGRES_DSN": "postgresql://a:b@db/x", "TOCSIN_NATS_URL": "nats://broker:4222"}
    settings = read_settings(_STATE, {}, environment=environment)
    names = {request.name for request in settings.port_requests()}
    assert not names & {"postgres", "nats"}


@pytest.mark.parametrize(
    ("host", "only", "warned"),
    [("0.0.0.0", None, True), ("::", None, True), ("127.0.0.1", None, False), ("0.0.0.0", "nats", False)],
)
def test_plain_http_for_other_machines_is_told(host: str, only: str | None, warned: bool) -> None:
    parts = frozenset({only}) if only else None
    told = warnings_about(read_settings(_STATE, {}, edge_host=host, only=parts, environment={}))
    assert bool(told) is warned
    assert all("plain HTTP" in text and "TOCSIN_EDGE_TLS_CERT_FILE" in text for text in told)


def test_an_unknown_part_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationProblem, match="no part is called 'postgrez'"):
        read_settings(_STATE, {}, only=frozenset({"postgrez"}), environment={})
