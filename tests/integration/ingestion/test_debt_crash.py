"""A service killed in the middle of a debt file."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import grpc.aio
import pytest

from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.nats import NatsConnection, open_nats
from services.chassis.postgres import Database, open_database
from tests.support.debts import content, debts_in_stream, rows_of, settled
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub


@dataclass
class Stores:
    nats: NatsConnection
    database: Database


@asynccontextmanager
async def process(dsn: str, nats_url: str, issuer: DevIssuer) -> AsyncIterator[tuple[int, DebtFileServiceStub]]:
    """`python -m services.ingestion`; gives its process id and a stub."""
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
    }
    service = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.ingestion", env=environment)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            yield service.pid, DebtFileServiceStub(channel)
    finally:
        with suppress(ProcessLookupError):
            service.kill()
        await service.wait()


async def test_a_killed_service_doubles_nothing_and_the_same_file_again_completes_it(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    rows = rows_of(30_000)
    data = content(rows)
    me = (("authorization", f"Bearer {issuer.mint()}"),)

    async def requests() -> AsyncIterator[pb.UploadDebtFileRequest]:
        for start in range(0, len(data), 256 * 1024):
            yield pb.UploadDebtFileRequest(chunk=data[start : start + 256 * 1024])

    async with (
        open_nats(streams, name="looking on") as nats,
        open_database(ingestion_dsn, schema="ingestion", application_name="looking on") as database,
    ):
        stores = Stores(nats, database)

        async def registered() -> int:
            async with database.connection() as connection:
                return await connection.fetchval("SELECT count(*) FROM debts")

        async def some() -> bool:
            return await registered() > 2000

        async with process(ingestion_dsn, streams, issuer) as (pid, stub):
            waiting = asyncio.ensure_future(stub.UploadDebtFile(requests(), metadata=me))
            await eventually(some, interval=0.005)
            os.kill(pid, 9)
            with pytest.raises(grpc.aio.AioRpcError):
                await waiting
        committed = await registered()
        assert 2000 < committed < 30_000
        async with process(ingestion_dsn, streams, issuer) as (_, stub):

            async def failed() -> DebtFile | None:
                listed = await stub.ListDebtFiles(pb.ListDebtFilesRequest(), metadata=me)
                (file,) = listed.debt_files
                return file if file.state == DebtFile.FAILED else None

            broken = await eventually(failed)
            assert broken is not None
            assert broken.accepted == committed
            assert "send the file again" in broken.error
            again = await stub.UploadDebtFile(requests(), metadata=me)
            assert (again.state, again.accepted, again.duplicates) == (
                DebtFile.COMPLETED, 30_000 - committed, committed,
            )  # fmt: skip
            await settled(stores)
            assert sorted(map(list, await debts_in_stream(stores))) == sorted(rows)
