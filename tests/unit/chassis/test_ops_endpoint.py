import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from services.chassis.telemetry import metrics
from services.chassis.telemetry.http import OpsEndpoint

missing: dict[str, str] = {}
seen = metrics.histogram("tocsin_test_ops_seconds", "Only for this test.")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    missing.clear()
    async with OpsEndpoint("127.0.0.1", 0, lambda: missing) as endpoint:
        yield endpoint.port


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


async def test_readiness_names_what_is_missing(port: int) -> None:
    assert (await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    missing["postgres"] = "does not answer in time"
    answer = await ask(port, b"GET /readyz?verbose HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"postgres: does not answer in time\n")
    assert (await ask(port, b"GET /livez HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_metrics_come_as_text_or_openmetrics_with_exemplars(port: int) -> None:
    seen.observe(0.2, {"trace_id": "1" * 32})
    plain = await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b"tocsin_test_ops_seconds_bucket" in plain
    assert b"trace_id" not in plain
    rich = await ask(port, b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n")
    assert b'trace_id="' + b"1" * 32 in rich
    assert rich.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"\x16\x03\x01\xff\r\n\r\n", b"400"),
    ],
)
async def test_bad_requests_are_answered(port: int, request_: bytes, status: bytes) -> None:
    assert (await ask(port, request_)).split(b" ")[1] == status


async def test_head_has_no_body(port: int) -> None:
    assert (await ask(port, b"HEAD /livez HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


async def test_a_head_without_end_is_dropped(port: int) -> None:
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await ask(port, b"GET / HTTP/1.1\r\nx: " + b"y" * 100_000)
    assert answer == b""
