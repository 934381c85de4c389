"""The port `UploadStore` in memory and in PostgreSQL."""

from datetime import timedelta

import pytest

from services.chassis.ids import new_id
from services.chassis.postgres import Database, Outbox
from services.ingestion.adapters.memory.announced_uploads import MemoryUploads
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.adapters.postgres.announced_uploads import PostgresUploads
from services.ingestion.adapters.postgres.debt_files import PostgresDebtFiles
from services.ingestion.application.debts.announced_ports import OpenLimits, UploadStore
from services.ingestion.application.debts.ports import DebtFileStore, Run
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.debt_file import FileState
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.debts.upload_errors import UploadEnded, UploadExpired
from services.ingestion.domain.errors import ResourceNotFound

SAID = Announcement(
    filename="dívidas.csv",
    size=1234,
    sha256="ab" * 32,
    content_type="text/csv",
    dry_run=True,
    reject_limit=RejectLimit(10, 2.5),
    profile="brazil",
    declared=Declared(charset="windows-1252", currency="BRL"),
)
HOUR = timedelta(hours=1)
GONE = timedelta(microseconds=1)


@pytest.fixture
def tables() -> DebtTables:
    return DebtTables()


@pytest.fixture
def store(where: str, tables: DebtTables, request: pytest.FixtureRequest) -> UploadStore:
    if where == "memory":
        return MemoryUploads(tables)
    return PostgresUploads(request.getfixturevalue("database"))


@pytest.fixture
def files(where: str, tables: DebtTables, request: pytest.FixtureRequest) -> DebtFileStore:
    if where == "memory":
        return MemoryDebtFiles(tables)
    database: Database = request.getfixturevalue("database")
    return PostgresDebtFiles(database, Outbox(source="tests"), event_debts=10)


async def made(store: UploadStore, life: timedelta = HOUR, by: str = "ann", **limits: int) -> AnnouncedUpload:
    return await store.create(by, UploadWay.SIGNED_URL, SAID, life, OpenLimits(**limits))


async def test_what_was_said_is_kept(store: UploadStore) -> None:
    upload = await made(store)
    assert (upload.by, upload.way, upload.said, upload.received) == ("ann", UploadWay.SIGNED_URL, SAID, 0)
    assert upload.expire_time - upload.create_time == HOUR
    assert await store.get(upload.id) == upload
    file = upload.as_debt_file()
    assert (file.id, file.state, file.filename, file.dry_run) == (upload.id, FileState.EXPECTED, "dívidas.csv", True)


@pytest.mark.parametrize("unknown", ["0191d7a4-5b6e-7c21-9d5e-3f1a2b4c6d8e", "no id"])
async def test_what_was_not_announced_is_not_found(store: UploadStore, unknown: str) -> None:
    for call in (store.get(unknown), store.take(unknown), store.cancel(unknown, "")):
        with pytest.raises(ResourceNotFound):
            await call


async def test_content_is_taken_once(store: UploadStore) -> None:
    upload = await made(store)
    assert (await store.take(upload.id)).said == SAID
    assert (await store.get(upload.id)).state is UploadState.ENDED
    for call in (store.take(upload.id), store.cancel(upload.id, "")):
        with pytest.raises(UploadEnded):
            await call


async def test_content_that_was_not_taken_may_come_again(store: UploadStore, files: DebtFileStore) -> None:
    upload = await made(store)
    await store.take(upload.id)
    await store.give_back(upload.id)
    await store.take(upload.id)
    await files.open(Run(upload.id, new_id(), HOUR, dry_run=False), "debts.csv")
    await store.give_back(upload.id)
    await store.fail(upload.id, "late")
    assert (await store.get(upload.id)).state is UploadState.ENDED


async def test_time_runs_out(store: UploadStore) -> None:
    upload, other = await made(store, GONE), await made(store)
    with pytest.raises(UploadExpired):
        await store.take(upload.id)
    assert await store.sweep() == 1
    found = await store.get(upload.id)
    assert (found.state, found.as_debt_file().state) == (UploadState.EXPIRED, FileState.FAILED)
    assert found.error == "the bytes did not come in time"
    with pytest.raises(UploadExpired):
        await store.take(upload.id)
    assert await store.sweep() == 0
    assert (await store.get(other.id)).state is UploadState.OPEN


async def test_what_is_given_up_is_over(store: UploadStore) -> None:
    upload = await made(store)
    for _ in range(2):
        found = await store.cancel(upload.id, "cancelled by ann")
        assert (found.state, found.error) == (UploadState.CANCELLED, "cancelled by ann")
    assert found.as_debt_file().state is FileState.CANCELLED
    with pytest.raises(UploadEnded):
        await store.take(upload.id)


async def test_a_failure_that_has_no_debt_file_is_kept(store: UploadStore) -> None:
    upload = await made(store)
    await store.take(upload.id)
    await store.fail(upload.id, "there is no such profile")
    file = (await store.get(upload.id)).as_debt_file()
    assert (file.state, file.error) == (FileState.FAILED, "there is no such profile")


async def test_open_uploads_are_counted(store: UploadStore) -> None:
    for _ in range(2):
        upload = await made(store, of_caller=2, of_all=3)
    with pytest.raises(TooManyUploads):
        await made(store, of_caller=2, of_all=3)
    await made(store, by="bob", of_caller=2, of_all=3)
    with pytest.raises(TooManyUploads):
        await made(store, by="eve", of_caller=2, of_all=3)
    await store.take(upload.id)
    await made(store, of_caller=2, of_all=3)
