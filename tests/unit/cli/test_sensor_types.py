"""`tocsin sensor-types`: what it asks, and that a change keeps the other rules."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.cli.main import run
from tests.unit.cli.test_question_commands import FakeEdge, Put, edge

__all__ = ["edge"]

ENERGY = {
    "id": "energy",
    "kind": "COUNTER",
    "unit": "Wh",
    "minValue": 0,
    "counterRules": {"policy": "REJECT", "maxIncreasePerHour": 20000},
}


def catalogue() -> Callable[[httpx.Request], Any]:
    def answer(request: httpx.Request) -> Any:
        if request.method == "PATCH":
            return ENERGY | json.loads(request.content)
        if request.url.path == "/v1/sensorTypes":
            if request.url.params.get("pageToken"):
                return {"sensorTypes": [{"id": "humidity", "kind": "GAUGE", "unit": "%", "maxValue": 100}]}
            return {"sensorTypes": [ENERGY], "nextPageToken": "more"}
        return ENERGY

    return answer


def test_a_change_keeps_the_other_rules(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(catalogue())
    assert run(["sensor-types", "change", "energy", "--rounding", "0.002", "--rounding-amount", "5"]) == 0
    assert json.loads(fake.asked[-1].content) == {
        "counterRules": {
            "policy": "REJECT",
            "maxIncreasePerHour": 20000,
            "roundingRatio": 0.002,
            "roundingAmount": 5,
        }
    }
    shown = capsys.readouterr().out
    assert "rounding, part of the level" in shown
    assert "0.002" in shown


def test_all_pages_are_listed_and_one_is_shown(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake: FakeEdge = edge(catalogue())
    assert run(["sensor-types", "list"]) == 0
    assert len(fake.asked) == 2
    listed = capsys.readouterr().out
    assert "energy" in listed
    assert "humidity" in listed
    assert run(["sensor-types", "show", "energy"]) == 0
    assert "20000" in capsys.readouterr().out


def test_a_change_says_what_is_to_be_changed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(catalogue())
    assert run(["sensor-types", "change", "energy"]) == 2
    assert "--rounding" in capsys.readouterr().err
    assert fake.asked == []


def test_the_policy_of_a_counter_is_shown_though_nobody_has_set_it(
    edge: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    edge(lambda _: {"id": "water", "kind": "COUNTER", "unit": "L"})
    assert run(["sensor-types", "show", "water"]) == 0
    assert "HOLD_THEN_RESET (default)" in capsys.readouterr().out
    edge(lambda _: {"id": "power", "kind": "GAUGE", "unit": "W"})
    assert run(["sensor-types", "show", "power"]) == 0
    assert "policy" not in capsys.readouterr().out
