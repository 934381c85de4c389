"""Debt files through the running service: what is uploaded, what is registered, what goes out."""

import asyncio
import csv
import io
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from services.chassis.auth.dev_issuer import DevIssuer
from tests.integration.ingestion.conftest import World, started
from tests.support.debts import COLUMNS, content, debts_in_stream, row, rows_of, settled
from tests.support.eventually import eventually
from tocsin.events.v1.debts_pb2 import DebtFileCompleted
from tocsin.ingestion.v1 import debt_file_service_pb2 as pb
from tocsin.ingestion.v1.debt_file_pb2 import DebtFile
from tocsin.ingestion.v1.debt_file_service_pb2_grpc import DebtFileServiceStub


def stub(world: World) -> DebtFileServiceStub:
    return DebtFileServiceStub(world.channel)


async def requests(data: bytes, size: int, **metadata: object) -> AsyncIterator[pb.UploadDebtFileRequest]:
    if metadata:
        yield pb.UploadDebtFileRequest(metadata=pb.UploadDebtFileRequest.Metadata(**metadata))  # pyright: ignore[reportArgumentType]
    for start in range(0, len(data), size):
        yield pb.UploadDebtFileRequest(chunk=data[start : start + size])


async def upload(world: World, data: bytes, *, size: int = 256 * 1024, **metadata: object) -> DebtFile:
    return await stub(world).UploadDebtFile(requests(data, size, **metadata), metadata=world.me)


async def refused(world: World, data: bytes, **metadata: object) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await upload(world, data, **metadata)
    return told(caught.value)


def told(error: grpc.aio.AioRpcError) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    raw = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(bytes(raw)).details:
        detail.Unpack(info)
    return error.code(), info.reason, dict(info.metadata)


async def count(world: World, table: str) -> int:
    async with world.database.connection() as connection:
        return await connection.fetchval(f"SELECT count(*) FROM {table}")


async def newest(world: World) -> DebtFile:
    listed = await stub(world).ListDebtFiles(pb.ListDebtFilesRequest(page_size=1), metadata=world.me)
    return listed.debt_files[0]


async def rejects(world: World, file_id: str) -> list[tuple[int, str, str]]:
    listed = await stub(world).ListDebtFileRejects(
        pb.ListDebtFileRejectsRequest(id=file_id, page_size=1000), metadata=world.me
    )
    return [(reject.line, reject.reason, reject.column) for reject in listed.rejects]


async def completed(world: World) -> dict[str, DebtFileCompleted]:
    await settled(world)
    found: dict[str, DebtFileCompleted] = {}
    last = (await world.nats.js.stream_info("DEBT_FILES")).state.last_seq
    for sequence in range(1, last + 1):
        message = await world.nats.js.get_msg("DEBT_FILES", sequence)
        event = DebtFileCompleted.FromString(message.data or b"")
        assert event.debt_file not in found
        found[event.debt_file] = event
    return found


@pytest.mark.parametrize(("size", "dialect"), [(256 * 1024, {}), (997, {"delimiter": ";", "quoting": csv.QUOTE_ALL})])
async def test_every_row_is_registered_and_leads_to_one_event(
    world: World, size: int, dialect: dict[str, object]
) -> None:
    rows = rows_of(3000)
    file = await upload(world, content(rows, **dialect), size=size, filename="march.csv")
    assert (file.state, file.rows, file.accepted, file.duplicates, file.rejected) == (
        DebtFile.COMPLETED,
        3000,
        3000,
        0,
        0,
    )
    assert (file.filename, file.bytes, file.error) == ("march.csv", len(content(rows, **dialect)), "")
    debt = await stub(world).GetDebt(pb.GetDebtRequest(id=rows[17][5]), metadata=world.me)
    assert [debt.name, debt.government_id, debt.email, debt.amount, debt.due_date, debt.id] == rows[17]
    assert debt.debt_file == file.id
    await settled(world)
    sent = await debts_in_stream(world)
    assert sorted(map(list, sent)) == sorted(rows)
    event = (await completed(world))[file.id]
    assert (event.state, event.rows, event.accepted) == ("COMPLETED", 3000, 3000)


