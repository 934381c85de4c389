"""What people make of readings and of corrections of meters, through Envoy and the gateway."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Edge, until


def send(rest: httpx.Client, room: str, sensor_type: str, values: list[float], start: datetime) -> None:
    building = room.split("/")[3]
    readings = [
        {
            "building": building,
            "room": room.split("/")[5],
            "sensorType": sensor_type,
            "value": value,
            "eventTime": (start + timedelta(minutes=at)).isoformat(),
        }
        for at, value in enumerate(values)
    ]
    answer = rest.post("/v1/readings:batch", json={"readings": readings})
    assert answer.json()["accepted"] == len(values), answer.text


def used(rest: httpx.Client, room: str) -> float:
    windows = rest.get(f"{room}/windows", params={"sensorType": "energy", "pageSize": 1000}).json()["windows"]
    return sum(window["statistics"].get("consumption", 0.0) for window in windows)


@pytest.fixture
def room(unique: Callable[[str], str]) -> str:
    return f"/v1/buildings/{unique('tower')}/rooms/cellar"


def test_what_was_accepted_is_voided_or_replaced_at_once(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    at = datetime.now(UTC) - timedelta(minutes=30)
    for number in range(6):
        room = f"/v1/buildings/{unique('tower')}/rooms/cellar"
        send(rest, room, "temperature", [290.0], at)
        mended: dict[str, Any] = {"sensorType": "temperature", "eventTime": at.isoformat(), "reason": "a test"}
        verb = "void" if number % 2 else "replace"
        answer = rest.post(f"{room}/readings:{verb}", json=mended | ({} if number % 2 else {"value": 291.0}))
        assert answer.status_code == 200, answer.text
        assert answer.json()["changed"] is True


def test_a_range_is_voided_in_one_call(rest: httpx.Client, room: str) -> None:
    start = datetime.now(UTC) - timedelta(minutes=30)
    send(rest, room, "temperature", [290.0] * 20, start)
    body: dict[str, Any] = {
        "sensorType": "temperature",
        "from": (start + timedelta(minutes=5)).isoformat(),
        "to": (start + timedelta(minutes=15)).isoformat(),
        "reason": "an electrician",
    }
    answer = rest.post(f"{room}/readings:voidRange", json=body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["readings"], answer.json()["changed"]) == ("10", "10")
    kept = rest.get(f"{room}/readings", params={"sensorType": "temperature"}).json()["readings"]
    assert sum(one.get("amendment", {}).get("reason") == "an electrician" for one in kept) == 10


def test_values_that_no_reading_could_have_are_refused_like_one(rest: httpx.Client, room: str) -> None:
    at = datetime.now(UTC) - timedelta(minutes=30)
    mended: dict[str, Any] = {"eventTime": at.isoformat(), "reason": "a test"}
    _, _, _, building, _, name = room.split("/")
    for sensor_type in ("energy", "humidity"):
        send(rest, room, sensor_type, [99.0], at)
    for sensor_type, value in (("energy", -5.0), ("humidity", -5.0), ("humidity", 1e308)):
        as_reading = {"building": building, "room": name, "sensorType": sensor_type, "value": value}
        refused = rest.post("/v1/readings", json=as_reading)
        answer = rest.post(f"{room}/readings:replace", json=mended | {"sensorType": sensor_type, "value": value})
        assert answer.status_code == refused.status_code == 400
        assert answer.json()["reason"] == refused.json()["reason"] == "VALUE_OUT_OF_RANGE"
        assert answer.json()["errors"] == refused.json()["errors"]
        assert answer.json()["metadata"] == refused.json()["metadata"]
    for sensor_type in ("energy", "humidity"):
        (kept,) = rest.get(f"{room}/readings", params={"sensorType": sensor_type}).json()["readings"]
        assert kept["value"] == 99.0
        assert "amendment" not in kept


def test_people_decide_about_a_meter(rest: httpx.Client, edge: Edge, room: str) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
    # The zero came an hour ago; what came then has told that it was one.
    send(rest, room, "energy", [100.0, 101, 102, 0, 103, 104, 105, 106, 107], start)

    def correction() -> Any:
        found = rest.get(f"{room}/corrections").json()["corrections"]
        return found[0] if found else None

    found = until(correction, timeout=90, what="the zero listed")
    assert (found["kind"], found.get("value", 0.0)) == ("GLITCH", 0.0)
    before = until(lambda: used(rest, room) == pytest.approx(7) and used(rest, room), what="7 Wh")
    path = f"{room}/corrections/{found['id']}:decide"
    refused = rest.post(path, json={"decision": "VALUE", "value": -5, "reason": "a slip"})
    assert (refused.status_code, refused.json()["reason"]) == (400, "VALUE_OUT_OF_RANGE")
    for decision, consumption in (("RESET", 2 + 103 + 4), ("IGNORE", 7), ("VALUE", 7), ("GLITCH", 7), ("RESET", 109)):
        body: dict[str, Any] = {"decision": decision, "reason": f"seen: {decision}"}
        body |= {"value": 102.5} if decision == "VALUE" else {}
        answer = rest.post(path, json=body)
        assert answer.status_code == 200, answer.text
        told = answer.json()["correction"]["decision"]
        assert (told["kind"], told["reason"], told["author"]) == (decision, f"seen: {decision}", "cli")
        if decision != "RESET":
            assert used(rest, room) == pytest.approx(consumption)
    listed = rest.get(f"{room}/corrections").json()["corrections"]
    assert {one["id"]: one["decision"]["kind"] for one in listed if "decision" in one} == {found["id"]: "RESET"}
    reset = used(rest, room)
    assert reset != pytest.approx(before)
    assert rest.post(f"{room}/windows:recompute", json={}).json().get("changed", "0") == "0"
    assert used(rest, room) == pytest.approx(reset)
    # A replacement of the reading that comes later holds; the decision is listed as withdrawn where it would hide it.
    rest.post(path, json={"decision": "VALUE", "value": 102.9, "reason": "a guess"})
    at = (start + timedelta(minutes=3)).isoformat()
    mended = {"sensorType": "energy", "eventTime": at, "reason": "read off by hand", "value": 102.4}
    assert rest.post(f"{room}/readings:replace", json=mended).json()["changed"] is True
    assert used(rest, room) == pytest.approx(7)
    (one,) = rest.get(f"{room}/corrections").json()["corrections"]
    assert (one["decision"]["kind"], one["decision"]["withdrawn"]) == ("VALUE", True)
    unknown = rest.post(f"{room}/corrections/{found['id']}0:decide", json={"decision": "RESET", "reason": "x"})
    assert (unknown.status_code, unknown.json()["reason"]) == (404, "CORRECTION_NOT_FOUND")
    reader = {"authorization": f"Bearer {edge.token('readings:read')}"}
    assert rest.post(path, json={"decision": "RESET", "reason": "x"}, headers=reader).status_code == 403
