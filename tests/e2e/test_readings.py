"""Readings through the edge: accepted, stored, averaged, and kept apart."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Edge, until
from tocsin.ingestion.v1 import reading_pb2, reading_service_pb2, reading_service_pb2_grpc


def reading(building: str, room: str, value: float, sensor_type: str = "temperature", **more: Any) -> dict[str, Any]:
    return {"building": building, "room": room, "sensorType": sensor_type, "value": value, **more}


def average(rest: httpx.Client, building: str, room: str, sensor_type: str = "temperature") -> dict[str, Any]:
    path = f"/v1/buildings/{building}/rooms/{room}/average"
    answer = rest.get(path, params={"sensorType": sensor_type})
    assert answer.status_code == 200, answer.text
    return answer.json()


def average_of(rest: httpx.Client, building: str, room: str, count: int, sensor_type: str = "temperature") -> Any:
    def enough() -> Any:
        result = average(rest, building, room, sensor_type)
        return result if result["state"] == "OK" and int(result["statistics"]["count"]) >= count else None

    return until(enough, what=f"an average over {count} readings of {room}")


def test_the_average_is_of_this_room_building_and_sensor_type_only(
    rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    tower, castle = unique("tower"), unique("castle")
    now = datetime.now(UTC)
    sent = []
    for index, value in enumerate([290.0, 292.0, 294.0]):
        at = (now - timedelta(seconds=30 + 10 * index)).isoformat()
        sent += [
            reading(tower, "lobby", value, eventTime=at),
            reading(tower, "cellar", 250.0, eventTime=at),
            reading(castle, "lobby", 350.0, eventTime=at),
            reading(tower, "lobby", 45.0, "humidity", eventTime=at),
        ]
    answer = rest.post("/v1/readings:batch", json={"readings": sent})
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 12
    assert average_of(rest, tower, "lobby", 3)["statistics"]["mean"] == pytest.approx(292.0)
    assert average_of(rest, tower, "cellar", 3)["statistics"]["mean"] == pytest.approx(250.0)
    assert average_of(rest, castle, "lobby", 3)["statistics"]["mean"] == pytest.approx(350.0)
    assert average_of(rest, tower, "lobby", 3, "humidity")["statistics"]["mean"] == pytest.approx(45.0)


def test_a_building_is_all_of_its_rooms(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower, castle = unique("tower"), unique("castle")
    now = datetime.now(UTC)
    sent = []
    for index in range(3):
        at = (now - timedelta(seconds=30 + 10 * index)).isoformat()
        sent += [reading(tower, "lobby", 290.0, eventTime=at), reading(tower, "cellar", 280.0, eventTime=at)]
        sent += [reading(castle, "lobby", 350.0, eventTime=at), reading(tower, "attic", 45.0, "humidity", eventTime=at)]
    answer = rest.post("/v1/readings:batch", json={"readings": sent})
    assert answer.status_code == 200, answer.text

    def whole() -> Any:
        answer = rest.get(f"/v1/buildings/{tower}/average")
        assert answer.status_code == 200, answer.text
        return answer.json() if int(answer.json().get("statistics", {}).get("count", 0)) == 6 else None

    found = until(whole, what="the average of the building")
    assert found["statistics"]["mean"] == pytest.approx(285.0)
    assert (found["state"], found["unit"], found["rooms"], found["roomsWithData"], found["devices"]) == (
        "OK",
        "K",
        2,
        2,
        2,
    )
    rooms, token = [], ""
    while True:
        answer = rest.get(f"/v1/buildings/{tower}/roomAverages", params={"pageSize": 1, "pageToken": token})
        assert answer.status_code == 200, answer.text
        rooms += answer.json()["averages"]
        token = answer.json().get("nextPageToken", "")
        if not token:
            break
    assert [(room["room"], room["statistics"]["mean"]) for room in rooms] == [("cellar", 280.0), ("lobby", 290.0)]
    answer = rest.get(f"/v1/buildings/{unique('nowhere')}/average")
    assert (answer.json()["state"], answer.json().get("rooms", 0)) == ("NO_DATA", 0)


def test_a_single_reading_is_converted_and_visible(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower = unique("tower")
    answer = rest.post("/v1/readings", json=reading(tower, "lobby", 20.0, unit="C"))
    assert answer.status_code == 200, answer.text
    stored = answer.json()["reading"]
    assert stored["value"] == pytest.approx(293.15)
    assert stored["unit"] == "K"
    at = (datetime.now(UTC) + timedelta(seconds=10)).isoformat()

    def seen() -> Any:
        result = rest.get(f"/v1/buildings/{tower}/rooms/lobby/average", params={"at": at}).json()
        return result if result["state"] == "OK" else None

    assert until(seen, what="the reading in an average")["statistics"]["mean"] == pytest.approx(293.15)


def test_no_data_is_said_and_never_a_zero(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    result = average(rest, unique("nowhere"), "lobby")
    assert result["state"] == "NO_DATA"
    assert "mean" not in result.get("statistics", {})


def test_below_absolute_zero_is_refused_and_changes_nothing(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower = unique("tower")
    answer = rest.post("/v1/readings", json=reading(tower, "lobby", -273.16, unit="C"))
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["reason"] == "VALUE_OUT_OF_RANGE"
    assert [error["field"] for error in problem["errors"]] == ["value"]
    assert average(rest, tower, "lobby")["state"] == "NO_DATA"


def test_the_same_reading_again_counts_once(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower = unique("tower")
    at = (datetime.now(UTC) - timedelta(seconds=20)).isoformat()
    headers = {"Idempotency-Key": unique("key")}
    one = reading(tower, "lobby", 290.0, eventTime=at)
    first, again = (rest.post("/v1/readings", json=one, headers=headers) for _ in range(2))
    assert first.status_code == again.status_code == 200, (first.text, again.text)
    assert again.json()["duplicate"] is True
    other = rest.post("/v1/readings", json={**one, "value": 291.0}, headers=headers)
    assert other.status_code == 409
    assert other.json()["reason"] == "IDEMPOTENCY_CONFLICT"
    # The same reading without a key: the first value of a series at a time wins.
    assert rest.post("/v1/readings", json=one).status_code == 200
    later = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()
    assert rest.post("/v1/readings", json=reading(tower, "lobby", 300.0, eventTime=later)).status_code == 200
    result = average_of(rest, tower, "lobby", 2)
    assert int(result["statistics"]["count"]) == 2
    assert result["statistics"]["mean"] == pytest.approx(295.0)


def test_a_file_of_readings_keeps_good_lines_beside_bad_ones(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower = unique("tower")
    at = [(datetime.now(UTC) - timedelta(seconds=20 + index)).isoformat() for index in range(3)]
    lines = [
        json.dumps(reading(tower, "lobby", 280.0, eventTime=at[0])),
        '{"building": "broken',
        json.dumps(reading(tower, "lobby", -1.0, eventTime=at[1])),
        json.dumps(reading(tower, "lobby", 282.0, eventTime=at[2])),
    ]
    answer = rest.post(
        "/v1/readings:import", content="\n".join(lines), headers={"content-type": "application/x-ndjson"}
    )
    assert answer.status_code == 200, answer.text
    outcome = answer.json()
    assert (int(outcome["accepted"]), int(outcome["rejected"])) == (2, 2)
    assert sorted(rejection["index"] for rejection in outcome["rejections"]) == [1, 2]
    assert average_of(rest, tower, "lobby", 2)["statistics"]["mean"] == pytest.approx(281.0)


def test_a_grpc_stream_of_columns_through_the_edge(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    tower = unique("tower")
    now = int(datetime.now(UTC).timestamp() * 1_000_000)

    def batch(sequence: int) -> reading_service_pb2.StreamReadingsRequest:
        times = [now - 60_000_000 + (sequence * 100 + index) * 10_000 for index in range(100)]
        return reading_service_pb2.StreamReadingsRequest(
            sequence=sequence,
            columns=reading_pb2.ReadingColumns(
                series=[reading_pb2.ReadingColumns.Series(building=tower, room="lobby", sensor_type="temperature")],
                series_index=[0] * 100,
                event_time_us=times,
                value=[280.0 + sequence] * 99 + [float("nan")],
            ),
        )

    with edge.channel() as channel:
        stub = reading_service_pb2_grpc.ReadingServiceStub(channel)
        answers = list(
            stub.StreamReadings(iter([batch(0), batch(1), batch(2)]), metadata=edge.metadata("readings:write"))
        )
    assert [answer.sequence for answer in answers] == [0, 1, 2]
    assert [answer.accepted for answer in answers] == [99, 99, 99]
    assert [rejection.index for answer in answers for rejection in answer.rejections] == [99, 99, 99]
    result = average_of(rest, tower, "lobby", 297)
    assert int(result["statistics"]["count"]) == 297
    assert result["statistics"]["mean"] == pytest.approx(281.0)


@pytest.mark.parametrize(
    ("vendor_format", "payload", "value", "sensor_type"),
    [
        ("ep1", {"energy": 12, "unit": 3, "tag": "a"}, 12_000.0, "energy"),
        ("ep2", {"content": {"energy": 512.5}, "tag": "a"}, 512.5, "energy"),
        ("env1", {"d": {"filling_level": 42}, "tag": "a"}, 42.0, "filling_level"),
    ],
)
def test_vendor_payloads_are_understood(
    rest: httpx.Client,
    unique: Callable[[str], str],
    vendor_format: str,
    payload: dict[str, Any],
    value: float,
    sensor_type: str,
) -> None:
    device = unique("dev")
    name = {"ep1": "device", "ep2": "from", "env1": "id"}[vendor_format]
    time = "timestamp" if vendor_format == "ep2" else "ts"
    at = datetime.now(UTC).timestamp() - 30
    answer = rest.post(f"/v1/devices/{vendor_format}/payloads", json={name: device, time: at, **payload})
    assert answer.status_code == 200, answer.text
    (accepted,) = answer.json()["readings"]
    assert (accepted["device"], accepted["sensorType"], accepted["value"]) == (device, sensor_type, value)
    listing = f"/v1/buildings/{accepted['building']}/rooms/{accepted['room']}/readings"
    query = {"sensorType": sensor_type, "device": device}
    stored = until(lambda: rest.get(listing, params=query).json().get("readings"), what="the stored reading")
    assert [entry["value"] for entry in stored] == [value]


def test_an_emptied_container_takes_the_priority_lane(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    device = unique("bin")
    at = datetime.now(UTC).timestamp()
    for offset, level in ((30, 77), (20, 0)):
        payload = {"id": device, "d": {"filling_level": level}, "ts": at - offset, "tag": "yard"}
        answer = rest.post("/v1/devices/env1/payloads", json=payload)
        assert answer.status_code == 200, answer.text
        assert answer.json()["priority"] is (level == 0)
    forced = rest.post(f"/v1/devices/{device}:empty", json={})
    assert forced.status_code == 200, forced.text
    place = forced.json()["reading"]
    listing = f"/v1/buildings/{place['building']}/rooms/{place['room']}/readings"
    query = {"sensorType": "filling_level", "device": device, "oldestFirst": "true"}

    def values() -> Any:
        found = [entry["value"] for entry in rest.get(listing, params=query).json().get("readings", [])]
        return found if len(found) >= 3 else None

    assert until(values, what="three readings") == [77.0, 0.0, 0.0]


def test_a_payload_that_nobody_understands_is_kept(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    device = unique("dev")
    answer = rest.post("/v1/devices/ep2/payloads", json={"from": device, "content": {"energy": "much"}})
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["reason"] == "PAYLOAD_NOT_UNDERSTOOD"
    assert problem["errors"][0]["field"] == "content.energy"
    kept = rest.get("/v1/quarantinedPayloads", params={"format": "ep2", "pageSize": 1000}).json()["payloads"]
    assert problem["metadata"]["quarantineId"] in {entry["id"] for entry in kept}


def test_a_wrong_value_is_told_and_mended(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    tower, at = unique("tower"), (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    room = f"/v1/buildings/{tower}/rooms/lobby"
    for value, counting in ((290.0, None), (390.0, 290.0), (290.0, None)):
        answer = rest.post("/v1/readings", json=reading(tower, "lobby", value, eventTime=at))
        assert answer.status_code == 200, answer.text
        conflict = answer.json().get("conflict")
        assert (None if conflict is None else conflict["countingValue"]) == counting
    batch = {"readings": [reading(tower, "lobby", value, eventTime=at) for value in (290.0, 391.0)]}
    outcome = rest.post("/v1/readings:batch", json=batch).json()
    assert (outcome["accepted"], outcome["ignored"], outcome["conflicts"][0]["index"]) == (1, 1, 1)
    assert average_of(rest, tower, "lobby", 1)["statistics"]["mean"] == pytest.approx(290.0)

    def listed() -> Any:
        found = rest.get(f"{room}/readingConflicts").json()["conflicts"]
        return found if found and found[0]["count"] == "2" else None

    (found,) = until(listed, what="both ignored values")
    assert (found["outcome"], found["value"], found["countingValue"]) == ("IGNORED", 391.0, 290.0)
    mended = {"sensorType": "temperature", "eventTime": at, "reason": "a typing error"}
    answer = rest.post(f"{room}/readings:replace", json=mended | {"value": 295.0})
    assert answer.status_code == 200, answer.text
    assert answer.json()["reading"]["amendment"]["originalValue"] == 290.0
    assert average_of(rest, tower, "lobby", 1)["statistics"]["mean"] == pytest.approx(295.0)
    # What is told goes by what counts now.
    for value, counting in ((295.0, None), (290.0, 295.0), (295.0, None), (296.0, 295.0)):
        answer = rest.post("/v1/readings", json=reading(tower, "lobby", value, eventTime=at)).json()
        assert answer.get("conflict", {}).get("countingValue") == counting
    assert rest.post(f"{room}/readings:void", json=mended).json()["changed"] is True
    for value in (290.0, 295.0):
        assert "conflict" not in rest.post("/v1/readings", json=reading(tower, "lobby", value, eventTime=at)).json()
    assert average(rest, tower, "lobby")["state"] == "NO_DATA"
    (kept,) = rest.get(f"{room}/readings", params={"sensorType": "temperature"}).json()["readings"]
    assert (kept["value"], kept["amendment"]["kind"], kept["amendment"]["reason"]) == (
        295.0,
        "VOIDED",
        "a typing error",
    )
    missing = rest.post(f"{room}/readings:void", json=mended | {"sensorType": "humidity"})
    assert (missing.status_code, missing.json()["reason"]) == (404, "READING_NOT_FOUND")
