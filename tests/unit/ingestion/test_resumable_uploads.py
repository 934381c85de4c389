"""Files that come in parts: what came is kept, and once it is whole it is processed once."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import timedelta
from io import FileIO

import pytest

from services.chassis.auth import principal
from services.chassis.tasks import cancel
from services.ingestion.adapters.locales import signs_of
from services.ingestion.adapters.memory.announced_uploads import MemoryUploads
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debt_profiles import MemoryDebtProfiles
from services.ingestion.adapters.memory.debt_tables import DebtTables
from services.ingestion.application.debts import resumable_uploads, whole_uploads
from services.ingestion.application.debts.announced_ports import Claim
from services.ingestion.application.debts.announced_uploads import AnnouncedOptions, AnnouncedUploads
from services.ingestion.application.debts.profiles import DebtProfiles
from services.ingestion.application.debts.resumable_uploads import AppendHead, AppendOptions, ResumableUploads
from services.ingestion.application.debts.uploads import DebtUploads, Upload, UploadOptions
from services.ingestion.application.debts.whole_uploads import WholeUploads
from services.ingestion.domain.debts.announced_upload import AnnouncedUpload, Announcement, UploadState, UploadWay
from services.ingestion.domain.debts.debt_file import FileState
from services.ingestion.domain.debts.errors import TooManyUploads, TooSlow
from services.ingestion.domain.debts.upload_errors import ChecksumMismatch, UploadEnded, UploadMismatch
from services.ingestion.domain.errors import ResourceNotFound
from tests.support.debts import content, rows_of
from tests.support.eventually import eventually

FILE = content(rows_of(30))
LEASE = timedelta(seconds=10)


class NoWorkbooks:
    def read(self, workbook: FileIO, table: FileIO, decimal: str, limit: int) -> None:
        raise AssertionError("there are none")


class Uploads(MemoryUploads):
    """Counts the claims that were given back."""

    released = 0

    async def release(self, claim: Claim, after: timedelta, *, counted: bool) -> None:
        self.released += 1
        await super().release(claim, after, counted=counted)


class World:
    """All of it, on one store."""

    def __init__(self, beside: "World | None" = None, **options: object) -> None:
        """`beside`: the world of another process on the same store."""
        self.tables = beside.tables if beside else DebtTables()
        self.files, self.store = MemoryDebtFiles(self.tables), beside.store if beside else Uploads(self.tables)
        profiles = DebtProfiles(MemoryDebtProfiles(), signs_of)
        self.uploads = DebtUploads(self.files, profiles, NoWorkbooks(), UploadOptions(**options))  # pyright: ignore[reportArgumentType]
        self.announced = AnnouncedUploads(self.store, self.uploads, profiles, None, None, AnnouncedOptions())
        contents = {UploadWay.RESUMABLE: self.store.content}
        self.whole = WholeUploads(self.store, self.store, self.files, self.uploads, contents, lease=LEASE)
        self.resumable = self.appending()

    def appending(self, **options: object) -> ResumableUploads:
        return ResumableUploads(self.announced, self.store, self.whole.wake, AppendOptions(**options))  # pyright: ignore[reportArgumentType]

    async def create(self, way: UploadWay = UploadWay.RESUMABLE, **said: object) -> AnnouncedUpload:
        announcement = Announcement(**{"filename": "debts.csv", "size": len(FILE), **said})  # pyright: ignore[reportArgumentType]
        return (await self.announced.create(announcement, way, timedelta(0))).upload

    async def ended(self, upload: AnnouncedUpload) -> AnnouncedUpload:
        async def over() -> bool:
            return (await self.store.get(upload.id)).state in {UploadState.ENDED, UploadState.FAILED}

        working = asyncio.create_task(self.whole.run())
        try:
            await eventually(over, timeout=30)
        finally:
            await cancel(working)
        return await self.store.get(upload.id)


@pytest.fixture(autouse=True)
def small_parts_and_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resumable_uploads, "PART_SIZE", 100)
    for name in ("_LOOK", "_AGAIN"):
        monkeypatch.setattr(whole_uploads, name, timedelta(milliseconds=10))
    principal.enter(principal.Principal("ann", frozenset({"*"}), frozenset()))
    yield
    principal.enter(None)


async def pieces(data: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 33):
        yield data[start : start + 33]
    if then is not None:
        raise then


def head(upload: AnnouncedUpload, offset: int = 0, data: bytes | None = None, algorithm: str = "") -> AppendHead:
    checksum = hashlib.new(algorithm, data or b"").digest() if algorithm else b""
    return AppendHead(upload.id, offset, None, algorithm, checksum)


async def test_a_file_in_parts_is_one_file() -> None:
    world = World()
    upload = await world.create(sha256=hashlib.sha256(FILE).hexdigest())
    half = await world.resumable.append(head(upload), pieces(FILE[:500]))
    assert (half.received, half.state) == (500, UploadState.OPEN)
    sum_of_it = head(upload, 500, FILE[500:], "sha1")
    assert (await world.resumable.append(sum_of_it, pieces(FILE[500:]))).state is UploadState.WHOLE
    assert (await world.ended(upload)).state is UploadState.ENDED
    file = await world.files.get(upload.id)
    assert (file.state, file.counts.accepted, file.bytes) == (FileState.COMPLETED, 30, len(FILE))


async def test_what_came_before_a_break_is_kept() -> None:
    world = World()
    upload = await world.create()
    with pytest.raises(asyncio.CancelledError):
        await world.resumable.append(head(upload), pieces(FILE[:250], asyncio.CancelledError()))
    assert (await world.store.get(upload.id)).received == 250


async def test_of_bytes_that_their_checksum_does_not_know_none_are_kept() -> None:
    world = World()
    upload = await world.create()
    with pytest.raises(ChecksumMismatch):
        await world.resumable.append(head(upload, 0, b"other", "sha256"), pieces(FILE[:250]))
    with pytest.raises(asyncio.CancelledError):
        broken = pieces(FILE[:250], asyncio.CancelledError())
        await world.resumable.append(head(upload, 0, FILE, "sha256"), broken)
    assert (await world.store.get(upload.id)).received == 0
    await world.resumable.append(head(upload, 0, FILE, "md5"), pieces(FILE))
    assert (await world.ended(upload)).state is UploadState.ENDED


async def test_a_client_that_sends_nothing_is_given_up_and_may_come_back() -> None:
    world = World()
    upload = await world.create()

    async def stalled() -> AsyncIterator[bytes]:
        yield FILE[:50]
        await asyncio.Event().wait()

    with pytest.raises(TooSlow):
        await world.appending(idle=timedelta(milliseconds=10)).append(head(upload), stalled())
    assert (await world.store.get(upload.id)).received == 50
    with pytest.raises(TooSlow):
        await world.appending(within=timedelta(milliseconds=10)).append(head(upload, 50), stalled())
    assert (await world.store.get(upload.id)).received == 100


async def test_more_than_was_announced_is_refused() -> None:
    world = World()
    upload = await world.create()
    with pytest.raises(UploadMismatch):
        await world.resumable.append(AppendHead(upload.id, 0, len(FILE) + 1, "", b""), pieces(b""))
    with pytest.raises(UploadMismatch):
        await world.resumable.append(head(upload), pieces(FILE + b"more"))


async def test_streams_are_bounded() -> None:
    world = World()
    upload, other = await world.create(), await world.create()
    one = world.appending(streams=1)

    async def meeting() -> AsyncIterator[bytes]:
        with pytest.raises(TooManyUploads):
            await one.append(head(other), pieces(FILE))
        yield FILE[:10]

    await one.append(head(upload), meeting())
    await one.append(head(other), pieces(FILE[:10]))


async def test_parts_are_for_resumable_uploads_of_the_caller() -> None:
    world = World()
    upload = await world.create()
    stored = await world.store.create("ann", UploadWay.SIGNED_URL, upload.said, LEASE, AnnouncedOptions().limits)
    with pytest.raises(UploadEnded):
        await world.resumable.append(head(stored), pieces(FILE))
    principal.enter(principal.Principal("eve", frozenset({"*"}), frozenset()))
    with pytest.raises(ResourceNotFound):
        await world.resumable.append(head(upload), pieces(FILE))


async def test_content_that_is_no_file_fails_once() -> None:
    world = World()
    upload = await world.create(size=4)
    await world.resumable.append(head(upload), pieces(b"a,b\n"))
    assert (await world.ended(upload)).state is UploadState.ENDED
    file = await world.files.get(upload.id)
    assert (file.state, file.error.partition(":")[0]) == (FileState.FAILED, "header")


async def test_another_checksum_than_announced_registers_nothing() -> None:
    world = World()
    upload = await world.create(sha256="0" * 64)
    await world.resumable.append(head(upload), pieces(FILE))
    await world.ended(upload)
    assert (await world.files.get(upload.id)).state is FileState.FAILED
    assert not world.tables.debts


async def test_a_whole_upload_waits_for_a_place() -> None:
    world = World(max_uploads=1)
    upload = await world.create()
    await world.resumable.append(head(upload), pieces(FILE))
    go = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield content(rows_of(5, start=100))
        await go.wait()

    blocking = asyncio.create_task(world.uploads.upload(Upload("other.csv"), slow()))
    working = asyncio.create_task(world.whole.run())

    await eventually(lambda: world.store.released > 0)
    go.set()
    await blocking
    await cancel(working)
    assert (await world.ended(upload)).state is UploadState.ENDED
    assert len(world.tables.debts) == 35


async def test_what_a_process_has_begun_another_one_goes_on_with() -> None:
    first = World(block=512)
    data = content(rows_of(2000))
    upload = await first.create(size=len(data))
    await first.resumable.append(head(upload), pieces(data))
    working = asyncio.create_task(first.whole.run())
    await eventually(lambda: bool(first.tables.debts))
    await cancel(working)
    await first.uploads.close()
    assert not (await first.files.get(upload.id)).state.final
    second = World(first)
    await second.ended(upload)
    file = await second.files.get(upload.id)
    assert (file.state, file.counts.accepted) == (FileState.COMPLETED, 2000)
    assert sum(len(batch) for batch in second.tables.registered) == 2000


async def test_a_fault_of_ours_holds_up_no_other_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_uploads, "_ATTEMPTS", 2)
    world = World()
    bad, good = await world.create(), await world.create()

    def content_of(upload: AnnouncedUpload) -> AsyncGenerator[bytes]:
        if upload.id == bad.id:
            raise RuntimeError("a bug")
        return world.store.content(upload)

    world.whole = WholeUploads(
        world.store, world.store, world.files, world.uploads, {UploadWay.RESUMABLE: content_of}, lease=LEASE
    )
    for upload in (bad, good):
        await world.resumable.append(head(upload), pieces(FILE))
    assert (await world.ended(good)).state is UploadState.ENDED
    failed = await world.ended(bad)
    assert (failed.state, failed.error) == (
        UploadState.FAILED,
        "something went wrong in the service; it has been logged",
    )
