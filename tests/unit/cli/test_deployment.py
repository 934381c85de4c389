"""What a deployment is given: secrets as files, Envoy's configuration, a look at its parts."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import yaml

from services.chassis.auth.keys import parse_jwks
from services.cli.deployment.edge import edge_configuration
from services.cli.deployment.healthcheck import ask, main, probe_of
from services.cli.deployment.secrets import WrittenSecrets, write_secrets
from services.cli.main import run
from services.cli.runtime.credentials import PEER_AUDIENCE
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.part import Unhealthy
from services.cli.runtime.postgres_cluster import SUPERUSER
from services.cli.runtime.settings import SERVICES, part_name
from tests.support.ports import free_port

LIFE = timedelta(days=90)


def write(directory: Path, **environment: str) -> WrittenSecrets:
    return write_secrets(directory, environment, LIFE)


def contents(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def test_each_part_is_given_what_it_needs_and_nothing_of_the_others(tmp_path: Path) -> None:
    written = write(tmp_path / "secrets")
    found = contents(written.directory)
    assert {name.partition("/")[0] for name in found} == {"mesh", *written.parts}
    passwords: dict[str, str] = json.loads(found["mesh/secrets.json"])
    for service in SERVICES:
        part = part_name(service)
        own = {name.partition("/")[2]: text for name, text in found.items() if name.startswith(f"{part}/")}
        assert set(own) == set(written.parts[part])
        dsn = urlsplit(own["TOCSIN_POSTGRES_DSN"])
        assert (dsn.hostname, dsn.username, dsn.path) == ("postgres", f"tocsin_{service}", "/tocsin")
        assert (own["TOCSIN_NATS_USER"], own["TOCSIN_NATS_PASSWORD"]) == (service, passwords[f"nats.{service}"])
        keys = parse_jwks(own["jwks.json"].encode())
        (key,) = keys.values()
        claims = jwt.decode(own["peer.jwt"], key, algorithms=["ES256"], audience=PEER_AUDIENCE)
        assert claims["sub"] == f"service:{service}"
        assert claims["exp"] - claims["iat"] == LIFE.total_seconds()
        foreign = [text for name, text in passwords.items() if not name.endswith(f".{service}")]
        assert not [secret for secret in foreign if any(secret in text for text in own.values())]
    assert found["notification/links.keys"]
    assert found["ingestion/uploads.keys"]
    assert set(written.parts["envoy"]) == {"jwks.json"}
    assert found["postgres/password"] == passwords[f"postgres.{SUPERUSER}"]
    admin = urlsplit(found["migrate/TOCSIN_POSTGRES_DSN"])
    assert (admin.username, admin.password) == ("tocsin", found["postgres/password"])
    assert found["migrate/secrets.json"] == found["mesh/secrets.json"]
    assert passwords["nats.aggregation"] in found["nats/accounts.conf"]
    assert "SYS" not in found["nats/accounts.conf"]


def test_only_the_directory_itself_is_closed(tmp_path: Path) -> None:
    """Containers run as users of their own, and are given the directory of their part."""
    written = write(tmp_path / "secrets")
    assert written.directory.stat().st_mode & 0o777 == 0o700
    assert (written.directory / "mesh").stat().st_mode & 0o777 == 0o700
    for part, names in written.parts.items():
        assert (written.directory / part).stat().st_mode & 0o777 == 0o755
        assert {(written.directory / part / name).stat().st_mode & 0o777 for name in names} == {0o644}


def test_a_second_call_changes_the_tokens_alone(tmp_path: Path) -> None:
    before = contents(write(tmp_path / "secrets").directory)
    after = contents(write(tmp_path / "secrets").directory)
    changed = {name for name in before if before[name] != after.get(name)}
    tokens = {f"{part_name(service)}/peer.jwt" for service in SERVICES}
    kept = {f"mesh/credentials/{service}.jwt" for service in SERVICES}
    assert before.keys() == after.keys()
    assert changed == {*tokens, *kept, "mesh/run/signed.json"}


def test_servers_of_the_operator_with_logins_of_theirs(tmp_path: Path) -> None:
    written = write(
        tmp_path / "secrets",
        TOCSIN_POSTGRES_DSN="postgresql://owner:p%40ss@db:5433/plant",
        TOCSIN_NATS_URL="nats://broker:4222",
        TOCSIN_NATS_USER="one",
        TOCSIN_NATS_PASSWORD="for all",
    )
    found = contents(written.directory)
    assert not {"postgres", "nats"} & written.parts.keys()
    assert found["migrate/TOCSIN_POSTGRES_DSN"] == "postgresql://owner:p%40ss@db:5433/plant"
    assert urlsplit(found["ingestion/TOCSIN_POSTGRES_DSN"]).username == "plant_ingestion"
    for part in ("migrate", "ingestion"):
        assert (found[f"{part}/TOCSIN_NATS_USER"], found[f"{part}/TOCSIN_NATS_PASSWORD"]) == ("one", "for all")


def test_a_directory_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigurationProblem, match=r"like 'thesis\.tex'.* left as it is"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_directory_that_others_may_look_into_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "open"
    directory.mkdir(mode=0o755)
    with pytest.raises(ConfigurationProblem, match=r"mode 755.*chmod 700"):
        write(directory)
    assert not list(directory.iterdir())


def _edge(**environment: str) -> dict[str, Any]:
    text = edge_configuration(environment, gateway="gateway:8081", gateway_grpc="gateway:8082", admin_socket="/tmp/a")
    return yaml.safe_load(text)


def _addresses(found: Any) -> set[str]:
    """Every address in a part of the configuration."""
    if isinstance(found, dict):
        here = {f"{found['address']}:{found['port_value']}"} if "port_value" in found else set[str]()
        return here.union(*map(_addresses, found.values()))
    return set[str]().union(*map(_addresses, found)) if isinstance(found, list) else set()


def test_envoy_of_a_deployment_listens_everywhere_and_knows_the_others_by_name() -> None:
    found = _edge(TOCSIN_AUTH_DEV_TOKENS="true", TOCSIN_PEER_NOTIFICATION="elsewhere:1")["static_resources"]
    assert _addresses(found["listeners"]) == {"0.0.0.0:8080", "0.0.0.0:8009"}
    peers = {f"{part_name(service)}:50051" for service in SERVICES} - {"notification:50051"}
    assert _addresses(found["clusters"]) == {*peers, "elsewhere:1", "gateway:8081", "gateway:8082"}
    assert "/run/secrets/tocsin/jwks.json" in json.dumps(found)


def test_envoy_of_a_deployment_with_certificates(tmp_path: Path) -> None:
    files = {f"TOCSIN_GRPC_TLS_{name}_FILE": f"/tls/{name}" for name in ("CERT", "KEY", "CA")}
    edge = {f"TOCSIN_EDGE_TLS_{name}_FILE": f"/edge/{name}" for name in ("CERT", "KEY")}
    found = _edge(
        **files,
        **edge,
        TOCSIN_AUTH_JWKS_URL="https://id.example/keys",
        TOCSIN_AUTH_ISSUER="https://id.example",
        TOCSIN_AUTH_JWKS_CA_FILE="/ca.pem",
    )["static_resources"]
    assert "0.0.0.0:8443" in _addresses(found["listeners"])
    assert "/tls/CA" in json.dumps(found["clusters"])
    assert "id.example:443" in _addresses(found["clusters"])


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({}, "nobody could come in: .*TOCSIN_AUTH_JWKS_URL.*TOCSIN_AUTH_DEV_TOKENS=true"),
        ({"TOCSIN_AUTH_JWKS_FILE": "/run/keys"}, "TOCSIN_AUTH_JWKS_FILE is nothing for a deployment"),
        ({"TOCSIN_AUTH_DEV_TOKENS": "true", "TOCSIN_EDGE_MAX_CONNECTIONS": "many"}, "TOCSIN_EDGE_MAX_CONNECTIONS"),
    ],
)
def test_an_edge_that_cannot_be_is_refused(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationProblem, match=problem):
        _edge(**environment)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_that_is_away_is_told(service: str) -> None:
    probe = probe_of(service, f"127.0.0.1:{free_port()}", {})
    with pytest.raises(Unhealthy, match="nothing listens"):
        await ask(probe, timedelta(0))


def test_which_address_is_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_PEER_INGESTION", "127.0.0.1:2")
    assert run(["healthcheck", "ingestion"]) == 1
    assert capsys.readouterr().err == "tocsin: ingestion: nothing listens on 127.0.0.1:2\n"
    monkeypatch.setenv("TOCSIN_GRPC_LISTEN", "0.0.0.0:3")
    assert run(["healthcheck", "ingestion"]) == 1
    assert capsys.readouterr().err == "tocsin: ingestion: nothing listens on 127.0.0.1:3\n"
    assert run(["healthcheck", "media-probe", "--address", "127.0.0.1:4"]) == 1
    assert capsys.readouterr().err == "tocsin: media-probe: nothing listens on 127.0.0.1:4\n"
    assert run(["healthcheck", "ingestoin"]) == 2


def test_the_check_without_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_GRPC_LISTEN", "0.0.0.0:3")
    assert (main("ingestion"), main("ingestoin")) == (1, 2)
    assert capsys.readouterr().err.startswith("ingestion: nothing listens on 127.0.0.1:3\ningestoin: no service")
