"""`tocsin average`, `tocsin windows list`, `tocsin payload test`: what they ask, and what they print on 80 columns."""

import io
import json
import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli import client as cli_client
from services.cli.commands.payload import split_payloads
from services.cli.errors import CommandError
from services.cli.main import run
from services.cli.sparkline import BLOCKS, GAP, sparkline


class FakeEdge:
    """An edge that answers as a test says, and remembers what it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], Any]) -> None:
        self.asked: list[httpx.Request] = []
        self._answer = answer

    @contextmanager
    def http(self, **_: object) -> Generator[httpx.Client]:
        with httpx.Client(transport=httpx.MockTransport(self._handle), base_url="http://edge") as client:
            yield client

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        content = self._answer(request)
        return content if isinstance(content, httpx.Response) else httpx.Response(200, json=content)


Put = Callable[[Callable[[httpx.Request], Any]], FakeEdge]


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a fake edge in place of the running mesh."""

    def put(answer: Callable[[httpx.Request], Any]) -> FakeEdge:
        fake = FakeEdge(answer)
        monkeypatch.setattr(cli_client, "open_mesh", lambda state_dir: fake)  # pyright: ignore[reportUnknownLambdaType]
        return fake

    monkeypatch.setenv("COLUMNS", "80")
    return put


def average(end: str, mean: float | None, **more: Any) -> dict[str, Any]:
    start = datetime.fromisoformat(end).timestamp() - 900
    result = {
        "building": "tower",
        "sensorType": "temperature",
        "unit": "K" if mean is not None else "",
        "state": "NO_DATA" if mean is None else "OK",
        "start": datetime.fromtimestamp(start, datetime.fromisoformat(end).tzinfo).isoformat(),
        "end": end,
        **more,
    }
    if mean is not None:
        result["statistics"] = {"count": "180", "mean": mean, "min": mean - 1, "max": mean + 1, "coveredRatio": 1}
    return result


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines()), text
    return text


NOW = "2026-11-22T10:15:30Z"


def past_of(request: httpx.Request) -> float | None:
    """Means that grow by 1 every quarter of an hour; 2 hours ago nothing."""
    end = datetime.fromisoformat(request.url.params.get("at", NOW))
    back = (datetime.fromisoformat(NOW) - end).total_seconds() / 900
    return None if back in (8, 9) else 300.0 - back


def test_a_room_has_a_line_of_its_past(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: average(request.url.params.get("at", NOW), past_of(request), room="lobby", devices=2))
    assert run(["average", "tower", "lobby"]) == 0
    text = printed(capsys)
    assert "tower/lobby temperature" in text
    assert "180 of 2 device(s)" in text
    assert "300.00 K" in text
    assert "time-weighted mean" not in text
    line = next(line for line in text.splitlines() if line.startswith("recently"))
    blocks = line.split()[1]
    assert (len(blocks), blocks[0], blocks[-1], blocks[14:16]) == (24, BLOCKS[0], BLOCKS[-1], GAP * 2)
    assert "277.00 .. 300.00 K" in line
    assert "24 x 15 min" in text
    assert {request.url.path for request in fake.asked} == {"/v1/buildings/tower/rooms/lobby/average"}
    assert len(fake.asked) == 24


def test_the_span_of_an_average_has_a_unit(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: average(request.url.params.get("at", NOW), 290.0))
    assert run(["average", "tower", "lobby", "--window", "1h30m", "--recent", "2"]) == 0
    assert [request.url.params["window"] for request in fake.asked] == ["5400s", "5400s"]
    assert run(["average", "tower", "lobby", "--window", "soon"]) == 2
    assert "--window is no duration" in capsys.readouterr().err
    assert len(fake.asked) == 2


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "command",
    [
        "alarms rule add x --type t --above",
        "alarms rule add x --type t --below 1 --hysteresis",
        "alarms rule add x --type t --completeness",
        "alarms rule add x --type t --flat 1h --tolerance",
        "alarms rule add x --type t --rate",
        "alarms rule add x --type t --full",
        "readings send tower lobby temperature --",
        "alert a1 /videos/a.mp4 --timestamp",
    ],
)
def test_numbers_are_finite(edge: Put, capsys: pytest.CaptureFixture[str], command: str, number: str) -> None:
    fake = edge(lambda request: {})
    assert run(f"{command} {number}".split()) == 2
    assert "must be a finite number" in " ".join(capsys.readouterr().err.split())
    assert not fake.asked


