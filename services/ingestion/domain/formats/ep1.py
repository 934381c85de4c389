"""Energy probe 1: ``{"device": "d1", "energy": 12.5, "unit": 3, "ts": 1720000000, "tag": "..."}``.

The energy is a counter in ``10^unit`` watt-hours.
"""

from services.ingestion.domain.errors import PayloadNotUnderstood
from services.ingestion.domain.formats.document import Document
from services.ingestion.domain.formats.payload import PayloadReading

_MAX_EXPONENT = 12


def decode(document: Document) -> PayloadReading:
    """Wh = energy * 10^unit."""
    device = document.id("device")
    exponent = document.integer("unit", -_MAX_EXPONENT, _MAX_EXPONENT)
    energy = document.number("energy")
    if energy < 0:
        raise PayloadNotUnderstood("energy", "must not be negative")
    # Dividing by a whole power of ten is exact where multiplying by its inverse is not.
    value = energy * 10**exponent if exponent >= 0 else energy / 10**-exponent
    return PayloadReading(device, "energy", value, "Wh", document.time_us("ts"))
