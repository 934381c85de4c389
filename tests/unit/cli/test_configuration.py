"""The settings reference, and what is judged before a mesh starts."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.chassis.nats.topology import TopologyOptions, stream_specs
from services.cli.client import MeshClient
from services.cli.configuration.catalogue import all_settings
from services.cli.configuration.check import problems, unknown_variables
from services.cli.configuration.reference import reference
from services.cli.errors import CommandError
from services.cli.main import run
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.instance import Instance
from services.cli.runtime.nats_address import NatsAddress, read_nats
from services.cli.runtime.settings import PROJECT, STREAMS, read_settings
from services.cli.runtime.state import StateDir

_VARIABLE = re.compile(r"TOCSIN_[A-Z0-9]+(?:_[A-Z0-9]+)*")
# Not settings: what `tocsin env` prints, the object store's name, an example.
_OF_EARLIER_VERSIONS = {"TOCSIN_ENVOY_ADMIN_PORT", "TOCSIN_MEDIA_PROBE_PRIVATE_ORIGINS", "TOCSIN_NATS_MONITOR_PORT"}
_NO_SETTINGS = {"TOCSIN_URL", "TOCSIN_INVOICES", "TOCSIN_INGESTION", "TOCSIN_INGESTION_MAX_BATCH"}


def judged(environment: Mapping[str, str], only: str = "") -> list[str]:
    return problems(read_settings(Path("state"), {}, only=frozenset({only}) if only else None, environment=environment))


def test_the_reference_is_that_of_the_code() -> None:
    assert (PROJECT / "docs" / "settings.md").read_text() == reference(), "docs/settings.md is stale: make generate"


def test_every_setting_is_described() -> None:
    for setting in all_settings():
        assert setting.meaning, f"{setting.name} has no meaning"
        assert setting.type
        assert setting.readers


def test_every_variable_that_the_code_names_is_a_setting() -> None:
    known = {setting.name for setting in all_settings()}
    named = {
        name
        for path in [*PROJECT.glob("services/cli/**/*.py"), *PROJECT.glob("services/*/settings.py")]
        for name in _VARIABLE.findall(path.read_text())
        # A prefix that code completes is no variable.
        if f"{name}_" not in path.read_text()
    }
    assert named - known - _NO_SETTINGS - _OF_EARLIER_VERSIONS == set()


def test_defaults_can_be_used() -> None:
    assert judged({}) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_NOTIFICATION_TENANTS", "a b"),
        ("TOCSIN_AGGREGATION_GRACE", "1h"),
        ("TOCSIN_MEDIA_PROBE_WORKERS", "0"),
        ("TOCSIN_INGESTION_LINGER", "5"),
        ("TOCSIN_GATEWAY_TIMEOUT", "15"),
        ("TOCSIN_GATEWAY_MAX_BODY", "1TB"),
        ("TOCSIN_GATEWAY_PEER_CONNECTIONS", "65"),
        ("TOCSIN_GATEWAY_MERGE_READINGS", "maybe"),
        ("TOCSIN_EDGE_MAX_CONNECTIONS", "many"),
        ("TOCSIN_TRACE_RATIO", "2"),
        ("TOCSIN_LOG_LEVEL", "loud"),
    ],
)
def test_each_part_s_nonsense_is_named_before_anything_starts(name: str, value: str) -> None:
    found = judged({name: value})
    assert found
    assert all(name in line for line in found)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TOCSIN_GATEWAY_PORT": "9000", "TOCSIN_INGESTION_PORT": "9000"}, "TOCSIN_INGESTION_PORT"),
        ({"TOCSIN_POSTGRES_BIN_DIR": "/nonexistent"}, "TOCSIN_POSTGRES_BIN_DIR"),
        ({"TOCSIN_NATS_SERVER_BIN": "/etc/passwd"}, "TOCSIN_NATS_SERVER_BIN"),
        ({"TOCSIN_ENVOY_BIN": "/etc"}, "TOCSIN_ENVOY_BIN"),
        ({"TOCSIN_GATEWAY_BIN": "/etc"}, "TOCSIN_GATEWAY_BIN"),
        ({"TOCSIN_EDGE_HOST": "nosuchhost.invalid"}, "TOCSIN_EDGE_HOST"),
        ({"TOCSIN_METRICS_HOST": "192.0.2.1"}, "TOCSIN_METRICS_HOST"),
        ({"TOCSIN_NATS_REPLICAS": "3"}, "TOCSIN_NATS_REPLICAS"),
        ({"TOCSIN_EDGE_TLS_CERT_FILE": "/etc/passwd", "TOCSIN_EDGE_TLS_KEY_FILE": "/etc/passwd"}, "TLS_CERT_FILE"),
        ({"TOCSIN_EDGE_TLS_CERT_FILE": "/nonexistent"}, "TOCSIN_EDGE_TLS_CERT_FILE=/nonexistent"),
    ],
)
def test_check_and_up_refuse_the_same_and_nothing_is_made(
    environment: dict[str, str],
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**environment, "TOCSIN_EDGE_PORT": "18292"}.items():
        monkeypatch.setenv(name, value)
    for command in (["config", "check"], ["up"]):
        assert run([*command, "--state-dir", str(tmp_path / "state")]) == 2
        assert named in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_other_things_is_refused_by_the_check(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check", "--state-dir", "/etc"]) == 2
    assert "/etc holds other things than a mesh" in capfd.readouterr().err


def test_variables_of_earlier_versions_are_told_by_their_new_name() -> None:
    admin, origins, monitor = unknown_variables(dict.fromkeys(_OF_EARLIER_VERSIONS, "1"))
    assert admin.endswith("it is TOCSIN_ENVOY_METRICS_PORT now")
    assert origins.endswith("it is TOCSIN_MEDIA_PROBE_ALLOWED_TARGETS now")
    assert monitor.endswith("nothing takes its place")


def test_only_the_parts_that_run_are_judged() -> None:
    environment = {"TOCSIN_NOTIFICATION_TENANTS": "a b", "TOCSIN_INGESTION_LINGER": "5"}
    assert len(judged(environment)) == 2
    assert len(judged(environment, only="ingestion")) == 1
    assert judged(environment, only="nats") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOCSIN_POSTGRES_DSN", "postgresql://u:p@host"),
        ("TOCSIN_POSTGRES_REVOKE_PUBLIC", "perhaps"),
        ("TOCSIN_NATS_REPLICAS", "0"),
        ("TOCSIN_READINGS_PARTITIONS", "0"),
        ("TOCSIN_NATS_STREAM_BYTES", "READING=1GiB"),
        ("TOCSIN_NATS_STREAM_BYTES", "READINGS=1"),
        ("TOCSIN_NATS_URL", "nats://token@host"),
        ("TOCSIN_NATS_URL", "nats://u:p@ss@host:x"),
        ("TOCSIN_NATS_USER", "alone"),
        ("TOCSIN_AUTH_JWKS_FILE", "/no/such/file"),
        ("TOCSIN_AUTH_JWKS_URL", 'https://id.example/"}'),
        ("TOCSIN_AUTH_ISSUER", 'i" x'),
    ],
)
def test_the_runtime_s_own_nonsense_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationProblem, match=name) as refused:
        read_settings(Path("state"), {}, environment={name: value})
    assert "ss@" not in refused.value.message


def test_a_login_is_kept_apart_from_the_address_of_nats() -> None:
    assert read_nats({"TOCSIN_NATS_URL": "nats://me:p%40ss@one:4222, two:4223"}) == NatsAddress(
        "nats://one:4222,two:4223", "me", "p@ss"
    )
    chosen = {"TOCSIN_NATS_URL": "tls://a:b@h", "TOCSIN_NATS_USER": "u", "TOCSIN_NATS_PASSWORD": "p"}
    assert read_nats(chosen) == NatsAddress("tls://h", "u", "p")


def test_unknown_variables_are_named_with_the_nearest() -> None:
    environment = {"TOCSIN_EDGE_PROT": "1", "TOCSIN_12345678": "", "HOME": "/", "TOCSIN_EDGE_PORT": "1"}
    assert unknown_variables(environment) == [
        "TOCSIN_12345678 is no setting",
        "TOCSIN_EDGE_PROT is no setting; did you mean TOCSIN_EDGE_PORT?",
    ]


def test_the_command_names_every_mistake(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == 0
    monkeypatch.setenv("TOCSIN_NOTIFICATION_TENANTS", "a b")
    monkeypatch.setenv("TOCSIN_INGESTION_LINGER", "5")
    monkeypatch.setenv("TOCSIN_EDGE_PROT", "5")
    assert run(["config", "check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("tocsin: TOCSIN_") for line in lines)


async def test_downstream_never_logs_in_as_the_parts_do(tmp_path: Path) -> None:
    instance = Instance(
        supervisor_pid=1,
        version="",
        edge_url="",
        edge_port=1,
        nats_url="nats://127.0.0.1:1",
        postgres_dsn="",
        external_nats=True,
        external_postgres=False,
        nats_user="everything",
        nats_password="hunter2",
        nats_prefix="",
        issuer="",
        audience="",
        ports={},
    )
    mesh = MeshClient(instance, StateDir(tmp_path))
    with pytest.raises(CommandError, match="TOCSIN_NATS_DOWNSTREAM_USER") as refused:
        async with mesh.nats(downstream=True):
            pass
    assert "hunter2" not in refused.value.message


def test_streams_are_named_as_in_the_topology() -> None:
    assert tuple(spec.name for spec in stream_specs(TopologyOptions())) == STREAMS
