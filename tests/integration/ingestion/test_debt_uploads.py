"""Announced debt files through the running service."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import grpc
import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from tests.integration.ingestion.conftest import World, started
from tests.integration.ingestion.test_debt_files import count, told
from tests.support.debts import content, rows_of
from tests.support.eventually import eventually
from tocsin.ingestion.v1 import debt_file_service_pb2 as files
from tocsin.ingestion.v1 import debt_upload_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import DebtUploadServiceStub

FILE = content(rows_of(20))
SUM = hashlib.sha256(FILE).hexdigest()


@pytest.fixture
async def announcing(ingestion_dsn: str, streams: str, issuer: DevIssuer, tmp_path: Path) -> AsyncIterator[World]:
    """The service, with a key to sign with, for one open upload of a caller."""
    keys = tmp_path / "uploads.keys"
    keys.write_text("u" * 32)
    async with started(
        ingestion_dsn,
        streams,
        issuer,
        debt_upload_key_file=keys,
        public_url="https://tocsin.example",
        debt_open_uploads_of_caller=2,
    ) as world:
        yield world


async def announced(world: World, **said: object) -> pb.DebtUpload:
    request = pb.CreateDebtUploadRequest(**{"filename": "debts.csv", "size": len(FILE), **said})  # pyright: ignore
    return await DebtUploadServiceStub(world.channel).CreateDebtUpload(request, metadata=world.me)


async def put(world: World, url: str, data: bytes, **head: object) -> DebtFile:
    (token,) = parse_qs(urlsplit(url).query)["token"]

    async def requests() -> AsyncIterator[pb.PutDebtUploadRequest]:
        yield pb.PutDebtUploadRequest(head=pb.PutDebtUploadRequest.Head(token=token, **head))  # pyright: ignore
        for start in range(0, len(data), 100):
            yield pb.PutDebtUploadRequest(chunk=data[start : start + 100])

    return await DebtUploadServiceStub(world.channel).PutDebtUpload(requests())


async def refused(world: World, url: str, data: bytes, **head: object) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await put(world, url, data, **head)
    return told(caught.value)[:2]


async def found(world: World, file_id: str) -> DebtFile:
    return await DebtFileServiceStub(world.channel).GetDebtFile(files.GetDebtFileRequest(id=file_id), metadata=world.me)


async def test_whoever_has_the_url_sends_the_file_once(announcing: World) -> None:
    upload = await announced(announcing, sha256=SUM.upper())
    assert upload.url.startswith("https://tocsin.example/v1/debtFiles:content?token=")
    assert (await found(announcing, upload.id)).state == DebtFile.EXPECTED
    file = await put(announcing, upload.url, FILE, size=len(FILE))
    assert (file.id, file.state, file.accepted, file.sha256) == (upload.id, DebtFile.COMPLETED, 20, SUM)
    again = await refused(announcing, upload.url, b"")
    assert again == (grpc.StatusCode.FAILED_PRECONDITION, "UPLOAD_ENDED")
    assert await count(announcing, "debts") == 20


async def test_other_content_is_no_debt(announcing: World) -> None:
    upload = await announced(announcing, sha256="0" * 64, content_type="text/csv")
    early = await refused(announcing, upload.url, b"")
    assert early == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_MISMATCH")
    assert (await found(announcing, upload.id)).state == DebtFile.EXPECTED
    late = await refused(announcing, upload.url, FILE, content_type="text/csv")
    assert late == (grpc.StatusCode.INVALID_ARGUMENT, "UPLOAD_MISMATCH")
    file = await found(announcing, upload.id)
    assert (file.state, file.error.partition(":")[0]) == (DebtFile.FAILED, "sha256")
    assert await count(announcing, "debts") == 0


async def test_a_url_is_good_as_it_is(announcing: World) -> None:
    upload = await announced(announcing)
    for spoilt in (upload.url[:-1], upload.url.replace("token=", "token=A")):
        assert await refused(announcing, spoilt, b"") == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


async def test_an_upload_is_its_callers(announcing: World) -> None:
    upload = await announced(announcing)
    service = DebtUploadServiceStub(announcing.channel)
    for call in (
        service.GetDebtUpload(pb.GetDebtUploadRequest(id=upload.id), metadata=announcing.as_user("eve")),
        service.DeleteDebtUpload(pb.DeleteDebtUploadRequest(id=upload.id), metadata=announcing.as_user("eve")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert not (await service.GetDebtUpload(pb.GetDebtUploadRequest(id=upload.id), metadata=announcing.me)).url
    await announced(announcing)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await announced(announcing)
    assert told(caught.value)[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS")
    await service.DeleteDebtUpload(pb.DeleteDebtUploadRequest(id=upload.id), metadata=announcing.me)
    assert (await found(announcing, upload.id)).state == DebtFile.CANCELLED
    assert (await refused(announcing, upload.url, b""))[1] == "UPLOAD_ENDED"
    await announced(announcing)


async def test_what_is_wrong_is_said_before_the_bytes_come(announcing: World) -> None:
    for said, reason in (
        ({"profile": "unknown"}, "NOT_FOUND"),
        ({"locale": "xx-YY"}, "CONVENTIONS_INVALID"),
        ({"size": 1 << 60}, "TOO_LARGE"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await announced(announcing, **said)
        assert told(caught.value)[1] == reason


async def append(world: World, upload: pb.DebtUpload, offset: int, data: bytes, **head: object) -> pb.DebtUpload:
    async def requests() -> AsyncIterator[pb.AppendDebtUploadRequest]:
        said = pb.AppendDebtUploadRequest.Head(id=upload.id, offset=offset, **head)  # pyright: ignore
        yield pb.AppendDebtUploadRequest(head=said)
        for start in range(0, len(data), 100):
            yield pb.AppendDebtUploadRequest(chunk=data[start : start + 100])

    return await DebtUploadServiceStub(world.channel).AppendDebtUpload(requests(), metadata=world.me)


async def test_a_file_that_comes_in_parts_is_processed_when_it_is_whole(announcing: World) -> None:
    upload = await announced(announcing, way=pb.DebtUpload.RESUMABLE, sha256=SUM)
    assert upload.url == f"https://tocsin.example/v1/debtUploads/{upload.id}"
    half = await append(announcing, upload, 0, FILE[:700])
    assert (half.received, half.state) == (700, pb.DebtUpload.OPEN)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await append(announcing, upload, 0, FILE)
    assert told(caught.value) == (
        grpc.StatusCode.ABORTED,
        "UPLOAD_OFFSET",
        {"debtFile": upload.id, "offset": "700"},
    )
    digest = hashlib.sha1(FILE[700:], usedforsecurity=False).digest()
    sha1 = pb.AppendDebtUploadRequest.SHA1
    made = await append(announcing, upload, 700, FILE[700:], checksum_algorithm=sha1, checksum=digest)
    assert made.received == len(FILE)
    watched = DebtFileServiceStub(announcing.channel).WatchDebtFile(
        files.WatchDebtFileRequest(id=upload.id), metadata=announcing.me
    )
    states = [file async for file in watched]
    assert (states[-1].state, states[-1].accepted, states[-1].sha256) == (DebtFile.COMPLETED, 20, SUM)

    async def removed() -> bool:
        return await count(announcing, "debt_upload_parts") == 0

    await eventually(removed)
