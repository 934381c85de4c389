"""`tocsin demo` as a newcomer runs it: to its end, and when something breaks it off."""

import json
import os
import subprocess
import sys
from pathlib import Path

from services.cli.runtime.state import StateDir
from tests.support.ports import free_port


def _demo(state_dir: Path, repository: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    command = [sys.executable, "-m", "services.cli.main", "demo", "--exit", "--state-dir", str(state_dir)]
    return subprocess.run(
        [*command, "--port", str(free_port())],
        cwd=repository,
        env={**own, "COLUMNS": "160", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_demo_that_breaks_off_says_one_sentence_and_leaves_nothing_behind(tmp_path: Path, repository: Path) -> None:
    # An edge that lets three requests through: the first step cannot come to its end.
    limits = {"TOCSIN_EDGE_RATE_LIMIT_PER_SECOND": "1", "TOCSIN_EDGE_RATE_LIMIT_BURST": "3"}
    done = _demo(tmp_path / "state", repository, **limits)
    assert done.returncode == 1
    assert done.stderr.startswith("tocsin: the demo broke off: step 1 (Readings over a lossy radio link): ")
    assert f"'tocsin logs --level warning --state-dir {tmp_path / 'state'}' may tell why" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout
    assert "Tocsin is down" in done.stdout
    state = StateDir(tmp_path / "state")
    assert not state.in_use
    parts = json.loads(state.status_file.read_text())["parts"]
    assert {part["state"] for part in parts} == {"stopped"}
