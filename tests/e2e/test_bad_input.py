"""Bad input for every endpoint gets a precise 4xx, as problem+json, and changes nothing."""

import asyncio
import copy
import json
from collections.abc import Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.conftest import Edge

HOSTILE_IDS = [
    "a.b",
    "a b",
    "*",
    ">",
    "a.>",
    "'; DROP TABLE readings; --",
    'a"b',
    "a\x00b",
    "a/b",
    "ü",
    "",
    "x" * 64,
    "../../etc/passwd",
    "${jndi:ldap://x}",
]
HUGE = "A" * 10_000_000

READING = {"building": "bad", "room": "r", "sensorType": "temperature", "device": "d", "value": 290.0, "unit": "K"}
NOTIFICATION = {"tenant": "test", "user": "u", "type": "INFO", "title": "t", "body": "b", "channel": "CONSOLE"}
# Every endpoint that takes a JSON body: a valid one (never sent as it is), and which of its fields are ids.
ENDPOINTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "/v1/readings": (READING, ("building", "room", "sensorType", "device")),
    "/v1/sensorTypes": ({"id": "bad", "kind": "GAUGE", "unit": "K"}, ("id",)),
    "/v1/buildings": ({"id": "bad"}, ("id",)),
    "/v1/buildings/bad/rooms": ({"id": "bad"}, ("id",)),
    "/v1/devices": (
        {"id": "bad", "format": "ep1", "building": "b", "room": "r", "sensorType": "energy"},
        ("id", "format", "building", "room", "sensorType"),
    ),
    "/v1/alerts": ({"uid": "bad", "video": "/videos/a.avi", "timestamp": 1.7e9, "store": "s"}, ("uid", "store")),
    "/alert": ({"uid": "bad", "video": "/videos/a.avi", "timestamp": 1.7e9, "store": "s"}, ("uid", "store")),
    "/v1/videos:probe": ({"video": "/videos/a.avi"}, ()),
    "/v1/notifications": (NOTIFICATION, ("tenant",)),
    "/v1/users/u/endpoints": ({"tenant": "test", "channel": "EMAIL", "address": "a@example.test"}, ("tenant",)),
    "/v1/alarmRules": (
        {"id": "bad", "sensorType": "temperature", "threshold": {"direction": "ABOVE", "limit": 300}},
        ("id", "sensorType"),
    ),
    "/v1/webhookSubscriptions": (
        {"url": "https://hooks.example.test/x", "eventTypes": ["tocsin.events.v1.VideoProbed"]},
        (),
    ),
}
OPTIONAL = {"device", "unit", "body", "channel", "format", "data", "threshold"}
HOSTILE_PATHS = [
    "/v1/alerts/{}",
    "/v1/videos/{}",
    "/v1/debtFiles/{}",
    "/v1/debts/{}",
    "/v1/debts/{}/invoice",
    "/v1/invoices/{}",
    "/v1/sensorTypes/{}",
    "/v1/buildings/{}",
    "/v1/devices/{}",
    "/v1/buildings/{}/rooms/r/average",
    "/v1/buildings/b/rooms/{}/average",
    "/v1/buildings/b/rooms/{}/windows",
    "/v1/buildings/b/rooms/{}/readings",
    "/v1/notifications/{}?tenant=test",
    "/v1/notifications?tenant={}",
    "/v1/deadLetters/{}",
    "/v1/webhookSubscriptions/{}",
    "/v1/alarmRules/{}",
    "/v1/alarms/{}",
    "/v1/alarms?building={}",
]


