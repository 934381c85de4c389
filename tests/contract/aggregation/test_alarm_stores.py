"""`AlarmRuleStore`, `AlarmStore` and `OpenAlarmStore`: the same suite on those in memory and those on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from services.aggregation.adapters.memory.alarm_stores import InMemoryAlarmRuleStore, InMemoryAlarmStore
from services.aggregation.adapters.postgres.alarm_rule_store import PostgresAlarmRuleStore
from services.aggregation.adapters.postgres.alarm_store import PostgresAlarmStore
from services.aggregation.adapters.postgres.alarm_writes import write_alarms
from services.aggregation.application.alarms.ports import AlarmFilter, AlarmRuleStore
from services.aggregation.domain.alarms.alarm import (
    DISPROVED,
    Alarm,
    AlarmChanges,
    AlarmEvent,
    Cause,
    Disproved,
    Memory,
    Revoked,
    State,
    alarm_id,
)
from services.aggregation.domain.alarms.rule import (
    AlarmRule,
    Completeness,
    ContainerEmptied,
    ContainerFull,
    Direction,
    FlatLine,
    NoData,
    RateOfChange,
    Severity,
    Threshold,
)
from services.aggregation.domain.alarms.scope import Scope
from services.aggregation.domain.errors import (
    AlarmNotFound,
    AlarmNotRaised,
    AlarmRuleExists,
    AlarmRuleNotFound,
    TooManyAlarmRules,
)
from services.aggregation.domain.series import Kind, SeriesKey
from services.aggregation.domain.times import HOUR, SECOND
from services.aggregation.settings import MIGRATIONS
from services.chassis.postgres import Database, open_database
from tests.support.aggregation.partition import T0
from tests.support.postgres import Schemas

Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]
PARTITION = 3


@dataclass
class Rig:
    """The stores, and how the owner of a partition writes."""

    rules: AlarmRuleStore
    alarms: InMemoryAlarmStore | PostgresAlarmStore
    database: Database | None

    async def write(self, changes: AlarmChanges) -> Sequence[AlarmEvent]:
        """What is told of it."""
        if isinstance(self.alarms, InMemoryAlarmStore):
            before = len(self.alarms.events)
            self.alarms.write(changes)
            return self.alarms.events[before:]
        assert self.database is not None
        async with self.database.transaction() as connection:
            return await write_alarms(connection, changes)


@pytest.fixture(params=["memory", "postgres"])
async def rig(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Rig]:
    if request.param == "memory":
        rules = InMemoryAlarmRuleStore(lambda: [(SeriesKey("b", "r", "t", f"d{n}"), Kind.GAUGE) for n in range(1, 10)])
        yield Rig(rules, InMemoryAlarmStore(lambda _series: PARTITION), None)
        return
    async with (
        databases({"aggregation": MIGRATIONS}) as dsn,
        open_database(dsn, schema="aggregation", application_name="tests") as database,
    ):
        async with database.connection() as connection:
            await connection.execute(
                """
                INSERT INTO series (partition, building, room, sensor_type, device, kind, unit, interval_us)
                SELECT $1, 'b', 'r', 't', 'd' || n, 1, 'K', 0 FROM generate_series(1, 9) n
                """,
                PARTITION,
            )
        yield Rig(PostgresAlarmRuleStore(database), PostgresAlarmStore(database), database)


async def test_an_alarm_is_closed_by_hand_until_its_condition_ends(rig: Rig) -> None:
    one = alarm(1)
    await rig.write(AlarmChanges(new=[one]))
    with pytest.raises(AlarmNotFound):
        await rig.alarms.close("nobody", "ann", "why", None)
    closed = await rig.alarms.close(one.id, "ann", "the probe lies in the sun", None)
    assert (closed.state, closed.cause, closed.lasting) == (State.CLEARED, Cause.CLOSED_BY_HAND, True)
    assert (closed.closed_by, closed.close_reason) == ("ann", "the probe lies in the sun")
    assert closed.cleared is not None
    assert await rig.alarms.close(one.id, "bob", "again", None) == closed
    # Its owner goes on with it: values change nothing, the end is noted and not told again.
    assert [found.id for found in (await rig.alarms.open_alarms(PARTITION)).alarms] == [one.id]
    await rig.write(AlarmChanges(changed=[replace(one, extreme=99.0)]))
    assert await rig.alarms.get(one.id) == closed
    over = replace(one, state=State.CLEARED, cleared=T0 + HOUR, cause=Cause.CONDITION_ENDED)
    told = await rig.write(AlarmChanges(changed=[over], events=[AlarmEvent(over, None, 1.0)]))
    assert not told
    assert await rig.alarms.get(one.id) == replace(closed, lasting=False)
    assert not (await rig.alarms.open_alarms(PARTITION)).alarms


async def test_only_what_is_raised_can_be_closed_by_hand(rig: Rig) -> None:
    pending = alarm(1, state=State.PENDING, raised=None)
    over = alarm(2, state=State.CLEARED, cleared=T0 + HOUR, cause=Cause.DEVICE_LEFT)
    await rig.write(AlarmChanges(new=[pending, over]))
    for one in (pending, over):
        with pytest.raises(AlarmNotRaised) as refused:
            await rig.alarms.close(one.id, "ann", "why", None)
        assert refused.value.metadata["state"] == one.state.name
    assert (await rig.alarms.get(over.id)).cause is Cause.DEVICE_LEFT


CONDITIONS = [
    Threshold(above=True, limit=1e308, hysteresis=5e-324, min_duration=HOUR),
    Threshold(above=False, limit=-0.1),
    Completeness(0.3, covered=True, step=HOUR),
    NoData(31_536_000 * SECOND),
    FlatLine(SECOND, 0.5),
    RateOfChange(2.5, Direction.FALLING, 7 * SECOND),
    RateOfChange(2.5),
    ContainerFull(80.0),
    ContainerEmptied(),
]


def rule(id_: str = "one", **more: object) -> AlarmRule:
    return AlarmRule(id=id_, **{"sensor_type": "t", "condition": NoData(SECOND), **more})  # pyright: ignore


@pytest.mark.parametrize("condition", CONDITIONS, ids=str)
async def test_a_rule_is_read_as_it_was_made(rig: Rig, condition: object) -> None:
    wanted = rule(
        condition=condition,
        title="Té 'quoted' \\ {x}",
        building="b",
        room="r",
        device="d",
        severity=Severity.CRITICAL,
        disabled=True,
        tenant="test",
        notify=("ada", "bob"),
    )
    made = await rig.rules.create(wanted, 10)
    assert made.generation > 0
    assert made.created is not None
    assert replace(made, generation=0, created=None, updated=None) == wanted
    assert await rig.rules.get("one") == made
    assert await rig.rules.all_rules() == [made]


async def test_the_id_is_taken_once_and_the_number_is_bounded(rig: Rig) -> None:
    await rig.rules.create(rule("one"), 2)
    with pytest.raises(AlarmRuleExists):
        await rig.rules.create(rule("one"), 2)
    # At once: as many as there is room for.
    outcomes = await asyncio.gather(*(rig.rules.create(rule(f"r{n}"), 4) for n in range(6)), return_exceptions=True)
    assert sum(isinstance(one, AlarmRule) for one in outcomes) == 3
    assert sum(isinstance(one, TooManyAlarmRules) for one in outcomes) == 3
    with pytest.raises(AlarmRuleExists):
        await rig.rules.create(rule("one"), 2)


async def test_rules_by_id(rig: Rig) -> None:
    for name in ("b", "B", "a-1", "_", "a"):
        await rig.rules.create(rule(name), 10)
    found = [one.id for one in await rig.rules.list_rules(None, 10)]
    assert found == ["B", "_", "a", "a-1", "b"]
    assert [one.id for one in await rig.rules.list_rules("_", 2)] == ["a", "a-1"]


async def test_a_change_of_what_is_judged_begins_another_generation(rig: Rig) -> None:
    made = await rig.rules.create(rule(), 10)
    renamed = await rig.rules.update(
        "one", lambda now: replace(now, title="New", severity=Severity.INFO, notify=("a",))
    )
    assert renamed.generation == made.generation
    assert (renamed.title, renamed.severity, renamed.notify) == ("New", Severity.INFO, ("a",))
    assert renamed.updated is not None
    assert made.updated is not None
    assert renamed.updated >= made.updated
    generations = {made.generation}
    for change in ({"condition": NoData(2 * SECOND)}, {"building": "b"}, {"disabled": True}, {"disabled": False}):
        changed = await rig.rules.update("one", lambda now, change=change: replace(now, **change))  # pyright: ignore
        assert changed.generation not in generations
        generations.add(changed.generation)
    await rig.rules.delete("one")
    again = await rig.rules.create(rule(), 10)
    assert again.generation not in generations


async def test_a_refused_change_changes_nothing(rig: Rig) -> None:
    made = await rig.rules.create(rule(), 10)

    def refuse(current: AlarmRule) -> AlarmRule:
        raise AlarmRuleExists(current.id)

    with pytest.raises(AlarmRuleExists):
        await rig.rules.update("one", refuse)
    assert await rig.rules.get("one") == made


async def test_a_rule_that_is_none(rig: Rig) -> None:
    for asked in (
        lambda: rig.rules.get("x"),
        lambda: rig.rules.delete("x"),
        lambda: rig.rules.update("x", lambda now: now),
    ):
        with pytest.raises(AlarmRuleNotFound):
            await asked()


async def test_series_are_counted_scope_by_scope(rig: Rig) -> None:
    scopes = [
        (Scope("t"), 9),
        (Scope("u"), 0),
        (Scope("t", "b"), 9),
        (Scope("t", "B"), 0),
        (Scope("t", "b", "r"), 9),
        (Scope("t", "b", "x"), 0),
        (Scope("t", "b", "r", "d3"), 1),
        (Scope("t", device="d3"), 1),
        (Scope("t", "b", device="d10"), 0),
        (Scope("t", kind=Kind.LEVEL), 0),
        (Scope("t", kind=Kind.GAUGE), 9),
        (Scope("t", "b", "r", "d3", Kind.GAUGE), 1),
        (Scope("' OR '1'='1"), 0),
        (Scope("t", "b"), 9),
    ]
    asked = [scope for scope, _ in scopes]
    assert list(await rig.rules.count_series(asked, 1000)) == [count for _, count in scopes]
    assert list(await rig.rules.count_series(asked, 4)) == [min(count, 4) for _, count in scopes]


def alarm(number: int, **more: object) -> Alarm:
    start = T0 + number * SECOND
    given: dict[str, object] = {
        "state": State.RAISED,
        "raised": start,
        "key": SeriesKey("b", "r", "t", f"d{number}"),
        "series_id": number,
        **more,
    }
    return Alarm(
        id=alarm_id(1, number, start),
        rule="one",
        generation=1,
        kind="NO_DATA",
        severity=Severity.WARNING,
        unit="K",
        start=start,
        update=start,
        message="m",
        **given,  # pyright: ignore
    )


async def ids(rig: Rig, wanted: AlarmFilter, before: tuple[int, str] | None = None, limit: int = 100) -> list[str]:
    return [one.id for one in await rig.alarms.list_alarms(wanted, before, limit)]


async def test_alarms_by_start_and_by_what_is_asked_for(rig: Rig) -> None:
    some = [
        alarm(1),
        alarm(2, state=State.PENDING, raised=None, value=1.0, last_value=2.0, extreme=-1e308, peak=5e-324),
        alarm(3, key=SeriesKey("b", "other", "t", "d3")),
        alarm(4, key=SeriesKey("other", "r", "u", "")),
    ]
    await rig.write(AlarmChanges(new=some))
    assert await ids(rig, AlarmFilter()) == [one.id for one in reversed(some)]
    assert await ids(rig, AlarmFilter(), limit=2) == [some[3].id, some[2].id]
    assert await ids(rig, AlarmFilter(), before=(some[2].start, some[2].id)) == [some[1].id, some[0].id]
    assert await ids(rig, AlarmFilter(building="b")) == [some[2].id, some[1].id, some[0].id]
    assert await ids(rig, AlarmFilter(building="b", room="other")) == [some[2].id]
    assert await ids(rig, AlarmFilter(sensor_type="u")) == [some[3].id]
    assert await ids(rig, AlarmFilter(rule="two")) == []
    assert await ids(rig, AlarmFilter(states=(State.PENDING, State.CLEARED))) == [some[1].id]
    for one in some:
        assert await rig.alarms.get(one.id) == one
    for unknown in ("nobody", "0197a0c8-0000-7000-8000-000000000001"):
        with pytest.raises(AlarmNotFound):
            await rig.alarms.get(unknown)


async def test_the_owner_and_a_person_change_an_alarm_at_once(rig: Rig) -> None:
    """Neither undoes what the other said."""
    raised, pending = alarm(1), alarm(2, state=State.PENDING, raised=None)
    await rig.write(AlarmChanges(new=[raised, pending]))
    with pytest.raises(AlarmNotRaised):
        await rig.alarms.acknowledge(pending.id, "ada", "")
    taken = await rig.alarms.acknowledge(raised.id, "ada", "mine")
    assert (taken.state, taken.acknowledged_by, taken.note) == (State.ACKNOWLEDGED, "ada", "mine")
    assert await rig.alarms.acknowledge(raised.id, "bob", "no, mine") == taken
    # The owner knows nothing of it.
    seen = replace(raised, last_value=7.0, extreme=9.0, update=T0 + HOUR)
    await rig.write(AlarmChanges(changed=[seen, replace(pending, state=State.RAISED, raised=T0 + HOUR)]))
    found = await rig.alarms.get(raised.id)
    assert (found.state, found.note, found.last_value, found.extreme) == (State.ACKNOWLEDGED, "mine", 7.0, 9.0)
    assert (await rig.alarms.get(pending.id)).state is State.RAISED
    await rig.write(AlarmChanges(changed=[replace(seen, state=State.CLEARED, cleared=T0 + 2 * HOUR)]))
    gone = await rig.alarms.get(raised.id)
    assert (gone.state, gone.cleared, gone.acknowledged_by) == (State.CLEARED, T0 + 2 * HOUR, "ada")
    with pytest.raises(AlarmNotRaised):
        await rig.alarms.acknowledge(raised.id, "ada", "")
    with pytest.raises(AlarmNotFound):
        await rig.alarms.acknowledge("nobody", "ada", "")


async def test_an_owner_takes_up_what_is_open(rig: Rig) -> None:
    raised, pending, cleared = (
        alarm(1),
        alarm(2, state=State.PENDING, raised=None),
        alarm(3, state=State.CLEARED, cleared=T0),
    )
    memories = [Memory(1, 4, (1.7e15, -0.5)), Memory(1, 5, (1.0,)), Memory(2, 5, (1.0, 2.0, 3.0))]
    await rig.write(AlarmChanges(new=[raised, pending, cleared], memories=memories))
    found = await rig.alarms.open_alarms(PARTITION)
    assert sorted(found.alarms, key=lambda one: one.start) == [raised, pending]
    assert _values(found.memories) == _values(memories)
    await rig.write(
        AlarmChanges(forgotten=[pending.id], memories=[Memory(1, 4, (2.0,)), Memory(1, 5, ()), Memory(9, 9, ())])
    )
    found = await rig.alarms.open_alarms(PARTITION)
    assert list(found.alarms) == [raised]
    assert _values(found.memories) == {(1, 4): [2.0], (2, 5): [1.0, 2.0, 3.0]}
    if isinstance(rig.alarms, PostgresAlarmStore):
        assert await rig.alarms.open_alarms(PARTITION + 1) == ([], [])
        # Long gone, and of a rule that is gone.
        await rig.alarms.drop_expired(timedelta(days=1))
        assert await ids(rig, AlarmFilter()) == [raised.id]
        assert (await rig.alarms.open_alarms(PARTITION)).memories == []


def _values(memories: Sequence[Memory]) -> dict[tuple[int, int], list[float]]:
    return {(one.generation, one.series_id): list(one.values) for one in memories}


async def test_writing_the_same_alarm_again_changes_nothing(rig: Rig) -> None:
    await rig.write(AlarmChanges(new=[alarm(1)]))
    await rig.alarms.acknowledge(alarm(1).id, "ada", "")
    await rig.write(AlarmChanges(new=[alarm(1)]))
    assert (await rig.alarms.get(alarm(1).id)).state is State.ACKNOWLEDGED


async def test_alarms_that_a_meter_has_disproved_are_marked_and_silence_is_not(rig: Rig) -> None:
    rung, other = replace(alarm(1), kind="THRESHOLD"), replace(alarm(2), kind="THRESHOLD")
    silent = alarm(3)
    begin = T0 + SECOND
    disproved = [Disproved(1, begin, begin), Disproved(2, T0, begin), Disproved(3, T0, T0 + HOUR)]
    await rig.write(AlarmChanges(new=[rung, other, silent]))
    assert not await rig.write(AlarmChanges(disproved=disproved))
    marked = await rig.alarms.get(rung.id)
    assert marked.revocation is not None
    assert marked.revocation[1:] == ("", DISPROVED)
    assert [(await rig.alarms.get(one.id)).revocation for one in (other, silent)] == [None, None]
    # Once; and what its owner says of it leaves the mark as it is.
    over = replace(rung, state=State.CLEARED, cleared=T0 + HOUR, cause=Cause.CONDITION_ENDED)
    await rig.write(AlarmChanges(changed=[over], disproved=disproved))
    assert (await rig.alarms.get(rung.id)).revocation == marked.revocation
    await rig.write(AlarmChanges(revoked=[Revoked(rung.id, 1, None)]))
    assert (await rig.alarms.get(rung.id)).revocation is None


async def test_alarms_that_are_over_are_found_by_when_they_lasted(rig: Rig) -> None:
    one, amended, still = alarm(1), alarm(3, series_id=1), alarm(2)
    ended = T0 + HOUR
    over = [
        replace(one, state=State.CLEARED, cleared=ended, cause=Cause.CONDITION_ENDED),
        replace(amended, state=State.CLEARED, cleared=ended, cause=Cause.READING_AMENDED),
    ]
    await rig.write(AlarmChanges(new=[one, amended, still]))
    await rig.write(AlarmChanges(changed=over))

    async def found(series_id: int, since: int, until: int) -> list[str]:
        return [alarm.id for alarm in await rig.alarms.cleared_alarms(series_id, since, until)]

    assert await found(1, ended, one.start) == [one.id]
    assert await found(1, ended + 1, one.start) == []
    assert await found(1, 0, one.start - 1) == []
    assert await found(2, 0, ended) == []
