"""What Prometheus reads of the supervisor, and what the gateway reads of the parts for its /health."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from services.chassis.telemetry.http import OpsEndpoint
from services.cli.runtime.identity_provider import JWKS_PATH
from services.cli.runtime.part import State
from services.cli.runtime.status import StatusFile

PARTS_PATH = "/parts"
# What is not yet is no problem: a start is told by the services themselves.
_FAULTY = frozenset({State.UNHEALTHY, State.RESTARTING})


async def serve_metrics(
    host: str, port: int, status: StatusFile, hidden: str, jwks_file: Path | None = None
) -> NoReturn:
    """Serves /metrics, /livez, /readyz, /parts and the public keys in `jwks_file`, for ever. `hidden` is cut out of
    what /parts says, as everybody may read it: the path of the state directory."""

    def parts() -> bytes:
        return json.dumps({"problems": problems(status.content(), hidden)}).encode()

    def missing() -> dict[str, str]:
        return {problem["part"]: problem["reason"] for problem in problems(status.content(), hidden)}

    def keys() -> bytes:
        try:
            return jwks_file.read_bytes() if jwks_file else b""
        except OSError:
            return b""  # no keys; who asks keeps those that it has, and services log what is wrong

    pages = {PARTS_PATH: parts, **({JWKS_PATH: keys} if jwks_file else {})}
    collector = PartsCollector(status)
    REGISTRY.register(collector)
    try:
        async with OpsEndpoint(host, port, missing, pages=pages):
            while True:
                await asyncio.Event().wait()
    finally:
        REGISTRY.unregister(collector)


def problems(content: dict[str, Any], hidden: str) -> list[dict[str, str]]:
    """The parts that do not work, why, and since when."""
    return [
        {
            "part": part["name"],
            "reason": part["reason"].replace(hidden, "...") or str(part["state"]),
            "since": datetime.fromtimestamp(part["unhealthy_since"] or time.time(), UTC).isoformat(),
        }
        for part in content["parts"]
        # One that was healthy before and has not been since is at fault, also while it starts.
        if part["state"] in _FAULTY or (part["state"] == State.STARTING and part["unhealthy_since"] is not None)
    ]


class PartsCollector(Collector):
    """The parts' state as metrics, read when they are asked for."""

    def __init__(self, status: StatusFile) -> None:
        self._status = status

    def collect(self) -> "Iterator[GaugeMetricFamily | CounterMetricFamily]":
        """Called by the registry."""
        up = GaugeMetricFamily("tocsin_part_up", "1 while the part is healthy.", labels=["part"])
        unhealthy = GaugeMetricFamily(
            "tocsin_part_unhealthy_seconds", "Seconds since the part was healthy; 0 while it is.", labels=["part"]
        )
        restarts = CounterMetricFamily("tocsin_part_restarts", "Restarts of the part, of all kinds.", labels=["part"])
        for part in self._status.content()["parts"]:
            since = part["unhealthy_since"]
            up.add_metric([part["name"]], float(part["state"] == State.HEALTHY))
            unhealthy.add_metric([part["name"]], 0.0 if since is None else time.time() - since)
            restarts.add_metric([part["name"]], part["restarts"])
        yield from (up, unhealthy, restarts)
