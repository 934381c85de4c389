"""The state directory remembers which servers hold the data of its mesh."""

from pathlib import Path

import pytest

from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.settings import RuntimeSettings, read_settings
from services.cli.runtime.state import StateDir
from services.cli.runtime.up import check_start
from services.cli.runtime.used_servers import remember_servers

_DSN = "postgresql://admin:secret@db.example:5433/town"
_NATS = "nats://nats.example:4222"
_FREE_PORT = {"TOCSIN_EDGE_PORT": "18291"}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.create()
    return made


def _settings(state: StateDir, **environment: str) -> RuntimeSettings:
    return read_settings(state.root, {}, environment={**_FREE_PORT, **environment})


@pytest.mark.parametrize(
    ("before", "now", "variable"),
    [
        ({"TOCSIN_POSTGRES_DSN": _DSN}, {}, "set TOCSIN_POSTGRES_DSN to"),
        ({}, {"TOCSIN_POSTGRES_DSN": _DSN}, "unset TOCSIN_POSTGRES_DSN"),
        ({"TOCSIN_POSTGRES_DSN": _DSN}, {"TOCSIN_POSTGRES_DSN": _DSN + "2"}, "set TOCSIN_POSTGRES_DSN to"),
        ({"TOCSIN_NATS_URL": _NATS}, {}, "set TOCSIN_NATS_URL to"),
        ({}, {"TOCSIN_NATS_URL": _NATS}, "unset TOCSIN_NATS_URL"),
        ({"TOCSIN_NATS_PREFIX": "stage"}, {}, "set TOCSIN_NATS_PREFIX to"),
    ],
)
def test_other_servers_are_refused_unless_they_are_meant(
    state: StateDir, before: dict[str, str], now: dict[str, str], variable: str
) -> None:
    remember_servers(state, _settings(state, **before))
    check_start(_settings(state, **before))
    with pytest.raises(ConfigurationProblem, match=variable) as refused:
        check_start(_settings(state, **now))
    assert "secret" not in refused.value.message
    assert "secret" not in (state.root / "servers.json").read_text()

    moving = _settings(state, **now, TOCSIN_MOVE="true")
    check_start(moving)
    remember_servers(state, moving)
    check_start(_settings(state, **now))


def test_data_of_an_own_server_tell_of_it_where_nothing_was_remembered(state: StateDir) -> None:
    state.postgres.mkdir()
    with pytest.raises(ConfigurationProblem, match="its own PostgreSQL"):
        check_start(_settings(state, TOCSIN_POSTGRES_DSN=_DSN))


def test_another_password_is_the_same_server(state: StateDir) -> None:
    remember_servers(state, _settings(state, TOCSIN_POSTGRES_DSN=_DSN))
    check_start(_settings(state, TOCSIN_POSTGRES_DSN=_DSN.replace("secret", "new")))