async def test_bad_rows_are_listed_and_their_neighbours_registered(world: World) -> None:
    rows = rows_of(2500)
    bad = {
        100: ("debtAmount", "-1", "DEBT_AMOUNT_INVALID"),
        700: ("email", "=cmd", "EMAIL_INVALID"),
        2400: ("name", "", "FIELD_MISSING"),
    }
    for at, (column, value, _) in bad.items():
        rows[at][COLUMNS.index(column)] = value
    lines = content(rows).decode().split("\n")
    lines[1500] = "a,b"
    lines[1600] = '"' + lines[1600]
    file = await upload(world, "\n".join(lines).encode())
    assert (file.state, file.rows, file.accepted, file.rejected) == (DebtFile.COMPLETED_WITH_REJECTS, 2500, 2495, 5)
    expected = [(at + 2, reason, column) for at, (column, _, reason) in bad.items()]
    expected += [(1501, "ROW_MALFORMED", ""), (1601, "ROW_MALFORMED", "")]
    assert await rejects(world, file.id) == sorted(expected)
    pages: list[int] = []
    token = ""
    while True:
        request = pb.ListDebtFileRejectsRequest(id=file.id, page_size=2, page_token=token)
        page = await stub(world).ListDebtFileRejects(request, metadata=world.me)
        pages += [reject.line for reject in page.rejects]
        if not (token := page.next_page_token):
            break
    assert pages == sorted(line for line, _, _ in expected)
    pieces = stub(world).DownloadDebtFileRejects(pb.DownloadDebtFileRejectsRequest(id=file.id), metadata=world.me)
    body = [piece async for piece in pieces]
    assert body[0].content_type.startswith("text/csv")
    read = list(csv.reader(io.StringIO(b"".join(piece.data for piece in body).decode(), newline="")))
    assert read[0] == ["\ufeffrejectLine", "rejectReason", *COLUMNS]
    assert [line[0] for line in read[1:]] == [str(line) for line in pages]
    assert read[pages.index(1601) + 1][2:] == lines[1600].split(",")
    assert read[pages.index(702) + 1][1:5] == [
        "email: must be an e-mail address like name@example.com", *rows[700][:2], "'=cmd",
    ]  # fmt: skip


async def test_downloaded_rejects_hold_no_formulas(world: World) -> None:
    data = content([]) + b"=1+1,2,a@b.co,1,2026-01-01,x\n+x\n@SUM(A1)\n-2\n" + "\uff1dx\n =x\n".encode()
    file = await upload(world, data)
    pieces = stub(world).DownloadDebtFileRejects(pb.DownloadDebtFileRejectsRequest(id=file.id), metadata=world.me)
    text = b"".join([piece.data async for piece in pieces]).decode()
    cells = [line[2] for line in csv.reader(io.StringIO(text, newline=""))][1:]
    assert cells == ["'+x", "'@SUM(A1)", "'-2", "'\uff1dx", "' =x"]
    assert file.accepted == 1


async def downloaded(world: World, file_id: str) -> bytes:
    pieces = stub(world).DownloadDebtFileRejects(pb.DownloadDebtFileRejectsRequest(id=file_id), metadata=world.me)
    return b"".join([piece.data async for piece in pieces])


@pytest.mark.parametrize("dialect", [{"delimiter": ";", "lineterminator": "\r\n"}, {"delimiter": "\t"}, {}])
async def test_rejects_are_mended_and_sent_again(world: World, dialect: dict[str, str]) -> None:
    rows = [
        row("d1", name="José", email="nobody", amount="0"),
        row("d2"),
        row("d3", name="=1+1", government_id="-7", due_date="soon"),
        row("d4", name="'=quoted", amount="x"),
        row("d5", name='Pipe 6"', email="x"),
    ]
    file = await upload(world, content(rows, **dialect))
    assert (file.accepted, file.rejected) == (1, 4)
    download = await downloaded(world, file.id)
    delimiter, end = dialect.get("delimiter", ","), dialect.get("lineterminator", "\n")
    assert download.startswith(b"\xef\xbb\xbf" + delimiter.join(("rejectLine", "rejectReason", *COLUMNS)).encode())
    assert download.count(end.encode()) == 5
    again = await upload(world, download)
    assert (again.accepted, again.rejected) == (0, 4)  # nothing is mended
    assert [reason for _, reason, _ in await rejects(world, again.id)] == [
        reason for _, reason, _ in await rejects(world, file.id)
    ]
    lines = list(csv.reader(io.StringIO(download.decode("utf-8-sig"), newline=""), delimiter=delimiter))
    for column, line, value in ((4, 1, "jose@example.com"), (5, 1, "5"), (6, 2, "2027-01-31"), (5, 3, "7")):
        lines[line][column] = value
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows(lines)
    last = await upload(world, out.getvalue().encode())
    assert (last.accepted, last.rejected) == (3, 1)
    names = {
        name: (await stub(world).GetDebt(pb.GetDebtRequest(id=name), metadata=world.me)).name
        for name in ("d1", "d3", "d4")
    }
    assert names == {"d1": "José", "d3": "=1+1", "d4": "'=quoted"}
    left = await downloaded(world, last.id)
    assert (left.count(b"rejectReason"), left.count(b"Pipe")) == (1, 1)


