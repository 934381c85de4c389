"""A mesh for a benchmark: `tocsin up` on a state directory of its own, and the load generator."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.cli.client import MeshClient, open_mesh
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
# References do not log requests either.
_QUIET = {"TOCSIN_EDGE_ACCESS_LOG": "0"}


@contextmanager
def running_mesh(*options: str, probe: str = "/health", **environment: str) -> Generator[MeshClient]:
    """Brings a fresh mesh up, with these options of `tocsin up`, and down at the end. It is up when `probe` answers."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        state = Path(folder) / "state"
        own = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        with (Path(folder) / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "services.cli.main",
                    "up",
                    "--state-dir",
                    str(state),
                    "--port",
                    str(free_port()),
                    *options,
                ],
                cwd=ROOT,
                env={**own, **_QUIET, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _wait(process, state, Path(folder) / "up.log", probe)
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", state: Path, log: Path, probe: str) -> MeshClient:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the mesh ended: {log.read_text()}")
        try:
            mesh = open_mesh(state)
            with mesh.http(timeout=2) as client:
                if client.get(probe).status_code == 200:
                    return mesh
        except Exception:
            time.sleep(0.2)
    raise RuntimeError(f"no healthy mesh in {START_SECONDS} s: {log.read_text()}")


def load(
    url: str,
    body: Mapping[str, Any] | str | None,
    *,
    token: str = "",
    seconds: float,
    connections: int = 32,
    failing: bool = False,
    warmup: float = 2.0,
    **more: str | int,
) -> dict[str, Any]:
    """Posts the body (None: GET) from many connections with the Go load generator, the same one for references.
    `failing`: every request is to be refused, in place of none; `more`: further options of the generator."""
    done = subprocess.run(
        [
            str(ROOT / ".build/bin/bench-load"),
            f"-url={url}",
            f"-body={body if isinstance(body, str) else json.dumps(body) if body is not None else ''}",
            f"-token={token}",
            f"-connections={connections}",
            f"-duration={seconds}s",
            f"-warmup={warmup}s",
            *(f"-{name}={value}" for name, value in more.items()),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    if result["errors"] != (result["requests"] if failing else 0):
        raise RuntimeError(
            f"{result['errors']} of {result['requests']} requests failed, first: {result['first_failed']}"
        )
    return result


def build_load_generator() -> None:
    """Builds the load generator when it is missing or old."""
    build = [ROOT / "scripts/go.sh", "build", "-o", ROOT / ".build/bin/bench-load", "./cmd/bench-load"]
    subprocess.run(build, cwd=ROOT / "gateway", check=True)
