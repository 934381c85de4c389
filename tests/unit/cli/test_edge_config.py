"""Envoy's configuration from its template."""

import re
from pathlib import Path

import pytest
import yaml

from services.cli.runtime.edge import envoy_command, render_envoy_config
from services.cli.runtime.edge_options import read_edge_options
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.identity_provider import Identity

_TLS = {"TOCSIN_EDGE_TLS_CERT_FILE": "/etc/tls/cert.pem", "TOCSIN_EDGE_TLS_KEY_FILE": "/etc/tls/key.pem"}
_MTLS = {f"TOCSIN_GRPC_TLS_{name}_FILE": f"/etc/mtls/{name.lower()}.pem" for name in ("CERT", "KEY", "CA")}


def test_names_become_values_and_sections_come_and_go() -> None:
    template = "a: ${A}\n# a remark\n  # begin B\nb: ${B}\n  # end B\nc: '$'\n"
    assert render_envoy_config(template, {"A": "1"}, frozenset()) == "a: 1\nc: '$'\n"
    assert render_envoy_config(template, {"A": "1", "B": "2"}, frozenset({"B"})) == "a: 1\nb: 2\nc: '$'\n"


def test_a_value_that_is_missing_is_named() -> None:
    with pytest.raises(RuntimeProblem, match="asks for SECRET"):
        render_envoy_config("${SECRET}", {}, frozenset())


@pytest.mark.parametrize(
    ("environment", "listeners"),
    [
        ({}, ["edge", "metrics"]),
        (_TLS, ["edge", "edge_tls", "metrics"]),
        ({**_TLS, **_MTLS}, ["edge", "edge_tls", "metrics"]),
    ],
)
@pytest.mark.parametrize(
    "identity",
    [
        Identity(),
        Identity(issuer="i", jwks_url="https://id.example/keys", ca_file="/ca.pem"),
        Identity(issuer="i", jwks_file=Path("/keys.json"), dev_tokens=True),
    ],
    ids=["mesh", "url", "file"],
)
def test_the_template_is_filled_in_whole(
    environment: dict[str, str], listeners: list[str], identity: Identity, repository: Path
) -> None:
    template = (repository / "gateway/envoy/envoy.yaml.in").read_text()
    options = read_edge_options(environment)
    upstreams = (
        "GATEWAY",
        "GATEWAY_GRPC",
        "INGESTION",
        "AGGREGATION",
        "MEDIA_PROBE",
        "NOTIFICATION",
        "EDGE",
        "METRICS",
    )
    values = {f"{name}_HOST": "127.0.0.1" for name in upstreams} | {f"{name}_PORT": "1" for name in upstreams}
    values |= {
        **identity.envoy_values(Path("/jwks"), "127.0.0.1:1"),
        "EDGE_TLS_PORT": "2",
        "ADMIN_SOCKET": "admin.sock",
    }
    rendered = render_envoy_config(template, {**options.values, **values}, options.sections | identity.envoy_sections())
    assert not re.search(r"\$\{", rendered)
    content = yaml.safe_load(rendered)
    assert [listener["name"] for listener in content["static_resources"]["listeners"]] == listeners
    clusters = {cluster["name"]: cluster for cluster in content["static_resources"]["clusters"]}
    provider = clusters.pop("jwks", {})
    assert ("transport_socket" in provider) == identity.jwks_url.startswith("https:")
    secured = [name for name, cluster in clusters.items() if "transport_socket" in cluster]
    assert bool(secured) == ("TOCSIN_GRPC_TLS_CA_FILE" in environment)


def test_files_are_named_from_the_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "a b"
    home.mkdir()
    monkeypatch.chdir(home)
    options = read_edge_options({"TOCSIN_EDGE_TLS_CERT_FILE": "cert.pem", "TOCSIN_EDGE_TLS_KEY_FILE": "/k/key.pem"})
    assert (options.values["TLS_CERT_FILE"], options.values["TLS_KEY_FILE"]) == (f"{home}/cert.pem", "/k/key.pem")


def test_origins_become_exact_matches() -> None:
    options = read_edge_options({"TOCSIN_EDGE_CORS_ORIGINS": "https://a.example, http://localhost:3000"})
    assert yaml.safe_load(options.values["CORS_ORIGINS"]) == [
        {"exact": "https://a.example"},
        {"exact": "http://localhost:3000"},
    ]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOCSIN_EDGE_RATE_LIMIT_PER_SECOND", "many"),
        ("TOCSIN_EDGE_MAX_CONNECTIONS", "1}\nadmin: {"),
        ("TOCSIN_EDGE_REQUEST_TIMEOUT", "30"),
        ("TOCSIN_EDGE_CORS_ORIGINS", "*"),
        ("TOCSIN_EDGE_CORS_ORIGINS", 'https://a"}, {'),
        ("TOCSIN_EDGE_TLS_KEY_FILE", "/only/the/key.pem"),
    ],
)
def test_nonsense_is_refused_by_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationProblem, match="TOCSIN_EDGE_"):
        read_edge_options({variable: value})


def test_the_edge_takes_half_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for cores, threads in ((1, 1), (2, 1), (3, 1), (8, 4), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        command = envoy_command(tmp_path / "envoy.yaml")
        assert command[command.index("--concurrency") + 1] == str(threads)
