"""The ports `DebtFileStore` and `RowWriter` in memory and in PostgreSQL."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from services.chassis.ids import new_id
from services.chassis.nats.topology import DEBT_FILE_COMPLETED_SUBJECT, DEBTS_REGISTERED_SUBJECT
from services.chassis.postgres import Database, Outbox
from services.ingestion.adapters.memory.debt_files import MemoryDebtFiles
from services.ingestion.adapters.memory.debts import MemoryDebts
from services.ingestion.adapters.postgres.debt_files import PostgresDebtFiles
from services.ingestion.adapters.postgres.debts import PostgresDebts
from services.ingestion.application.debts.ports import (
    ABANDONED,
    DebtFileStore,
    DebtStore,
    Progress,
    RowWriter,
    Run,
    TextForm,
)
from services.ingestion.domain.debts.debt_file import Counts, DebtFile, DebtFilter, FileFilter, FileState
from services.ingestion.domain.debts.errors import LeaseLost, UploadBroken, UploadInProgress
from services.ingestion.domain.debts.parser import Checkpoint
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound
from tests.support.debts import COLUMNS, OPTIONAL, block_of, content, parsed, row, rows_of
from tocsin.events.v1.debts_pb2 import DebtFileCompleted, DebtsRegistered

EVENT_DEBTS = 4
FORM = TextForm(",".join(COLUMNS), ",", "\n")
OVER = timedelta(seconds=-1)
"""A lease that has run out when it begins."""
LONG = timedelta(minutes=10)
"""How long a file waits to be gone on with."""

Batch = tuple[str, list[list[str]]]
"""An event of debts: the file, and the rows."""


@dataclass
class Desk:
    """A store, and the events that it has left: batches of debts, and (file, state, counts) of files that ended."""

    store: DebtFileStore
    debts: DebtStore
    registered: Callable[[], Awaitable[list[Batch]]]
    completed: Callable[[], Awaitable[list[tuple[str, str, Counts]]]]

    async def opened(self, *, lease: timedelta = timedelta(minutes=1), dry_run: bool = False) -> Run:
        run = Run(new_id(), new_id(), lease, dry_run)
        await self.store.open(run, "debts.csv")
        return run

    async def begun(self, data: bytes = b"", *, dry_run: bool = False) -> Run:
        """A file that is being processed."""
        run = await self.opened(dry_run=dry_run)
        name = sha256(data or run.file_id.encode()).hexdigest()
        assert await self.store.begin(run, len(data), name, FORM) is None
        return run

    async def processed(self, *blocks: Sequence[list[str]]) -> DebtFile:
        """A file with these rows, to its end."""
        run = await self.begun()
        async with self.store.registering(run) as writer:
            await stored(writer, blocks)
        return await self.store.finish(run)


async def stored(writer: RowWriter, blocks: Iterable[Sequence[list[str]]]) -> list[Counts]:
    """Stores blocks of rows, one after another; the first row stands in line 2."""
    line, found = 2, list[Counts]()
    for rows in blocks:
        found.append(await writer.store(writer.prepare(block_of(rows, line))))
        line += len(rows)
    return found


@pytest.fixture
def desk(where: str, request: pytest.FixtureRequest) -> Desk:
    if where == "memory":
        return _in_memory()
    return _in_postgres(request.getfixturevalue("database"))


def _in_memory() -> Desk:
    store = MemoryDebtFiles(event_debts=EVENT_DEBTS)

    async def registered() -> list[Batch]:
        return [
            (
                debts[0].debt_file,
                [[d.name, d.government_id, d.email, str(d.amount), d.due_date.isoformat(), d.id] for d in debts],
            )
            for debts in store.tables.registered
        ]

    async def completed() -> list[tuple[str, str, Counts]]:
        return [(file.id, file.state.value, file.counts) for file in store.tables.completed]

    return Desk(store, MemoryDebts(store.tables), registered, completed)


def _in_postgres(database: Database) -> Desk:
    async def payloads(subject: str) -> list[bytes]:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM outbox WHERE subject = $1 ORDER BY id", subject)
        return [row["payload"] for row in rows]

    async def registered() -> list[Batch]:
        batches = map(DebtsRegistered.FromString, await payloads(DEBTS_REGISTERED_SUBJECT))
        return [
            (batch.debt_file, [[d.name, d.government_id, d.email, d.amount, d.due_date, d.id] for d in batch.debts])
            for batch in batches
        ]

    async def completed() -> list[tuple[str, str, Counts]]:
        events = map(DebtFileCompleted.FromString, await payloads(DEBT_FILE_COMPLETED_SUBJECT))
        return [(e.debt_file, e.state, Counts(e.accepted, e.duplicates, e.rejected)) for e in events]

    store = PostgresDebtFiles(database, Outbox(source="tests"), event_debts=EVENT_DEBTS)
    return Desk(store, PostgresDebts(database), registered, completed)


async def lines_and_reasons(desk: Desk, file_id: str) -> list[tuple[int, str]]:
    return [(reject.line, reject.broken[0].reason) for reject in await desk.store.rejects(file_id, 0, 1000)]


async def test_a_file_goes_its_way_and_its_end_is_told(desk: Desk) -> None:
    run = await desk.opened()
    file = await desk.store.get(run.file_id)
    assert (file.id, file.filename, file.dry_run, file.state) == (
        run.file_id, "debts.csv", False, FileState.RECEIVING,
    )  # fmt: skip
    assert (file.bytes, file.counts, file.sha256, file.error, file.identical_to) == (0, Counts(), "", "", "")
    assert file.complete_time is None
    await desk.store.renew(run, 500)
    assert await desk.store.get(run.file_id) == replace(file, bytes=500)
    assert await desk.store.begin(run, 900, "abc", FORM) is None
    begun = replace(file, state=FileState.PROCESSING, bytes=900, sha256="abc")
    assert await desk.store.get(run.file_id) == begun
    assert await desk.completed() == []
    ended = await desk.store.finish(run)
    assert ended == await desk.store.get(run.file_id)
    assert ended == replace(begun, state=FileState.COMPLETED, complete_time=ended.complete_time)
    assert ended.complete_time is not None
    assert ended.complete_time >= ended.create_time
    assert await desk.completed() == [(run.file_id, "COMPLETED", Counts())]


async def test_a_block_is_stored_with_its_rejects_counts_and_events(desk: Desk) -> None:
    rows = [
        row("a", name="José", amount="1234.5"),
        row("b", email="nobody"),
        row("c"),
        row("d", name="", email="x"),
        row("e"),
    ]
    run = await desk.begun()
    async with desk.store.registering(run) as writer:
        assert await stored(writer, [rows]) == [Counts(3, 0, 2)]
        under_way = await desk.store.get(run.file_id)
        assert (under_way.state, under_way.counts) == (FileState.PROCESSING, Counts(3, 0, 2))
    ended = await desk.store.finish(run)
    assert (ended.state, ended.counts) == (FileState.COMPLETED_WITH_REJECTS, Counts(3, 0, 2))
    assert await desk.completed() == [(run.file_id, "COMPLETED_WITH_REJECTS", Counts(3, 0, 2))]
    debt = await desk.debts.debt("a")
    assert (debt.id, debt.name, debt.government_id, debt.email) == ("a", "José", "123", "ana@example.com")
    assert (debt.amount, debt.due_date) == (Decimal("1234.50"), date(2026, 12, 31))
    assert debt.debt_file == run.file_id
    assert debt.create_time >= ended.create_time
    first, second = await desk.store.rejects(run.file_id, 0, 10)
    assert (first.line, [astuple(b)[:2] for b in first.broken]) == (3, [("EMAIL_INVALID", "email")])
    assert first.raw == "Ana,123,nobody,10.50,2026-12-31,b"
    assert (second.line, [astuple(b)[:2] for b in second.broken]) == (
        5, [("FIELD_MISSING", "name"), ("EMAIL_INVALID", "email")],
    )  # fmt: skip
    ((file_id, sent),) = await desk.registered()
    assert (file_id, sorted(sent)) == (run.file_id, sorted([row("a", name="José", amount="1234.50"), rows[2], rows[4]]))


async def test_events_are_of_bounded_size_and_hold_each_new_debt_once(desk: Desk) -> None:
    rows = rows_of(11)
    await desk.processed(rows[:9], rows[5:7], rows[:1] + rows[9:])
    sent = await desk.registered()
    assert [len(batch) for _, batch in sent] == [4, 4, 1, 2]
    assert sorted(debt for _, batch in sent for debt in batch) == sorted(rows)


async def test_a_known_id_is_a_duplicate_or_a_conflict(desk: Desk) -> None:
    await desk.processed([row("old"), row("older", amount="7")])
    file = await desk.processed(
        [row("new", name="Bruno"), row("old"), row("new", name="Bruno"), row("old", name="Carla")],
        [row("new", name="Diego"), row("older", amount="7.00"), row("newer"), row("newer", due_date="2027-01-01")],
        [row("newer"), row("newer", email="other@example.com"), row("newer", government_id="9")],
    )
    assert file.counts == Counts(2, 4, 5)
    assert await lines_and_reasons(desk, file.id) == [(line, "DEBT_ID_CONFLICT") for line in (5, 6, 9, 11, 12)]
    conflict = (await desk.store.rejects(file.id, 5, 1))[0]
    assert (conflict.broken[0].column, conflict.raw) == ("debtId", "Diego,123,ana@example.com,10.50,2026-12-31,new")
    assert conflict.broken[0].message == "is known with other content: line 2 of this file came first and stands"
    told = (await desk.store.rejects(file.id, 0, 1))[0].broken[0].message
    assert told.startswith("is known with other content: line 2 of debt file 0")
    assert (await desk.debts.debt("new")).name == "Bruno"
    assert (await desk.debts.debt("old")).debt_file != file.id
    assert Counter(debt[5] for _, batch in await desk.registered() for debt in batch) == Counter(
        ["old", "older", "new", "newer"]
    )


@pytest.mark.parametrize("known", [False, True])
async def test_the_first_line_of_an_id_wins_however_it_is_written(desk: Desk, known: bool) -> None:
    """Rows with quotes inside are read by another way than plain ones. Blocks with `known` ids are stored so too."""
    if known:
        await desk.processed([row("known")])
    rows = [row("x", name='Ana "A" Souza'), row("x", name="Bruno"), row("x", name='Ana "A" Souza'), row("known")]
    file = await desk.processed(rows)
    assert file.counts == (Counts(1, 2, 1) if known else Counts(2, 1, 1))
    assert await lines_and_reasons(desk, file.id) == [(3, "DEBT_ID_CONFLICT")]
    assert (await desk.debts.debt("x")).name == 'Ana "A" Souza'


def _muddle(generator: random.Random) -> list[list[str]]:
    """Rows of few ids, with few contents, some of them unusual and some bad."""
    names = ("Ana", "Bruno", 'Ana "A"', "Jo, Ana", "José", "")
    return [
        row(f"id-{generator.randrange(25)}", name=generator.choice(names), amount=generator.choice(("1", "1.00", "2")))
        for _ in range(generator.randrange(30))
    ]


@pytest.mark.parametrize("checked", [False, True])
async def test_what_becomes_of_any_rows_is_what_a_plain_reading_says(desk: Desk, checked: bool) -> None:
    generator = random.Random(11)
    debts: dict[str, tuple[str, Decimal]] = {}
    for _ in range(6):
        blocks = [_muddle(generator) for _ in range(4)]
        known = debts.copy()
        expected: dict[int, str] = {}
        line, duplicates, accepted = 2, 0, 0
        for name, _, _, amount, _, debt_id in itertools.chain(*blocks):
            told = (name, Decimal(amount))
            if not name:
                expected[line] = "FIELD_MISSING"
            elif debt_id not in known:
                known[debt_id] = told
                accepted += 1
            elif known[debt_id] == told:
                duplicates += 1
            else:
                expected[line] = "DEBT_ID_CONFLICT"
            line += 1
        run = await desk.begun(dry_run=checked)
        async with (desk.store.checking if checked else desk.store.registering)(run) as writer:
            counts = sum(await stored(writer, blocks), Counts())
        assert counts == (await desk.store.finish(run)).counts == Counts(accepted, duplicates, len(expected))
        assert dict(await lines_and_reasons(desk, run.file_id)) == expected
        if not checked:
            debts = known
    for debt_id, told in debts.items():
        debt = await desk.debts.debt(debt_id)
        assert (debt.name, debt.amount) == told
    assert sorted(debt[5] for _, batch in await desk.registered() for debt in batch) == sorted(debts)


async def test_files_that_share_debts_at_the_same_time_register_each_once(desk: Desk) -> None:
    rows = rows_of(200)
    pieces = [rows[at : at + 50] for at in range(0, 200, 50)]
    files = await asyncio.gather(
        desk.processed(*pieces), desk.processed(rows[::-1]), desk.processed(rows[100:], rows[:100])
    )
    assert sum((file.counts for file in files), Counts()) == Counts(200, 400, 0)
    sent = [debt for _, batch in await desk.registered() for debt in batch]
    assert sorted(sent) == sorted(rows)


async def test_a_check_registers_nothing_and_a_dry_run_keeps_its_counts(desk: Desk) -> None:
    await desk.processed([row("known")])
    before = await desk.completed(), await desk.registered()
    blocks = [[row("known"), row("a"), row("a", name="B")], [row("a"), row("known", name="B"), row("c", email="x")]]
    run = await desk.begun(dry_run=True)
    async with desk.store.checking(run) as writer:
        assert await stored(writer, blocks) == [Counts(1, 1, 1), Counts(0, 1, 2)]
    ended = await desk.store.finish(run)
    assert (ended.dry_run, ended.state, ended.counts) == (True, FileState.COMPLETED_WITH_REJECTS, Counts(1, 2, 3))
    assert await lines_and_reasons(desk, run.file_id) == [
        (4, "DEBT_ID_CONFLICT"), (6, "DEBT_ID_CONFLICT"), (7, "EMAIL_INVALID"),
    ]  # fmt: skip
    with pytest.raises(ResourceNotFound):
        await desk.debts.debt("a")
    assert (await desk.completed(), await desk.registered()) == before


async def test_what_a_check_has_found_is_not_counted_or_kept_twice(desk: Desk) -> None:
    blocks = [[row("a"), row("b", email="x"), row("a", name="B")]]
    run = await desk.begun()
    async with desk.store.checking(run) as writer:
        assert await stored(writer, blocks) == [Counts(1, 0, 2)]
    assert (await desk.store.get(run.file_id)).counts == Counts()
    kept = await desk.store.rejects(run.file_id, 0, 10)
    async with desk.store.registering(run) as writer:
        assert await stored(writer, blocks) == [Counts(1, 0, 2)]
    assert (await desk.store.finish(run)).counts == Counts(1, 0, 2)
    assert await desk.store.rejects(run.file_id, 0, 10) == kept
    assert [reject.line for reject in kept] == [3, 4]


async def test_checks_of_two_files_do_not_see_each_other(desk: Desk) -> None:
    for _ in range(2):
        one, two = await desk.begun(dry_run=True), await desk.begun(dry_run=True)
        async with desk.store.checking(one) as first, desk.store.checking(two) as second:
            assert await stored(first, [[row("a")]]) == [Counts(1, 0, 0)]
            assert await stored(second, [[row("a", name="B")]]) == [Counts(1, 0, 0)]


async def test_content_that_was_processed_is_repeated(desk: Desk) -> None:
    first = await desk.begun(b"content")
    async with desk.store.registering(first) as writer:
        await stored(writer, [[row("a"), row("b", email="x")]])
    original = await desk.store.finish(first)
    events = await desk.completed(), await desk.registered()
    for _ in range(2):
        again = await desk.opened()
        repeated = await desk.store.begin(again, 7, original.sha256, FORM)
        assert repeated == await desk.store.get(again.file_id)
        assert repeated is not None
        assert (repeated.state, repeated.counts, repeated.identical_to) == (
            FileState.COMPLETED_WITH_REJECTS, Counts(1, 0, 1), original.id,
        )  # fmt: skip
        assert (repeated.bytes, repeated.sha256) == (7, original.sha256)
        assert repeated.complete_time is not None
        assert await lines_and_reasons(desk, again.file_id) == [(3, "EMAIL_INVALID")]
        with pytest.raises(LeaseLost):
            await desk.store.finish(again)
        await desk.store.fail(again, "too late")
        assert await desk.store.get(again.file_id) == repeated
    assert (await desk.completed(), await desk.registered()) == events


async def test_content_that_failed_or_was_only_tried_is_processed(desk: Desk) -> None:
    failed = await desk.begun(b"content")
    await desk.store.fail(failed, "broke off")
    tried = await desk.begun(b"content", dry_run=True)
    await desk.store.finish(tried)
    done = await desk.begun(b"content")
    finished = await desk.store.finish(done)
    assert (finished.state, finished.identical_to) == (FileState.COMPLETED, "")
    tried_again = await desk.begun(b"content", dry_run=True)
    assert (await desk.store.get(tried_again.file_id)).identical_to == ""


async def test_content_that_is_being_processed_is_refused(desk: Desk) -> None:
    trying = await desk.begun(b"content", dry_run=True)
    running = await desk.begun(b"content")
    late = await desk.opened()
    name = (await desk.store.get(running.file_id)).sha256
    with pytest.raises(UploadInProgress) as refusal:
        await desk.store.begin(late, 7, name, FORM)
    assert refusal.value.metadata == {"debtFile": running.file_id}
    waiting = await desk.store.get(late.file_id)
    assert (waiting.state, waiting.sha256, waiting.bytes) == (FileState.RECEIVING, "", 0)
    await desk.store.fail(running, "broke off")
    assert await desk.store.begin(late, 7, name, FORM) is None
    await desk.store.finish(trying)


async def test_an_abandoned_file_is_failed_and_its_run_writes_nothing_more(desk: Desk) -> None:
    gone = await desk.begun(b"content")
    alive = await desk.begun()
    async with desk.store.registering(gone) as writer, desk.store.checking(gone) as checker:
        await stored(writer, [[row("a")]])
        await desk.store.renew(replace(gone, lease=OVER), 7)
        assert await desk.store.fail_abandoned(LONG) == 1
        assert await desk.store.fail_abandoned(LONG) == 0
        failed = await desk.store.get(gone.file_id)
        assert (failed.state, failed.error, failed.counts) == (FileState.FAILED, ABANDONED, Counts(1, 0, 0))
        assert failed.complete_time is not None
        assert await desk.completed() == [(gone.file_id, "FAILED", Counts(1, 0, 0))]
        for late in (
            stored(writer, [[row("b"), row("c", email="x")]]),
            stored(checker, [[row("b"), row("c", email="x")]]),
            desk.store.renew(gone, 8),
            desk.store.begin(gone, 8, "abc", FORM),
            desk.store.finish(gone),
        ):
            with pytest.raises(LeaseLost) as lost:
                await late
            assert lost.value.metadata == {"debtFile": gone.file_id}
        await desk.store.fail(gone, "too late", 7, 9)
    assert await desk.store.get(gone.file_id) == failed
    assert await desk.store.rejects(gone.file_id, 0, 10) == []
    with pytest.raises(ResourceNotFound):
        await desk.debts.debt("b")
    assert [debt[5] for _, batch in await desk.registered() for debt in batch] == ["a"]
    assert (await desk.store.get(alive.file_id)).state is FileState.PROCESSING
    assert len(await desk.completed()) == 1


async def test_a_file_is_gone_on_with_from_its_last_block(desk: Desk) -> None:
    first = await desk.begun(b"content")
    assert await desk.store.progress(first) == Progress()
    async with desk.store.registering(first) as writer:
        block = replace(block_of([row("a"), row("b", email="x"), row("a")], 2), end=Checkpoint(31, 5))
        await writer.store(writer.prepare(block))
        second = replace(first, owner=new_id())
        assert await desk.store.take_over(second)
        with pytest.raises(LeaseLost):
            await stored(writer, [[row("b")]])
    begun = await desk.store.progress(second)
    assert begun == Progress(1, Counts(1, 1, 1), Checkpoint(31, 5))
    async with desk.store.registering(second, begun) as writer:
        await writer.store(writer.prepare(replace(block_of([row("c")], 5), end=Checkpoint(40, 6, True))))
    assert (await desk.store.progress(second)).end == Checkpoint(40, 6, True)
    file = await desk.store.finish(second)
    assert (file.state, file.counts) == (FileState.COMPLETED_WITH_REJECTS, Counts(2, 1, 1))
    assert [debt[5] for _, batch in await desk.registered() for debt in batch] == ["a", "c"]
    assert not await desk.store.take_over(first)


async def test_blocks_that_are_stored_together_are_committed_in_order(desk: Desk) -> None:
    """Also where they share ids: the first row wins, in whichever block it is."""
    run = await desk.begun()
    blocks = [[row(f"{n}-{m}") for m in range(50)] for n in range(6)]
    for n in range(5):
        blocks[n + 1][7] = row(f"{n}-3", name="Somebody else" if n % 2 else row("x")[0])
    async with desk.store.registering(run) as writer:
        storing: list[asyncio.Task[Counts]] = []
        for n, rows in enumerate(blocks):
            if n > 1:
                await storing[n - 2]
            block = replace(block_of(rows, 2 + 50 * n), end=Checkpoint(n + 1, 52 + 50 * n))
            storing.append(asyncio.create_task(writer.store(writer.prepare(block))))
            assert (await desk.store.progress(run)).end.offset in {n - 1, n, n + 1}
        counts = [await one for one in storing]
    assert counts == [Counts(50, 0, 0), *([Counts(49, 1, 0), Counts(49, 0, 1)] * 3)[:5]]
    assert (await desk.store.progress(run)).end == Checkpoint(6, 302)
    await desk.store.finish(run)
    ids = [debt[5] for _, batch in await desk.registered() for debt in batch]
    assert sorted(ids) == sorted({one[5] for rows in blocks for one in rows})
    assert [one.partition("-")[0] for one in ids] == sorted(one.partition("-")[0] for one in ids)


async def test_a_block_that_must_wait_is_still_stored_before_the_next_one(desk: Desk) -> None:
    """The first holds a debt that is just being taken back with another file, and one that the next one has, too."""
    gone = await desk.processed([row("a")])
    await desk.store.rolling_back(gone.id)
    run = await desk.begun()
    async with desk.store.registering(run) as writer:
        blocks = [block_of([row("a"), row("b")], 2), block_of([row("b", name="Somebody else"), row("c")], 4)]
        first, second = (asyncio.create_task(writer.store(writer.prepare(block))) for block in blocks)
        await asyncio.wait([first, second], timeout=0.3)
        assert await desk.debts.remove_debts(gone.id, 9) == 1
        await desk.store.rolled_back(gone.id)
        assert [await first, await second] == [Counts(2, 0, 0), Counts(1, 0, 1)]


@pytest.mark.parametrize("where", ["real"])
async def test_a_debt_that_goes_while_a_block_meets_it_is_registered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no duplicate any more, nor was it inserted: counted as accepted it would be a debt that there is not."""
    gone = await desk.processed([row("a")])
    execute, removed = asyncpg.Connection.execute, list[int]()

    async def meanwhile(connection: asyncpg.Connection, query: str, *arguments: Any, **options: Any) -> str:
        status = await execute(connection, query, *arguments, **options)
        if "INSERT INTO debts SELECT DISTINCT" in query and not removed:
            removed.append(await desk.debts.remove_debts(gone.id, 9))
        return status

    monkeypatch.setattr(asyncpg.Connection, "execute", meanwhile)
    file = await desk.processed([row("a", name="Somebody else"), row("b")])
    assert (removed, file.counts) == ([1], Counts(2, 0, 0))
    found = await desk.debts.debts_of_file(DebtFilter(file.id), 0, 9)
    told = [debt[5] for name, batch in await desk.registered() for debt in batch if name == file.id]
    assert sorted(debt.id for debt in found) == sorted(told) == ["a", "b"]


