"""Keeping the catalogue. What is changed here is known to the hot path of this process when the call returns."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from services.chassis.ids import ID_RULE, is_id
from services.chassis.paging import Page, PageTokens, fetch_page_by_id
from services.ingestion.application.ports import Catalogue
from services.ingestion.application.series_directory import SeriesDirectory
from services.ingestion.domain.catalogue import Building, Device, Room, SensorType
from services.ingestion.domain.errors import InvalidField

Changes = Mapping[str, object]
"""Field of the entry -> new value."""


class CatalogueDesk:
    """The use cases."""

    def __init__(self, catalogue: Catalogue, directory: SeriesDirectory) -> None:
        self._catalogue = catalogue
        self._directory = directory

    async def create_sensor_type(self, entry: SensorType) -> SensorType:
        """Raises InvalidEntry or ResourceExists."""
        entry.check()
        created = await self._catalogue.create_sensor_type(entry)
        await self._directory.reload()
        return created

    async def get_sensor_type(self, name: str) -> SensorType:
        """Raises ResourceNotFound."""
        return await self._catalogue.get_sensor_type(name)

    async def list_sensor_types(self, size: int, token: str) -> Page[SensorType]:
        """A page by id."""
        tokens = PageTokens("sensor_types")
        return await fetch_page_by_id(tokens, size, token, self._catalogue.list_sensor_types, lambda entry: entry.id)

    async def update_sensor_type(self, name: str, changes: Changes) -> SensorType:
        """Raises InvalidEntry, ResourceNotFound, or ResourceInUse for kind or unit of a type that has readings."""

        def change(current: SensorType) -> SensorType:
            entry = replace(current, **changes)  # pyright: ignore[reportArgumentType] - named by the mapper
            entry.check()
            return entry

        _check_id(name, "sensorType.id")
        updated = await self._catalogue.update_sensor_type(name, change)
        await self._directory.reload()
        return updated

    async def delete_sensor_type(self, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        await self._catalogue.delete_sensor_type(name)
        await self._directory.reload()

    async def create_building(self, entry: Building) -> Building:
        """Raises InvalidEntry or ResourceExists."""
        entry.check()
        return await self._catalogue.create_building(entry)

    async def get_building(self, name: str) -> Building:
        """Raises ResourceNotFound."""
        return await self._catalogue.get_building(name)

    async def list_buildings(self, size: int, token: str) -> Page[Building]:
        """A page by id."""
        tokens = PageTokens("buildings")
        return await fetch_page_by_id(tokens, size, token, self._catalogue.list_buildings, lambda entry: entry.id)

    async def update_building(self, name: str, changes: Changes) -> Building:
        """Raises InvalidEntry or ResourceNotFound."""

        def change(current: Building) -> Building:
            entry = replace(current, **changes)  # pyright: ignore[reportArgumentType] - named by the mapper
            entry.check()
            return entry

        _check_id(name, "building.id")
        return await self._catalogue.update_building(name, change)

    async def delete_building(self, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        await self._catalogue.delete_building(name)
        await self._directory.reload()

    async def create_room(self, entry: Room) -> Room:
        """Raises InvalidEntry, ResourceExists, or ResourceNotFound for its building."""
        entry.check()
        return await self._catalogue.create_room(entry)

    async def get_room(self, building: str, name: str) -> Room:
        """Raises ResourceNotFound."""
        return await self._catalogue.get_room(building, name)

    async def list_rooms(self, building: str, size: int, token: str) -> Page[Room]:
        """A page by id. Raises ResourceNotFound for an unknown building."""
        tokens = PageTokens("rooms", building=building)
        fetch = partial(self._catalogue.list_rooms, building)
        return await fetch_page_by_id(tokens, size, token, fetch, lambda entry: entry.id)

    async def update_room(self, building: str, name: str, changes: Changes) -> Room:
        """Raises InvalidEntry or ResourceNotFound."""

        def change(current: Room) -> Room:
            entry = replace(current, **changes)  # pyright: ignore[reportArgumentType] - named by the mapper
            entry.check()
            return entry

        _check_id(building, "room.building")
        _check_id(name, "room.id")
        return await self._catalogue.update_room(building, name, change)

    async def delete_room(self, building: str, name: str) -> None:
        """Raises ResourceNotFound or ResourceInUse."""
        await self._catalogue.delete_room(building, name)
        await self._directory.reload()

    async def create_device(self, entry: Device) -> Device:
        """Raises InvalidEntry, ResourceExists, ResourceNotFound or SensorTypeUnknown."""
        self._check_device(entry)
        created = await self._catalogue.create_device(entry)
        if entry.counter_rules is not None:
            await self._directory.reload()
        return created

    async def get_device(self, name: str) -> Device:
        """Raises ResourceNotFound."""
        return await self._catalogue.get_device(name)

    async def list_devices(self, size: int, token: str) -> Page[Device]:
        """A page by id."""
        tokens = PageTokens("devices")
        return await fetch_page_by_id(tokens, size, token, self._catalogue.list_devices, lambda entry: entry.id)

    async def update_device(self, name: str, changes: Changes) -> Device:
        """Raises InvalidEntry, ResourceNotFound or SensorTypeUnknown."""

        def change(current: Device) -> Device:
            entry = replace(current, **changes)  # pyright: ignore[reportArgumentType] - named by the mapper
            self._check_device(entry)
            return entry

        _check_id(name, "device.id")
        updated = await self._catalogue.update_device(name, change)
        await self._directory.reload()
        return updated

    def _check_device(self, entry: Device) -> None:
        entry.check()
        if entry.counter_rules is not None:
            entry.check_type(self._directory.sensor_type(entry.sensor_type))

    async def delete_device(self, name: str) -> None:
        """Raises ResourceNotFound."""
        await self._catalogue.delete_device(name)
        await self._directory.reload()


def _check_id(name: str, field: str) -> None:
    """An update's entry may be partial, so its contract checks nothing of it."""
    if not is_id(name):
        raise InvalidField(field, ID_RULE, rule="STRING_RESOURCE_ID")
