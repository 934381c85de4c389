"""A service killed in the middle of a debt file."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection, open_nats
from services.chassis.postgres import Database, open_database
from tests.support.debts import content, debts_in_stream, rows_of, settled
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1 import debt_upload_service_pb2 as parts
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub
from tocsin.ingestion.v1.debt_upload_service_pb2_grpc import DebtUploadServiceStub


@dataclass
class Stores:
    nats: NatsConnection
    database: Database


@asynccontextmanager
async def process(
    dsn: str, nats_url: str, issuer: DevIssuer, spool: Path | None
) -> AsyncIterator[tuple[int, grpc.aio.Channel]]:
    """`python -m services.ingestion`; gives its process id and a channel to it."""
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TOCSIN_POSTGRES_DSN": dsn,
        "TOCSIN_NATS_URL": nats_url,
        "TOCSIN_GRPC_LISTEN": f"127.0.0.1:{port}",
        "TOCSIN_AUTH_JWKS_FILE": str(issuer.jwks_file),
        "TOCSIN_INGESTION_DEBT_BLOCK": "64KiB",
        "TOCSIN_INGESTION_DEBT_LEASE": "1s",
        "TOCSIN_INGESTION_DEBT_SPOOL": str(spool or ""),
    }
    service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.ingestion", env=environment)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            yield service.pid, channel
    finally:
        with suppress(ProcessLookupError):
            service.kill()
        await service.wait()


class Crash:
    """A file of 30,000 rows whose service is killed in the middle."""

    def __init__(self, dsn: str, nats_url: str, issuer: DevIssuer, spool: Path | None, stores: Stores) -> None:
        self.rows = rows_of(30_000)
        self.stores = stores
        self.metadata = (("authorization", f"Bearer {issuer.mint()}"),)
        self.committed = 0
        self._data = content(self.rows)
        self._where = dsn, nats_url, issuer, spool

    async def requests(self) -> AsyncIterator[pb.UploadDebtFileRequest]:
        for start in range(0, len(self._data), 256 * 1024):
            yield pb.UploadDebtFileRequest(chunk=self._data[start : start + 256 * 1024])

    @asynccontextmanager
    async def process(self) -> AsyncIterator[tuple[int, DebtFileServiceStub]]:
        async with process(*self._where) as (pid, channel):
            self.uploads = DebtUploadServiceStub(channel)
            yield pid, DebtFileServiceStub(channel)

    async def registered(self) -> int:
        async with self.stores.database.connection() as connection:
            return await connection.fetchval("SELECT count(*) FROM debts")

    async def happen(self, sent: signal.Signals) -> None:
        """A process takes the file in until it gets the signal."""

        async def some() -> bool:
            return await self.registered() > 2000

        async with self.process() as (pid, stub):
            waiting = asyncio.ensure_future(stub.UploadDebtFile(self.requests(), metadata=self.metadata))
            await eventually(some, interval=0.005)
            os.kill(pid, sent)
            with pytest.raises(grpc.aio.AioRpcError):
                await waiting
        self.committed = await self.registered()
        assert 2000 < self.committed < 30_000

    async def until(self, stub: DebtFileServiceStub, state: DebtFile.State) -> DebtFile:
        """The only file, once it is in this state."""

        async def reached() -> DebtFile | None:
            (file,) = (await stub.ListDebtFiles(pb.ListDebtFilesRequest(), metadata=self.metadata)).debt_files
            return file if file.state == state else None

        found = await eventually(reached, timeout=30)
        assert found is not None
        return found

    async def told_once(self) -> None:
        """Every row is in the stream, once."""
        await settled(self.stores)
        assert sorted(map(list, await debts_in_stream(self.stores))) == sorted(self.rows)


@pytest.fixture
async def stores(ingestion_dsn: str, streams: str) -> AsyncIterator[Stores]:
    async with (
        open_nats(streams, name="looking on") as nats,
        open_database(ingestion_dsn, schema="ingestion", application_name="looking on") as database,
    ):
        yield Stores(nats, database)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
async def test_the_next_process_goes_on_with_the_file_of_a_dead_one(
    ingestion_dsn: str, streams: str, issuer: DevIssuer, stores: Stores, tmp_path: Path, sent: signal.Signals
) -> None:
    crash = Crash(ingestion_dsn, streams, issuer, tmp_path, stores)
    await crash.happen(sent)
    async with crash.process() as (_, stub):
        file = await crash.until(stub, DebtFile.COMPLETED)
        assert (file.accepted, file.duplicates, file.rejected) == (30_000, 0, 0)
        assert await crash.registered() == 30_000
        await crash.told_once()
        await eventually(lambda: os.listdir(tmp_path) == [])


@pytest.mark.chaos
async def test_where_no_text_outlives_the_process_the_file_is_sent_again(
    ingestion_dsn: str, streams: str, issuer: DevIssuer, stores: Stores
) -> None:
    crash = Crash(ingestion_dsn, streams, issuer, None, stores)
    await crash.happen(signal.SIGKILL)
    async with crash.process() as (_, stub):
        broken = await crash.until(stub, DebtFile.FAILED)
        assert broken.accepted == crash.committed
        assert "send the file again" in broken.error
        again = await stub.UploadDebtFile(crash.requests(), metadata=crash.metadata)
        assert (again.state, again.accepted, again.duplicates) == (
            DebtFile.COMPLETED, 30_000 - crash.committed, crash.committed,
        )  # fmt: skip
        await crash.told_once()


@pytest.mark.chaos
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
async def test_a_file_in_parts_outlives_the_services_that_take_it(
    ingestion_dsn: str, streams: str, issuer: DevIssuer, stores: Stores, sent: signal.Signals
) -> None:
    """Half of it comes to one process, the rest to another one that dies in the middle of it; a third one has no text
    of its own and nobody who sends it again."""
    rows = rows_of(30_000)
    data = content(rows)
    half = len(data) // 2
    crash = Crash(ingestion_dsn, streams, issuer, None, stores)

    async def append(upload_id: str, offset: int, part: bytes) -> None:
        async def requests() -> AsyncIterator[parts.AppendDebtUploadRequest]:
            yield parts.AppendDebtUploadRequest(head=parts.AppendDebtUploadRequest.Head(id=upload_id, offset=offset))
            for start in range(0, len(part), 256 * 1024):
                yield parts.AppendDebtUploadRequest(chunk=part[start : start + 256 * 1024])

        await crash.uploads.AppendDebtUpload(requests(), metadata=crash.metadata)

    async with crash.process() as (pid, _):
        announced = parts.CreateDebtUploadRequest(
            size=len(data), sha256=hashlib.sha256(data).hexdigest(), way=parts.DebtUpload.RESUMABLE
        )
        upload = await crash.uploads.CreateDebtUpload(announced, metadata=crash.metadata)
        await append(upload.id, 0, data[:half])
        os.kill(pid, sent)
    async with crash.process() as (pid, _):
        await append(upload.id, half, data[half:])

        async def some() -> bool:
            return await crash.registered() > 2000

        await eventually(some, interval=0.005)
        os.kill(pid, sent)
    assert await crash.registered() < 30_000
    async with crash.process() as (_, stub):
        file = await crash.until(stub, DebtFile.COMPLETED)
        assert (file.id, file.accepted, file.duplicates, file.rejected) == (upload.id, 30_000, 0, 0)
        await crash.told_once()

        async def no_parts() -> bool:
            async with stores.database.connection() as connection:
                return await connection.fetchval("SELECT count(*) FROM debt_upload_parts") == 0

        await eventually(no_parts)