async def test_the_first_row_of_an_id_wins_within_a_file_and_against_the_database(world: World) -> None:
    await upload(world, content([row("known", name="Ana")]))
    rows = [
        row("known", name="Ana"),  # a duplicate of the stored one
        row("new", name="Bruno"),
        row("known", name="Carla"),  # conflicts with the stored one
        row("new", name="Bruno"),  # a duplicate of line 3
        row("new", name="Diego"),  # conflicts with line 3
        row("other", amount="5"),
        row("other", amount="5.00"),  # the same amount
    ]
    file = await upload(world, content(rows))
    assert (file.rows, file.accepted, file.duplicates, file.rejected) == (7, 2, 3, 2)
    assert await rejects(world, file.id) == [(4, "DEBT_ID_CONFLICT", "debtId"), (6, "DEBT_ID_CONFLICT", "debtId")]
    # An id that is new here, so that the block is copied directly: repetitions are judged all the same.
    fresh = await upload(world, content([row("z", name="A"), row("z", name="A"), row("z", name="B")]))
    assert (fresh.accepted, fresh.duplicates, fresh.rejected) == (1, 1, 1)
    assert await rejects(world, fresh.id) == [(4, "DEBT_ID_CONFLICT", "debtId")]
    await settled(world)
    assert Counter(debt[5] for debt in await debts_in_stream(world)) == {"known": 1, "new": 1, "other": 1, "z": 1}


async def test_repetitions_across_blocks_and_mixed_with_new_rows(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_block=64 * 1024, debt_event_size=100) as world:
        old = rows_of(3000)
        await upload(world, content(old))
        new = rows_of(3000, start=3000)
        changed = [[*old[n][:3], "77.77", *old[n][4:]] for n in range(0, 3000, 100)]
        file = await upload(world, content(new[:1500] + old + changed + new[1500:] + new[:10]))
        assert (file.accepted, file.duplicates, file.rejected) == (3000, 3010, 30)
        assert [line for line, _, _ in await rejects(world, file.id)] == list(range(4502, 4532))
        await settled(world)
        sent = await debts_in_stream(world)
        assert sorted(map(list, sent)) == sorted(old + new)


async def test_the_same_content_again_answers_with_the_earlier_result(world: World) -> None:
    data = content([row("a"), row("b", email="nobody")])
    first = await upload(world, data, filename="one.csv")
    before = [await count(world, table) for table in ("debts", "debt_rejects")], await completed(world)
    again = await upload(world, data, filename="two.csv")
    assert again.id != first.id
    assert again.identical_to == first.id
    assert (again.state, again.accepted, again.rejected) == (first.state, first.accepted, first.rejected)
    assert await rejects(world, again.id) == await rejects(world, first.id) == [(3, "EMAIL_INVALID", "email")]
    assert ([await count(world, table) for table in ("debts", "debt_rejects")], await completed(world)) == before


async def test_the_same_content_at_the_same_time_is_processed_once(world: World) -> None:
    data = content(rows_of(100))
    async with world.database.transaction() as connection:
        await connection.execute("LOCK TABLE debts IN EXCLUSIVE MODE")
        first = asyncio.create_task(upload(world, data))

        async def processing() -> bool:
            return (await count(world, "debt_files WHERE state = 'PROCESSING'")) == 1

        await eventually(processing)
        running = (await newest(world)).id
        assert await refused(world, data) == (grpc.StatusCode.ABORTED, "UPLOAD_IN_PROGRESS", {"debtFile": running})
    assert (await first).accepted == 100
    assert (await upload(world, data)).identical_to == running


