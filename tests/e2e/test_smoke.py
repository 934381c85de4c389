"""The smoke test of a deployment, on the mesh."""

import os
import subprocess
from pathlib import Path

from services.chassis.version import tocsin_version
from tests.e2e.conftest import Edge


def _smoke(repository: Path, *arguments: str, token: str) -> "subprocess.CompletedProcess[str]":
    command = [str(repository / "deploy/scripts/smoke-test.sh"), *arguments]
    environment = {"PATH": os.environ["PATH"], "TOCSIN_TOKEN": token}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_mesh_that_works_passes_every_step(edge: Edge, repository: Path) -> None:
    token = edge.token("readings:write", "readings:read")
    done = _smoke(repository, edge.url, "--version", tocsin_version(), token=token)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("works: ") == 4


def test_what_does_not_work_is_told(edge: Edge, repository: Path) -> None:
    done = _smoke(repository, edge.url, "--version", "0.0.1", "--timeout", "1", token="")
    assert done.returncode == 1
    assert "FAILED: all parts serve, version 0.0.1: 200" in done.stderr
    done = _smoke(repository, edge.url, token=edge.token("catalogue:read"))
    assert done.returncode == 1
    assert "FAILED: a reading is taken: 403" in done.stderr


def test_without_a_token_no_reading_is_sent_and_that_is_said(edge: Edge, repository: Path) -> None:
    done = _smoke(repository, edge.url, token="")
    assert done.returncode == 0, done.stderr
    assert "left out: a reading" in done.stdout
