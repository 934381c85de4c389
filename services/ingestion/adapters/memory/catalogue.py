"""The catalogue in memory, with the same rules as the stored one: for tests and experiments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from services.ingestion.domain.catalogue import UNASSIGNED, Building, Device, Room, SensorType
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.errors import ResourceExists, ResourceInUse, ResourceNotFound, SensorTypeUnknown
from services.ingestion.domain.places import NamedPlaces, PlaceCounts
from services.ingestion.domain.rule_changes import (
    DeviceMove,
    RulesChange,
    TypesTold,
    concerns_limits,
    concerns_readings,
    move_of,
    own_rules_changed,
)
from services.ingestion.domain.series import SeriesKey


class MemoryCatalogue:
    """The port `Catalogue`."""

    def __init__(self, sensor_types: Sequence[SensorType] = ()) -> None:
        self._revisions = count(1)
        self.sensor_types = {entry.id: self._next_revision(entry) for entry in sensor_types}
        self.buildings: dict[str, Building] = {}
        self.rooms: dict[tuple[str, str], Room] = {}
        self.devices: dict[str, Device] = {}
        self._with_readings: set[str] = set()
        self.told: list[RulesChange | DeviceMove | TypesTold] = []
        """Rules that have changed and devices that were moved, as whoever works with readings hears of it."""

    async def create_sensor_type(self, entry: SensorType) -> SensorType:
        if entry.id in self.sensor_types:
            raise ResourceExists("sensorType", entry.id)
        self.sensor_types[entry.id] = self._next_revision(entry)
        self.told.append(TypesTold([entry], next(self._revisions)))
        return entry

    async def get_sensor_type(self, name: str) -> SensorType:
        if name not in self.sensor_types:
            raise ResourceNotFound("sensorType", name)
        return self.sensor_types[name]

    async def list_sensor_types(self, after: str | None, limit: int) -> list[SensorType]:
        return [self.sensor_types[name] for name in sorted(self.sensor_types) if name > (after or "")][:limit]

    async def all_sensor_types(self) -> list[SensorType]:
        return list(self.sensor_types.values())

    async def device_rules(self) -> Mapping[tuple[str, str], CounterRules]:
        return {
            (device.id, device.sensor_type): device.counter_rules
            for device in self.devices.values()
            if device.counter_rules is not None
        }

    async def update_sensor_type(self, name: str, change: Callable[[SensorType], SensorType]) -> SensorType:
        current = await self.get_sensor_type(name)
        entry = change(current)
        if name in self._with_readings and (entry.kind, entry.unit) != (current.kind, current.unit):
            raise ResourceInUse("sensorType", name, "readings")
        self.sensor_types[name] = entry
        if concerns_readings(current, entry):
            self.sensor_types[name] = self._next_revision(entry)
            self.told.append(RulesChange(self.sensor_types[name]))
        if concerns_limits(current, entry):
            self.told.append(TypesTold([entry], next(self._revisions)))
        return entry

    def _next_revision(self, entry: SensorType) -> SensorType:
        return replace(entry, revision=next(self._revisions))

    def _tell(self, name: str, before: Device | None, after: Device | None) -> None:
        for sensor_type, own in own_rules_changed(before, after).items():
            entry = self.sensor_types[sensor_type] = self._next_revision(self.sensor_types[sensor_type])
            self.told.append(RulesChange(entry, name, own))
        if (move := move_of(before, after)) is not None:
            self.told.append(move)

    async def delete_sensor_type(self, name: str) -> None:
        await self.get_sensor_type(name)
        if any(device.sensor_type == name for device in self.devices.values()):
            raise ResourceInUse("sensorType", name, "devices")
        if name in self._with_readings:
            raise ResourceInUse("sensorType", name, "readings")
        del self.sensor_types[name]

    async def create_building(self, entry: Building) -> Building:
        if entry.id in self.buildings:
            raise ResourceExists("building", entry.id)
        self.buildings[entry.id] = replace(entry, create_time=datetime.now(UTC))
        return self.buildings[entry.id]

    async def get_building(self, name: str) -> Building:
        if name not in self.buildings:
            raise ResourceNotFound("building", name)
        return self.buildings[name]

    async def list_buildings(self, after: str | None, limit: int) -> list[Building]:
        return [self.buildings[name] for name in sorted(self.buildings) if name > (after or "")][:limit]

    async def update_building(self, name: str, change: Callable[[Building], Building]) -> Building:
        self.buildings[name] = change(await self.get_building(name))
        return self.buildings[name]

    async def delete_building(self, name: str) -> None:
        await self.get_building(name)
        if any(building == name for building, _ in self.rooms):
            raise ResourceInUse("building", name, "rooms")
        del self.buildings[name]

    async def create_room(self, entry: Room) -> Room:
        if entry.building not in self.buildings:
            raise ResourceNotFound("building", entry.building, "room.building")
        if (entry.building, entry.id) in self.rooms:
            raise ResourceExists("room", entry.id)
        self.rooms[entry.building, entry.id] = replace(entry, create_time=datetime.now(UTC))
        return self.rooms[entry.building, entry.id]

    async def get_room(self, building: str, name: str) -> Room:
        if (building, name) not in self.rooms:
            raise ResourceNotFound("room", name)
        return self.rooms[building, name]

    async def list_rooms(self, building: str, after: str | None, limit: int) -> list[Room]:
        await self.get_building(building)
        found = sorted(name for at, name in self.rooms if at == building and name > (after or ""))
        return [self.rooms[building, name] for name in found[:limit]]

    async def update_room(self, building: str, name: str, change: Callable[[Room], Room]) -> Room:
        self.rooms[building, name] = change(await self.get_room(building, name))
        return self.rooms[building, name]

    async def delete_room(self, building: str, name: str) -> None:
        await self.get_room(building, name)
        if any((device.building, device.room) == (building, name) for device in self.devices.values()):
            raise ResourceInUse("room", name, "devices")
        del self.rooms[building, name]

    async def create_device(self, entry: Device) -> Device:
        if entry.id in self.devices:
            raise ResourceExists("device", entry.id)
        await self._check(entry)
        self.devices[entry.id] = replace(entry, create_time=datetime.now(UTC))
        self._tell(entry.id, None, entry)
        return self.devices[entry.id]

    async def get_device(self, name: str) -> Device:
        if name not in self.devices:
            raise ResourceNotFound("device", name)
        return self.devices[name]

    async def list_devices(self, after: str | None, limit: int) -> list[Device]:
        return [self.devices[name] for name in sorted(self.devices) if name > (after or "")][:limit]

    async def update_device(self, name: str, change: Callable[[Device], Device]) -> Device:
        before = await self.get_device(name)
        entry = change(before)
        await self._check(entry)
        self.devices[name] = entry
        self._tell(name, before, entry)
        return entry

    async def delete_device(self, name: str) -> None:
        self._tell(name, await self.get_device(name), None)
        del self.devices[name]

    async def register(self, keys: Sequence[SeriesKey]) -> PlaceCounts:
        now, created = datetime.now(UTC), (await self.unknown(keys)).counts
        for key in sorted(keys):
            self._with_readings.add(key.sensor_type)
            self.buildings.setdefault(key.building, Building(key.building, {}, now))
            self.rooms.setdefault((key.building, key.room), Room(key.building, key.room, {}, now))
            if key.device:
                new = Device(key.device, "", key.building, key.room, key.sensor_type, now)
                self.devices.setdefault(key.device, new)
        return created

    async def unknown(self, keys: Sequence[SeriesKey]) -> NamedPlaces:
        named = NamedPlaces.of(keys)
        return NamedPlaces(
            named.buildings - self.buildings.keys(),
            named.rooms - self.rooms.keys(),
            named.devices - self.devices.keys(),
        )

    async def count_places(self, limit: int) -> PlaceCounts:
        return PlaceCounts(*(min(len(kind), limit) for kind in (self.buildings, self.rooms, self.devices)))

    async def missing(self, keys: Sequence[SeriesKey]) -> dict[SeriesKey, tuple[str, str]]:
        found: dict[SeriesKey, tuple[str, str]] = {}
        for key in keys:
            if key.building not in self.buildings:
                found[key] = ("building", key.building)
            elif (key.building, key.room) not in self.rooms:
                found[key] = ("room", key.room)
            elif key.device and key.device not in self.devices:
                found[key] = ("device", key.device)
        return found

    async def register_device(self, device: Device) -> Device:
        now = datetime.now(UTC)
        self.buildings.setdefault(UNASSIGNED, Building(UNASSIGNED, {}, now))
        self.rooms.setdefault((UNASSIGNED, UNASSIGNED), Room(UNASSIGNED, UNASSIGNED, {}, now))
        return self.devices.setdefault(device.id, replace(device, create_time=now))

    async def _check(self, entry: Device) -> None:
        if (entry.building, entry.room) not in self.rooms:
            raise ResourceNotFound("room", entry.room, "device.room")
        if entry.sensor_type not in self.sensor_types:
            raise SensorTypeUnknown(entry.sensor_type, "device.sensorType")