async def test_two_files_with_the_same_debts_at_once_register_each_once(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_block=64 * 1024) as world:
        rows = rows_of(4000)
        files = await asyncio.gather(
            upload(world, content(rows)),
            upload(world, content(rows[::-1])),
            upload(world, content(rows, delimiter=";")),
        )
        assert sum(file.accepted for file in files) == 4000
        assert sum(file.duplicates for file in files) == 8000
        await settled(world)
        assert sorted(map(list, await debts_in_stream(world))) == sorted(rows)


def damaged(change: Sequence[tuple[bytes, bytes]]) -> bytes:
    data = content(rows_of(3000))
    for old, new in change:
        data = data.replace(old, new, 1)
    return data


@pytest.mark.parametrize(
    ("data", "reason", "metadata"),
    [
        (b"", "HEADER_INVALID", {"missing": ",".join(COLUMNS)}),
        (b"\n", "HEADER_INVALID", {"missing": ",".join(COLUMNS)}),
        (damaged([(b"debtId", b"id")]), "HEADER_INVALID", {"missing": "debtId"}),
        (damaged([(b"debtId", b"email")]), "HEADER_INVALID", {"missing": "debtId"}),
        (damaged([(b"debtId", b"debtId,debtId")]), "HEADER_INVALID", {}),
        (damaged([(b"debtId", b"debtId,colour")]), "HEADER_INVALID", {}),
        (damaged([(b",", b"|")] * 5), "HEADER_INVALID", {}),
        (b"%PDF-1.7\n", "FILE_FORMAT_INVALID", {"format": "pdf"}),
        (b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml", "FILE_FORMAT_INVALID", {"format": "xlsx"}),
        (content([]).decode().encode("utf-16"), "ENCODING_INVALID", {"byte": "0xFF", "offset": "0", "line": "1"}),
        (damaged([(b"Ana 2999", b"Jo\xe3o")]), "ENCODING_INVALID", {"byte": "0xE3", "line": "3001"}),
        (content(rows_of(10)) + "é".encode()[:1], "ENCODING_INVALID", {"byte": "0xC3", "line": "12"}),
        (b"x" * 100_000, "HEADER_INVALID", {}),
    ],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_is_refused_and_registers_nothing(
    world: World, data: bytes, reason: str, metadata: dict[str, str]
) -> None:
    code, why, told_metadata = await refused(world, data)
    assert (code, why) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert metadata.items() <= told_metadata.items()
    file = await newest(world)
    assert (file.state, file.accepted) == (DebtFile.FAILED, 0)
    assert file.error
    assert [await count(world, table) for table in ("debts", "debt_rejects")] == [0, 0]


async def test_limits_answer_resource_exhausted(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_max_file=64 * 1024, debt_max_uploads=1) as world:
        assert await refused(world, content(rows_of(2000))) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE", {"limit": "65536"},
        )  # fmt: skip
        go_on = asyncio.Event()

        async def slow() -> AsyncIterator[pb.UploadDebtFileRequest]:
            yield pb.UploadDebtFileRequest(chunk=content(rows_of(1)))
            await go_on.wait()

        waiting = asyncio.ensure_future(stub(world).UploadDebtFile(slow(), metadata=world.me))
        await eventually(lambda: one_receiving(world))
        assert await refused(world, content(rows_of(2))) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_UPLOADS", {"limit": "1"},
        )  # fmt: skip
        go_on.set()
        assert (await waiting).accepted == 1


