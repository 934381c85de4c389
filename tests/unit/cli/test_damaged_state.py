"""Each small file of the state directory cut, emptied, overwritten, deleted: a start makes it anew, or says why not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.chassis.auth.dev_issuer import ISSUER
from services.chassis.auth.trust import PEER_AUDIENCE
from services.chassis.mesh_names import MeshNames
from services.cli.main import run
from services.cli.runtime.credentials import ensure_credentials, open_issuer
from services.cli.runtime.errors import RuntimeProblem
from services.cli.runtime.ownership import MARK
from services.cli.runtime.ports import assign_ports
from services.cli.runtime.prepared import is_prepared, mark_prepared
from services.cli.runtime.settings import SERVICES, RuntimeSettings
from services.cli.runtime.state import StateDir
from services.cli.runtime.status import children_of_last_run, read_reports
from services.cli.runtime.stream_memory import StreamMemory

_DERIVED = (
    *(MARK, "lock", "ports.json", "prepared.json", "streams.json"),
    *("auth/jwks.json", "run/status.json", "run/signed.json"),
    *(f"credentials/{service}.jwt" for service in SERVICES),
)
_DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "emptied": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"\x00\xff\xfe{[\x9c garbage"),
    "deleted": lambda path: path.unlink(),
}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A directory as a mesh leaves it behind."""
    state = StateDir(tmp_path / "state")
    _start(state)
    state.postgres.mkdir()
    return state


def _start(state: StateDir) -> list[str]:
    """What a start does before the first process; what it has to tell."""
    wanted = RuntimeSettings(state_dir=state.root)
    fresh = StateDir(state.root)
    fresh.check()
    fresh.create()
    fresh.acquire()
    try:
        children_of_last_run(fresh)
        assignment = assign_ports(wanted.port_requests(), fresh.remembered_ports())
        assignment.release()
        fresh.remember_ports(assignment.ports)
        is_prepared(fresh, wanted)
        memory = StreamMemory(fresh, lambda where, what: fresh.remade.append(f"{where}: {what}"), MeshNames())
        memory.write()
        credentials = ensure_credentials(fresh, SERVICES, ("test",))
        for path in credentials.peer_token_files.values():
            _check_token(credentials.jwks_file, path)
        status = {"name": "nats", "pid": 1, "process_started": 2}
        fresh.write_json(fresh.status_file, {"ready": True, "parts": [status]})
        mark_prepared(fresh, wanted)
    finally:
        fresh.release()
    return fresh.remade


def _check_token(jwks_file: Path, token_file: Path) -> None:
    import jwt

    key = jwt.PyJWKSet.from_json(jwks_file.read_text()).keys[0]
    jwt.decode(token_file.read_text(), key, ["ES256"], audience=PEER_AUDIENCE, issuer=ISSUER)


@pytest.mark.parametrize("damage", _DAMAGES)
@pytest.mark.parametrize("name", _DERIVED)
def test_what_can_be_made_anew_never_stops_a_start(state: StateDir, name: str, damage: str) -> None:
    path = state.root / name
    secrets, key = state.secrets_file.read_bytes(), (state.auth / "dev-issuer.pem").read_bytes()
    _DAMAGES[damage](path)
    told = _start(state)
    # The mark and the lock hold nothing that is read; a deleted file is as at the first start.
    silent = name in (MARK, "lock") or (damage == "deleted" and path.parent not in (state.auth, state.credentials))
    assert [text for text in told if path.name in text] if not silent else not told
    assert (state.secrets_file.read_bytes(), (state.auth / "dev-issuer.pem").read_bytes()) == (secrets, key)
    assert not _start(state), "made anew for good"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(_DERIVED),
    content=st.binary(max_size=64)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["parts", "pid", "name", "digest", "nats", "edge"]), inner, max_size=3)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_whatever_stands_in_it(state: StateDir, name: str, content: bytes) -> None:
    (state.root / name).write_bytes(content)
    _start(state)


@pytest.mark.parametrize("damage", ["cut", "emptied", "garbage"])
@pytest.mark.parametrize("name", ["secrets.json", "auth/dev-issuer.pem"])
def test_what_cannot_be_made_anew_is_refused_and_left_as_it_is(state: StateDir, name: str, damage: str) -> None:
    path = state.root / name
    _DAMAGES[damage](path)
    before = {file: file.read_bytes() for file in state.root.rglob("*") if file.is_file() and file.name != "lock"}
    with pytest.raises(RuntimeProblem) as caught:
        _start(state)
    assert caught.value.exit_code == 1
    assert str(path) in caught.value.message
    assert "put it back from a backup" in caught.value.message
    assert "\n" not in caught.value.message
    assert before == {file: file.read_bytes() for file in before}


def test_a_cluster_without_its_secrets_is_told_before_new_ones_are_made(state: StateDir) -> None:
    for damage in (state.secrets_file.unlink, lambda: state.secrets_file.write_text("{}")):
        damage()
        with pytest.raises(RuntimeProblem, match=r"passwords of the PostgreSQL cluster in .* are lost"):
            _start(state)
    assert state.secrets_file.read_text() == "{}"
    state.secrets_file.unlink()
    with pytest.raises(RuntimeProblem):
        _start(state)
    assert not state.secrets_file.exists()
    state.postgres.rmdir()
    assert not _start(state)


def test_a_deleted_key_is_replaced_and_told(state: StateDir) -> None:
    (state.auth / "dev-issuer.pem").unlink()
    assert any("tokens signed before are refused" in text for text in _start(state))


def test_a_damaged_key_is_told_by_whoever_needs_it(state: StateDir, capsys: pytest.CaptureFixture[str]) -> None:
    (state.auth / "dev-issuer.pem").write_text("")
    assert run(["token", "--state-dir", str(state.root)]) == 1
    printed = capsys.readouterr()
    assert "dev-issuer.pem is damaged" in printed.err
    assert printed.err.count("\n") == 1
    (state.auth / "dev-issuer.pem").unlink()
    assert run(["token", "--state-dir", str(state.root)]) == 3
    assert not (state.auth / "dev-issuer.pem").exists(), "only a start makes a key"
    with pytest.raises(RuntimeProblem, match="damaged"):
        (state.auth / "dev-issuer.pem").write_text("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n")
        open_issuer(state)


@pytest.mark.parametrize("content", ["{", "", '{"parts": [{}]}', '{"parts": 5}'])
def test_a_damaged_status_is_told(state: StateDir, content: str) -> None:
    state.status_file.write_text(content)
    with pytest.raises(RuntimeProblem, match=r"status\.json is damaged"):
        read_reports(state)
