import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.postgres import Database, Outbox
from services.chassis.postgres.bundles import unpack
from services.ingestion.adapters.memory.stores import MemoryAlerts, MemoryIdempotencyKeys, MemoryQuarantine
from services.ingestion.adapters.postgres.alerts import PostgresAlerts, move
from services.ingestion.adapters.postgres.idempotency import PostgresIdempotencyKeys
from services.ingestion.adapters.postgres.quarantine import PostgresQuarantine
from services.ingestion.application.alert_retention import AlertRetention
from services.ingestion.application.ports import Alerts, Claim, IdempotencyKeys, Quarantine, Quarantined
from services.ingestion.domain.alert import Alert, AlertFilter, AlertState, Report
from services.ingestion.domain.errors import IdempotencyConflict, ResourceExists, ResourceNotFound
from services.ingestion.domain.reading import to_microseconds

HOUR = 3_600_000_000


@pytest.fixture
def keys(where: str, request: pytest.FixtureRequest) -> IdempotencyKeys:
    return PostgresIdempotencyKeys(request.getfixturevalue("database")) if where == "real" else MemoryIdempotencyKeys()


async def test_a_key_belongs_to_its_scope_and_content_for_a_day(keys: IdempotencyKeys) -> None:
    assert await keys.claim("me", "k", b"one", HOUR) == Claim(HOUR, first=True, done=False)
    assert await keys.claim("me", "k", b"one", 2 * HOUR) == Claim(HOUR, first=False, done=False)
    await keys.finish("me", "k")
    assert await keys.claim("me", "k", b"one", 3 * HOUR) == Claim(HOUR, first=False, done=True)
    with pytest.raises(IdempotencyConflict):
        await keys.claim("me", "k", b"two", 3 * HOUR)
    assert (await keys.claim("you", "k", b"two", 3 * HOUR)).first
    assert await keys.claim("me", "k", b"two", 26 * HOUR) == Claim(26 * HOUR, first=True, done=False)
    assert (await keys.claim("you", "k", b"two", 26 * HOUR)) == Claim(3 * HOUR, first=False, done=False)


async def test_pruning_forgets_what_is_too_old_only(keys: IdempotencyKeys) -> None:
    now = to_microseconds(datetime.now(UTC))
    for name in ("a", "b", "c"):
        await keys.claim("me", name, b"", now - 25 * HOUR)
    await keys.claim("me", "young", b"", now)
    assert await keys.prune() == 3
    assert await keys.prune() == 0
    assert not (await keys.claim("me", "young", b"", now)).first


@pytest.fixture
def quarantine(where: str, request: pytest.FixtureRequest) -> Quarantine:
    if where == "real":
        return PostgresQuarantine(request.getfixturevalue("database"), limit=10)
    return MemoryQuarantine(limit=10)


def payload(number: int, name: str = "ep1") -> Quarantined:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return Quarantined(f"{number:04}", name, b"\0\xff" * number, "is missing", "ts", at)


async def test_the_quarantine_keeps_lists_and_lets_go(quarantine: Quarantine) -> None:
    kept = [payload(number, "ep1" if number % 2 else "ep2") for number in range(6)]
    for one in kept:
        await quarantine.keep(one)
    assert await quarantine.list("", None, 100) == kept[::-1]
    assert await quarantine.list("ep1", None, 2) == [kept[5], kept[3]]
    assert await quarantine.list("ep1", kept[3].id, 2) == [kept[1]]
    assert await quarantine.get(kept[2].id) == kept[2]
    for _ in range(2):
        await quarantine.remove(kept[2].id)
    with pytest.raises(ResourceNotFound):
        await quarantine.get(kept[2].id)


async def test_the_quarantine_keeps_an_id_once(quarantine: Quarantine) -> None:
    for name in ("ep1", "ep2"):
        await quarantine.keep(payload(1, name))
    assert await quarantine.list("", None, 100) == [payload(1, "ep1")]


async def test_the_quarantine_is_bounded(quarantine: Quarantine) -> None:
    for number in range(60):
        await quarantine.keep(payload(number))
    found = await quarantine.list("", None, 100)
    assert [one.id for one in found[:10]] == [f"{number:04}" for number in range(59, 49, -1)]
    assert len(found) <= 20


@dataclass
class Desk:
    """Stored alerts, how their states move, and how many events they gave."""

    alerts: Alerts
    move: Callable[[Report], Awaitable[None]]
    reported: Callable[[], Awaitable[int]]


