"""Rules of meters, changed over REST: what has been is counted anew without another reading."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.e2e.conftest import until

# By the default rules a reset: 3 before it, 4 after; REJECT believes nothing of it; RESET adds the 1 it begins with.
VALUES = [100.0, 101.0, 102.0, 103.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_recomputation_uses_the_rules_of_now_without_another_reading(
    rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    tower, sensor_type, device = unique("tower"), unique("gas"), unique("meter")
    start = (datetime.now(UTC) - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)

    def done(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()

    done(
        rest.post(
            "/v1/sensorTypes", json={"id": sensor_type, "kind": "COUNTER", "unit": "Wh", "expectedInterval": "5s"}
        )
    )
    times = [*(start + timedelta(seconds=5 * at) for at in range(len(VALUES))), start + timedelta(hours=1)]
    place = {"building": tower, "room": "lobby", "sensorType": sensor_type, "device": device}
    sent = [
        {**place, "value": value, "eventTime": at.isoformat()}
        for at, value in zip(times, [*VALUES, VALUES[-1]], strict=True)
    ]
    assert done(rest.post("/v1/readings:batch", json={"readings": sent}))["accepted"] == len(sent)
    span = {"from": start.isoformat(), "to": (start + timedelta(minutes=1)).isoformat()}
    query = {"sensorType": sensor_type, "step": "60s", **span}

    def consumed() -> float | None:
        windows = done(rest.get(f"/v1/buildings/{tower}/rooms/lobby/windows", params=query)).get("windows", [])
        return windows[0]["statistics"]["consumption"] if windows and not windows[0].get("provisional") else None

    def recomputed() -> float | None:
        done(rest.post(f"/v1/buildings/{tower}/rooms/lobby/windows:recompute", json={}))
        return consumed()

    assert until(consumed, what="the first minute") == 7.0
    type_rules, device_rules = f"/v1/sensorTypes/{sensor_type}", f"/v1/devices/{device}"
    mask = {"updateMask": "counterRules"}
    done(rest.patch(type_rules, params=mask, json={"counterRules": {"policy": "REJECT"}}))
    assert recomputed() == 3.0
    done(rest.patch(device_rules, params=mask, json={"counterRules": {"policy": "RESET"}}))
    assert recomputed() == 8.0
    # The device has rules of its own now.
    done(rest.patch(type_rules, params=mask, json={"counterRules": {"policy": "HOLD_THEN_RESET"}}))
    assert recomputed() == 8.0
    done(rest.patch(device_rules, params=mask, json={}))
    assert recomputed() == 7.0
