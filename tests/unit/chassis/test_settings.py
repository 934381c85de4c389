from datetime import timedelta
from pathlib import Path

import pytest

from services.chassis.settings import (
    MIB,
    ChassisSettings,
    Duration,
    Refused,
    Size,
    load,
    own_prefix,
    parse_duration,
    parse_size,
    read,
    require,
)


class OwnSettings(ChassisSettings):
    model_config = own_prefix("TOCSIN_OWN_")

    linger: Duration = timedelta(milliseconds=5)
    max_batch: Size = MIB

    def verify(self) -> None:
        super().verify()
        require(self.linger < timedelta(seconds=1), self.env("linger"), "must be under 1s")


def test_durations() -> None:
    assert parse_duration("250ms") == timedelta(milliseconds=250)
    assert parse_duration("1h30m") == timedelta(minutes=90)
    assert parse_duration("0.5s") == timedelta(seconds=0.5)
    for bad in ("", "5", "5 s", "s", "-1s", "5s!"):
        with pytest.raises(ValueError, match="unit"):
            parse_duration(bad)


def test_sizes() -> None:
    assert (parse_size("4MiB"), parse_size("10"), parse_size("2 KiB")) == (4 * MIB, 10, 2048)
    for bad in ("", "4MB", "-1", "1.5MiB"):
        with pytest.raises(ValueError, match="KiB"):
            parse_size(bad)


def test_shared_and_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_POSTGRES_DSN", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("TOCSIN_OWN_LINGER", "7ms")
    monkeypatch.setenv("TOCSIN_OWN_MAX_BATCH", "2MiB")
    monkeypatch.setenv("TOCSIN_OTLP_ENDPOINT", "")
    settings = read(OwnSettings)
    assert settings.postgres_dsn.get_secret_value().endswith("/d")
    assert (settings.linger, settings.max_batch) == (timedelta(milliseconds=7), 2 * MIB)
    assert "hunter2" not in repr(settings)


def test_a_service_knows_where_the_mesh_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "POSTGRES_DSN": "postgresql://u:p%40@db-1:6432,[2001:db8::5],db-2/tocsin?host=elsewhere",
        "NATS_URL": "nats://u:p@broker:4333, tls://broker-2,broker-3:4444",
        "GRPC_LISTEN": "0.0.0.0:50051",
        "METRICS_LISTEN": "[::1]:9100",
        "PEER_NOTIFICATION": "notification.internal:50054",
        "REFUSED_TARGETS": "127.0.0.1:8080, collector:4318",
    }.items():
        monkeypatch.setenv(f"TOCSIN_{name}", value)
    assert set(read(OwnSettings).mesh_addresses()) == {
        *(("db-1", 6432), ("2001:db8::5", 5432), ("db-2", 5432)),
        *(("broker", 4333), ("broker-2", 4222), ("broker-3", 4444)),
        *(("0.0.0.0", 50051), ("::1", 9100), ("notification.internal", 50054)),
        *(("127.0.0.1", 8080), ("collector", 4318)),
    }


def test_a_refused_target_needs_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_REFUSED_TARGETS", "127.0.0.1:8080,collector")
    with pytest.raises(Refused, match=r"^TOCSIN_REFUSED_TARGETS must be host:port, not 'collector'$"):
        read(OwnSettings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOCSIN_GRPC_LISTEN", "nowhere"),
        ("TOCSIN_GRPC_LISTEN", "h:99999"),
        ("TOCSIN_METRICS_LISTEN", ":80"),
        ("TOCSIN_GRPC_WORKERS", "0"),
        ("TOCSIN_GRPC_WORKERS", "many"),
        ("TOCSIN_GRPC_MAX_MESSAGE", "64KiB"),
        ("TOCSIN_GRPC_DEFAULT_DEADLINE", "0s"),
        ("TOCSIN_STOP_GRACE", "10"),
        ("TOCSIN_TRACE_RATIO", "2"),
        ("TOCSIN_TRACE_RATIO", "nan"),
        ("TOCSIN_OTLP_ENDPOINT", "collector:4318"),
        ("TOCSIN_LOG_FORMAT", "xml"),
        ("TOCSIN_AUTH_JWKS_FILE", "/no/such/file"),
        ("TOCSIN_PEER_INGESTION", "ingestion"),
        ("TOCSIN_GRPC_TLS_CERT_FILE", "/no/such/file"),
        ("TOCSIN_OWN_LINGER", "2s"),
        ("TOCSIN_OWN_LINGER", "soon"),
        ("TOCSIN_OWN_MAX_BATCH", "big"),
    ],
)
def test_nonsense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        load(OwnSettings)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {variable} ")


def test_settings_are_frozen_and_may_be_made_by_name(tmp_path: Path) -> None:
    settings = ChassisSettings(stop_grace=timedelta(seconds=1))
    assert settings.stop_grace == timedelta(seconds=1)
    with pytest.raises(ValueError, match="frozen"):
        settings.stop_grace = timedelta(0)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Refused, match="TOCSIN_AUTH_JWKS_FILE"):
        ChassisSettings(auth_jwks_file=tmp_path / "none").verify()