@pytest.fixture
def desk(where: str, request: pytest.FixtureRequest) -> Desk:
    if where == "memory":
        alerts = MemoryAlerts()

        async def count() -> int:
            return len(alerts.reported)

        return Desk(alerts, alerts.move, count)
    database: Database = request.getfixturevalue("database")

    async def move_stored(report: Report) -> None:
        async with database.transaction() as connection:
            await move(connection, [report])

    async def events() -> int:
        async with database.connection() as connection:
            rows = await connection.fetch("SELECT payload, headers::text AS headers FROM outbox WHERE bundled")
        return sum(len(unpack(row["payload"], row["headers"])) for row in rows)

    return Desk(PostgresAlerts(database, Outbox(source="tests")), move_stored, events)


async def test_an_alert_is_stored_and_reported_once(desk: Desk) -> None:
    alert = Alert("UID-1", "/v/a.avi", 1_720_000_000.125, "store-1")
    first = await desk.alerts.accept(alert)
    again = await desk.alerts.accept(alert)
    assert first == again == await desk.alerts.get("UID-1")
    assert (first.state, first.timestamp, first.reason) == (AlertState.ACCEPTED, 1_720_000_000.125, "")
    for other in (
        Alert("UID-1", "/v/b.avi", 1_720_000_000.125, "store-1"),
        Alert("UID-1", "/v/a.avi", 1_720_000_000.25, "store-1"),
        Alert("UID-1", "/v/a.avi", 1_720_000_000.125, "store-2"),
    ):
        with pytest.raises(ResourceExists):
            await desk.alerts.accept(other)
    assert await desk.reported() == 1
    with pytest.raises(ResourceNotFound):
        await desk.alerts.get("UID-2")


async def test_alerts_at_once_are_each_answered_for_itself(desk: Desk) -> None:
    before = await desk.alerts.accept(Alert("old", "/v/old.avi", 1e9, "s"))
    sent = [Alert(f"u{number % 20}", f"/v/{number // 40}.avi", 1e9, "s") for number in range(60)]
    sent += [Alert("old", "/v/old.avi", 1e9, "s"), Alert("old", "/v/new.avi", 1e9, "s")]
    outcomes = await asyncio.gather(*map(desk.alerts.accept, sent), return_exceptions=True)
    for alert, outcome in zip(sent[:40], outcomes, strict=False):
        assert isinstance(outcome, Alert)
        assert outcome.same_content(alert)
    for alert, outcome in zip(sent[40:60], outcomes[40:], strict=False):
        assert isinstance(outcome, ResourceExists)
        assert outcome.metadata["id"] == alert.uid
    assert outcomes[60] == before
    assert isinstance(outcomes[61], ResourceExists)
    assert await desk.reported() == 21


async def test_a_bad_alert_among_good_ones_harms_none(desk: Desk) -> None:
    # No store of text can keep it; the contract refuses it long before.
    sent = [Alert(f"u{number}", "/v/\ud800.avi" if number == 7 else "/v/a.avi", 1e9, "s") for number in range(16)]
    outcomes = await asyncio.gather(*map(desk.alerts.accept, sent), return_exceptions=True)
    kept = [alert.uid for alert, outcome in zip(sent, outcomes, strict=True) if isinstance(outcome, Alert)]
    assert set(kept) >= {alert.uid for alert in sent} - {"u7"}
    assert await desk.reported() == len(kept)


async def test_states_move_forward_only(desk: Desk) -> None:
    await desk.alerts.accept(Alert("u", "/v", 1e9, "s"))
    for report, reason, state, shown in (
        (AlertState.PROBING, "", AlertState.PROBING, ""),
        (AlertState.FAILED, "NOT_MEDIA", AlertState.FAILED, "NOT_MEDIA"),
        (AlertState.PROBING, "", AlertState.FAILED, "NOT_MEDIA"),
        (AlertState.PROBED, "", AlertState.PROBED, ""),
        (AlertState.FAILED, "TIMEOUT", AlertState.PROBED, ""),
    ):
        await desk.move(Report("u", report, reason))
        found = await desk.alerts.get("u")
        assert (found.state, found.reason) == (state, shown)
    assert found.update_time
    assert found.create_time
    assert found.update_time > found.create_time


