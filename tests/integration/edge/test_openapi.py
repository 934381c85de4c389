"""The OpenAPI document as it is served: what it says is what the edge does."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.cli.runtime.settings import PROJECT

DOCUMENT: dict[str, Any] = json.loads((PROJECT / "generated/openapi/tocsin.openapi.json").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
PROBLEMS = {"400", "401", "403", "404", "409", "429", "500", "503", "504"}


@dataclass(frozen=True)
class Operation:
    verb: str
    path: str
    source: dict[str, Any]

    @property
    def url(self) -> str:
        return re.sub(r"{\w+}", "x", self.path)

    @property
    def body_types(self) -> list[str]:
        return list(self.source.get("requestBody", {}).get("content", {}))

    def answer_types(self, status: str = "200") -> set[str]:
        return set(resolve(self.source["responses"][status])["content"])


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    found: dict[str, Any] = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def all_operations() -> Iterator[Operation]:
    for path, verbs in DOCUMENT["paths"].items():
        for verb, source in verbs.items():
            yield Operation(verb.upper(), path, source)


OPERATIONS = {operation.source["operationId"]: operation for operation in all_operations()}
OPEN = {name for name, operation in OPERATIONS.items() if operation.source.get("security") == []}
CLOSED = {name: operation for name, operation in OPERATIONS.items() if name not in OPEN}
each = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
each_closed = pytest.mark.parametrize("operation", CLOSED.values(), ids=CLOSED.keys())
with_body = pytest.mark.parametrize(
    "operation", [found for found in OPERATIONS.values() if found.body_types], ids=lambda found: found.url
)


async def test_the_document_is_the_generated_one(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get("/openapi.json")).json() == DOCUMENT


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    targets = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)))
    for target in targets:
        assert resolve({"$ref": f"#/{target}"})
    assert set(SCHEMAS) == {target.rpartition("/")[2] for target in targets if "/schemas/" in target}


def test_no_two_paths_are_the_same_place() -> None:
    places = [re.sub(r"{\w+}", "{}", path) for path in DOCUMENT["paths"]]
    assert len(places) == len(set(places))


@each_closed
def test_every_problem_is_a_problem(operation: Operation) -> None:
    expected = PROBLEMS | ({"413", "415"} if operation.body_types else set())
    assert set(operation.source["responses"]) == expected | {"200"}
    for status in expected:
        assert operation.answer_types(status) == {"application/problem+json"}


@each
def test_parameters_are_those_of_the_path(operation: Operation) -> None:
    in_path = {found["name"] for found in operation.source.get("parameters", []) if found["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", operation.path))


async def test_only_what_carries_a_signed_token_is_open(anonymous: httpx.AsyncClient) -> None:
    assert sorted(OPEN) == [
        "DebtUploadService_PutDebtUpload",
        "InvoiceService_OpenInvoice",
        "TrackingService_FollowLink",
        "TrackingService_ViewPixel",
    ]
    for verb, wants in (("GET", False), ("HEAD", False), ("POST", True), ("PUT", True), ("DELETE", True)):
        for path in ("/v1/notifications:follow", "/v1/notifications:pixel", "/v1/invoices:content"):
            answer = await anonymous.request(verb, path, params={"token": "x"})
            assert (answer.status_code == 401) is wants, (verb, path)
    pixel = await anonymous.get("/v1/notifications:pixel?token=x")
    assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
    for verb, wants in (("GET", True), ("POST", True), ("PUT", False), ("DELETE", True)):
        answer = await anonymous.request(verb, "/v1/debtFiles:content", params={"token": "x"})
        assert (answer.status_code == 401) is wants, verb
    for near in ("/v1/debtFiles:content/", "/v1/debtFiles:contents", "/v1/debtFiles/x"):
        assert (await anonymous.put(near)).status_code == 401, near
    for near in (
        "/v1/invoices:contents",
        "/v1/invoices:content/",
        "/v1/notifications:follow/",
        "/v1/notifications:follow;x",
        "/v1/notifications:count",
        "//v1/notifications:unread",
    ):
        assert (await anonymous.get(near)).status_code == 401, near


@each_closed
async def test_every_operation_has_a_route_and_wants_a_token(
    operation: Operation, rest: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    refused = await anonymous.request(operation.verb, operation.url)
    assert (refused.status_code, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert set(SCHEMAS["Problem"]["required"]) <= set(refused.json()) <= set(SCHEMAS["Problem"]["properties"])
    async with rest.stream(operation.verb, operation.url) as answer:
        assert answer.status_code not in (404, 405)


@with_body
async def test_bodies_may_be_what_is_documented(operation: Operation, rest: httpx.AsyncClient) -> None:
    for kind in operation.body_types:
        parameters = "; boundary=x" if kind.startswith("multipart") else ""
        answer = await rest.request(
            operation.verb, operation.url, content=b"{}", headers={"content-type": kind + parameters}
        )
        assert answer.status_code != 415, (kind, answer.text)


@with_body
async def test_bodies_may_be_nothing_else(operation: Operation, rest: httpx.AsyncClient) -> None:
    answer = await rest.request(operation.verb, operation.url, content=b"{}", headers={"content-type": "text/html"})
    if operation.path.endswith(("/payloads", "/payloads:test", ":content", ":bucketEvent")):
        assert answer.status_code != 415  # of vendors' devices and announced files the Content-Type does not matter
        return
    assert answer.status_code == 415
    assert answer.json()["metadata"]["accepts"].split(", ")[0] in operation.body_types


def test_uploads_are_forms_or_files() -> None:
    for name in ("DebtFileService_UploadDebtFile", "DebtFileService_UploadDebtFile2"):
        upload = OPERATIONS[name]
        assert upload.body_types[:2] == ["multipart/form-data", "text/csv"]
        assert len(upload.body_types) == 4
        assert [found["name"] for found in upload.source["parameters"]] == [
            "dryRun", "rejectLimit", "rejectPercent", "profile", "charset", "locale", "currency", "language",
            "issuer", "filename",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/v1/debtFiles/f1:watch", "text/event-stream", "text/event-stream"),
        ("/v1/debtFiles/f1:watch", "*/*", "application/x-ndjson"),
        ("/v1/debts/d-1/invoice", "*/*", "application/pdf"),
        ("/v1/debtFiles/f1/rejects:download", "*/*", "text/csv"),
    ],
)
async def test_answers_are_what_is_documented(rest: httpx.AsyncClient, path: str, accept: str, kind: str) -> None:
    operation = next(
        found for found in OPERATIONS.values() if re.fullmatch(re.sub(r"{\w+}", r"[\\w-]+", found.path), path)
    )
    async with rest.stream("GET", path, headers={"accept": accept}) as answer:
        assert answer.headers["content-type"].partition(";")[0] == kind
    assert kind in operation.answer_types()


def test_idempotency_keys_are_headers() -> None:
    keyed = {
        name
        for name, found in OPERATIONS.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in found.source.get("parameters", []))
    }
    assert keyed == {
        "ReadingService_CreateReading",
        "ReadingService_BatchCreateReadings",
        "NotificationService_SendNotification",
        "NotificationService_SendBulkNotifications",
        "ReminderService_CreateReminder",
    }


def test_rules_of_the_contract_are_in_the_schemas() -> None:
    sensor_type = SCHEMAS["SensorType"]
    assert sensor_type["required"] == ["id", "kind", "unit"]
    assert sensor_type["additionalProperties"] is False
    assert sensor_type["properties"]["kind"]["enum"] == ["GAUGE", "COUNTER", "LEVEL"]
    assert re.fullmatch(sensor_type["properties"]["id"]["pattern"], "temperature")
    assert not re.fullmatch(sensor_type["properties"]["id"]["pattern"], "-a.b")
    assert SCHEMAS["Average.State"]["default"] == SCHEMAS["Average.State"]["enum"][0] == "STATE_UNSPECIFIED"
    assert "required" not in SCHEMAS["UpdateSensorTypeBody"]
    assert SCHEMAS["CreateRoomBody"]["required"] == ["id"]
