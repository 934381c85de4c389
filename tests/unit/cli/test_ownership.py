"""Which directories Tocsin takes for its state, and that it leaves all others as they are."""

import os
import stat
from pathlib import Path

import pytest

from services.cli.main import run
from services.cli.runtime.errors import ConfigurationProblem
from services.cli.runtime.ownership import MARK, SUBDIRECTORIES, check_directory
from services.cli.runtime.state import StateDir


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_and_an_empty_directory_are_taken_and_known_again(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "volume" / "lost+found").mkdir(parents=True)
    for name in ("new", "empty", "volume"):
        state = StateDir(tmp_path / name)
        assert not state.check()
        state.create()
        assert state.check()
        assert (state.root / MARK).read_text().startswith("State of one Tocsin mesh")


def test_a_directory_of_a_version_before_the_mark_is_known(tmp_path: Path) -> None:
    for name in SUBDIRECTORIES:
        (tmp_path / name).mkdir()
    assert StateDir(tmp_path).check()


def test_one_with_the_secrets_of_another_host_is_taken(tmp_path: Path) -> None:
    (tmp_path / "auth").mkdir()
    with pytest.raises(ConfigurationProblem):
        check_directory(tmp_path)
    (tmp_path / "secrets.json").write_text("{}")
    assert not check_directory(tmp_path)
    (tmp_path / "theirs").touch()
    with pytest.raises(ConfigurationProblem):
        check_directory(tmp_path)


def test_what_is_made_is_closed_and_what_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir(mode=0o755)
    given.chmod(0o755)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o755)
    for start in range(2):
        state = StateDir(given)
        assert state.check() is (start == 1)
        state.create()
        if start == 0:
            state.logs.rmdir()
            state.logs.symlink_to(elsewhere)
    assert _mode(given) == 0o755
    assert _mode(elsewhere) == 0o755
    assert all(_mode(given / name) == 0o700 for name in SUBDIRECTORIES if name != "logs")
    assert _mode(given / MARK) == 0o600


@pytest.mark.parametrize("command", [["up"], ["up", "--detach"], ["demo"]])
def test_a_directory_of_somebody_else_is_refused_and_left_alone(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("mine")
    assert run([*command, "--state-dir", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "'thesis.txt'" in printed.err
    assert str(tmp_path / "tocsin") in printed.err
    assert not printed.out
    assert _mode(tmp_path) == 0o755
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(ConfigurationProblem, match=f"mode {mode:o}"):
        StateDir(tmp_path).check()
    assert _mode(tmp_path) == mode


def test_a_directory_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(ConfigurationProblem, match="belongs to another user"):
        StateDir(tmp_path).check()


def test_links_that_were_laid_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = StateDir(tmp_path / "state")
    state.root.mkdir(mode=0o700)
    (state.root / MARK).symlink_to(tmp_path / "new")
    with pytest.raises(ConfigurationProblem, match="File exists"):
        state.create()
    (state.root / MARK).unlink()
    state.create()
    (state.root / f".ports.json.{os.getpid()}").symlink_to(victim)
    state.remember_ports({"edge": 1})
    (state.root / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        state.acquire()
    assert state.remembered_ports() == {"edge": 1}
    assert victim.read_text() == "precious"
    assert not (tmp_path / "new").exists()


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationProblem, match="cannot be used: Not a directory"):
        StateDir(tmp_path / "file").check()


def test_a_taken_port_is_told_before_anything_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert run(["up", "--state-dir", str(tmp_path / "new"), "--port", str(port)]) == 2
    assert "choose another with --port or TOCSIN_EDGE_PORT" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