async def test_what_is_told_with_a_version_counts_in_its_order(desk: Desk) -> None:
    """Failed, then asked to be probed again, which fails for another reason, and again, which succeeds."""
    await desk.alerts.accept(Alert("u", "/v", 1e9, "s"))
    told = [
        (AlertState.PROBING, "", 1),
        (AlertState.FAILED, "NOT_FOUND", 2),
        (AlertState.PROBING, "", 4),
        (AlertState.PROBING, "", 5),
        (AlertState.FAILED, "TRUNCATED", 6),
        (AlertState.PROBED, "", 6),
    ]
    for at, (state, reason, version) in enumerate(told):
        await desk.move(Report("u", state, reason, version))
        found = await desk.alerts.get("u")
        assert (found.state, found.reason) == (state, reason)
        for old, other, late in told[: at + 1]:  # all that was told before comes again
            await desk.move(Report("u", old, other, late))
        assert await desk.alerts.get("u") == found
    await desk.move(Report("u", AlertState.FAILED, "TIMEOUT"))
    assert (await desk.alerts.get("u")).state is AlertState.PROBED


async def test_old_alerts_go_and_their_uids_may_be_used_again(desk: Desk) -> None:
    for number in range(3):
        await desk.alerts.accept(Alert(f"u{number}", "/v", 1e9, "s"))
    await desk.move(Report("u0", AlertState.FAILED, "NOT_FOUND", 6))
    reported, now = await desk.reported(), datetime.now(UTC)
    assert await AlertRetention(desk.alerts, timedelta(days=30)).remove(now + timedelta(days=30, hours=23)) == 0
    assert await desk.alerts.remove(now + timedelta(days=1), 2) == 2
    assert await AlertRetention(desk.alerts, timedelta(days=30)).remove(now + timedelta(days=31, hours=1)) == 1
    with pytest.raises(ResourceNotFound):
        await desk.alerts.get("u0")
    await desk.move(Report("u0", AlertState.PROBED, "", 8))  # of before: nobody knows it any more
    await desk.alerts.accept(Alert("u0", "/other", 2e9, "s"))
    assert await desk.reported() == reported + 1
    await desk.move(Report("u0", AlertState.PROBING, "", 1))
    assert (await desk.alerts.get("u0")).state is AlertState.PROBING


async def test_reports_about_many_alerts_have_their_effect_together_in_their_order(database: Database) -> None:
    alerts = PostgresAlerts(database, Outbox(source="tests"))
    for uid in ("a", "b", "c"):
        await alerts.accept(Alert(uid, "/v", 1e9, "s"))
    reports = [
        Report("b", AlertState.PROBING),
        Report("a", AlertState.FAILED, "NOT_MEDIA"),
        Report("nobody", AlertState.PROBED),
        Report("a", AlertState.PROBING),
        Report("b", AlertState.FAILED, "TIMEOUT"),
        Report("b", AlertState.PROBED),
        Report("b", AlertState.FAILED, "CRASHED"),
    ]
    async with database.transaction() as connection:
        await move(connection, reports)
        await move(connection, [])
    found = {alert.uid: (alert.state, alert.reason) for alert in await alerts.list(AlertFilter(), None, 10)}
    assert found == {
        "a": (AlertState.FAILED, "NOT_MEDIA"),
        "b": (AlertState.PROBED, ""),
        "c": (AlertState.ACCEPTED, ""),
    }


async def test_alerts_are_listed_newest_first_and_filtered(desk: Desk) -> None:
    for number in range(5):
        await desk.alerts.accept(Alert(f"u{number}", "/v", 1e9, f"s{number % 2}"))
    await desk.move(Report("u2", AlertState.PROBED))
    everything = await desk.alerts.list(AlertFilter(), None, 10)
    assert [alert.uid for alert in everything] == ["u4", "u3", "u2", "u1", "u0"]
    assert [alert.uid for alert in await desk.alerts.list(AlertFilter("s0"), None, 10)] == ["u4", "u2", "u0"]
    assert [alert.uid for alert in await desk.alerts.list(AlertFilter("s0", AlertState.PROBED), None, 10)] == ["u2"]
    assert await desk.alerts.list(AlertFilter(state=AlertState.FAILED), None, 10) == []
    after = (everything[2].timestamp, everything[2].uid)
    assert [alert.uid for alert in await desk.alerts.list(AlertFilter(), after, 1)] == ["u1"]
    for number in (5, 6, 7):
        await desk.alerts.accept(Alert(f"u{number}", "/v", 1e9 + number, "s0"))
    within = AlertFilter(since=1e9 + 5, until=1e9 + 7)
    assert [alert.uid for alert in await desk.alerts.list(within, None, 10)] == ["u6", "u5"]
    assert [alert.uid for alert in await desk.alerts.list(within, (1e9 + 6, "u6"), 10)] == ["u5"]
