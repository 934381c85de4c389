"""Settings from files, named by TOCSIN_SECRETS_DIR."""

from pathlib import Path

import pytest

from services.chassis.secret_files import SECRETS_DIR_VARIABLE
from services.chassis.settings import ChassisSettings, Refused, read
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.settings import read_settings

DSN = "postgresql://one:secret@db/tocsin"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "TOCSIN_POSTGRES_DSN").write_text(f"{DSN}\n")
    (tmp_path / "TOCSIN_NATS_PASSWORD").write_text(" spaces stay \n\n")
    (tmp_path / "peer.jwt").write_bytes(b"\xff")  # what settings name by its path is not read
    (tmp_path / "..data").mkdir()
    return tmp_path


def test_services_read_what_the_environment_lacks(directory: Path) -> None:
    settings = read(ChassisSettings, {SECRETS_DIR_VARIABLE: str(directory), "TOCSIN_NATS_USER": "ingestion"})
    assert settings.postgres_dsn.get_secret_value() == DSN
    assert settings.nats_password.get_secret_value() == " spaces stay \n"
    assert settings.nats_user == "ingestion"


def test_the_environment_wins_and_what_is_empty_counts_as_unset(directory: Path) -> None:
    environment = {SECRETS_DIR_VARIABLE: str(directory), "TOCSIN_NATS_PASSWORD": "given", "TOCSIN_POSTGRES_DSN": ""}
    settings = read(ChassisSettings, environment)
    assert settings.nats_password.get_secret_value() == "given"
    assert settings.postgres_dsn.get_secret_value() == DSN


def test_the_runtime_reads_them_too(directory: Path) -> None:
    settings = read_settings(
        Path("/nowhere"), {}, environment={SECRETS_DIR_VARIABLE: str(directory), "TOCSIN_NATS_USER": "a"}
    )
    assert settings.postgres_dsn == DSN
    assert settings.passed_on["TOCSIN_POSTGRES_DSN"] == DSN


def test_a_directory_that_cannot_be_read_is_refused_by_the_name_of_the_variable(tmp_path: Path) -> None:
    environment = {SECRETS_DIR_VARIABLE: str(tmp_path / "nowhere")}
    with pytest.raises(Refused, match=f"{SECRETS_DIR_VARIABLE} cannot be used: .*nowhere: No such file"):
        read(ChassisSettings, environment)
    (tmp_path / "TOCSIN_NATS_PASSWORD").write_bytes(b"\xff")
    with pytest.raises(ConfigurationProblem, match=f"{SECRETS_DIR_VARIABLE} cannot be used: .*is no text"):
        read_settings(Path("/nowhere"), {}, environment={SECRETS_DIR_VARIABLE: str(tmp_path)})
