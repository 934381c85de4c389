"""Good readings beside a storm of bad ones, which are refused by value; the reference is the same storm of good ones.

A refusal must not cost more than a reading that is stored: it registers nothing and reaches no database. Eight callers
send the readings that are measured, 24 others the storm.
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


def measure(mesh: MeshClient, runs: int) -> Row:
    """Requests per second of the eight callers."""
    found = [(_beside(mesh, _BAD, refused=True), _beside(mesh, body(), refused=False)) for _ in range(runs)]
    pairs = [(bad["per_second"], good["per_second"]) for bad, good in found]
    p99, storms = (
        [statistics.median(pair[index][name] for pair in found) for index in (0, 1)] for name in ("p99_ms", "storm")
    )
    return row(
        f"good readings, {CALLERS} connections, beside a storm of bad ones ({STORM} connections)",
        pairs,
        unit="requests/s",
        goal=">= 1",
        notes={
            "p99": f"{p99[0]:.1f} ms; beside a storm of good ones {p99[1]:.1f} ms",
            "storm": f"{storms[0]:,.0f} bad requests/s; {storms[1]:,.0f} good ones/s",
        },
    )


def _beside(mesh: MeshClient, storm: dict[str, object], *, refused: bool) -> dict[str, Any]:
    url, token = f"{mesh.instance.edge_url}/v1/readings", mesh.token()
    with ThreadPoolExecutor(1) as other:
        # The storm begins no later and ends no sooner than what is measured.
        storming = other.submit(load, url, storm, token=token, seconds=SECONDS + 1, connections=STORM, failing=refused)
        measured = load(url, body(), token=token, seconds=SECONDS, connections=CALLERS)
        storm_result = storming.result()
    return {**measured, "storm": storm_result["requests"] / storm_result["seconds"]}
