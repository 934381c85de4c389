"""REST through Envoy and the gateway: answers, problems, streams."""

import json
from typing import Any

import httpx
import pytest

from tests.integration.edge.conftest import ORIGIN, Edge

READING = {"building": "hq", "room": "r1", "sensorType": "temperature", "value": 21.5}


def problem(response: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The problem of an answer, after a look at what all problems have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["reason"] == reason
    assert found["type"] == "urn:tocsin:problem:" + reason.lower().replace("_", "-")
    assert found["title"]
    assert found["detail"]
    assert found.get("instance") == response.headers.get(
        "x-request-id"
    )  # none where the edge could not read the request
    return found


async def test_a_reading_is_accepted(rest: httpx.AsyncClient) -> None:
    response = await rest.post("/v1/readings", json=READING, headers={"idempotency-key": "seen"})
    assert response.status_code == 200
    stored = {**READING, "device": "", "unit": "C", "eventTime": "1970-01-01T00:00:00Z"}
    assert response.json() == {"reading": stored, "duplicate": True}
    assert response.headers["server"] == "tocsin"


async def test_a_services_refusal_is_a_problem_with_its_field(rest: httpx.AsyncClient) -> None:
    response = await rest.post("/v1/readings", json={**READING, "value": -300}, headers={"x-request-id": "my-id"})
    found = problem(response, 400, "VALUE_OUT_OF_RANGE")
    assert found["errors"] == [{"field": "value", "reason": "VALUE_OUT_OF_RANGE", "detail": "must be at least 0 K"}]
    assert found["instance"] == response.headers["x-request-id"] == "my-id"


async def test_request_id_and_trace_reach_the_service(rest: httpx.AsyncClient) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = await rest.get("/v1/alerts/a1", headers={"x-request-id": "rq-1", "traceparent": trace})
    assert response.json()["reason"] == f"x-request-id=rq-1 traceparent={trace}"


async def test_not_found_of_a_service(rest: httpx.AsyncClient) -> None:
    found = problem(await rest.get("/v1/alerts/gone"), 404, "NOT_FOUND")
    assert found["metadata"] == {"id": "gone"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "reason"),
    [
        ("GET", "/v1/nothing", {}, 404, "ROUTE_UNKNOWN"),
        ("DELETE", "/v1/alerts/a1", {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", {}, 405, "METHOD_NOT_ALLOWED"),
        (
            "POST",
            "/v1/readings",
            {"content": "a=1", "headers": {"content-type": "text/html"}},
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "POST",
            "/v1/debtFiles",
            {"content": b"{}", "headers": {"content-type": "application/json"}},
            415,
            "MEDIA_TYPE_UNSUPPORTED",
        ),
        (
            "POST",
            "/v1/readings",
            {"content": b'{"value": NaN}', "headers": {"content-type": "application/json"}},
            400,
            "BODY_INVALID",
        ),
        (
            "POST",
            "/v1/readings",
            {"content": b'"\xff"', "headers": {"content-type": "application/json"}},
            400,
            "BODY_INVALID",
        ),
        ("GET", "/v1/debtFiles?pageSize=many", {}, 400, "QUERY_INVALID"),
        ("GET", "/v1/debtFiles?pagesize=1", {}, 400, "QUERY_INVALID"),
        ("GET", "/v1/alerts/%ff", {}, 400, "PATH_INVALID"),
        ("GET", "/v1/alerts/a%2fb", {}, 400, "PATH_INVALID"),
    ],
)
async def test_what_does_not_fit(
    rest: httpx.AsyncClient, method: str, path: str, options: dict[str, Any], status: int, reason: str
) -> None:
    problem(await rest.request(method, path, **options), status, reason)


async def test_a_sixtieth_second_is_refused_by_name(rest: httpx.AsyncClient) -> None:
    leap = "2016-12-31T23:59:60Z"
    found = problem(await rest.post("/v1/readings", json={**READING, "eventTime": leap}), 400, "BODY_INVALID")
    assert [(error["field"], error["reason"]) for error in found["errors"]] == [("eventTime", "JSON_FORMAT")]
    path = f"/v1/buildings/hq/rooms/r1/average?at={leap}"
    found = problem(await rest.get(path), 400, "QUERY_INVALID")
    assert [(error["field"], error["reason"]) for error in found["errors"]] == [("at", "QUERY_FORMAT")]


async def test_allow_names_the_verbs(rest: httpx.AsyncClient) -> None:
    assert (await rest.delete("/v1/alerts")).headers["allow"] == "GET, POST"


async def test_a_body_over_the_limit(rest: httpx.AsyncClient) -> None:
    content = b'{"unit": "' + b"x" * (9 << 20) + b'"}'
    response = await rest.post("/v1/readings", content=content, headers={"content-type": "application/json"})
    assert problem(response, 413, "TOO_LARGE")["metadata"]["limit"] == str(8 << 20)


async def test_headers_over_the_limit(rest: httpx.AsyncClient) -> None:
    problem(await rest.get("/v1/alerts", headers={"x-much": "x" * 60_000}), 431, "HEADERS_TOO_LARGE")


async def test_without_a_token(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/v1/alerts")
    problem(response, 401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_with_a_bad_token(anonymous: httpx.AsyncClient, edge_stack: Edge) -> None:
    for token in (edge_stack.expired, "Bearer nonsense", "Basic eDp5"):
        problem(await anonymous.get("/v1/alerts", headers={"authorization": token}), 401, "UNAUTHENTICATED")


async def test_a_token_for_somebody_else(anonymous: httpx.AsyncClient, edge_stack: Edge) -> None:
    foreign = type(edge_stack.issuer).open(edge_stack.issuer.jwks_file.parent, audience="elsewhere").mint()
    problem(await anonymous.get("/v1/alerts", headers={"authorization": f"Bearer {foreign}"}), 403, "PERMISSION_DENIED")


async def test_a_token_in_the_query_is_none(anonymous: httpx.AsyncClient, edge_stack: Edge) -> None:
    query = {"access_token": edge_stack.bearer.removeprefix("Bearer ")}
    problem(await anonymous.get("/v1/alerts", params=query), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "path", ["/", "/health", "/livez", "/readyz", "/openapi.json", "/docs/", "/docs/swagger-ui-bundle.js"]
)
async def test_open_to_all(anonymous: httpx.AsyncClient, path: str) -> None:
    assert (await anonymous.get(path)).status_code == 200


async def test_health_names_every_service(anonymous: httpx.AsyncClient) -> None:
    found = (await anonymous.get("/health")).json()
    assert found["status"] == "SERVING"
    assert set(found) == {"status", "timestamp", "version", "services"}
    assert found["services"] == dict.fromkeys(("ingestion", "aggregation", "media-probe", "notification"), "SERVING")


async def test_paths_are_made_unambiguous_before_the_token_is_asked_for(anonymous: httpx.AsyncClient) -> None:
    for path in ("/docs/../v1/alerts", "/docs/%2e%2e/v1/alerts", "//v1//alerts"):
        response = await anonymous.send(httpx.Request("GET", str(anonymous.base_url).rstrip("/") + path))
        assert response.status_code == 401, path


async def test_cors_for_the_configured_origin_only(anonymous: httpx.AsyncClient) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    allowed = await anonymous.options("/v1/readings", headers={"origin": ORIGIN, **asked})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in allowed.headers["access-control-allow-headers"]
    other = await anonymous.options("/v1/readings", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in other.headers


async def test_compression_of_what_is_large(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert response.json()["openapi"] == "3.0.3"


async def test_a_vendor_payload_may_be_anything(rest: httpx.AsyncClient) -> None:
    response = await rest.post(
        "/v1/devices/ep1/payloads", content=b'{"broken": \xff\x00', headers={"content-type": "application/json"}
    )
    assert response.json()["readings"][0]["unit"] == "13"
    problem(await rest.post("/v1/devices/ep1/payloads", content=b"x" * 65537), 413, "TOO_LARGE")


async def test_downloads(rest: httpx.AsyncClient) -> None:
    invoice = await rest.get("/v1/debts/d-1/invoice")
    assert (invoice.content, invoice.headers["content-type"]) == (b"%PDF-1.7 of d-1", "application/pdf")
    assert invoice.headers["content-disposition"] == 'attachment; filename="invoice-d-1.pdf"'
    rejects = await rest.get("/v1/debtFiles/f1/rejects:download")
    assert rejects.text == "line,reason\n2,EMAIL_INVALID\n3,EMAIL_INVALID\n"
    assert rejects.headers["content-type"] == "text/csv"
    assert rejects.headers["content-disposition"] == 'attachment; filename="rejects-f1.csv"'


async def test_history_has_page_numbers(rest: httpx.AsyncClient) -> None:
    assert (await rest.get("/history?page=2&pageSize=10")).json()["nextPageToken"] == "page 2 of 10"


async def test_events_arrive_while_the_stream_is_open(rest: httpx.AsyncClient) -> None:
    async with rest.stream("GET", "/v1/debtFiles/endless:watch", headers={"accept": "text/event-stream"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.aiter_lines()
        seen = [await anext(lines) for _ in range(8)]
    assert seen[0] == "retry: 3000"
    assert seen[2:4] == ["id: 1", "event: debtFile"]
    assert json.loads(seen[4].removeprefix("data: "))["rows"] == "1"
    assert seen[6] == ": alive"


async def test_a_silent_stream_opens_and_keeps_alive(rest: httpx.AsyncClient) -> None:
    async with rest.stream("GET", "/v1/windows:watch", headers={"accept": "text/event-stream"}) as response:
        lines = response.aiter_lines()
        assert [await anext(lines) for _ in range(3)] == ["retry: 3000", "", ": alive"]


async def test_an_error_within_a_stream_is_its_last_event(rest: httpx.AsyncClient) -> None:
    response = await rest.get("/v1/debtFiles/breaks:watch", headers={"accept": "text/event-stream"})
    last = response.text.strip().split("\n\n")[-1].splitlines()
    assert last[1] == "event: error"
    assert json.loads(last[2].removeprefix("data: "))["status"] == 503


async def test_a_stream_as_lines(rest: httpx.AsyncClient) -> None:
    response = await rest.get("/v1/debtFiles/f1:watch")
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line)["result"]["rows"] for line in response.text.splitlines()] == ["1", "2"]
    broken = await rest.get("/v1/debtFiles/breaks:watch")
    assert json.loads(broken.text.splitlines()[-1])["error"]["reason"] == "UNAVAILABLE"


async def test_an_import_keeps_good_lines_beside_bad_ones(rest: httpx.AsyncClient) -> None:
    good = json.dumps(READING)
    cold = json.dumps({**READING, "value": -300})
    content = "\n".join([good, "{broken", "", cold, *[good] * 2500, '{"value": "x"}'])
    response = await rest.post("/v1/readings:import", content=content, headers={"content-type": "application/x-ndjson"})
    found = response.json()
    assert (found["accepted"], found["rejected"]) == ("2501", "3")
    assert [(r["index"], r["reason"], r["field"]) for r in found["rejections"]] == [
        (1, "BODY_INVALID", ""),
        (3, "VALUE_OUT_OF_RANGE", "value"),
        (2504, "BODY_INVALID", "value"),
    ]