def known_places(request: httpx.Request) -> Any:
    """A building `tower`, its room `lobby` that has sent energy and humidity, and a new room `attic`."""
    parts = request.url.path.split("/")[3:]
    if parts[-1] == "series":
        room = request.url.params.get("room", "lobby")
        kinds = ["humidity", "energy", "energy"] if parts[0] == "tower" and room == "lobby" else []
        return {"series": [{"building": "tower", "room": "lobby", "sensorType": kind} for kind in kinds]}
    if parts[-1] == "average":
        return average(NOW, None)
    if parts[-1] == "windows":
        return {"windows": []}
    known = parts[0] == "tower" and parts[2:] in ([], ["lobby"], ["attic"])
    return httpx.Response(200 if known else 404, json={})


@pytest.mark.parametrize("command", ["average", "windows list"])
@pytest.mark.parametrize(
    ("place", "told"),
    [
        (
            "tower lobby",
            "no device has ever sent temperature from room lobby of building tower; --type takes what it has:",
        ),
        ("tower attic", "no device has ever sent a reading from room attic of building tower"),
        ("tower nowhere", "there is no room nowhere in building tower"),
        ("nosuch lobby", "there is no building nosuch"),
    ],
)
def test_what_is_unknown_is_said_and_what_there_is(
    edge: Put, capsys: pytest.CaptureFixture[str], command: str, place: str, told: str
) -> None:
    edge(known_places)
    assert run(f"{command} {place}".split()) == 1
    printed = capsys.readouterr()
    assert told in printed.err
    assert ("energy, humidity" in printed.err) == ("--type" in told)
    assert not printed.out


