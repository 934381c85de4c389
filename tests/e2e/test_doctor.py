"""`tocsin doctor` on a mesh that is up, and on one that is not."""

import json
from pathlib import Path

import pytest

from services.cli.main import run
from tests.e2e.conftest import Edge


def test_a_healthy_mesh(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    root = edge.mesh.state.root
    code = run(["doctor", "--json", "--state-dir", str(root)])
    content = json.loads(capsys.readouterr().out)
    found = {check["check"]: check for check in content["checks"]}
    assert code == 0, [check for check in content["checks"] if check["verdict"] == "FAILED"]
    assert {name for name, check in found.items() if check["verdict"] == "WARNING"} <= {
        "identity",
        "disk of the state directory",
        "settings",
    }
    assert found["nats durability"]["seen"] == "sync_interval: always"
    assert found["edge"]["seen"].startswith("it answers 200 in ")
    assert found["edge asks for a token"]["verdict"] == "OK"
    assert found["parts"]["seen"].endswith("parts are healthy")
    assert found["streams"]["verdict"] == "OK"


def test_a_mesh_that_is_not_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json", "--state-dir", str(tmp_path / "none")]) == 1
    found = {check["check"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "no mesh is up on state directory" in found["parts"]["seen"]
    assert "'tocsin up --detach' starts it" in found["parts"]["advice"]
    assert not (tmp_path / "none").exists()
