"""What the hot path knows about series and devices, in memory.

Everything here can be read again from the catalogue; changes made by other replicas arrive by `reload` (see the
listener of the PostgreSQL adapter).
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.chassis.errors import DomainError
from services.ingestion.application import metrics
from services.ingestion.application.place_registration import PlaceRegistrar
from services.ingestion.application.ports import Catalogue
from services.ingestion.domain.catalogue import UNASSIGNED, Device, SensorType
from services.ingestion.domain.counter_rules import CounterRules
from services.ingestion.domain.errors import InvalidFields, ResourceNotFound, SensorTypeUnknown
from services.ingestion.domain.series import Series, SeriesIdentity, SeriesKey, broken_ids

Resolved = dict[SeriesKey, Series | DomainError]


@dataclass(frozen=True, kw_only=True)
class DirectoryOptions:
    """`auto_register`: a reading of an unknown building, room or device registers it, while there are fewer than
    `max_auto_registered` of its kind."""

    auto_register: bool = True
    max_auto_registered: int = 100_000
    partitions: int = 8
    max_series: int = 200_000


class SeriesDirectory:
    """Resolves series and devices, registering what is new."""

    def __init__(self, catalogue: Catalogue, options: DirectoryOptions) -> None:
        self._catalogue = catalogue
        self._options = options
        self._registrar = PlaceRegistrar(catalogue, options.max_auto_registered)
        self._types: dict[str, SensorType] = {}
        self._series: dict[SeriesKey, Series] = {}
        self._identities: dict[SeriesKey, SeriesIdentity] = {}
        self._devices: dict[str, Device] = {}
        self._device_rules: Mapping[tuple[str, str], CounterRules] = {}
        # One at a time: of two at once the one that ends last may have read first.
        self._reloading = asyncio.Lock()
        self.version = 0
        """Grows whenever what was resolved before may be out of date."""

    async def reload(self) -> None:
        """Reads the sensor types and the counter rules of devices anew, and forgets the rest."""
        async with self._reloading:
            # In this order: a type's revision says that the rules of its devices are at least as new.
            types = {entry.id: entry for entry in await self._catalogue.all_sensor_types()}
            self._device_rules = await self._catalogue.device_rules()
            self._types = types
            self._forget()

    def _forget(self) -> None:
        self._series.clear()
        self._devices.clear()
        self._registrar.forget()
        self.version += 1
        metrics.SERIES_CACHED.set(0)

    def cached(self, key: SeriesKey) -> Series | None:
        """The series if it is known already; no waiting."""
        return self._series.get(key)

    def sensor_type(self, name: str) -> SensorType:
        """Raises SensorTypeUnknown."""
        if (found := self._types.get(name)) is None:
            raise SensorTypeUnknown(name)
        return found

    def peek(self, key: SeriesKey) -> Series | DomainError:
        """The series as it is or would be; registers nothing."""
        if (found := self._series.get(key)) is not None:
            return found
        return self._refusal(key) or self._new(key)

    def expected(self, key: SeriesKey) -> Series:
        """As `peek`, for one that there can be. Raises InvalidField or SensorTypeUnknown."""
        if isinstance(found := self.peek(key), DomainError):
            raise found
        return found

    async def one(self, key: SeriesKey) -> Series:
        """The series. Raises InvalidField, SensorTypeUnknown, ResourceNotFound, TooManyPlaces, or Unavailable (of the
        database)."""
        if (found := self._series.get(key)) is not None:
            return found
        outcome = (await self.resolve([key]))[key]
        if isinstance(outcome, DomainError):
            raise outcome
        return outcome

    async def resolve(self, keys: Iterable[SeriesKey]) -> Resolved:
        """Each series, or why there is none. Raises Unavailable when the database is needed and away."""
        resolved: Resolved = {}
        unknown: list[SeriesKey] = []
        for key in keys:
            if (found := self._series.get(key)) is not None:
                resolved[key] = found
            elif (error := self._refusal(key)) is not None:
                resolved[key] = error
            else:
                unknown.append(key)
        if unknown:
            resolved |= await self._resolve_unknown(sorted(set(unknown)))
        return resolved

    async def _resolve_unknown(self, keys: list[SeriesKey]) -> Resolved:
        resolved: Resolved = {}
        if self._options.auto_register:
            resolved |= await self._registrar.register(keys)
        else:
            for key, (kind, name) in (await self._catalogue.missing(keys)).items():
                resolved[key] = ResourceNotFound(kind, name, kind)
            if known := [key for key in keys if key not in resolved]:
                await self._catalogue.register(known)
        for key in keys:
            if key not in resolved:
                # A type may have gone while we waited.
                resolved[key] = self._refusal(key) or self._keep(key)
        return resolved

    def _keep(self, key: SeriesKey) -> Series:
        if len(self._identities) >= self._options.max_series and key not in self._identities:
            self._identities.clear()
            self._forget()
        series = self._new(key)
        self._identities[key] = series.identity
        self._series[key] = series
        metrics.SERIES_CACHED.set(len(self._series))
        return series

    def _new(self, key: SeriesKey) -> Series:
        rules = self._device_rules.get((key.device, key.sensor_type))
        return Series(key, self._types[key.sensor_type], self._options.partitions, rules, self._identities.get(key))

    def _refusal(self, key: SeriesKey) -> DomainError | None:
        if broken := broken_ids(key):
            return InvalidFields(broken)
        return None if key.sensor_type in self._types else SensorTypeUnknown(key.sensor_type)

    async def device(self, name: str) -> Device:
        """The device. Raises ResourceNotFound."""
        if (found := self._devices.get(name)) is None:
            found = self._keep_device(await self._catalogue.get_device(name))
        return found

    async def device_or_new(self, name: str, format_name: str, sensor_type: str) -> Device:
        """The device; an unknown one is registered as unassigned where the deployment allows that. Raises
        ResourceNotFound or TooManyPlaces."""
        try:
            return await self.device(name)
        except ResourceNotFound as error:
            if not self._options.auto_register:
                raise ResourceNotFound("device", name, "device") from error
        self.sensor_type(sensor_type)
        new = Device(name, format_name, UNASSIGNED, UNASSIGNED, sensor_type)
        return self._keep_device(await self._registrar.register_device(new))

    def _keep_device(self, device: Device) -> Device:
        if len(self._devices) >= self._options.max_series:
            self._devices.clear()
        self._devices[device.id] = device
        return device
