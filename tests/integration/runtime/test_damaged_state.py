"""A mesh whose state directory was damaged between two runs: it comes up again, or says in one sentence why not."""

import shutil
from collections.abc import Callable

import pytest

from tests.integration.runtime.conftest import CommandLine, processes_of

Make = Callable[..., CommandLine]


async def test_damaged_files_are_made_anew_and_told(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    await one.stop()
    state = one.state
    derived = [state.status_file, state.root / "ports.json", state.auth / "jwks.json", state.run / "nats.conf"]
    derived += [*state.credentials.glob("*.jwt"), *state.credentials.glob("*.env"), state.run / "signed.json"]
    for path in derived:
        path.write_bytes(path.read_bytes()[:20])
    one.start()
    await one.up()
    exit_code, output, errors = await one.stop()
    assert (exit_code, errors) == (0, "")
    for told in (state.status_file, state.root / "ports.json"):
        assert f"{told} is damaged: it is no JSON; made anew" in output


@pytest.mark.chaos
async def test_a_cluster_without_its_secrets_and_a_damaged_key_are_told(command_line: Make) -> None:
    one = command_line()
    one.start()
    await one.up()
    await one.stop()
    kept = one.state.root / "kept.json"
    shutil.move(one.state.secrets_file, kept)
    one.start()
    exit_code, _, errors = await one.ended()
    assert exit_code == 1
    assert "passwords of the PostgreSQL cluster" in errors
    assert errors.count("\n") == 1
    assert not one.state.secrets_file.exists()

    shutil.move(kept, one.state.secrets_file)
    key = one.state.auth / "dev-issuer.pem"
    pem = key.read_bytes()
    key.write_bytes(b"")
    one.start()
    exit_code, _, errors = await one.ended()
    assert exit_code == 1
    assert "dev-issuer.pem is damaged" in errors
    assert errors.count("\n") == 1

    key.write_bytes(pem)
    one.start()
    await one.up()
    await one.stop()
    assert not processes_of(one.state.root)