async def test_behind_a_block_that_was_given_up_none_is_stored(desk: Desk) -> None:
    run = await desk.begun()
    async with desk.store.registering(run) as writer:
        assert await desk.store.take_over(replace(run, owner=new_id()))
        blocks = [block_of([row(name)], line) for line, name in enumerate("ab", 2)]
        storing = [asyncio.create_task(writer.store(writer.prepare(block))) for block in blocks]
        for one in storing:
            with pytest.raises(UploadBroken):
                await one
    assert await desk.registered() == []


async def test_a_file_that_can_be_gone_on_with_fails_later_than_others(desk: Desk) -> None:
    runs = [await desk.opened() for _ in range(2)]
    for run, resumable in zip(runs, (True, False), strict=True):
        assert await desk.store.begin(run, 7, run.file_id, FORM, resumable=resumable) is None
        await desk.store.release(run)
    assert await desk.store.fail_abandoned(LONG) == 1
    states = [(await desk.store.get(run.file_id)).state for run in runs]
    assert states == [FileState.PROCESSING, FileState.FAILED]
    assert await desk.store.fail_abandoned(timedelta(0)) == 1
    await desk.store.release(runs[0])
    assert (await desk.store.get(runs[0].file_id)).state is FileState.FAILED


async def test_the_content_of_a_file_that_broke_off_may_come_again(desk: Desk) -> None:
    """As long as the same upload may be begun anew, it goes on from its last block; and only with the same content."""
    first = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False)
    await desk.store.open(first, "debts.csv", resumable=True)
    again = replace(first, owner=new_id())
    with pytest.raises(ResourceExists):
        await desk.store.open(again, "debts.csv", resumable=True)
    assert await desk.store.begin(first, 7, "content", FORM) is None
    async with desk.store.registering(first) as writer:
        await stored(writer, [[row("a")]])
    await desk.store.release(first)
    for other in (replace(again, dialect="other"), replace(again, dry_run=True)):
        with pytest.raises(ResourceExists):
            await desk.store.open(other, "debts.csv", resumable=True)
    with pytest.raises(ResourceExists):
        await desk.store.open(again, "debts.csv")
    await desk.store.open(again, "debts.csv", resumable=True)
    assert (await desk.store.get(again.file_id)).state is FileState.RECEIVING
    with pytest.raises(UploadBroken, match="not what was registered"):
        await desk.store.begin(again, 7, "other content", FORM)
    assert await desk.store.begin(again, 7, "content", FORM) is None
    begun = await desk.store.progress(again)
    assert (begun.blocks, begun.counts) == (1, Counts(1, 0, 0))
    assert (await desk.store.finish(again)).counts == Counts(1, 0, 0)


