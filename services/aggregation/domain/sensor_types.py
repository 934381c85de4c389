"""What the catalogue says of the values of a sensor type."""

from typing import NamedTuple


class SensorTypeInfo(NamedTuple):
    """`minimum` and `maximum` that are possible (None: any), in the canonical `unit`. `told`: when it was so
    (microseconds)."""

    id: str
    unit: str
    minimum: float | None = None
    maximum: float | None = None
    told: int = 0
