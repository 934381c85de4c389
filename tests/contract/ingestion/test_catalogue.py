import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.chassis.nats import Event
from services.chassis.postgres import Database, Outbox
from services.ingestion.adapters.memory.catalogue import MemoryCatalogue
from services.ingestion.adapters.nats.series_descriptor import move_events, rule_events, type_event
from services.ingestion.adapters.postgres.catalogue import PostgresCatalogue
from services.ingestion.adapters.postgres.rule_change_events import RuleChangeEvents
from services.ingestion.application.ports import Catalogue
from services.ingestion.domain.catalogue import Building, Device, Kind, RepeatPolicy, Room, SensorType
from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules
from services.ingestion.domain.errors import ResourceExists, ResourceInUse, ResourceNotFound, SensorTypeUnknown
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.rule_changes import DeviceMove, RulesChange, TypesTold
from services.ingestion.domain.series import SeriesKey
from tocsin.events.v1.readings_pb2 import ReadingBatch, SeriesDescriptor


@pytest.fixture
def catalogue(where: str, request: pytest.FixtureRequest) -> Catalogue:
    if where == "memory":
        return MemoryCatalogue()
    database = request.getfixturevalue("database")
    # Nobody relays here: nothing to wait for.
    news = RuleChangeEvents(database, Outbox(source="tocsin/tests"), partitions=2, patience=timedelta(0))
    return PostgresCatalogue(database, news)


NOISE = SensorType("noise", Kind.GAUGE, "dB", 0.0, 194.0, timedelta(seconds=1.5))


async def test_a_sensor_type_lives_and_dies(catalogue: Catalogue) -> None:
    assert await catalogue.create_sensor_type(NOISE) == NOISE
    with pytest.raises(ResourceExists):
        await catalogue.create_sensor_type(replace(NOISE, unit="B"))
    assert await catalogue.get_sensor_type("noise") == NOISE
    changed = await catalogue.update_sensor_type("noise", lambda entry: replace(entry, max_value=None, unit="B"))
    assert changed == await catalogue.get_sensor_type("noise") == replace(NOISE, max_value=None, unit="B")
    await catalogue.delete_sensor_type("noise")
    for gone in (
        catalogue.get_sensor_type("noise"),
        catalogue.delete_sensor_type("noise"),
        catalogue.update_sensor_type("noise", lambda entry: entry),
    ):
        with pytest.raises(ResourceNotFound):
            await gone


