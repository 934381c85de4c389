"""What goes of debt files after its time."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.postgres import Database
from services.ingestion.adapters.postgres.debt_retention import PostgresDebtRetention
from services.ingestion.application.debts.retention import DebtRetention, RetentionOptions
from services.ingestion.domain.errors import ResourceNotFound
from tests.contract.ingestion.test_debt_store import Desk, desk, stored
from tests.support.debts import row

__all__ = ["desk"]
DAY = timedelta(days=1)


@pytest.fixture
def where() -> str:
    return "real"


def bad(count: int) -> list[list[str]]:
    return [row(f"bad{number}", email="nobody") for number in range(count)]


async def end(database: Database, file_id: str, ago: timedelta) -> None:
    """Has the file end so long ago."""
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE debt_files SET complete_time = now() - $2::interval WHERE id = $1", file_id, ago
        )


async def test_rejects_go_first_and_files_later_and_debts_stay(desk: Desk, database: Database) -> None:
    retention = DebtRetention(PostgresDebtRetention(database), RetentionOptions(rejects=5 * DAY, files=20 * DAY))
    young, old, oldest = [await desk.processed([row(f"good{number}"), *bad(3)]) for number in range(3)]
    running = await desk.begun()
    async with desk.store.registering(running) as writer:
        await stored(writer, [bad(2)])
    for file, ago in ((old, 6), (oldest, 21)):
        await end(database, file.id, ago * DAY)
    now = datetime.now(UTC)
    assert await retention.remove(now) == (6, 1)
    assert await retention.remove(now) == (0, 0)
    assert [len(await desk.store.rejects(one, 0, 9)) for one in (young.id, old.id, running.file_id)] == [3, 0, 2]
    kept = await desk.store.get(old.id)
    assert (kept.rejects_removed, kept.counts) == (True, old.counts)
    assert not (await desk.store.get(young.id)).rejects_removed
    with pytest.raises(ResourceNotFound):
        await desk.store.get(oldest.id)
    assert (await desk.debts.debt("good2")).debt_file == oldest.id


async def test_pieces_are_small(desk: Desk, database: Database) -> None:
    store = PostgresDebtRetention(database)
    file = await desk.processed(bad(5))
    await end(database, file.id, 2 * DAY)
    before = datetime.now(UTC) - DAY
    assert [await store.remove_rejects(before, 2) for _ in range(4)] == [2, 2, 1, None]
    assert await store.remove_files(before - 2 * DAY, 9) == 0
    assert await store.remove_files(before, 9) == 1
