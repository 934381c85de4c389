"""Uploads stream through Envoy and the gateway."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.integration.edge.conftest import Edge

CHUNK = b"name,governmentId,email,debtAmount,debtDueDate,debtId\n" * 4096
ROUNDS = 250  # of some 216 KiB: above 50 MB
MIB = 1 << 20


async def content() -> AsyncIterator[bytes]:
    for _ in range(ROUNDS):
        yield CHUNK


def peak_memory(pid: int) -> int:
    """The most memory that the process ever held, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


async def test_a_raw_upload_streams_in_constant_memory(rest: httpx.AsyncClient, edge_stack: Edge) -> None:
    response = await rest.post(
        "/upload?filename=big.csv&dryRun=true", content=content(), headers={"content-type": "text/csv"}
    )
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["bytes"], found["filename"], found["dryRun"]) == (str(len(CHUNK) * ROUNDS), "big.csv", True)
    assert found["sha256"] == hashlib.sha256(CHUNK * ROUNDS).hexdigest()
    assert peak_memory(edge_stack.gateway_pid) < 160 * MIB


@pytest.mark.parametrize("field", ["csv", "file"])
async def test_a_form(rest: httpx.AsyncClient, field: str) -> None:
    response = await rest.post(
        "/v1/debtFiles", data={"dryRun": "true"}, files={field: ("debts.csv", CHUNK, "text/csv")}
    )
    assert response.status_code == 200, response.text
    found = response.json()
    assert (found["bytes"], found["filename"], found["dryRun"]) == (str(len(CHUNK)), "debts.csv", True)


async def test_a_refusal_ends_the_upload_early(rest: httpx.AsyncClient) -> None:
    response = await rest.post("/upload?filename=refused.csv", content=content(), headers={"content-type": "text/csv"})
    assert response.status_code == 400, response.text
    assert response.json()["reason"] == "HEADER_INVALID"


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="dryRun"\r\n\r\nmaybe\r\n--x--\r\n', "dryRun", "PART_TYPE"),
        (b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n1\r\n--x--\r\n', "other", "PART_UNKNOWN"),
        (b'--x\r\nContent-Disposition: form-data; name="dryRun"\r\n\r\n1\r\n--x--\r\n', "csv", "PART_MISSING"),
        (
            (
                b'--x\r\nContent-Disposition: form-data; name="csv"; filename="a"\r\n\r\na,b\r\n'
                b'--x\r\nContent-Disposition: form-data; name="dryRun"\r\n\r\ntrue\r\n--x--\r\n'
            ),
            "dryRun",
            "PART_ORDER",
        ),
    ],
)
async def test_a_form_that_does_not_fit(rest: httpx.AsyncClient, body: bytes, field: str, rule: str) -> None:
    response = await rest.post(
        "/v1/debtFiles", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert response.status_code == 400
    assert [(e["field"], e["reason"]) for e in response.json()["errors"]] == [(field, rule)]


async def test_a_form_that_breaks_off(rest: httpx.AsyncClient) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="csv"; filename="a"\r\n\r\na,b\r\n'
    response = await rest.post(
        "/v1/debtFiles", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert (response.status_code, response.json()["reason"]) == (400, "BODY_INVALID")