async def test_a_client_that_drips_gives_its_place_up(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    limits: dict[str, Any] = {"debt_max_uploads": 1, "debt_idle": timedelta(seconds=1), "debt_least_rate": 1000}
    async with started(ingestion_dsn, streams, issuer, **limits) as world:

        async def dripping() -> AsyncIterator[pb.UploadDebtFileRequest]:
            for piece in content(rows_of(100)).splitlines(keepends=True):
                yield pb.UploadDebtFileRequest(chunk=piece)
                await asyncio.sleep(0.2)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub(world).UploadDebtFile(dripping(), metadata=world.me)
        assert caught.value.code() is grpc.StatusCode.ABORTED
        assert "at least 1000 bytes a second" in str(caught.value.details())
        assert (await upload(world, content(rows_of(2)))).accepted == 2


async def one_receiving(world: World) -> bool:
    return await count(world, "debt_files WHERE state = 'RECEIVING'") == 1


async def test_a_dry_run_tells_what_would_happen_and_registers_nothing(world: World) -> None:
    await upload(world, content([row("known")]))
    before = await completed(world)
    rows = [row("known"), row("a"), row("a"), row("a", name="B"), row("known", name="B"), row("c", email="x")]
    data = content(rows)
    dry = await upload(world, data, dry_run=True)
    assert (dry.state, dry.accepted, dry.duplicates, dry.rejected) == (DebtFile.COMPLETED_WITH_REJECTS, 1, 2, 3)
    assert dry.dry_run
    found = await rejects(world, dry.id)
    assert [(line, reason) for line, reason, _ in found] == [
        (5, "DEBT_ID_CONFLICT"), (6, "DEBT_ID_CONFLICT"), (7, "EMAIL_INVALID"),
    ]  # fmt: skip
    assert await count(world, "debts") == 1
    assert await completed(world) == before
    real = await upload(world, data)
    assert (real.accepted, real.duplicates, real.rejected, real.identical_to) == (1, 2, 3, "")
    assert await rejects(world, real.id) == found


async def test_over_the_reject_limit_nothing_is_registered(world: World) -> None:
    rows = rows_of(500)
    for at in (10, 200, 499):
        rows[at][2] = "nobody"
    data = content(rows)
    code, reason, metadata = await refused(world, data, reject_limit=2)
    assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REJECT_LIMIT_EXCEEDED")
    file = await newest(world)
    assert (metadata["limit"], metadata["rejected"], metadata["debtFile"]) == ("2", "3", file.id)
    assert (file.state, file.accepted, file.rejected) == (DebtFile.FAILED, 0, 3)
    assert [line for line, _, _ in await rejects(world, file.id)] == [12, 202, 501]
    assert await count(world, "debts") == 0
    within = await upload(world, data, reject_limit=3)
    assert (within.state, within.accepted, within.rejected) == (DebtFile.COMPLETED_WITH_REJECTS, 497, 3)
    assert await count(world, "debt_rejects") == 6


async def test_a_reject_limit_may_be_a_share_and_a_setting(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_reject_limit="10%", debt_currency="EUR") as world:
        rows = rows_of(20)
        for at in (3, 5, 7):
            rows[at][2] = "nobody"
        code, reason, metadata = await refused(world, content(rows))
        assert (code, reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REJECT_LIMIT_EXCEEDED")
        assert (metadata["limit"], metadata["rejected"]) == ("10%", "3")
        assert (await refused(world, content(rows), reject_percent=14.9))[1] == "REJECT_LIMIT_EXCEEDED"
        within = await upload(world, content(rows), reject_percent=15)
        assert (within.accepted, within.rejected) == (17, 3)
        debt = await stub(world).GetDebt(pb.GetDebtRequest(id=rows[0][5]), metadata=world.me)
        assert (debt.currency, debt.line) == ("EUR", 2)


async def test_a_client_that_leaves_half_way_registers_nothing(world: World) -> None:
    sent = asyncio.Event()

    async def half() -> AsyncIterator[pb.UploadDebtFileRequest]:
        yield pb.UploadDebtFileRequest(chunk=content(rows_of(1000)))
        sent.set()
        await asyncio.Event().wait()

    call = stub(world).UploadDebtFile(half(), metadata=world.me)
    waiting = asyncio.ensure_future(call)
    await sent.wait()
    await eventually(lambda: one_receiving(world))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async def failed() -> bool:
        return (await newest(world)).state == DebtFile.FAILED

    await eventually(failed)
    file, size = await newest(world), len(content(rows_of(1000)))
    assert file.error == f"the upload broke off at byte {size}; nothing was registered, send the file again"
    assert file.bytes == size
    assert await count(world, "debts") == 0


async def test_a_client_that_leaves_after_the_last_byte_loses_nothing(world: World) -> None:
    async with world.database.transaction() as connection:
        await connection.execute("LOCK TABLE debts IN EXCLUSIVE MODE")
        call = stub(world).UploadDebtFile(requests(content(rows_of(100)), 4096), metadata=world.me)
        waiting = asyncio.ensure_future(call)

        async def processing() -> bool:
            return (await newest(world)).state == DebtFile.PROCESSING

        await eventually(lambda: count(world, "debt_files"))
        await eventually(processing)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def done() -> bool:
        return (await newest(world)).state == DebtFile.COMPLETED

    await eventually(done)
    assert await count(world, "debts") == 100


async def test_lost_database_sessions_double_nothing(ingestion_dsn: str, streams: str, issuer: DevIssuer) -> None:
    async with started(ingestion_dsn, streams, issuer, debt_block=64 * 1024) as world:
        rows = rows_of(30_000)
        waiting = asyncio.create_task(upload(world, content(rows)))

        async def under_way() -> bool:
            return await count(world, "debts") > 1000

        for _ in range(3):
            await eventually(under_way)
            async with world.database.connection() as connection:
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'tocsin-ingestion' AND datname = current_database()"
                )
        file = await waiting
        assert (file.accepted, file.duplicates, file.rejected) == (30_000, 0, 0)
        await settled(world)
        assert sorted(map(list, await debts_in_stream(world))) == sorted(rows)


async def test_a_stop_in_the_middle_fails_the_file_and_the_same_file_again_completes_it(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    rows = rows_of(30_000)
    async with started(ingestion_dsn, streams, issuer, debt_block=64 * 1024) as world:
        waiting = asyncio.create_task(upload(world, content(rows)))

        async def under_way() -> bool:
            return await count(world, "debts") > 1000

        await eventually(under_way)
        await world.app.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await waiting
        assert told(caught.value)[0] == grpc.StatusCode.UNAVAILABLE
    async with started(ingestion_dsn, streams, issuer) as world:
        broken = await newest(world)
        assert broken.state == DebtFile.FAILED
        assert 1000 < broken.accepted < 30_000
        again = await upload(world, content(rows))
        assert (again.accepted, again.duplicates) == (30_000 - broken.accepted, broken.accepted)
        await settled(world)
        assert sorted(map(list, await debts_in_stream(world))) == sorted(rows)


async def test_progress_can_be_watched_from_another_replica(
    ingestion_dsn: str, streams: str, issuer: DevIssuer
) -> None:
    async with (
        started(ingestion_dsn, streams, issuer, debt_block=64 * 1024) as one,
        started(ingestion_dsn, streams, issuer) as two,
    ):
        waiting = asyncio.create_task(upload(one, content(rows_of(20_000))))
        await eventually(lambda: count(two, "debt_files"))
        file_id = (await newest(two)).id
        seen = [file async for file in stub(two).WatchDebtFile(pb.WatchDebtFileRequest(id=file_id), metadata=two.me)]
        final = await waiting
        assert seen[-1] == final
        assert [file.rows for file in seen] == sorted(file.rows for file in seen)


async def test_files_are_listed_by_token_and_by_page_number(world: World) -> None:
    made = [(await upload(world, content([row(f"d{n}")]))).id for n in range(5)][::-1]
    service = stub(world)
    first = await service.ListDebtFiles(pb.ListDebtFilesRequest(page_size=2), metadata=world.me)
    token = first.next_page_token
    second = await service.ListDebtFiles(pb.ListDebtFilesRequest(page_size=2, page_token=token), metadata=world.me)
    third = await service.ListDebtFiles(pb.ListDebtFilesRequest(page_size=2, page=3), metadata=world.me)
    assert [file.id for page in (first, second, third) for file in page.debt_files] == made
    assert [page.total_size for page in (first, second, third)] == [5, 5, 5]
    assert third.next_page_token == ""


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    service = stub(world)
    for name in ("nothing", "0192f0c1-2b3c-7d4e-8f50-123456789abc", "x" * 36):
        for call in (
            service.GetDebtFile(pb.GetDebtFileRequest(id=name), metadata=world.me),
            service.GetDebt(pb.GetDebtRequest(id=name), metadata=world.me),
            service.ListDebtFileRejects(pb.ListDebtFileRejectsRequest(id=name), metadata=world.me),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert told(caught.value)[:2] == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in service.WatchDebtFile(pb.WatchDebtFileRequest(id=name), metadata=world.me):
                pass
        assert told(caught.value)[0] == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.GetDebt(pb.GetDebtRequest(id="a.b *>"), metadata=world.me)
    assert told(caught.value)[0] == grpc.StatusCode.INVALID_ARGUMENT