def snapshot(edge: Edge) -> dict[str, int]:
    """Rows of every table of every service, so that a change cannot hide."""

    async def count() -> dict[str, int]:
        connection = await asyncpg.connect(edge.mesh.instance.postgres_dsn)
        try:
            tables = await connection.fetch(
                "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            return {row["name"]: await connection.fetchval(f"SELECT count(*) FROM {row['name']}") for row in tables}
        finally:
            await connection.close()

    return asyncio.run(count())


@pytest.fixture(scope="module", autouse=True)
def nothing_changes(edge: Edge) -> Iterator[None]:
    """What the module sends changes no table, except for background work of earlier tests which must have ended."""
    before = snapshot(edge)
    yield
    after = snapshot(edge)
    # Windows close, outboxes drain and leases move by themselves; requests alone fill the others.
    moving = ("window", "outbox", "inbox", "lease", "series", "position", "quarantine", "watermark", "partition")
    changed = {
        name: (before.get(name, 0), rows)
        for name, rows in after.items()
        if before.get(name, 0) != rows and not any(word in name for word in moving)
    }
    assert not changed, f"bad input changed tables (before, after): {changed}"


def expect_problem(answer: httpx.Response, *, field: str | None = None) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"] == "application/problem+json", answer.headers["content-type"]
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert len(answer.content) < 5_000, "an error must not echo what was sent"
    if field is not None:
        named = [error["field"] for error in problem.get("errors", [])]
        assert any(name == field or name.endswith(f".{field}") for name in named), problem
    return problem


def mutated(path: str, field: str, value: Any) -> Any:
    body = copy.deepcopy(ENDPOINTS[path][0])
    body[field] = value
    return body


@pytest.mark.parametrize("path", ENDPOINTS)
class TestBodies:
    """The same faults for each endpoint."""

    def test_missing_fields(self, rest: httpx.Client, path: str) -> None:
        for field in set(ENDPOINTS[path][0]) - OPTIONAL:
            body = {name: value for name, value in ENDPOINTS[path][0].items() if name != field}
            expect_problem(rest.post(path, json=body), field=field)

    def test_wrong_types(self, rest: httpx.Client, path: str) -> None:
        for field in ENDPOINTS[path][0]:
            for wrong in ({"a": 1}, [[1]]):
                expect_problem(rest.post(path, json=mutated(path, field, wrong)))

    def test_hostile_ids(self, rest: httpx.Client, path: str) -> None:
        _, ids = ENDPOINTS[path]
        for field in ids:
            for hostile in HOSTILE_IDS:
                if hostile == "" and field in OPTIONAL:
                    continue
                expect_problem(rest.post(path, json=mutated(path, field, hostile)), field=field)

    def test_no_object(self, rest: httpx.Client, path: str) -> None:
        for content in (b"", b"[]", b'"x"', b"null", b"{", b"{}{}", b"not json", b"[" * 100_000):
            expect_problem(rest.post(path, content=content, headers={"content-type": "application/json"}))

    def test_wrong_utf8(self, rest: httpx.Client, path: str) -> None:
        field = next(iter(ENDPOINTS[path][0]))
        content = json.dumps(ENDPOINTS[path][0]).encode().replace(field.encode(), b"\xff\xfe", 1)
        expect_problem(rest.post(path, content=content, headers={"content-type": "application/json"}))

    def test_unknown_fields(self, rest: httpx.Client, path: str) -> None:
        problem = expect_problem(rest.post(path, json={**ENDPOINTS[path][0], "surprise": 1}))
        assert "surprise" in json.dumps(problem)

    def test_huge_strings(self, rest: httpx.Client, path: str) -> None:
        field = next(name for name, value in ENDPOINTS[path][0].items() if isinstance(value, str))
        expect_problem(rest.post(path, json=mutated(path, field, HUGE)))

    def test_wrong_content_type(self, rest: httpx.Client, path: str) -> None:
        answer = rest.post(path, content=b"a=1", headers={"content-type": "application/x-www-form-urlencoded"})
        assert expect_problem(answer)["status"] == 415

    def test_no_token_and_bad_tokens(self, edge: Edge, anonymous: httpx.Client, path: str) -> None:
        for headers in ({}, {"authorization": "Bearer nonsense"}, {"authorization": f"Basic {edge.token()}"}):
            answer = anonymous.post(path, json=ENDPOINTS[path][0], headers=headers)
            assert expect_problem(answer)["status"] == 401
        weak = {"authorization": f"Bearer {edge.token('nothing:read')}"}
        assert expect_problem(anonymous.post(path, json=ENDPOINTS[path][0], headers=weak))["status"] == 403


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", '"NaN"', '"Infinity"', "1e999", '"twelve"', "true"])
@pytest.mark.parametrize(("path", "field"), [("/v1/readings", "value"), ("/v1/alerts", "timestamp")])
def test_numbers_that_are_none(rest: httpx.Client, path: str, field: str, number: str) -> None:
    text = json.dumps(mutated(path, field, "@@")).replace('"@@"', number)
    expect_problem(rest.post(path, content=text.encode(), headers={"content-type": "application/json"}))


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_hostile_ids_in_paths(rest: httpx.Client, path: str) -> None:
    for hostile in HOSTILE_IDS:
        if hostile == "":
            continue
        quoted = "".join(f"%{byte:02X}" for byte in hostile.encode())
        expect_problem(rest.get(path.format(quoted)))


@pytest.mark.parametrize(
    "query",
    [
        "window=abc",
        "window=-5s",
        "window=7s",
        "window=99999999s",
        "at=yesterday",
        "sensorType=a.b",
        "nonsense=1",
        "at=2026-01-01T00:00:00Z&at=2026-01-02T00:00:00Z",
    ],
)
def test_queries_of_the_average(rest: httpx.Client, query: str) -> None:
    expect_problem(rest.get(f"/v1/buildings/b/rooms/r/average?{query}"))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/alerts?pageSize=-1",
        "/v1/alerts?pageSize=x",
        "/v1/alerts?pageToken=garbage",
        "/v1/videos?pageToken=AAAA",
        "/v1/debtFiles?page=-1",
        "/history?page=1&pageToken=x",
        "/v1/notifications",
        "/v1/alerts?state=WHATEVER",
        "/v1/alarms?states=WHATEVER",
        "/v1/alarms?pageToken=garbage",
        "/v1/alarmRules?pageToken=garbage",
        "/v1/alarmRules?pageSize=-1",
    ],
)
def test_lists(rest: httpx.Client, path: str) -> None:
    expect_problem(rest.get(path))


