"""Debt files that come through a bucket, over good lines and bad ones."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc.aio
import httpx
import pytest
from google.api.httpbody_pb2 import HttpBody
from structlog.testing import capture_logs

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.bucket_settings import BucketAddress
from services.chassis.object_storage import open_bucket
from tests.integration.ingestion.conftest import World, started
from tests.integration.ingestion.test_debt_files import count, told
from tests.integration.ingestion.test_debt_uploads import FILE, SUM, announced, found
from tests.support.debts import COLUMNS, content, rows_of
from tests.support.eventually import eventually
from tests.support.s3 import BadLine, bad_line
from tocsin.ingestion.v1 import debt_file_service_pb2 as files
from tocsin.ingestion.v1 import debt_upload_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile, DebtFileProfile
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import DebtUploadServiceStub

BAD = [("refuse", 0.0), ("cut", 100.0), ("hold", 0.2), ("cut", 900.0), ("refuse", 0.0)]


@pytest.fixture
async def line(s3_bucket: BucketAddress) -> AsyncIterator[tuple[BadLine, BucketAddress]]:
    async with bad_line(s3_bucket) as found:
        yield found


@pytest.fixture
async def world(
    ingestion_dsn: str, streams: str, issuer: DevIssuer, line: tuple[BadLine, BucketAddress]
) -> AsyncIterator[World]:
    """The service with a bucket behind a line, which it looks at every second and keeps nothing in."""
    _, address = line
    async with started(
        ingestion_dsn,
        streams,
        issuer,
        s3_endpoint=address.endpoint,
        s3_access_key_id=address.access_key_id,
        s3_secret_access_key=address.secret_access_key,
        debt_bucket=address.bucket,
        debt_bucket_poll=timedelta(seconds=1),
        debt_bucket_kept=timedelta(0),
    ) as world:
        yield world


async def tell(world: World, *keys: str) -> int:
    event = HttpBody(data=json.dumps({"Records": [{"s3": {"object": {"key": key}}} for key in keys]}).encode())
    request = pb.TellBucketEventRequest(event=event)
    return (await DebtUploadServiceStub(world.channel).TellBucketEvent(request, metadata=world.me)).found


async def ended(world: World, file_id: str) -> DebtFile:
    request = files.WatchDebtFileRequest(id=file_id)
    watched = DebtFileServiceStub(world.channel).WatchDebtFile(request, metadata=world.me)
    return [file async for file in watched][-1]


async def listed(world: World, number: int) -> dict[str, DebtFile]:
    """All files by name, once there are so many and all have ended."""
    known: list[DebtFile] = []

    async def all_ended() -> bool:
        answer = await DebtFileServiceStub(world.channel).ListDebtFiles(files.ListDebtFilesRequest(), metadata=world.me)
        known[:] = answer.debt_files
        return len(known) == number and all(file.HasField("complete_time") for file in known)

    await eventually(all_ended, timeout=20)
    return {file.filename: file for file in known}


async def test_an_announced_file_goes_to_the_bucket(world: World, s3_bucket: BucketAddress) -> None:
    upload = await announced(world, sha256=SUM, content_type="text/csv")
    assert (upload.way, upload.headers["content-length"]) == (pb.DebtUpload.BUCKET, str(len(FILE)))
    assert (await found(world, upload.id)).state == DebtFile.EXPECTED
    async with httpx.AsyncClient() as client:
        assert (await client.put(upload.url, content=FILE, headers=dict(upload.headers))).status_code == 200
    await tell(world, f"debts/uploads/{upload.id}", "elsewhere/x")
    file = await ended(world, upload.id)
    assert (file.state, file.accepted, file.sha256) == (DebtFile.COMPLETED, 20, SUM)

    async def removed() -> bool:
        async with open_bucket(s3_bucket, agent="tests") as bucket:
            return [one async for one in bucket.objects("")] == []

    await eventually(removed, timeout=20)


async def test_other_content_than_announced_is_no_debt(world: World) -> None:
    upload = await announced(world, size=len(FILE) - 1)
    async with httpx.AsyncClient() as client:
        # A storage that holds uploads to what it has signed refuses this itself.
        assert (await client.put(upload.url, content=FILE)).status_code == 200
    file = await ended(world, upload.id)
    assert (file.state, file.error.partition(":")[0]) == (DebtFile.FAILED, "size")
    assert await count(world, "debts") == 0


@pytest.mark.parametrize("faults", [[], BAD], ids=["good line", "bad line"])
async def test_files_in_the_inbox_are_taken_once(
    world: World, s3_bucket: BucketAddress, line: tuple[BadLine, BucketAddress], faults: list[tuple[str, float]]
) -> None:
    profile = DebtFileProfile(id="brazil", columns={"Cliente": "name"})
    await DebtFileServiceStub(world.channel).CreateDebtFileProfile(
        files.CreateDebtFileProfileRequest(profile=profile), metadata=world.me
    )
    odd = "d\u00edvidas 1+2 %41.csv"
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        line[0].faults = list(faults)
        await bucket.put("debts/inbox/", b"")
        await bucket.put(f"debts/inbox/{odd}", FILE)
        first = (await listed(world, 1))[odd]
        assert (first.state, first.accepted, first.sha256) == (DebtFile.COMPLETED, 20, SUM)
        line[0].faults = list(faults)
        await bucket.put("debts/inbox/brazil/b.csv", content(rows_of(5, start=100), ["Cliente", *COLUMNS[1:]]))
        await bucket.put("debts/inbox/unknown/c.csv", content(rows_of(3, start=50)))
        await bucket.put("debts/inbox/br\u00e9sil 1/d.csv", content(rows_of(3, start=60)))
        known = await listed(world, 2)
    assert {name: file.accepted for name, file in known.items()} == {odd: 20, "b.csv": 5}
    assert await count(world, "debts") == 25


async def test_the_log_says_which_file_of_the_inbox_was_refused(world: World, s3_bucket: BucketAddress) -> None:
    async with open_bucket(s3_bucket, agent="tests") as bucket:
        with capture_logs() as logs:
            await bucket.put("debts/inbox/unknown/c.csv", FILE)

            async def told_of() -> list[str]:
                return [line["error"] for line in logs if line.get("object") == "debts/inbox/unknown/c.csv"]

            await eventually(told_of)
        assert await told_of() == ["there is no debt file profile unknown"]


async def test_without_a_bucket_there_is_none(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer) as world:
        for call in (announced(world, way=pb.DebtUpload.BUCKET), tell(world, "debts/inbox/x")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert told(caught.value)[1] == "UPLOAD_BUCKET_MISSING"