async def test_a_check_that_broke_off_is_begun_anew(desk: Desk) -> None:
    for dry_run in (True, False):
        run = await desk.begun(dry_run=dry_run)
        for _ in range(2):
            async with desk.store.checking(run) as checker:
                await stored(checker, [[row("a"), row("b", email="x")]])
        assert (await desk.store.get(run.file_id)).counts == (Counts(1, 0, 1) if dry_run else Counts())
        assert len(await desk.store.rejects(run.file_id, 0, 10)) == 1


async def test_content_of_a_dead_process_can_be_taken_in_at_once(desk: Desk) -> None:
    dead = await desk.begun(b"content")
    await desk.store.renew(replace(dead, lease=OVER), 7)
    await desk.begun(b"content")
    assert (await desk.store.get(dead.file_id)).error == ABANDONED


async def test_storing_rows_renews_the_lease(desk: Desk) -> None:
    for ways in (desk.store.checking, desk.store.registering):
        run = await desk.begun()
        await desk.store.renew(replace(run, lease=OVER), 7)
        async with ways(run) as writer:
            await stored(writer, [[row("a")]])
        assert await desk.store.fail_abandoned(LONG) == 0


async def test_only_the_owner_of_a_file_writes_it(desk: Desk) -> None:
    run = await desk.begun()
    stranger = replace(run, owner=new_id())
    before = await desk.store.get(run.file_id)
    async with desk.store.registering(stranger) as writer, desk.store.checking(stranger) as checker:
        for refused in (
            stored(writer, [[row("a")]]),
            stored(checker, [[row("a")]]),
            desk.store.renew(stranger, 9),
            desk.store.finish(stranger),
        ):
            with pytest.raises(LeaseLost):
                await refused
    await desk.store.fail(stranger, "not mine")
    assert await desk.store.get(run.file_id) == before


