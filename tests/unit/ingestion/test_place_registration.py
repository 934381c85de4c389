"""As many places as the deployment allows: readings register no more, and known ones are taken as before."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from services.chassis.auth import principal
from services.chassis.errors import ResourceExhausted
from services.ingestion.adapters.memory.catalogue import MemoryCatalogue
from services.ingestion.application.payloads import PayloadReceived
from services.ingestion.application.place_registration import PlaceRegistrar
from services.ingestion.application.readings import CreateReading, CreateReadings
from services.ingestion.domain.catalogue import Building, Device, Room
from services.ingestion.domain.errors import TooManyPlaces
from services.ingestion.domain.places import PlaceCounts
from services.ingestion.domain.reading import RawReading
from services.ingestion.domain.series import SeriesKey
from tests.support.ingestion import NOW_US, TYPES, kit

SETTING = "TOCSIN_INGESTION_MAX_AUTO_REGISTERED"


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    principal.enter(principal.Principal("me", frozenset({"*"}), frozenset({"*"})))
    yield
    principal.enter(None)


def raw(building: str, room: str, device: str = "") -> RawReading:
    return RawReading(building, room, "temperature", device, 20.0, "C", NOW_US)


def key(building: str, room: str, device: str = "") -> SeriesKey:
    return SeriesKey(building, room, "temperature", device)


@pytest.mark.parametrize(
    ("known", "new", "kind", "name"),
    [
        ([raw("b1", "r1"), raw("b2", "r1")], raw("b3", "r1"), "building", "b3"),
        ([raw("b1", "r1"), raw("b1", "r2")], raw("b1", "r3"), "room", "r3"),
        ([raw("b1", "r1", "d1"), raw("b1", "r1", "d2")], raw("b1", "r1", "d3"), "device", "d3"),
    ],
)
async def test_one_too_many_is_refused_by_kind_and_setting(
    known: list[RawReading], new: RawReading, kind: str, name: str
) -> None:
    async with kit(max_auto_registered=2) as made:
        for reading in known:
            await made.readings.create(CreateReading(reading))
        rows = len(made.lane.rows())
        with pytest.raises(TooManyPlaces) as refusal:
            await made.readings.create(CreateReading(new))
        assert isinstance(refusal.value, ResourceExhausted)
        assert refusal.value.reason == "REGISTRATION_LIMIT"
        assert refusal.value.metadata == {"kind": kind, "id": name, "limit": "2", "setting": SETTING}
        assert SETTING in refusal.value.message
        assert len(made.lane.rows()) == rows
        outcome = await made.readings.create_many(CreateReadings([known[0], new, known[1]]))
        assert outcome.accepted == 2
        assert [(one.index, one.reason, one.field) for one in outcome.rejections] == [(1, "REGISTRATION_LIMIT", kind)]
        # Nothing was kept in memory that would know them: they are known to the catalogue.
        await made.directory.reload()
        for reading in known:
            await made.readings.create(CreateReading(reading))
        with pytest.raises(TooManyPlaces):
            await made.readings.create(CreateReading(new))


async def test_columns_are_refused_by_series() -> None:
    async with kit(max_auto_registered=2) as made:
        series = [(key(f"b{number}", "r1"), "C") for number in (1, 2, 3)]
        index, times = np.array([2, 0, 1, 2], np.uint32), np.full(4, NOW_US)
        values = np.full(4, 20.0)
        table, _ = await made.readings.table(series, index, times, values)
        outcome = await (await made.readings.start_columns(table, index, times, values)).outcome()
        assert outcome.accepted == 2
        assert [(one.index, one.reason, one.field) for one in outcome.rejections] == [
            (0, "REGISTRATION_LIMIT", "building"),
            (3, "REGISTRATION_LIMIT", "building"),
        ]
        assert set(made.catalogue.buildings) == {"b1", "b2"}


async def test_vendor_devices_are_refused_or_kept_in_quarantine() -> None:
    async with kit(max_auto_registered=2) as made:

        def payload(device: str) -> bytes:
            return json.dumps({"device": device, "energy": 1, "unit": 3, "ts": NOW_US // 1_000_000}).encode()

        for device in ("m1", "m2", "m1"):
            await made.payloads.submit("ep1", payload(device))
        with pytest.raises(TooManyPlaces) as refusal:
            await made.payloads.submit("ep1", payload("m3"))
        assert refusal.value.metadata["kind"] == "device"
        at = datetime(2026, 11, 22, tzinfo=UTC)
        assert await made.payloads.take(PayloadReceived("one", "ep1", payload("m3"), at)) is None
        (kept,) = await made.quarantine.list("ep1", None, 10)
        assert kept.field == "device"
        assert SETTING in kept.reason
        assert set(made.catalogue.devices) == {"m1", "m2"}
        # Made by somebody, it is known, whatever the number; what was kept can be replayed.
        await made.catalogue.create_device(Device("m3", "ep1", "unassigned", "unassigned", "energy"))
        assert (await made.payloads.replay("one")).readings


async def test_who_deletes_makes_room() -> None:
    async with kit(max_auto_registered=2) as made:
        for building in ("b1", "b2"):
            await made.catalogue.create_building(Building(building))
        with pytest.raises(TooManyPlaces):
            await made.readings.create(CreateReading(raw("b3", "r1")))
        await made.catalogue.delete_building("b1")
        await made.directory.reload()
        await made.readings.create(CreateReading(raw("b3", "r1")))


class CountingCatalogue(MemoryCatalogue):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(TYPES)
        self.asked: list[str] = []

    async def count_places(self, most: int) -> PlaceCounts:
        self.asked.append("count")
        await asyncio.sleep(0)
        return await super().count_places(most)

    async def register(self, keys: list[SeriesKey]) -> PlaceCounts:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.asked.append("register")
        await asyncio.sleep(0)
        return await super().register(keys)


async def test_counting_is_rare_and_what_others_add_is_seen_within_a_minute() -> None:
    catalogue, now = CountingCatalogue(), [0.0]
    registrar = PlaceRegistrar(catalogue, 50, clock=lambda: now[0])
    for number in range(20):
        assert not await registrar.register([key(f"b{number}", "r1")])
    assert catalogue.asked == ["count", *["register"] * 20]
    for number in range(30):  # another process
        await catalogue.create_building(Building(f"c{number}"))
    now[0] = 61.0
    assert set(await registrar.register([key("b21", "r1"), key("b1", "r1")])) == {key("b21", "r1")}
    assert catalogue.asked.count("count") == 2


async def test_at_the_same_time_there_are_no_more_either() -> None:
    catalogue = CountingCatalogue()
    registrar = PlaceRegistrar(catalogue, 5)
    await catalogue.create_building(Building("b"))
    await catalogue.create_room(Room("b", "r"))
    refused = await asyncio.gather(*(registrar.register([key("b", "r", f"d{number}")]) for number in range(20)))
    assert len(catalogue.devices) == 5
    assert sum(map(len, refused)) == 15


async def test_a_batch_takes_what_there_is_room_for() -> None:
    catalogue = MemoryCatalogue(TYPES)
    keys = [key(f"b{number}", "r", f"d{number}") for number in range(6)]
    refused = await PlaceRegistrar(catalogue, 4).register(keys)
    assert set(refused) == set(keys[4:])
    assert {one.metadata["kind"] for one in refused.values()} == {"building"}
    assert set(catalogue.devices) == {"d0", "d1", "d2", "d3"}
