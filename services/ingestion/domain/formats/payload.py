"""What an adapter makes of a vendor's payload, and what an adapter is."""

from collections.abc import Callable
from dataclasses import dataclass

from services.ingestion.domain.formats.document import Document


@dataclass(frozen=True, slots=True)
class PayloadReading:
    """One measured value of a device, before the catalogue tells where the device stands.

    `sensor_type` is that of the format; a device of the catalogue may have another of the same quantity. `flags` are
    the bits of `services.ingestion.domain.series`. `emptied`: a container reports that it was emptied.
    """

    device: str
    sensor_type: str
    value: float
    unit: str
    event_time_us: int
    flags: int = 0
    emptied: bool = False
    warnings: tuple[str, ...] = ()


Adapter = Callable[[Document], PayloadReading]
"""Raises PayloadNotUnderstood that names the field of the payload."""