async def test_rows_are_taken_between_begin_and_the_end_only(desk: Desk) -> None:
    ways: tuple[Callable[[Run], AbstractAsyncContextManager[RowWriter]], ...]
    ways = (desk.store.checking, desk.store.registering)
    early = await desk.opened()
    late = await desk.begun()
    await desk.store.finish(late)
    for run in (early, late):
        for way in ways:
            async with way(run) as writer:
                with pytest.raises(LeaseLost):
                    await stored(writer, [[row("a")]])
    assert await desk.registered() == []


async def test_a_failure_is_told_once_with_the_rows_that_were_bad(desk: Desk) -> None:
    run = await desk.begun()
    await desk.store.fail(run, "too many rejects", 11, 3)
    await desk.store.fail(run, "again", 12, 5)
    file = await desk.store.get(run.file_id)
    assert (file.state, file.error, file.counts) == (FileState.FAILED, "too many rejects", Counts(0, 0, 3))
    assert await desk.completed() == [(run.file_id, "FAILED", Counts(0, 0, 3))]
    half = await desk.begun()
    async with desk.store.registering(half) as writer:
        await stored(writer, [[row("a"), row("b", email="x")]])
    await desk.store.fail(half, "broke off")
    assert (await desk.store.get(half.file_id)).counts == Counts(1, 0, 1)
    trying = await desk.opened(dry_run=True)
    await desk.store.fail(trying, "broke off")
    abandoned = await desk.opened(dry_run=True, lease=OVER)
    assert await desk.store.fail_abandoned(LONG) == 1
    assert (await desk.store.get(abandoned.file_id)).state is FileState.FAILED
    assert len(await desk.completed()) == 2


