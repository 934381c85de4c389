"""Good readings beside storms of bad ones; the reference is the same storm of good ones.

A refusal must not take more from the good ones than a reading that is stored. Eight connections send the readings that
are measured, 24 others the storm: with the same token (their readings meet in one batch) or with another, of values
below the physical limit or without a value.
"""

import statistics
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from services.cli.client import MeshClient
from tests.bench.mesh import load
from tests.bench.report import Row, row
from tests.bench.rest_reading import SECONDS, body

CALLERS, STORM = 8, 24
_BAD: dict[str, object] = {"building": "nowhere", "room": "storm", "sensorType": "temperature", "value": -1.0}
_INCOMPLETE: dict[str, object] = {"building": "nowhere", "room": "storm", "sensorType": "temperature"}


def measure(mesh: MeshClient, runs: int) -> list[Row]:
    """Requests per second of the eight connections, for three storms."""
    me, other = mesh.token(), mesh.token(subject="storm")
    return [
        _measure(mesh, runs, "of bad ones", _BAD, (me, me)),
        _measure(mesh, runs, "of another caller's bad ones", _BAD, (me, other)),
        _measure(mesh, runs, "of another caller's incomplete ones", _INCOMPLETE, (me, other)),
    ]


def _measure(mesh: MeshClient, runs: int, name: str, bad: dict[str, object], tokens: tuple[str, str]) -> Row:
    found = [
        (_beside(mesh, bad, tokens, refused=True), _beside(mesh, body(), tokens, refused=False)) for _ in range(runs)
    ]
    pairs = [(bad["per_second"], good["per_second"]) for bad, good in found]
    p99, storms = (
        [statistics.median(pair[index][name] for pair in found) for index in (0, 1)] for name in ("p99_ms", "storm")
    )
    return row(
        f"good readings, {CALLERS} connections, beside a storm {name} ({STORM} connections)",
        pairs,
        unit="requests/s",
        goal=">= 1",
        notes={
            "p99": f"{p99[0]:.1f} ms; beside a storm of good ones {p99[1]:.1f} ms",
            "storm": f"{storms[0]:,.0f} bad requests/s; {storms[1]:,.0f} good ones/s",
        },
    )


def _beside(mesh: MeshClient, storm: dict[str, object], tokens: tuple[str, str], *, refused: bool) -> dict[str, Any]:
    url, (mine, others) = f"{mesh.instance.edge_url}/v1/readings", tokens
    with ThreadPoolExecutor(1) as other:
        # The storm begins no later and ends no sooner than what is measured.
        storming = other.submit(load, url, storm, token=others, seconds=SECONDS + 1, connections=STORM, failing=refused)
        measured = load(url, body(), token=mine, seconds=SECONDS, connections=CALLERS)
        storm_result = storming.result()
    return {**measured, "storm": storm_result["requests"] / storm_result["seconds"]}
