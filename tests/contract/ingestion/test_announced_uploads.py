"""The port `UploadStore` in memory and in PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.bucket_settings import StoredObject
from services.chassis.ids import new_id
from services.chassis.postgres import Database, Outbox
from services.ingestion.adapters.memory.announced_uploads import MemoryUploads
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.adapters.postgres.announced_uploads import PostgresUploads
from services.ingestion.adapters.postgres.bucket_uploads import PostgresBucketUploads
from services.ingestion.adapters.postgres.debt_files import PostgresDebtFiles
from services.ingestion.adapters.postgres.upload_parts import PostgresUploadParts
from services.ingestion.application.debts.announced_ports import (
    BucketUploadStore,
    Claim,
    OpenLimits,
    UploadPartStore,
    UploadStore,
)
from services.ingestion.application.debts.ports import DebtFileStore, Run
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.debt_file import FileState
from services.ingestion.domain.debts.dialect import Declared
from services.ingestion.domain.debts.errors import TooManyUploads
from services.ingestion.domain.debts.reject_limit import RejectLimit
from services.ingestion.domain.debts.upload_errors import StorageFull, UploadEnded, UploadExpired, UploadOffset
from services.ingestion.domain.errors import ResourceNotFound
from tests.support.eventually import eventually

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
def parts(store: UploadStore, request: pytest.FixtureRequest) -> UploadPartStore:
    if isinstance(store, MemoryUploads):
        return store
    return PostgresUploadParts(request.getfixturevalue("database"))


@pytest.fixture
def objects(store: UploadStore, request: pytest.FixtureRequest) -> BucketUploadStore:
    if isinstance(store, MemoryUploads):
        return store
    return PostgresBucketUploads(request.getfixturevalue("database"))


@pytest.fixture
def files(where: str, tables: DebtTables, request: pytest.FixtureRequest) -> DebtFileStore:
    if where == "memory":
        return MemoryDebtFiles(tables)
    database: Database = request.getfixturevalue("database")
    return PostgresDebtFiles(database, Outbox(source="tests"), event_debts=10)


async def made(store: UploadStore, life: timedelta = HOUR, by: str = "ann", **limits: int) -> AnnouncedUpload:
    return await store.create(by, UploadWay.SIGNED_URL, SAID, life, OpenLimits(**limits))


async def parted(store: UploadStore, size: int = 10, life: timedelta = HOUR) -> AnnouncedUpload:
    return await store.create("ann", UploadWay.RESUMABLE, replace(SAID, size=size), life, OpenLimits())


async def kept(parts: UploadPartStore, upload: AnnouncedUpload) -> bytes:
    return b"".join([part async for part in parts.content(upload)])


async def whole(store: UploadStore, parts: UploadPartStore) -> AnnouncedUpload:
    upload = await parted(store)
    writer = await parts.attach(upload.id, 0)
    await parts.append(upload.id, writer, 0, b"0123456789", keep=True)
    return upload


async def claimed(parts: UploadPartStore, worker: str) -> Claim:
    claim = await parts.claim(worker, HOUR)
    assert claim is not None
    return claim


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
    assert (await store.get(upload.id)).as_debt_file().state is FileState.CANCELLED
    with pytest.raises(UploadEnded):
        await store.take(upload.id)


async def test_a_failure_that_has_no_debt_file_is_kept(store: UploadStore) -> None:
    upload = await made(store)
    await store.take(upload.id)
    await store.fail(upload.id, "there is no such profile")
    file = (await store.get(upload.id)).as_debt_file()
    assert (file.state, file.error) == (FileState.FAILED, "there is no such profile")


async def test_open_uploads_are_counted(store: UploadStore) -> None:
    upload = await made(store, of_caller=2, of_all=3)
    await made(store, of_caller=2, of_all=3)
    with pytest.raises(TooManyUploads, match="awaited already; send some or give them up"):
        await made(store, of_caller=2, of_all=3)
    await made(store, by="bob", of_caller=2, of_all=3)
    with pytest.raises(TooManyUploads, match="awaited already; send some or give them up"):
        await made(store, by="eve", of_caller=2, of_all=3)
    await store.take(upload.id)
    await made(store, of_caller=2, of_all=3)


async def test_parts_add_up(store: UploadStore, parts: UploadPartStore) -> None:
    upload = await parted(store)
    first = await parts.attach(upload.id, 0)
    await parts.append(upload.id, first, 0, b"0123", keep=True)
    found = await store.get(upload.id)
    assert (found.received, found.state, found.as_debt_file().state) == (4, UploadState.OPEN, FileState.RECEIVING)
    second = await parts.attach(upload.id, 4)
    await parts.append(upload.id, second, 4, b"456789", keep=True)
    assert (await store.get(upload.id)).state is UploadState.WHOLE
    assert (await parts.keep(upload.id, second, 10)).received == 10
    assert await kept(parts, upload) == b"0123456789"
    with pytest.raises(UploadEnded):
        await parts.attach(upload.id, 10)


async def test_parts_belong_where_the_last_one_ended(store: UploadStore, parts: UploadPartStore) -> None:
    upload = await parted(store)
    writer = await parts.attach(upload.id, 0)
    await parts.append(upload.id, writer, 0, b"01", keep=True)
    for offset in (0, 1, 3):
        with pytest.raises(UploadOffset) as caught:
            await parts.attach(upload.id, offset)
        assert caught.value.metadata["offset"] == "2"


async def test_a_later_stream_takes_over(store: UploadStore, parts: UploadPartStore) -> None:
    upload = await parted(store)
    old = await parts.attach(upload.id, 0)
    new = await parts.attach(upload.id, 0)
    for keep in (True, False):
        with pytest.raises(UploadOffset):
            await parts.append(upload.id, old, 0, b"old", keep=keep)
    await parts.append(upload.id, new, 0, b"new", keep=True)
    with pytest.raises(UploadOffset):
        await parts.keep(upload.id, old, 0)
    assert await kept(parts, upload) == b"new"


async def test_parts_that_were_not_kept_make_room(store: UploadStore, parts: UploadPartStore) -> None:
    upload = await parted(store)
    spoilt = await parts.attach(upload.id, 0)
    await parts.append(upload.id, spoilt, 0, b"xxxx", keep=False)
    await parts.append(upload.id, spoilt, 4, b"xx", keep=False)
    assert await kept(parts, upload) == b""
    good = await parts.attach(upload.id, 0)
    await parts.append(upload.id, good, 0, b"01234", keep=False)
    await parts.append(upload.id, good, 5, b"56789", keep=False)
    assert (await parts.keep(upload.id, good, 10)).state is UploadState.WHOLE
    assert await kept(parts, upload) == b"0123456789"


async def test_parts_of_what_is_over_are_removed(store: UploadStore, parts: UploadPartStore) -> None:
    given_up, late = await parted(store), await parted(store, life=timedelta(milliseconds=200))
    for upload in (given_up, late):
        await parts.append(upload.id, await parts.attach(upload.id, 0), 0, b"01", keep=True)
    await store.cancel(given_up.id, "")

    async def swept() -> bool:
        return await store.sweep() == 1

    await eventually(swept)
    for upload in (given_up, late):
        assert await kept(parts, upload) == b""
    with pytest.raises(UploadExpired):
        await parts.attach(late.id, 2)


async def test_one_works_on_what_is_whole(store: UploadStore, parts: UploadPartStore) -> None:
    me, other = new_id(), new_id()
    await parted(store)
    assert await parts.claim(me, HOUR) is None
    upload = await whole(store, parts)
    claim = await claimed(parts, me)
    assert (claim.upload.id, claim.attempts) == (upload.id, 1)
    assert await parts.claim(other, HOUR) is None
    with pytest.raises(UploadEnded):
        await store.cancel(upload.id, "")
    await parts.release(claim, -HOUR, counted=True)
    again = await claimed(parts, other)
    assert again.attempts == 2
    assert not await parts.renew(claim, HOUR)
    assert await parts.renew(again, HOUR)
    await parts.end(claim)
    assert await kept(parts, upload) == b"0123456789"
    await parts.end(again)
    assert ((await store.get(upload.id)).state, await kept(parts, upload)) == (UploadState.ENDED, b"")


async def test_what_waits_to_be_worked_on_can_be_given_up(store: UploadStore, parts: UploadPartStore) -> None:
    upload = await whole(store, parts)
    assert (await store.cancel(upload.id, "")).state is UploadState.CANCELLED
    assert await parts.claim(new_id(), HOUR) is None


async def test_the_oldest_is_worked_on_first(store: UploadStore, parts: UploadPartStore) -> None:
    uploads = [await whole(store, parts) for _ in range(3)]
    claims = [await claimed(parts, new_id()) for _ in uploads]
    assert [claim.upload.id for claim in claims] == [upload.id for upload in uploads]


async def test_room_is_bounded(store: UploadStore) -> None:
    limits = OpenLimits(stored=15)
    await store.create("ann", UploadWay.RESUMABLE, replace(SAID, size=10), HOUR, limits)
    with pytest.raises(StorageFull):
        await store.create("ann", UploadWay.RESUMABLE, replace(SAID, size=6), HOUR, limits)
    await store.create("ann", UploadWay.RESUMABLE, replace(SAID, size=5), HOUR, limits)
    await store.create("ann", UploadWay.SIGNED_URL, SAID, HOUR, limits)


def stored(key: str, etag: str = "e1", size: int = 1234) -> StoredObject:
    return StoredObject(key, etag, size, datetime.now(UTC))


async def test_an_object_is_the_content_of_one_upload(
    store: UploadStore, parts: UploadPartStore, objects: BucketUploadStore
) -> None:
    one, other = stored("inbox/b.csv"), stored("inbox/a.csv")
    assert await objects.unknown([one, other]) == [one, other]
    upload_id = new_id()
    assert await objects.found(upload_id, SAID, one)
    assert not await objects.found(new_id(), SAID, one)
    assert not await objects.found(upload_id, SAID, other)
    assert await objects.unknown([one, other]) == [other]
    assert await objects.unknown([stored("inbox/b.csv", "e2")]) != []
    again = replace(one, modified=one.modified + timedelta(seconds=1))
    assert await objects.unknown([again]) == [again]
    claim = await claimed(parts, new_id())
    assert (claim.upload.id, claim.upload.by, claim.upload.said) == (upload_id, "bucket", SAID)
    assert (claim.upload.object_key, claim.upload.object_etag, claim.upload.received) == ("inbox/b.csv", "e1", 1234)


async def test_the_same_file_put_again_is_another_object(objects: BucketUploadStore, parts: UploadPartStore) -> None:
    one = stored("inbox/b.csv")
    later = replace(one, modified=one.modified + timedelta(seconds=1))
    assert await objects.found(new_id(), SAID, one)
    assert await objects.found(new_id(), SAID, later)
    assert await objects.unknown([one, later]) == []
    claims = [await claimed(parts, new_id()) for _ in range(2)]
    assert [claim.upload.object_modified for claim in claims] == [one.modified, later.modified]


async def test_the_first_object_of_an_announced_upload_counts(store: UploadStore, objects: BucketUploadStore) -> None:
    upload = await store.create("ann", UploadWay.BUCKET, SAID, HOUR, OpenLimits())
    other = await made(store)
    assert not await objects.arrived(other.id, stored("uploads/other"))
    assert not await objects.arrived(new_id(), stored("uploads/nobody"))
    assert not await objects.arrived("no id", stored("uploads/no id"))
    assert await objects.arrived(upload.id, stored("uploads/x"))
    assert not await objects.arrived(upload.id, stored("uploads/x", "e2"))
    found = await store.get(upload.id)
    assert (found.state, found.object_etag) == (UploadState.WHOLE, "e1")


async def test_an_object_that_came_in_time_may_be_found_late(store: UploadStore, objects: BucketUploadStore) -> None:
    upload = await store.create("ann", UploadWay.BUCKET, SAID, GONE, OpenLimits())
    await store.sweep()
    late = StoredObject("uploads/x", "e1", 1, upload.expire_time + timedelta(seconds=1))
    assert not await objects.arrived(upload.id, late)
    assert await objects.arrived(upload.id, replace(late, modified=upload.expire_time))


async def test_objects_of_what_is_over_are_named_until_they_are_removed(
    store: UploadStore, parts: UploadPartStore, objects: BucketUploadStore
) -> None:
    never = await store.create("ann", UploadWay.BUCKET, SAID, HOUR, OpenLimits())
    await store.cancel(never.id, "")
    await objects.found(new_id(), SAID, stored("inbox/a"))
    assert await objects.removable(-HOUR, 10) == []
    claim = await claimed(parts, new_id())
    await parts.end(claim)
    assert await objects.removable(HOUR, 10) == []
    [found] = await objects.removable(-HOUR, 10)
    assert (found.id, found.object_key) == (claim.upload.id, "inbox/a")
    await objects.removed([found.id])
    assert await objects.removable(-HOUR, 10) == []