async def test_files_are_listed_newest_first(desk: Desk) -> None:
    assert (await desk.store.newest(FileFilter(), None, 0, 10), await desk.store.count(FileFilter())) == ([], 0)
    # Ids are in the order of time; those of one millisecond are in any.
    made = sorted([(await desk.opened()).file_id for _ in range(5)], reverse=True)

    async def listed(before: str | None, offset: int, limit: int) -> list[str]:
        return [file.id for file in await desk.store.newest(FileFilter(), before, offset, limit)]

    assert await listed(None, 0, 10) == made
    assert await listed(None, 0, 2) == made[:2]
    assert await listed(made[1], 0, 2) == made[2:4]
    assert await listed(None, 3, 10) == made[3:]
    assert await listed(made[4], 0, 2) == []
    assert await desk.store.count(FileFilter()) == 5
    assert await desk.store.newest(FileFilter(), None, 0, 1) == [await desk.store.get(made[0])]


async def test_rejects_are_listed_by_line(desk: Desk) -> None:
    bad = [row(f"d{number}", email="x") for number in range(7)]
    file = await desk.processed(bad[:3], [row("good"), *bad[3:]])
    other = await desk.processed(bad[:1])

    async def lines(after: int, limit: int) -> list[int]:
        return [reject.line for reject in await desk.store.rejects(file.id, after, limit)]

    assert await lines(0, 100) == [2, 3, 4, 6, 7, 8, 9]
    assert await lines(0, 3) == [2, 3, 4]
    assert await lines(4, 3) == [6, 7, 8]
    assert await lines(9, 3) == []
    assert await lines_and_reasons(desk, other.id) == [(2, "EMAIL_INVALID")]


