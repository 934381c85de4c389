"""Windows from the command line: recomputed from their raw readings."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.cli.main import run
from tests.e2e.conftest import Edge, until


def test_windows_are_recomputed_on_request(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    tower = unique("tower")
    now = datetime.now(UTC)

    def reading(at: datetime, value: float) -> dict[str, Any]:
        place = {"building": tower, "room": "lobby", "sensorType": "temperature"}
        return {**place, "value": value, "eventTime": at.isoformat()}

    def command(*arguments: str) -> str:
        assert run(["windows", *arguments, "--state-dir", str(edge.mesh.state.root)]) == 0
        return capsys.readouterr().out

    def recomputed(*more: str) -> dict[str, int]:
        found: dict[str, Any] = json.loads(command("recompute", tower, "lobby", "--json", *more))
        return {name: int(count) for name, count in found.items()}

    def windows(day: datetime) -> list[dict[str, Any]]:
        span = ["--from", day.isoformat(), "--to", (day + timedelta(hours=1)).isoformat()]
        return json.loads(command("list", tower, "lobby", "--step", "15m", *span, "--json"))

    sent = [reading(now - timedelta(seconds=15 * back), 290.0) for back in range(30, -1, -1)]
    assert rest.post("/v1/readings:batch", json={"readings": sent}).json()["accepted"] == 31
    # The newest one may still wait for others (it does until the series has gone quiet).
    until(lambda: recomputed()["readings"] >= 30, what="the readings in windows")
    found = recomputed()
    assert (found["series"], found["changed"]) == (1, 0), "what was folded once comes out the same"
    assert found["windows"] >= 7

    late = (now - timedelta(days=10)).replace(minute=5)
    assert rest.post("/v1/readings:batch", json={"readings": [reading(late, 300.0)]}).json()["accepted"] == 1
    hour = late.replace(minute=0, second=0, microsecond=0)
    assert windows(hour) == []

    def taken_in() -> dict[str, int] | None:
        found = recomputed("--include-too-late")
        return found if found["changed"] else None

    assert until(taken_in, what="the reading that came too late")["series"] == 1
    (window,) = windows(hour)
    assert window["statistics"]["mean"] == 300.0
    assert recomputed()["changed"] == 0, "it counts for good"
    assert "lobby recomputed" in command("recompute", tower, "lobby")
