"""What the doctor says of buckets."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from services.cli.doctor.check import Finding, Verdict, examine
from services.cli.doctor.deployment import read_deployment
from services.cli.doctor.storage_checks import storage_checks
from services.cli.runtime.settings import read_settings
from tests.support.ports import free_port
from tests.support.s3 import make_bucket, s3_server


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    with s3_server() as url:
        make_bucket(url, "debts")
        yield url


async def _findings(folder: Path, **environment: str) -> dict[str, Finding]:
    given = {"TOCSIN_S3_ACCESS_KEY_ID": "tests", "TOCSIN_S3_SECRET_ACCESS_KEY": "secret-of-tests", **environment}
    settings = read_settings(folder / "state", {}, environment=given)
    deployment = read_deployment(settings, edge_url="", edge_ca_file="", nats_monitor_url="")
    return {finding.check: finding for finding in await examine(storage_checks(deployment), timedelta(seconds=5))}


async def test_a_bucket_that_is_there_and_one_that_is_not(storage: str, tmp_path: Path) -> None:
    found = await _findings(
        tmp_path,
        TOCSIN_S3_ENDPOINT=storage,
        TOCSIN_INGESTION_DEBT_BUCKET="debts",
        TOCSIN_NOTIFICATION_INVOICE_S3_BUCKET="invoices",
    )
    assert found["bucket of debt files"].verdict is Verdict.OK
    missing = found["bucket of invoices"]
    assert missing.verdict is Verdict.FAILED
    assert missing.seen == "the storage answers HTTP 404 NoSuchBucket"
    assert missing.advice == "make it, or name another one"


async def test_without_a_bucket_nothing_is_asked(tmp_path: Path) -> None:
    assert await _findings(tmp_path, TOCSIN_S3_ENDPOINT="http://127.0.0.1:1") == {}


async def test_what_is_not_set_is_named(tmp_path: Path) -> None:
    found = await _findings(tmp_path, TOCSIN_INGESTION_DEBT_BUCKET="debts", TOCSIN_S3_SECRET_ACCESS_KEY="")
    assert found["bucket of debt files"].seen == "TOCSIN_S3_ENDPOINT, TOCSIN_S3_SECRET_ACCESS_KEY not set"


async def test_a_storage_that_is_not_there(tmp_path: Path) -> None:
    found = await _findings(
        tmp_path, TOCSIN_S3_ENDPOINT=f"http://127.0.0.1:{free_port()}", TOCSIN_INGESTION_DEBT_BUCKET="debts"
    )
    finding = found["bucket of debt files"]
    assert finding.verdict is Verdict.FAILED
    assert finding.seen.startswith("the storage cannot be reached: ")
    assert finding.advice == "see TOCSIN_S3_ENDPOINT"


@pytest.mark.parametrize(
    ("status", "text", "seen", "advice"),
    [
        (
            403,
            "<Error><Code>SignatureDoesNotMatch</Code></Error>",
            "HTTP 403 SignatureDoesNotMatch",
            "see TOCSIN_S3_SECRET_ACCESS_KEY",
        ),
        (
            403,
            "<Error><Code>AccessDenied</Code></Error>",
            "HTTP 403 AccessDenied",
            "let the login list, read, write and remove the objects of the bucket",
        ),
        (
            301,
            "<Error><Code>PermanentRedirect</Code></Error>",
            "HTTP 301 PermanentRedirect",
            "see TOCSIN_S3_REGION and TOCSIN_S3_ENDPOINT",
        ),
        (200, "<html>Welcome", "HTTP 200", "see TOCSIN_S3_ENDPOINT and TOCSIN_INGESTION_DEBT_BUCKET"),
        (502, "", "HTTP 502", "see TOCSIN_S3_ENDPOINT and TOCSIN_INGESTION_DEBT_BUCKET"),
    ],
)
async def test_what_it_answers_is_told(tmp_path: Path, status: int, text: str, seen: str, advice: str) -> None:
    async with _answering(status, text) as url:
        found = await _findings(tmp_path, TOCSIN_S3_ENDPOINT=url, TOCSIN_INGESTION_DEBT_BUCKET="debts")
    finding = found["bucket of debt files"]
    assert (finding.verdict, finding.seen, finding.advice) == (Verdict.FAILED, f"the storage answers {seen}", advice)
    assert "secret-of-tests" not in repr(found)


@asynccontextmanager
async def _answering(status: int, text: str) -> AsyncGenerator[str]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