async def test_what_does_not_exist_is_not_found(desk: Desk) -> None:
    known = (await desk.opened()).file_id
    other_ways = (known.upper(), known.replace("-", ""), f"{{{known}}}", f"{{{{{known.replace('-', '')}}}}}")
    for name in ("", "nothing", new_id(), "x" * 36, *other_ways):
        for call in (desk.store.get(name), desk.store.rejects(name, 0, 10), desk.debts.debt(name)):
            with pytest.raises(ResourceNotFound):
                await call


async def test_currency_and_language_belong_to_a_debt(desk: Desk) -> None:
    rows = [
        [*row("a", amount="1234"), "JPY", "ja"],
        [*row("b", amount="1.5"), "KWD", ""],
        [*row("b", amount="1.500"), "KWD", ""],
        [*row("a", amount="1234"), "KRW", "ja"],
        [*row("a", amount="1234"), "JPY", "en"],
    ]
    run = await desk.begun()
    async with desk.store.registering(run) as writer:
        block = parsed(content(rows, (*COLUMNS, *OPTIONAL)))
        assert await writer.store(writer.prepare(block)) == Counts(2, 1, 2)
    later = await desk.begun()
    async with desk.store.registering(later) as writer:
        assert await writer.store(writer.prepare(block)) == Counts(0, 3, 2)
    yen, dinar = await desk.debts.debt("a"), await desk.debts.debt("b")
    assert (str(yen.amount), yen.currency, yen.language, yen.line) == ("1234", "JPY", "ja", 2)
    assert (str(dinar.amount), dinar.currency, dinar.language, dinar.line) == ("1.500", "KWD", "", 3)