async def at_once(*calls: Awaitable[object]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_places_made_at_once_are_each_answered_for_itself(catalogue: Catalogue) -> None:
    await catalogue.create_building(Building("old", {"of": "before"}))
    made = await at_once(
        *(catalogue.create_building(Building(f"b{n % 3}", {"call": str(n)})) for n in range(6)),
        catalogue.create_building(Building("old")),
    )
    assert [isinstance(one, Building) and one.attributes["call"] for one in made[:3]] == ["0", "1", "2"]
    assert all(isinstance(one, ResourceExists) for one in made[3:])
    assert [await catalogue.get_building(f"b{n}") for n in range(3)] == made[:3]
    assert (await catalogue.get_building("old")).attributes == {"of": "before"}

    await catalogue.create_room(Room("b0", "old"))
    wanted = [Room("b0", "r"), Room("b1", "r"), Room("b0", "r", {"x": "y"}), Room("b0", "old"), Room("nowhere", "r")]
    rooms = await at_once(*map(catalogue.create_room, wanted))
    assert rooms[:2] == [await catalogue.get_room("b0", "r"), await catalogue.get_room("b1", "r")]
    assert [type(one) for one in rooms[2:]] == [ResourceExists, ResourceExists, ResourceNotFound]
    assert isinstance(rooms[4], ResourceNotFound)
    assert rooms[4].violations[0].field == "room.building"

    for name in ("noise", "other"):
        await catalogue.create_sensor_type(SensorType(name, Kind.GAUGE, "dB"))
    await catalogue.create_device(Device("old", "", "b0", "r", "noise"))
    devices = await at_once(
        *map(
            catalogue.create_device,
            (
                Device("d1", "ep1", "b0", "r", "noise"),
                Device("d1", "", "b1", "r", "other"),
                Device("old", "", "nowhere", "r", "nothing"),
                Device("d2", "", "b2", "r", "noise"),
                Device("d3", "", "b0", "r", "nothing"),
                Device("d4", "", "b1", "r", "other"),
            ),
        )
    )
    kinds = [Device, ResourceExists, ResourceExists, ResourceNotFound, SensorTypeUnknown, Device]
    assert [type(one) for one in devices] == kinds
    assert [devices[0], devices[5]] == [await catalogue.get_device("d1"), await catalogue.get_device("d4")]


async def test_lists_are_ordered_by_id_and_start_after_a_key(catalogue: Catalogue) -> None:
    seeded = [entry.id for entry in await catalogue.all_sensor_types()]
    names = ["B", "Z9", "_x", "a", "a-1", "a_1", "aa", "b"]
    for name in reversed(names):
        await catalogue.create_sensor_type(SensorType(name, Kind.GAUGE, "dB"))
        await catalogue.create_building(Building(name))
        await catalogue.create_room(Room(name, "only"))
        await catalogue.create_device(Device(name, "", name, "only", name))
    for name in reversed(names):
        await catalogue.create_room(Room("a", name))
    ordered = sorted(names)
    assert [e.id for e in await catalogue.list_sensor_types(None, 100)] == sorted([*names, *seeded])
    assert [e.id for e in await catalogue.list_buildings(None, 100)] == ordered
    assert [e.id for e in await catalogue.list_sensor_types("a", 2)] == ["a-1", "a_1"]
    assert [e.id for e in await catalogue.list_buildings("_x", 2)] == ["a", "a-1"]
    assert [e.id for e in await catalogue.list_devices(None, 2)] == ["B", "Z9"]
    assert [e.id for e in await catalogue.list_rooms("a", "aa", 9)] == ["b", "only"]
    with pytest.raises(ResourceNotFound):
        await catalogue.list_rooms("nowhere", None, 10)
    assert await catalogue.list_rooms("b", "only", 10) == []


async def test_places_refer_to_each_other(catalogue: Catalogue) -> None:
    await catalogue.create_sensor_type(NOISE)
    with pytest.raises(ResourceNotFound, match="building b1") as no_building:
        await catalogue.create_room(Room("b1", "r1"))
    building = await catalogue.create_building(Building("b1", {"customer": 'ACME "ü" \\ {}'}))
    assert building.create_time
    assert dict((await catalogue.get_building("b1")).attributes) == {"customer": 'ACME "ü" \\ {}'}
    await catalogue.create_room(Room("b1", "r1", {"wall": "glass"}))
    with pytest.raises(ResourceExists):
        await catalogue.create_room(Room("b1", "r1"))
    with pytest.raises(ResourceNotFound, match="room r2") as no_room:
        await catalogue.create_device(Device("d1", "", "b1", "r2", "noise"))
    with pytest.raises(SensorTypeUnknown) as no_type:
        await catalogue.create_device(Device("d1", "", "b1", "r1", "smell"))
    blamed = [error.value.violations[0].field for error in (no_building, no_room, no_type)]
    assert blamed == ["room.building", "device.room", "device.sensorType"]
    device = await catalogue.create_device(Device("d1", "ep1", "b1", "r1", "noise"))
    assert await catalogue.get_device("d1") == device
    with pytest.raises(ResourceNotFound, match="room r9"):
        await catalogue.update_device("d1", lambda entry: replace(entry, room="r9"))
    with pytest.raises(SensorTypeUnknown):
        await catalogue.update_device("d1", lambda entry: replace(entry, sensor_type="smell"))
    assert await catalogue.get_device("d1") == device
    for refused, used_by in (
        (catalogue.delete_building("b1"), "rooms"),
        (catalogue.delete_room("b1", "r1"), "devices"),
        (catalogue.delete_sensor_type("noise"), "devices"),
    ):
        with pytest.raises(ResourceInUse) as refusal:
            await refused
        assert refusal.value.metadata["usedBy"] == used_by
    room = await catalogue.update_room("b1", "r1", lambda entry: replace(entry, attributes={}))
    assert dict(room.attributes) == {}
    await catalogue.delete_device("d1")
    await catalogue.delete_room("b1", "r1")
    await catalogue.delete_building("b1")
    for gone in (
        catalogue.get_device("d1"),
        catalogue.get_room("b1", "r1"),
        catalogue.get_building("b1"),
        catalogue.delete_device("d1"),
        catalogue.delete_room("b1", "r1"),
        catalogue.delete_building("b1"),
        catalogue.update_building("b1", lambda entry: entry),
    ):
        with pytest.raises(ResourceNotFound):
            await gone


async def test_series_register_what_is_missing_and_leave_the_rest(catalogue: Catalogue) -> None:
    await catalogue.create_sensor_type(NOISE)
    await catalogue.create_building(Building("b1", {"a": "1"}))
    keys = [
        SeriesKey("b1", "r1", "noise", "d1"),
        SeriesKey("b2", "r1", "noise", ""),
        SeriesKey("b1", "r2", "noise", "d1"),
    ]
    assert await catalogue.missing(keys) == {
        keys[0]: ("room", "r1"),
        keys[1]: ("building", "b2"),
        keys[2]: ("room", "r2"),
    }
    for _ in range(2):
        await catalogue.register(keys)
    assert await catalogue.missing(keys) == {}
    assert await catalogue.missing([SeriesKey("b1", "r1", "noise", "d7")]) == {
        SeriesKey("b1", "r1", "noise", "d7"): ("device", "d7")
    }
    assert dict((await catalogue.get_building("b1")).attributes) == {"a": "1"}
    assert (await catalogue.get_device("d1")).room == "r1"
    with pytest.raises(ResourceInUse):
        await catalogue.update_sensor_type("noise", lambda entry: replace(entry, unit="B"))
    assert (await catalogue.update_sensor_type("noise", lambda entry: replace(entry, max_value=1.0))).max_value == 1.0


async def test_what_is_registered_is_counted_and_what_is_not_is_named(catalogue: Catalogue) -> None:
    await catalogue.create_sensor_type(NOISE)
    assert await catalogue.count_places(10) == PlaceCounts(0, 0, 0)
    keys = [
        SeriesKey("b1", "r1", "noise", "d1"),
        SeriesKey("b1", "r2", "noise", ""),
        SeriesKey("b2", "r1", "noise", ""),
    ]
    assert await catalogue.unknown(keys) == NamedPlaces.of(keys)
    assert await catalogue.register(keys) == PlaceCounts(2, 3, 1)
    assert await catalogue.register(keys) == PlaceCounts(0, 0, 0)
    assert await catalogue.unknown(keys) == NamedPlaces()
    more = [SeriesKey("b2", "r2", "noise", "d1"), SeriesKey("b1", "r1", "noise", "d2"), keys[0]]
    assert await catalogue.unknown(more) == NamedPlaces(set(), {("b2", "r2")}, {"d2"})
    assert await catalogue.register(more) == PlaceCounts(0, 1, 1)
    assert await catalogue.count_places(10) == PlaceCounts(2, 4, 2)
    assert await catalogue.count_places(3) == PlaceCounts(2, 3, 2)


async def test_a_sensor_type_with_readings_stays(catalogue: Catalogue) -> None:
    await catalogue.create_sensor_type(NOISE)
    await catalogue.register([SeriesKey("b1", "r1", "noise", "d1")])
    for used_by in ("devices", "readings"):
        with pytest.raises(ResourceInUse) as refusal:
            await catalogue.delete_sensor_type("noise")
        assert refusal.value.metadata["usedBy"] == used_by
        assert await catalogue.get_sensor_type("noise") == NOISE
        if used_by == "devices":
            await catalogue.delete_device("d1")


async def test_a_device_registers_itself_once(catalogue: Catalogue) -> None:
    await catalogue.create_sensor_type(NOISE)
    first = await catalogue.register_device(Device("d1", "ep1", "unassigned", "unassigned", "noise"))
    second = await catalogue.register_device(Device("d1", "ep2", "unassigned", "unassigned", "noise"))
    assert first == second == await catalogue.get_device("d1")
    assert second.format == "ep1"


async def test_counter_rules_are_kept_changed_and_cleared(catalogue: Catalogue) -> None:
    rolling = CounterRules(CounterPolicy.ROLLOVER, 100000.0, 3500.0, 0.01, 2.0)
    gas = SensorType("gas", Kind.COUNTER, "m3", counter_rules=rolling)
    assert await catalogue.create_sensor_type(gas) == gas
    assert await catalogue.get_sensor_type("gas") == gas
    capped = CounterRules(max_increase_per_hour=0.25)
    changed = await catalogue.update_sensor_type("gas", lambda entry: replace(entry, counter_rules=capped))
    assert changed == await catalogue.get_sensor_type("gas")
    assert changed.counter_rules == capped
    await catalogue.update_sensor_type("gas", lambda entry: replace(entry, counter_rules=None))
    assert {entry.counter_rules for entry in await catalogue.all_sensor_types()} == {None}
    await catalogue.create_building(Building("b"))
    await catalogue.create_room(Room("b", "r"))
    await catalogue.create_device(Device("plain", "", "b", "r", "gas"))
    assert await catalogue.device_rules() == {}
    made = await catalogue.create_device(Device("meter", "", "b", "r", "gas", counter_rules=rolling))
    assert made == await catalogue.get_device("meter")
    assert await catalogue.device_rules() == {("meter", "gas"): rolling}
    rejecting = CounterRules(CounterPolicy.REJECT)
    updated = await catalogue.update_device("meter", lambda entry: replace(entry, counter_rules=rejecting))
    assert updated.counter_rules == rejecting
    assert [entry.counter_rules for entry in await catalogue.list_devices(None, 9)] == [rejecting, None]
    await catalogue.update_device("meter", lambda entry: replace(entry, counter_rules=None))
    assert await catalogue.device_rules() == {}


async def test_which_of_two_values_counts_is_kept_and_changed(catalogue: Catalogue) -> None:
    gas = SensorType("gas", Kind.GAUGE, "m3", repeat_policy=RepeatPolicy.LAST_WINS)
    assert await catalogue.create_sensor_type(gas) == gas
    assert await catalogue.get_sensor_type("gas") == gas
    for policy in (RepeatPolicy.FIRST_WINS, RepeatPolicy.LAST_WINS):
        changed = await catalogue.update_sensor_type("gas", partial(replace, repeat_policy=policy))
        assert changed == await catalogue.get_sensor_type("gas")
        assert changed.last_wins == (policy == RepeatPolicy.LAST_WINS)


def events_of(change: RulesChange | DeviceMove | TypesTold) -> list[Event]:
    match change:
        case RulesChange():
            return rule_events([change], 2)
        case DeviceMove():
            return move_events(change, 2)
        case TypesTold():
            return [type_event(change)]


Batches = list[tuple[str, str, str | None, Any]]


async def batches_told(catalogue: Catalogue, request: pytest.FixtureRequest) -> Batches:
    """What the other services have been told since the last time: subject, id, ordering key and message."""
    if isinstance(catalogue, MemoryCatalogue):
        found = [event for change in catalogue.told for event in events_of(change)]
        batches = [(event.subject, event.id, event.key, event.message) for event in found]
        catalogue.told.clear()
        return batches
    database: Database = request.getfixturevalue("database")
    async with database.connection() as connection:
        rows = await connection.fetch("DELETE FROM outbox RETURNING *")
    return [
        (row["subject"], row["headers"], row["ordering_key"], ReadingBatch.FromString(row["payload"]))
        for row in sorted(rows, key=lambda row: row["id"])
    ]


async def test_what_values_are_possible_is_told_of(catalogue: Catalogue, request: pytest.FixtureRequest) -> None:
    await catalogue.create_sensor_type(NOISE)
    await catalogue.update_sensor_type("noise", lambda entry: replace(entry, min_value=None, max_value=200.0))
    await catalogue.update_sensor_type("noise", lambda entry: replace(entry, expected_interval=None))
    found = [batch for _, _, _, batch in await batches_told(catalogue, request) if batch.sensor_types]
    assert [batch.partition for batch in found] == [0, 0]
    first, second = [batch.sensor_types[0] for batch in found]
    assert (first.sensor_type, first.unit, first.min_value, first.max_value) == ("noise", "dB", 0.0, 194.0)
    assert (second.HasField("min_value"), second.max_value) == (False, 200.0)
    assert second.told_us > first.told_us


async def test_devices_that_leave_a_room_are_told_of(catalogue: Catalogue, request: pytest.FixtureRequest) -> None:
    await catalogue.create_sensor_type(SensorType("gas", Kind.COUNTER, "m3"))
    await catalogue.create_building(Building("b"))
    await catalogue.create_room(Room("b", "r"))
    await catalogue.create_room(Room("b", "elsewhere"))
    await catalogue.create_device(Device("mover", "", "b", "r", "gas"))
    await batches_told(catalogue, request)
    await catalogue.update_device("mover", lambda entry: replace(entry, format="ep1"))
    assert not await batches_told(catalogue, request)
    await catalogue.update_device("mover", lambda entry: replace(entry, room="elsewhere"))
    await catalogue.delete_device("mover")
    found = await batches_told(catalogue, request)
    assert sorted((batch.partition, key) for _, _, key, batch in found) == [
        (0, "rules-0"),
        (0, "rules-0"),
        (1, "rules-1"),
        (1, "rules-1"),
    ]
    moves = [move for _, _, _, batch in found if not batch.partition for move in batch.moved]
    assert [(one.device, one.from_building, one.from_room, one.building, one.room) for one in moves] == [
        ("mover", "b", "r", "b", "elsewhere"),
        ("mover", "b", "elsewhere", "", ""),
    ]
    assert all(one.move_time.seconds for one in moves)


async def told(catalogue: Catalogue, request: pytest.FixtureRequest) -> list[SeriesDescriptor]:
    """What the other services have been told of changed rules since the last time; its revisions left out."""
    batches = await batches_told(catalogue, request)
    said: dict[int, list[SeriesDescriptor]] = {0: [], 1: []}
    newest: dict[str, int] = {}
    for subject, identity, key, batch in batches:
        assert isinstance(batch, ReadingBatch)
        assert subject == f"tocsin.readings.v1.{batch.partition}"
        assert key == f"rules-{batch.partition}"
        assert len(batch.value) == 0
        for one in batch.changed:
            assert f"{one.sensor_type}-{one.rules_revision}" in identity
            if batch.partition == 0:
                assert one.rules_revision > newest.get(one.sensor_type, 0)
                newest[one.sensor_type] = one.rules_revision
            one.rules_revision = 0
            said[batch.partition].append(one)
    assert said[0] == said[1]
    for name, revision in newest.items():
        (entry,) = [entry for entry in await catalogue.all_sensor_types() if entry.id == name]
        assert entry.revision == revision
    return said[0]


def says(sensor_type: str, device: str = "", **fields: object) -> SeriesDescriptor:
    kind = {"kind": "COUNTER", "unit": "m3", "counter_policy": "COUNTER_POLICY_UNSPECIFIED"}
    return SeriesDescriptor(sensor_type=sensor_type, device=device, **(kind | fields))  # pyright: ignore


async def test_changed_rules_are_told_once_and_only_when_they_matter(
    catalogue: Catalogue, request: pytest.FixtureRequest
) -> None:
    rejecting, resetting = CounterRules(CounterPolicy.REJECT, None, 2.0), CounterRules(CounterPolicy.RESET)
    await catalogue.create_sensor_type(SensorType("gas", Kind.COUNTER, "m3"))
    await catalogue.create_sensor_type(SensorType("heat", Kind.COUNTER, "m3", counter_rules=resetting))
    await catalogue.create_sensor_type(NOISE)
    await catalogue.create_building(Building("b"))
    await catalogue.create_room(Room("b", "r"))
    await catalogue.create_device(Device("plain", "", "b", "r", "gas"))
    assert await told(catalogue, request) == []
    await catalogue.update_sensor_type("gas", lambda entry: replace(entry, counter_rules=rejecting))
    capped = {"counter_policy": "REJECT", "max_increase_per_hour": 2.0}
    assert await told(catalogue, request) == [says("gas", **capped)]
    # Neither what is as it was, nor what is no matter of those who work with readings.
    await catalogue.update_sensor_type("gas", lambda entry: replace(entry, counter_rules=rejecting, max_value=9.0))
    await catalogue.update_device("plain", lambda entry: replace(entry, sensor_type="heat", format="ep1"))
    await catalogue.update_device("plain", lambda entry: replace(entry, sensor_type="gas"))
    assert await told(catalogue, request) == []
    await catalogue.update_sensor_type("noise", lambda entry: replace(entry, expected_interval=None))
    quiet = {"kind": "GAUGE", "unit": "dB"}
    assert await told(catalogue, request) == [says("noise", **quiet)]
    with pytest.raises(ResourceNotFound):
        await catalogue.update_sensor_type("nothing", lambda entry: replace(entry, counter_rules=rejecting))
    # A device's own rules, those of its type again, and a device that becomes one of another type.
    await catalogue.create_device(Device("m1", "", "b", "r", "gas", counter_rules=resetting))
    own = {"counter_policy": "RESET", "own_counter_rules": True}
    assert await told(catalogue, request) == [says("gas", "m1", **own)]
    with pytest.raises(ResourceExists):
        await catalogue.create_device(Device("m1", "", "b", "r", "gas", counter_rules=rejecting))
    await catalogue.update_device("m1", lambda entry: replace(entry, counter_rules=None))
    assert await told(catalogue, request) == [says("gas", "m1", **capped)]
    await catalogue.update_device("m1", lambda entry: replace(entry, counter_rules=resetting))
    await catalogue.update_device("m1", lambda entry: replace(entry, sensor_type="heat"))
    moved = [says("gas", "m1", **capped), says("heat", "m1", **own)]
    assert await told(catalogue, request) == [says("gas", "m1", **own), *moved]
    await catalogue.delete_device("m1")
    assert await told(catalogue, request) == [says("heat", "m1", counter_policy="RESET")]
    await catalogue.delete_device("plain")
    assert await told(catalogue, request) == []
    # Made anew it is not taken for the one before.
    before = (await catalogue.get_sensor_type("noise")).revision
    await catalogue.delete_sensor_type("noise")
    await catalogue.create_sensor_type(NOISE)
    await catalogue.update_sensor_type("noise", lambda entry: replace(entry, unit="B"))
    assert (await catalogue.get_sensor_type("noise")).revision > before
    interval = NOISE.expected_interval
    assert interval is not None
    assert await told(catalogue, request) == [
        says("noise", kind="GAUGE", unit="B", expected_interval_us=interval // timedelta(microseconds=1))
    ]