def test_of_a_building_the_types_of_all_its_rooms_are_told(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(known_places)
    assert run(["average", "tower"]) == 1
    assert "from building tower; --type takes what it has: energy, humidity" in capsys.readouterr().err


def test_a_silent_room_is_no_error(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(lambda request: average(NOW, None, devicesWithoutData=2))
    assert run(["average", "tower", "lobby"]) == 0
    assert "no data" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("problem", "headers", "told"),
    [
        (
            {"detail": "no such tenant", "metadata": {"tenant": "nope", "known": "acme test"}},
            {},
            "no such tenant; tenant: nope; known: acme test",
        ),
        (
            {"detail": "The attempt failed.", "metadata": {"channel": "FCM", "error": "FCM_HTTP_400: too big"}},
            {},
            "The attempt failed; channel: FCM; error: FCM_HTTP_400: too big",
        ),
        ({"detail": "limit of 10 a minute", "metadata": {"limit": "10"}}, {"retry-after": "7"}, "7 s"),
        (
            {"detail": "unit: is missing", "errors": [{"field": "unit", "detail": "is missing"}]},
            {},
            "unit: is missing",
        ),
    ],
)
def test_a_problem_is_told_with_all_that_it_carries(
    edge: Put, capsys: pytest.CaptureFixture[str], problem: dict[str, Any], headers: dict[str, str], told: str
) -> None:
    edge(lambda request: httpx.Response(400, json=problem, headers=headers))
    assert run(["notify", "test", "ann", "INFO"]) == 1
    printed = capsys.readouterr().err
    if headers:
        assert printed == "tocsin: limit of 10 a minute; try again in 7 s\n"
    else:
        assert printed == f"tocsin: {told}\n"


def test_no_data_is_said_with_what_was_before(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(lambda request: average(request.url.params.get("at", NOW), None if "at" not in request.url.params else 290.0))
    assert run(["average", "tower", "lobby", "--recent", "4"]) == 0
    text = printed(capsys)
    assert "no data" in text
    assert BLOCKS[4] * 3 + GAP in text


def test_silent_devices_are_said(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    for more, said in (({"devicesWithoutData": 2}, ", 2 silent"), ({"devicesWithoutData": 0}, ""), ({}, "")):
        edge(lambda request, more=more: average(NOW, 290.0, devices=1, **more))
        assert run(["average", "tower", "lobby", "--recent", "0"]) == 0
        assert f"180 of 1 device(s){said}\n" in re.sub(" +\n", "\n", printed(capsys))
    edge(lambda request: average(NOW, None, devicesWithoutData=2))
    assert run(["average", "tower", "lobby", "--recent", "0"]) == 0
    said = " ".join(printed(capsys).split())
    assert f"{NOW}), 2 silent" in said
    assert "--window" in said
    edge(lambda request: average(NOW, 290.0, devices=8, rooms=7, roomsWithData=6, devicesWithoutData=3))
    assert run(["average", "tower", "--recent", "0"]) == 0
    assert "180 of 8 device(s) in 6 of 7 room(s), 3 silent" in printed(capsys)


def test_a_building_lists_its_rooms(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: httpx.Request) -> Any:
        if request.url.path.endswith("/roomAverages"):
            assert request.url.params["at"] == NOW
            rooms = [
                average(NOW, 290.0, room="cellar"),
                average(NOW, None, room="a-room-with-a-name-as-long-as-it-gets"),
            ]
            return {"averages": rooms, "nextPageToken": "more"}
        return average(request.url.params.get("at", NOW), past_of(request), rooms=7, roomsWithData=6, devices=9)

    edge(answer)
    assert run(["average", "tower"]) == 0
    text = printed(capsys)
    assert "in 6 of 7 room(s)" in text
    assert "cellar" in text
    assert "290.00" in text
    assert "no data" in text
    assert "and more" in text
    assert run(["average", "tower", "--json", "--recent", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["roomAverages"][0]["room"] == "cellar"
    assert [one["value"] for one in found["recent"]] == [298.0, 299.0, 300.0]


@pytest.mark.parametrize("spelling", ["media-probe", "media_probe"])
def test_dead_letters_are_found_by_either_spelling_of_a_service(
    edge: Put, capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    letter = {"id": "d1", "service": "media_probe", "consumer": "probe", "type": "a.b.C", "reason": "bad"}
    letter["reasonClass"] = "BAD_CONTENT"
    fake = edge(lambda request: {"deadLetters": [letter]})
    assert run(["deadletters", "list", "--service", spelling]) == 0
    assert fake.asked[0].url.params["service"] == "media_probe"
    assert "media-probe/probe: C" in printed(capsys)
    assert run(["deadletters", "list", "--service", "nosuch"]) == 2
    assert "one of ingestion, aggregation, media-probe, notification, not 'nosuch'" in capsys.readouterr().err
    assert len(fake.asked) == 1


def test_invoices_are_listed_and_tried_again(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"debt": "D-1", "state": "STORED", "email": "ann@example.test", "attempts": 2}
    one |= {"error": "SMTP_450_4.2.0: Greylisted", "nextAttemptTime": "2026-11-30T10:15:30.5Z"}
    fake = edge(lambda request: {"invoices": [one]} if request.method == "GET" else {"retried": 3, "more": False})
    assert run(["invoices", "list", "--file", "f1", "--state", "stored"]) == 0
    asked = fake.asked[0].url.params
    assert (asked["debtFile"], asked["state"], asked["pageSize"]) == ("f1", "STORED", "50")
    text = printed(capsys)
    assert "again at 2026-11-30 10:15:30" in text
    assert run(["invoices", "retry", "--all", "--file", "f1", "--code", "SMTP_4"]) == 0
    assert "3 invoices are tried again" in printed(capsys)
    assert json.loads(fake.asked[1].content) == {"filter": {"debtFile": "f1", "code": "SMTP_4"}, "dryRun": False}
    assert run(["invoices", "retry", "D-1"]) == 0
    assert fake.asked[2].url.path == "/v1/invoices/D-1:retry"
    for wrong in (
        ["retry"],
        ["retry", "D-1", "--all"],
        ["retry", "--all", "--state", "MAILED"],
        ["list", "--state", "x"],
    ):
        assert run(["invoices", *wrong]) == 2
    assert len(fake.asked) == 3


def test_handlers_are_shown_with_their_times_and_last_errors(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    one = {"handler": "media_probe/alerts", "processed": "41", "failed": "2", "meanTime": "0.0124s", "p95Time": "1.5s"}
    one |= {"lastError": "Unavailable: away", "lastErrorTime": "2026-11-22T10:15:30.5Z"}
    quiet = {"handler": "notification/alarms", "processed": "0", "failed": "0", "meanTime": "0s", "p95Time": "0s"}
    fake = edge(lambda request: {"handlers": [one, {**quiet, "lastError": ""}], "processes": ["media_probe@h:1"]})
    assert run(["handlers", "--service", "media-probe"]) == 0
    assert fake.asked[0].url.params["service"] == "media_probe"
    text = printed(capsys)
    assert "media_probe/alerts" in text
    assert "12.4 ms" in text
    assert "1,500.0 ms" in text
    assert "2026-11-22" in text
    assert "Unavailable: away" in text
    assert run(["handlers", "--service", "nosuch"]) == 2


@pytest.mark.parametrize("value", ["-300", "-0.5", "-1e3"])
def test_a_reading_may_be_negative(edge: Put, value: str) -> None:
    stored = {"reading": {"value": float(value), "unit": "C", "eventTime": NOW}}
    fake = edge(lambda request: stored)
    assert run(["readings", "send", "tower", "lobby", "temperature", value, "--unit", "C"]) == 0
    assert json.loads(fake.asked[0].content)["value"] == float(value)
    assert json.loads(fake.asked[0].content)["unit"] == "C"


def test_ids_are_data(edge: Put) -> None:
    fake = edge(lambda request: average(NOW, 290.0))
    assert run(["average", "a/../b?x=1", "r#1", "--recent", "0"]) == 0
    assert fake.asked[0].url.raw_path.split(b"?")[0] == b"/v1/buildings/a%2F..%2Fb%3Fx%3D1/rooms/r%231/average"


def window(start: str, device: str, **statistics: Any) -> dict[str, Any]:
    return {
        "series": {"building": "tower", "room": "lobby", "sensorType": "temperature", "device": device, "unit": "K"},
        "step": "900s",
        "start": start,
        "statistics": {"count": "180", "mean": 290.123, "min": 289, "max": 291, "coveredRatio": 0.95, **statistics},
        "revision": 2,
    }


def test_windows_are_listed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [window("2026-11-22T10:15:00Z", "d1") | {"provisional": True}, window("2026-11-22T10:00:00Z", "d2")]
    fake = edge(lambda request: {"windows": listed, "nextPageToken": "x"})
    arguments: str = (
        "windows list tower lobby --step 900s --device d --from 2026-11-22T00:00:00Z --oldest-first --limit 2"
    )
    assert run(arguments.split()) == 0
    text = printed(capsys)
    assert "2026-11-22 10:15:00" in text
    assert "290.12" in text
    assert "95%" in text
    assert "open" in text
    assert "d2" in text
    assert "and more" in text
    assert dict(fake.asked[0].url.params) == {
        "sensorType": "temperature",
        "step": "900s",
        "pageSize": "2",
        "device": "d",
        "from": "2026-11-22T00:00:00Z",
        "oldestFirst": "true",
    }
    edge(lambda request: {"windows": [window("2026-11-22T10:00:00Z", "", consumption=12.5)]})
    assert run(["windows", "list", "tower", "lobby", "--type", "energy"]) == 0
    text = printed(capsys)
    assert "used" in text
    assert "12.50" in text
    known = {"series": [{"room": "lobby", "sensorType": "temperature"}]}
    edge(lambda request: known if request.url.path.endswith("series") else {})
    assert run(["windows", "list", "tower", "lobby"]) == 0
    assert "no windows" in printed(capsys)


def test_a_recomputation_of_nothing_says_so(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(lambda request: {})
    assert run(["windows", "recompute", "tower", "lobby", "--type", "watr"]) == 0
    assert "no series of watr in tower/lobby has sent a reading" in " ".join(printed(capsys).split())


def test_a_recomputation_says_what_it_found(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: {"series": 2, "readings": "1234567", "windows": "1440", "changed": "3"})
    assert run(["windows", "recompute", "tower", "lobby"]) == 0
    text = printed(capsys)
    assert "tower/lobby recomputed" in text
    assert [line.split() for line in text.splitlines()[1:]] == [
        ["series", "2"],
        ["settled", "readings", "1,234,567"],
        ["windows", "1,440"],
        ["changed", "3"],
    ]
    arguments = "--type energy --device m1 --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --include-too-late"
    assert run(["windows", "recompute", "to/wer", "lobby", *arguments.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["readings"] == "1234567"
    one, other = fake.asked
    assert (one.method, one.url.path) == ("POST", "/v1/buildings/tower/rooms/lobby/windows:recompute")
    assert json.loads(one.content) == {"includeTooLate": False, "sensorType": "", "device": ""}
    assert other.url.raw_path == b"/v1/buildings/to%2Fwer/rooms/lobby/windows:recompute"
    assert json.loads(other.content) == {
        "includeTooLate": True,
        "sensorType": "energy",
        "device": "m1",
        "from": "2026-11-01T00:00:00Z",
        "to": "2026-11-02T00:00:00Z",
    }


@pytest.mark.parametrize(
    ("status", "said", "kept_from"),
    [(504, "the work goes on", "too slow"), (503, "too slow", "goes on"), (500, "too slow", "goes on")],
)
def test_only_a_recomputation_that_outlasts_its_request_goes_on(
    edge: Put, capsys: pytest.CaptureFixture[str], status: int, said: str, kept_from: str
) -> None:
    edge(lambda request: httpx.Response(status, json={"detail": "too slow", "status": status}))
    assert run(["windows", "recompute", "tower", "lobby"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    error = " ".join(captured.err.split())
    assert said in error
    assert kept_from not in error


def without_readings(start: str, **statistics: Any) -> dict[str, Any]:
    known = {"count": "0", "coveredRatio": 1, "longestGap": "60s", **statistics}
    return window(start, "d1") | {"statistics": known, "revision": 0, "provisional": False}


def test_windows_without_readings_have_dashes(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    listed = [
        window("2026-11-22T10:02:00Z", "d1"),
        without_readings("2026-11-22T10:01:00Z", timeWeightedMean=291.5),
        without_readings("2026-11-22T10:00:00Z", timeWeightedMean=291.25) | {"provisional": True},
    ]
    edge(lambda request: {"windows": listed})
    assert run(["windows", "list", "tower", "lobby", "--step", "1m"]) == 0
    text = printed(capsys)
    rows = [line.split()[2:] for line in text.splitlines() if line.startswith("2026")]
    assert rows == [
        ["290.12", "289.00", "291.00", "180", "95%", "2"],
        ["291.50", "-", "-", "0", "100%", "-"],
        ["291.25", "-", "-", "0", "100%", "open"],
    ]
    assert "no reading inside" in text
    assert "time-weighted" in text
    edge(lambda request: {"windows": [without_readings("2026-11-22T10:00:00Z", consumption=0.5)]})
    assert run(["windows", "list", "tower", "lobby", "--type", "energy"]) == 0
    text = printed(capsys)
    assert ["0.50", "-", "-", "0", "100%", "-"] in [line.split()[2:] for line in text.splitlines()]
    assert "time-weighted" not in text
    edge(lambda request: {"windows": [window("2026-11-22T10:02:00Z", "d1")]})
    assert run(["windows", "list", "tower", "lobby"]) == 0
    assert "no reading inside" not in printed(capsys)


def tried(request: httpx.Request) -> Any:
    """As the service answers to `env1`, about."""
    try:
        content = json.loads(request.content)
    except ValueError:
        return {"errors": [{"reason": "PAYLOAD_NOT_UNDERSTOOD", "field": "", "message": "is not valid JSON at byte 3"}]}
    if "d" not in content:
        return {"errors": [{"reason": "PAYLOAD_NOT_UNDERSTOOD", "field": "d.filling_level", "message": "is missing"}]}
    reading = {"building": "tower", "room": "yard", "device": content["id"], "sensorType": "filling_level"}
    return {
        "readings": [reading | {"value": content["d"], "unit": "%", "eventTime": NOW}],
        "warnings": ["the device c1 is not in the catalogue"],
    }


def test_a_payload_that_is_understood(edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fake = edge(tried)
    file = tmp_path / "captured.json"
    file.write_text('{\n  "id": "c1",\n  "d": 40\n}\n')
    assert run(["payload", "test", "env1", str(file)]) == 0
    text = printed(capsys)
    assert "tower/yard/c1" in text
    assert "40 %" in text
    assert "not in the catalogue" in text
    assert fake.asked[0].url.path == "/v1/devices/env1/payloads:test"
    assert fake.asked[0].content == file.read_bytes()


def test_payloads_line_by_line_from_standard_input(
    edge: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edge(tried)
    lines = b'{"id":"c1","d":40}\n\n{"id":"c1"}\n{"id":\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run(["payload", "test", "env1", "-"]) == 1
    text = printed(capsys)
    assert "d.filling_level" in text
    assert "is missing" in text
    assert "1 of 3 payloads understood" in text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert run(["payload", "test", "env1", "-", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [result["line"] for result in found] == [1, 3, 4]
    assert [bool(result.get("errors")) for result in found] == [False, True, True]


def test_an_unknown_format_and_a_missing_file_are_one_line(
    edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    edge(lambda request: httpx.Response(404, json={"detail": "the format nope is not known"}))
    file = tmp_path / "captured.json"
    file.write_text("{}")
    assert run(["payload", "test", "nope", str(file)]) == 1
    assert "the format nope is not known" in capsys.readouterr().err
    assert run(["payload", "test", "ep1", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    file.write_text(" \n")
    assert run(["payload", "test", "ep1", str(file)]) == 1
    assert "no payload" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"a":1}', [(1, b'{"a":1}')]),
        (b'\n{"a":\n1}\n', [(2, b'\n{"a":\n1}\n')]),
        (b'{"a":1}\r\n{"a":2}\n', [(1, b'{"a":1}'), (2, b'{"a":2}')]),
        (b'{"a":1}\nbroken\n', [(1, b'{"a":1}'), (2, b"broken")]),
        (b'{"a":\n1,,}', [(1, b'{"a":\n1,,}')]),
        (b"\xff\n\xfe", [(1, b"\xff\n\xfe")]),
        (b"[" * 100_000, [(1, b"[" * 100_000)]),
    ],
)
def test_one_payload_or_one_on_each_line(content: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert split_payloads(content) == expected


def test_nothing_is_no_payload() -> None:
    with pytest.raises(CommandError, match="no payload"):
        split_payloads(b"\n \n")


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_a_sparkline_has_a_character_for_each_value(values: list[float | None]) -> None:
    line = sparkline(values)
    assert len(line) == len(values)
    assert [place for place, mark in enumerate(line) if mark == GAP] == [
        place for place, value in enumerate(values) if value is None
    ]
    known = [(value, mark) for value, mark in zip(values, line, strict=True) if value is not None]
    assert [mark for _, mark in sorted(known)] == sorted(mark for _, mark in known)


@pytest.mark.parametrize(("value", "shown"), [(1234567.8, "1234567.8"), (-5.0, "-5"), (100.00000001, "100.00000001")])
def test_numbers_keep_their_digits(edge: Put, capsys: pytest.CaptureFixture[str], value: float, shown: str) -> None:
    edge(lambda request: {"reading": json.loads(request.content) | {"eventTime": NOW, "unit": "Wh"}})
    assert run(["readings", "send", "tower", "lobby", "energy", str(value), "--unit", "Wh"]) == 0
    assert f" = {shown} Wh " in capsys.readouterr().out


def test_a_refused_step_is_told_as_it_is_given(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    problem = {
        "detail": "step: must be one of 5s, 60s, 900s, 3600s, 86400s",
        "errors": [{"field": "step", "detail": "must be one of 5s, 60s, 900s, 3600s, 86400s"}],
        "metadata": {"step": "120s"},
    }
    edge(lambda request: httpx.Response(400, json=problem))
    assert run(["windows", "list", "tower", "lobby", "--step", "2m"]) == 1
    assert "must be one of 5s, 1m, 15m, 1h, 1d; step: 2m" in capsys.readouterr().err


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_partly_refused_files_end_with_an_exit_code(
    edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path, json_option: list[str]
) -> None:
    file = tmp_path / "lines"
    file.write_text("{}\n")
    edge(lambda request: {"accepted": 3, "rejected": 2, "rejections": [{"index": 1, "message": "is no reading"}]})
    assert run(["readings", "import", str(file), *json_option]) == 1
    printed = capsys.readouterr()
    assert "2 rejected of 5 lines" in printed.err
    assert "is no reading" in printed.out
    found = {"id": "f1", "state": "COMPLETED", "rows": "5", "accepted": "4", "rejected": "1"}
    edge(lambda request: {"rejects": []} if request.method == "GET" else found)
    assert run(["upload", str(file), *json_option]) == 1
    assert "1 of 5 rows were rejected" in capsys.readouterr().err


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_values_that_do_not_count_end_with_an_exit_code(
    edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path, json_option: list[str]
) -> None:
    ignored = {"outcome": "IGNORED", "countingValue": 100.5, "otherValue": 106.0, "index": 2}
    stored = {"eventTime": NOW, "unit": "Wh", "value": 106.0}
    edge(lambda request: {"reading": stored, "conflict": ignored})
    assert run(["readings", "send", "tower", "lobby", "energy", "106", *json_option]) == 1
    said = capsys.readouterr()
    assert f"ignored: tower/lobby energy of {NOW} is 100.5 Wh, and that value counts" in said.err
    assert "accepted" not in said.out
    assert bool(said.out) is bool(json_option)
    edge(lambda request: {"reading": stored, "conflict": {**ignored, "outcome": "SUPERSEDES", "countingValue": 106.0}})
    assert run(["readings", "send", "tower", "lobby", "energy", "106", *json_option]) == 0
    capsys.readouterr()
    file = tmp_path / "lines"
    file.write_text("{}\n")
    edge(lambda request: {"accepted": 3, "ignored": 1, "conflicts": [ignored]})
    assert run(["readings", "import", str(file), *json_option]) == 1
    assert "1 ignored of 4 lines" in capsys.readouterr().err
    edge(lambda request: {"accepted": 3, "rejected": 2, "ignored": 1, "conflicts": [ignored]})
    assert run(["readings", "import", str(file), *json_option]) == 1
    assert "2 rejected and 1 ignored of 6 lines" in capsys.readouterr().err


def test_event_times_with_another_value_are_listed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    series = {"sensorType": "energy", "device": "m1", "unit": "Wh"}
    conflict = {"series": series, "eventTime": NOW, "value": 106.5, "countingValue": 105, "outcome": "IGNORED"}
    fake = edge(lambda request: {"conflicts": [conflict | {"count": "1200"}], "nextPageToken": ""})
    assert run(["readings", "conflicts", "tower", "a b", "--type", "energy", "--limit", "3"]) == 0
    assert str(fake.asked[0].url) == (
        "http://edge/v1/buildings/tower/rooms/a%20b/readingConflicts?sensorType=energy&pageSize=3"
    )
    told = capsys.readouterr().out.split()
    assert {"energy", "m1", "105", "106.5", "Wh", "ignored,", "1,200"} <= set(told)
    edge(lambda request: {"conflicts": [], "nextPageToken": ""})
    assert run(["readings", "conflicts", "tower", "lobby"]) == 0
    assert capsys.readouterr().out == "no conflicts in tower/lobby\n"


def test_readings_are_voided_one_by_one_or_in_a_range(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: {"readings": "20", "changed": "18", "windows": "1200"})
    call = ["readings", "void", "tower", "lobby", "energy", "--reason", "a test"]
    assert run([*call, "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"]) == 0
    assert "18 of 20 readings voided; 1,200 windows changed" in capsys.readouterr().out
    assert fake.asked[0].url.path.endswith("/readings:voidRange")
    assert json.loads(fake.asked[0].content)["to"] == "2026-01-02T00:00:00Z"
    for wrong in ([], ["--from", NOW], ["--at", NOW, "--from", NOW, "--to", NOW]):
        assert run([*call, *wrong]) == 2
        assert "say which readings: --at, or --from and --to" in capsys.readouterr().err


def test_a_pipe_gets_whole_lines(
    edge: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    edge(lambda request: average(NOW, None, devicesWithoutData=2))
    assert run(["average", "a-building-with-a-long-name-indeed", "a-room-with-a-long-name-as-well"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("no data for temperature in a-building")
    assert first.endswith("2 silent")


def test_series_are_listed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(known_places)
    assert run(["series", "tower", "lobby", "--type", "energy"]) == 0
    assert "humidity" in printed(capsys)
    assert dict(fake.asked[0].url.params) == {"room": "lobby", "sensorType": "energy", "pageSize": "200"}
    assert run(["series", "nosuch"]) == 1
    assert "no device has ever sent a reading from building nosuch" in capsys.readouterr().err
