"""The state directory: its lock, its secrets, its modes."""

import json
import shlex
import stat
from pathlib import Path

import pytest

from services.cli.main import run
from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.instance import running_instance
from services.cli.runtime.logs import MAX_BYTES, LogFile
from services.cli.runtime.settings import read_settings
from services.cli.runtime.state import StateDir


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    made = StateDir(tmp_path / "state")
    made.create()
    return made


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_everything_is_closed_to_others(state: StateDir) -> None:
    state.ensure_secrets(["a"])
    assert _mode(state.root) == 0o700
    assert all(_mode(path) == (0o700 if path.is_dir() else 0o600) for path in state.root.iterdir())


def test_secrets_are_made_once_and_added_to(state: StateDir) -> None:
    first = state.ensure_secrets(["a"])
    second = state.ensure_secrets(["a", "b"])
    assert second["a"] == first["a"]
    assert second["b"] != second["a"]
    assert len(second["b"]) >= 32


def test_a_directory_belongs_to_one_mesh(state: StateDir) -> None:
    other = StateDir(state.root)
    state.acquire()
    with pytest.raises(ConfigurationProblem, match="already up on state directory"):
        other.acquire()
    assert other.in_use
    state.release()
    assert not other.in_use
    other.acquire()
    other.release()


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationProblem, match="cannot be used"):
        StateDir(tmp_path / "file" / "state").create()


def test_ports_that_are_none_are_chosen_anew_and_told(state: StateDir) -> None:
    stored = {"edge": 8080, "nats": 99999999, "postgres": True, "gateway": "x", "ingestion": 0}
    (state.root / "ports.json").write_text(json.dumps(stored))
    assert state.remembered_ports() == {"edge": 8080}
    assert "no port for gateway, ingestion, nats, postgres" in state.remade[0]


def test_no_mesh_no_instance(state: StateDir) -> None:
    with pytest.raises(RuntimeProblem, match="no mesh is up") as caught:
        running_instance(state)
    assert caught.value.exit_code == 3


def test_logs_stay_within_bounds_while_the_part_writes_on(tmp_path: Path) -> None:
    log = LogFile(tmp_path, "part")
    with open(log.open(), "w") as output:  # a descriptor, as a part has it
        output.write("x" * (MAX_BYTES + 1))
        output.flush()
        log.trim()
        output.write("after\n")
        output.flush()
        assert log.path.read_text() == "after\n"
    assert (tmp_path / "part.log.1").stat().st_size == MAX_BYTES + 1
    assert log.tail(5) == ["after"]


@pytest.mark.parametrize("command", ["status", "stop", "env"])
def test_a_file_in_place_of_the_directory_is_told_in_a_sentence(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    assert run([command, "--state-dir", str(file)]) == 2
    assert capfd.readouterr().err == f"tocsin: state directory {file} cannot be used: Not a directory\n"


def test_the_version_is_told_whatever_the_directory_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    assert run(["version", "--state-dir", str(file)]) == 0
    assert capfd.readouterr().out.startswith("tocsin ")


def test_who_ended_without_a_stop_is_known_to_the_next(state: StateDir) -> None:
    state.acquire()
    assert state.unstopped is None
    state.release()
    state.acquire()
    assert state.unstopped is None
    state.release()
    (state.root / "lock").write_text("4711\n")
    state.acquire()
    assert state.unstopped == 4711
    state.release()


def test_the_address_of_the_last_run_is_kept(state: StateDir) -> None:
    state.remember_ports({"edge": 8291})
    assert read_settings(state.root, {}, environment={}).configured_ports["edge"] == 8291
    assert read_settings(state.root, {"edge": 8300}, environment={}).configured_ports["edge"] == 8300


@pytest.mark.parametrize("name", ["plain", "with space", "it's", 'a "b" c', "$HOME x", "back\\slash", "tick`", "bang!"])
def test_a_hint_names_the_directory_as_a_shell_reads_it(tmp_path: Path, name: str) -> None:
    command = StateDir(tmp_path / name).command("stop")
    assert shlex.split(command) == ["tocsin", "stop", "--state-dir", str(tmp_path / name)]
    assert name != "with space" or "'" not in command