async def test_a_debt_of_old_that_has_no_currency_is_the_same_in_any(desk: Desk) -> None:
    await desk.processed([row("old"), row("older")])
    rows = [[*row("old"), "EUR"], [*row("older", amount="7"), "EUR"]]
    run = await desk.begun()
    async with desk.store.registering(run) as writer:
        block = parsed(content(rows, (*COLUMNS, OPTIONAL[0])))
        assert await writer.store(writer.prepare(block)) == Counts(0, 1, 1)


async def test_a_file_says_whom_its_debts_are_owed_to(desk: Desk) -> None:
    run = Run(new_id(), new_id(), timedelta(minutes=1), dry_run=False, issuer="nord")
    await desk.store.open(run, "debts.csv")
    assert (await desk.store.get(run.file_id)).issuer == "nord"
    assert (await desk.store.get((await desk.begun()).file_id)).issuer == ""


async def test_content_read_in_another_way_is_another_file(desk: Desk) -> None:
    first = await desk.begun(b"content")
    await desk.store.open(other := Run(new_id(), new_id(), timedelta(minutes=1), False, "de"), "debts.csv")
    name = (await desk.store.get(first.file_id)).sha256
    form = TextForm("a;b", ";", "\r\n")
    assert await desk.store.begin(other, 7, name, form) is None
    await desk.store.finish(first)
    await desk.store.finish(other)
    await desk.store.open(again := Run(new_id(), new_id(), timedelta(minutes=1), False, "de"), "again.csv")
    repeated = await desk.store.begin(again, 7, name, FORM)
    assert repeated is not None
    assert repeated.identical_to == other.file_id
    assert await desk.store.form(again.file_id) == await desk.store.form(other.file_id) == form
