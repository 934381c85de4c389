"""Every setting of every part, from where the parts declare them."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.aggregation.settings import AggregationSettings
from services.chassis.settings import GIB, KIB, MIB, ChassisSettings, parse_size
from services.cli.configuration.gateway import entries
from services.cli.runtime.edge_options import EDGE_SETTINGS
from services.cli.runtime.own_settings import own_settings
from services.cli.runtime.setting import Setting
from services.cli.runtime.settings import part_name
from services.ingestion.settings import IngestionSettings
from services.media_probe.settings import MediaProbeSettings
from services.notification.settings import NotificationSettings

SERVICE_SETTINGS: dict[str, type[ChassisSettings]] = {
    "ingestion": IngestionSettings,
    "aggregation": AggregationSettings,
    "media_probe": MediaProbeSettings,
    "notification": NotificationSettings,
}
_SIMPLE = {int: "number", float: "number", bool: "true or false", Path: "file", timedelta: "duration"}


def all_settings() -> list[Setting]:
    """Every setting once, with all its readers: first what the runtime reads, then each part's own."""
    found: dict[str, Setting] = {}
    for setting in (*own_settings(), *EDGE_SETTINGS, *_of_services(), *_of_gateway()):
        known = found.get(setting.name)
        found[setting.name] = setting if known is None else _merged(known, setting)
    return list(found.values())


def _merged(one: Setting, other: Setting) -> Setting:
    readers = (*one.readers, *(reader for reader in other.readers if reader not in one.readers))
    return Setting(
        name=one.name,
        type=one.type,
        default=one.default or other.default,
        meaning=one.meaning or other.meaning,
        readers=readers,
    )


def _of_services() -> Iterable[Setting]:
    for service, cls in SERVICE_SETTINGS.items():
        for name, field in cls.model_fields.items():
            yield Setting(
                name=cls.env(name),
                type=_type(field),
                default=_default(field),
                meaning=" ".join((field.description or "").split()),
                readers=(part_name(service),),
            )


def _of_gateway() -> Iterable[Setting]:
    for entry in entries():
        name = entry.get("name", "")
        yield Setting(
            name=name,
            type=entry.get("type", ""),
            # Addresses of peers are the runtime's to give.
            default="" if name.startswith("TOCSIN_PEER_") else entry.get("default", ""),
            meaning=entry.get("meaning", ""),
            readers=("gateway",),
        )


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    if isinstance(annotation, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not NoneType)
    if get_origin(annotation) is Literal:
        return " or ".join(str(one) for one in get_args(annotation))
    if annotation is int and any(getattr(one, "func", None) is parse_size for one in field.metadata):
        return "size"
    return _SIMPLE.get(annotation, "text")  # pyright: ignore[reportArgumentType, reportCallIssue]


def _default(field: FieldInfo) -> str:
    value = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return _duration(value)
    if _type(field) == "size":
        return _size(value)
    return "" if value is None else str(value)


def _duration(value: timedelta) -> str:
    left, text = round(value.total_seconds() * 1_000_000), ""
    for unit, size in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1000)):
        if left >= size:
            count, left = divmod(left, size)
            text += f"{count}{unit}"
    return text or "0s"


def _size(value: int) -> str:
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)