def test_routes_and_methods(rest: httpx.Client) -> None:
    assert expect_problem(rest.get("/v1/nothing"))["status"] == 404
    assert expect_problem(rest.delete("/v1/readings"))["status"] == 405
    assert expect_problem(rest.post("/v1/readings", content=b"x" * 12_000_000))["status"] in (413, 415)


@pytest.mark.parametrize("payload", [b"", b"\xff\xfe", b"[]", b"{" * 10_000, b'{"device": 1}', b"null", b"x" * 70_000])
@pytest.mark.parametrize("vendor_format", ["ep1", "ep2", "env1", "nobody", "a.b"])
def test_payloads(rest: httpx.Client, vendor_format: str, payload: bytes) -> None:
    path = f"/v1/devices/{vendor_format}/payloads"
    expect_problem(rest.post(path, content=payload, headers={"content-type": "application/json"}))


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        ({}, "condition"),
        ({"building": "a.b", "containerEmptied": {}}, "building"),
        ({"room": "r", "containerEmptied": {}}, "building"),
        ({"device": "a b", "containerEmptied": {}}, "device"),
        ({"notify": ["u"], "containerEmptied": {}}, "tenant"),
        ({"tenant": "test", "notify": ["u", "u"], "containerEmptied": {}}, "notify"),
        ({"title": "a\nb", "containerEmptied": {}}, "title"),
        ({"threshold": {"direction": "ABOVE", "limit": "NaN"}}, "limit"),
        ({"threshold": {"direction": "ABOVE", "limit": 1, "hysteresis": -1}}, "hysteresis"),
        ({"threshold": {"limit": 1}}, "direction"),
        ({"threshold": {"direction": "ABOVE"}}, "limit"),
        ({"threshold": {"direction": "ABOVE", "limit": 1, "minDuration": "-5s"}}, "minDuration"),
        ({"completeness": {"below": 1.5}}, "below"),
        ({"completeness": {"below": 0.5, "step": "7s"}}, "step"),
        ({"noData": {}}, "after"),
        ({"noData": {"after": "0.5s"}}, "after"),
        ({"flatLine": {"duration": "60s", "tolerance": "Infinity"}}, "tolerance"),
        ({"rateOfChange": {"limitPerHour": 0}}, "limitPerHour"),
        ({"containerFull": {"level": 101}}, "level"),
    ],
)
def test_conditions_of_alarm_rules(rest: httpx.Client, condition: dict[str, Any], field: str) -> None:
    expect_problem(rest.post("/v1/alarmRules", json={"id": "bad", "sensorType": "t", **condition}), field=field)


def test_alarms_that_are_none(rest: httpx.Client) -> None:
    assert expect_problem(rest.get("/v1/alarms/nobody"))["reason"] == "ALARM_NOT_FOUND"
    assert expect_problem(rest.post("/v1/alarms/nobody:acknowledge", json={}))["reason"] == "ALARM_NOT_FOUND"
    long = rest.post("/v1/alarms/nobody:acknowledge", json={"note": "x" * 1001})
    assert expect_problem(long, field="note")["status"] == 400
    for change in (rest.patch("/v1/alarmRules/nobody", json={"title": "x"}), rest.delete("/v1/alarmRules/nobody")):
        assert expect_problem(change)["reason"] == "ALARM_RULE_NOT_FOUND"
