"""Changing the catalogue over REST."""

from collections.abc import Callable

import httpx

from tests.e2e.test_bad_input import expect_problem


def test_a_mask_names_fields_of_several_words(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    path = f"/v1/sensorTypes/{unique('noise')}"
    entry = {"id": path.rpartition("/")[2], "kind": "GAUGE", "unit": "dB", "minValue": 1, "expectedInterval": "5s"}
    made = rest.post("/v1/sensorTypes", json=entry)
    assert made.status_code == 200, made.text
    for mask, change in (
        ("minValue,expectedInterval", {"minValue": 2, "maxValue": 90, "expectedInterval": "6s"}),
        ("min_value,expected_interval", {"minValue": 3, "maxValue": 90, "expectedInterval": "7s"}),
    ):
        changed = rest.patch(path, params={"updateMask": mask}, json=change)
        assert changed.status_code == 200, changed.text
        found = rest.get(path).json()
        assert (found["minValue"], found["expectedInterval"]) == (change["minValue"], change["expectedInterval"])
        assert "maxValue" not in found


def test_a_mask_of_the_id_alone_changes_nothing_in_silence(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    name = unique("noise")
    assert rest.post("/v1/sensorTypes", json={"id": name, "kind": "GAUGE", "unit": "dB"}).status_code == 200
    refused = rest.patch(f"/v1/sensorTypes/{name}", params={"updateMask": "id"}, json={"maxValue": 9})
    expect_problem(refused, field="updateMask")
    assert rest.patch(f"/v1/sensorTypes/{name}", json={"id": name}).status_code == 200


def test_a_mask_reaches_into_an_alarm_rule(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    name = unique("hot")
    rule = {"id": name, "sensorType": "temperature", "room": "", "threshold": {"direction": "ABOVE", "limit": 300}}
    made = rest.post("/v1/alarmRules", json=rule)
    assert made.status_code == 200, made.text
    path = f"/v1/alarmRules/{name}"
    change = {"threshold": {"direction": "ABOVE", "limit": 9, "minDuration": "60s"}}
    changed = rest.patch(path, params={"updateMask": "threshold.minDuration"}, json=change)
    assert changed.status_code == 200, changed.text
    assert changed.json()["threshold"]["minDuration"] == "60s"
    assert changed.json()["threshold"]["limit"] == 300
    expect_problem(rest.patch(path, params={"updateMask": "id"}, json={"title": "x"}), field="updateMask")
    assert rest.delete(path).status_code == 200


def test_a_sensor_type_with_readings_cannot_be_made_anew(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    name, place = unique("noise"), unique("b")
    entry = {"id": name, "kind": "GAUGE", "unit": "dB"}
    assert rest.post("/v1/sensorTypes", json=entry).status_code == 200
    assert rest.delete(f"/v1/sensorTypes/{name}").status_code == 200
    assert rest.post("/v1/sensorTypes", json=entry).status_code == 200
    reading = {"building": place, "room": "r1", "sensorType": name, "value": 40}
    sent = rest.post("/v1/readings", json=reading)
    assert sent.status_code == 200, sent.text
    problem = expect_problem(rest.delete(f"/v1/sensorTypes/{name}"))
    assert (problem["reason"], problem["metadata"]["usedBy"]) == ("IN_USE", "readings")


def test_a_threshold_has_a_limit_that_may_be_zero(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    name = unique("cold")
    rule = {"id": name, "sensorType": "temperature", "unit": "C", "threshold": {"direction": "BELOW", "limit": 0}}
    made = rest.post("/v1/alarmRules", json=rule)
    assert made.status_code == 200, made.text
    assert made.json()["threshold"]["limit"] == 0
    without = rest.patch(f"/v1/alarmRules/{name}", params={"updateMask": "threshold.limit"}, json={"threshold": {}})
    expect_problem(without, field="limit")
    assert rest.delete(f"/v1/alarmRules/{name}").status_code == 200
