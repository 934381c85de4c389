"""Alarms through the edge: a rule and readings over REST; one event for downstream teams, one notification for each
person, and the command line."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.cli.main import run
from tests.e2e.conftest import Edge, until
from tocsin.events.v1.alarms_pb2 import AlarmRaised


def reading(building: str, value: float) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {
        "building": building,
        "room": "lobby",
        "sensorType": "temperature",
        "device": f"{building}-d",
        "value": value,
        "unit": "K",
        "eventTime": at,
    }


def send(rest: httpx.Client, building: str, value: float) -> None:
    answer = rest.post("/v1/readings", json=reading(building, value))
    assert answer.status_code == 200, answer.text


def test_from_a_rule_to_the_people_it_names(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    building, rule, users = unique("b"), unique("hot"), [unique("ada"), unique("bob")]
    made = rest.post(
        "/v1/alarmRules",
        json={
            "id": rule,
            "title": "Too hot",
            "sensorType": "temperature",
            "building": building,
            "severity": "CRITICAL",
            "threshold": {"direction": "ABOVE", "limit": 300, "hysteresis": 2},
            "tenant": "test",
            "notify": users,
        },
    )
    assert made.status_code == 200, made.text
    assert made.json()["createTime"]

    def alarms(**wanted: str) -> list[dict[str, Any]]:
        answer = rest.get("/v1/alarms", params={"building": building, **wanted})
        assert answer.status_code == 200, answer.text
        return answer.json().get("alarms", [])

    async def watch() -> list[AlarmRaised]:
        """What a downstream team hears, until both alarms have been raised and cleared."""
        heard: list[AlarmRaised] = []
        async with edge.mesh.nats(downstream=True) as connection:

            async def told(message: Any) -> None:
                event = AlarmRaised.FromString(message.data)
                if event.rule == rule:
                    heard.append(event)

            await connection.subscribe("tocsin.alarms.v1.raised", cb=told)
            await connection.flush()
            await asyncio.to_thread(play)
        return heard

    def play() -> None:
        def raised() -> list[dict[str, Any]]:
            send(rest, building, 305)  # the rule reaches the owner in its own time
            return alarms(states="RAISED")

        [alarm] = until(raised, what="a raised alarm")
        assert alarm["message"].startswith(f"temperature in {building}/lobby (device {building}-d) is 305 K")
        acknowledged = rest.post(f"/v1/alarms/{alarm['id']}:acknowledge", json={"note": "on my way"})
        assert (acknowledged.json()["state"], acknowledged.json()["note"]) == ("ACKNOWLEDGED", "on my way")
        send(rest, building, 299)
        send(rest, building, 297)
        [cleared] = until(lambda: alarms(states="CLEARED"), what="a cleared alarm")
        assert (cleared["id"], cleared["note"], cleared["severity"]) == (alarm["id"], "on my way", "CRITICAL")
        assert rest.get(f"/v1/alarms/{alarm['id']}").json() == cleared

    heard = asyncio.run(watch())
    [alarm] = alarms()
    assert [event.alarm for event in heard] == [alarm["id"]]

    def inbox(user: str) -> list[dict[str, Any]]:
        page = rest.get("/v1/notifications", params={"tenant": "test", "user": user}).json()
        return page.get("notifications", [])

    for user in users:
        [told] = until(lambda user=user: inbox(user), what="the notification")
        assert (told["title"], told["type"], told["body"]) == ("Too hot", "ALERT", alarm["message"])
        assert (told["data"]["alarm"], told["data"]["rule"]) == (alarm["id"], rule)
    assert [len(inbox(user)) for user in users] == [1, 1]


def test_the_next_silence_and_an_emptied_container(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    building = unique("b")
    for id_, sensor_type, condition in (
        (unique("quiet"), "temperature", {"noData": {"after": "1s"}}),
        (unique("emptied"), "filling_level", {"containerEmptied": {}}),
    ):
        rule = {"id": id_, "building": building, "sensorType": sensor_type, **condition}
        assert rest.post("/v1/alarmRules", json=rule).status_code == 200
    send(rest, building, 290)

    def kinds() -> set[str]:
        found = rest.get("/v1/alarms", params={"building": building}).json().get("alarms", [])
        return {alarm["kind"] for alarm in found}

    until(lambda: kinds() == {"NO_DATA"}, what="the silence")
    device = {"id": f"{building}-c", "building": building, "room": "lobby", "sensorType": "filling_level"}
    assert rest.post("/v1/devices", json={**device, "format": "env1"}).status_code == 200

    def emptied() -> bool:
        level = {**reading(building, 50), "sensorType": "filling_level", "device": device["id"], "unit": "%"}
        assert rest.post("/v1/readings", json=level).status_code == 200
        answer = rest.post(f"/v1/devices/{device['id']}:empty", json={})
        assert answer.status_code == 200, answer.text
        return "CONTAINER_EMPTIED" in kinds()

    until(emptied, what="the emptied container")


def test_a_rule_that_matches_nothing_says_so(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    building, id_, full = unique("b"), unique("hot"), unique("full")
    where = {"building": building, "sensorType": "temperature"}
    asked = {"id": id_, **where, "threshold": {"direction": "ABOVE", "limit": 300}}
    made = rest.post("/v1/alarmRules", json={**asked, "matchingSeries": 7, "unmatched": "ROOM"}).json()
    assert (made["matchingSeries"], made["unmatched"]) in ((0, "BUILDING"), (0, "SENSOR_TYPE"))
    assert rest.get(f"/v1/alarmRules/{id_}").json() == made
    send(rest, building, 290)

    def matched() -> bool:
        return rest.get(f"/v1/alarmRules/{id_}").json()["matchingSeries"] == 1

    until(matched, what="the series that it matches")
    changed = rest.patch(f"/v1/alarmRules/{id_}", json={"room": "attic"}).json()
    assert (changed["matchingSeries"], changed["unmatched"]) == (0, "ROOM")
    add = ["alarms", "rule", "add", full, "--type", "temperature", "--building", building, "--full", "80"]
    assert run([*add, "--state-dir", str(edge.mesh.state.root)]) == 0, capsys.readouterr().err
    said = " ".join(capsys.readouterr().out.split())
    assert f"no series of sensor type temperature in building {building} is of the kind LEVEL" in said
    listed = {rule["id"]: rule for rule in rest.get("/v1/alarmRules", params={"pageSize": 1000}).json()["rules"]}
    assert (listed[full]["matchingSeries"], listed[full]["unmatched"]) == (0, "KIND")
    assert listed[id_] == changed
    for one in (id_, full):
        assert rest.delete(f"/v1/alarmRules/{one}").status_code == 200


def test_on_the_command_line(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    building, rule = unique("b"), unique("cold")
    where = ["--state-dir", str(edge.mesh.state.root)]
    add = ["alarms", "rule", "add", rule, "--type", "temperature", "--building", building]
    assert run([*add, "--below", "280", "--hysteresis", "1", *where]) == 0, capsys.readouterr().err
    assert "< 280 K (hysteresis 1 K)" in capsys.readouterr().out
    assert run([*add, "--below", "280", *where]) == 1
    assert "taken" in capsys.readouterr().err

    def raised() -> list[dict[str, Any]]:
        send(rest, building, 270)
        assert run(["alarms", "--building", building, "--state", "raised", "--json", *where]) == 0
        return json.loads(capsys.readouterr().out)

    [alarm] = until(raised, what="an alarm in the list")
    assert run(["alarms", "ack", alarm["id"], "--note", "seen", *where]) == 0
    assert "ACKNOWLEDGED by cli" in capsys.readouterr().out
    assert run(["alarms", "--rule", rule, *where]) == 0
    shown = capsys.readouterr().out
    assert alarm["id"] in shown
    assert run(["alarms", "rules", *where]) == 0
    assert "< 280" in capsys.readouterr().out
    assert run(["alarms", "rule", "remove", rule, *where]) == 0
    until(lambda: rest.get(f"/v1/alarms/{alarm['id']}").json()["state"] == "CLEARED", what="the end of its alarm")


def test_what_can_never_ring_and_whom_nobody_knows_is_refused(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    cold = {"id": unique("frost"), "sensorType": "temperature", "threshold": {"direction": "BELOW", "limit": -5}}

    def refused(rule: dict[str, Any]) -> dict[str, Any]:
        answer = rest.post("/v1/alarmRules", json=rule)
        assert answer.status_code == 400, answer.text
        return answer.json()

    assert "would never be met: no value is below -5 K" in refused(cold)["detail"]
    nobodys = cold | {"unit": "C", "tenant": "nosuch", "notify": ["ann"]}
    found = refused(nobodys)
    assert (found["reason"], found["metadata"]["tenant"]) == ("TENANT_UNKNOWN", "nosuch")
    made = rest.post("/v1/alarmRules", json=cold | {"unit": "C"}).json()
    assert (made["threshold"]["limit"], made["unit"], made["canonicalUnit"]) == (-5, "C", "K")
    assert rest.delete(f"/v1/alarmRules/{cold['id']}").status_code == 200


def test_an_alarm_is_closed_by_hand_and_a_rule_is_tried(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    building = unique("b")
    rule = {"id": unique("warm"), "building": building, "sensorType": "temperature", "unit": "C"}
    rule |= {"threshold": {"direction": "ABOVE", "limit": 20}}
    send(rest, building, 300)

    def tried() -> bool:
        found = rest.post("/v1/alarmRules:try", json={"rule": rule}).json()
        return (found["raised"], found["series"], found["complete"]) == (1, 1, True)

    until(tried, what="the reading in a trial")
    assert rest.post("/v1/alarmRules", json=rule).status_code == 200
    # By the last value, at once.
    [alarm] = until(lambda: rest.get("/v1/alarms", params={"building": building}).json()["alarms"], what="an alarm")
    assert "is 26.85 C: above 20 C (" in alarm["message"]
    assert rest.post(f"/v1/alarms/{alarm['id']}:close", json={}).status_code == 400
    closed = rest.post(f"/v1/alarms/{alarm['id']}:close", json={"reason": "the heating is tested"}).json()
    assert (closed["state"], closed["clearCause"]) == ("CLEARED", "CLOSED_BY_HAND")
    assert closed["closeReason"] == "the heating is tested"
    send(rest, building, 301)
    until(lambda: rest.post("/v1/alarmRules:try", json={"rule": rule}).json()["raised"] == 1, what="the same trial")
    assert len(rest.get("/v1/alarms", params={"building": building}).json()["alarms"]) == 1
    assert rest.delete(f"/v1/alarmRules/{rule['id']}").status_code == 200
