"""Energy probe 2: ``{"from": "d2", "content": {"energy": 12500}, "timestamp": 1720000000, "tag": "..."}``.

The energy is a counter in watt-hours. The device is known to send decreasing values now and then: they are passed on
with a flag, and corrected by aggregation.
"""

from services.ingestion.domain.errors import PayloadNotUnderstood
from services.ingestion.domain.formats.document import Document
from services.ingestion.domain.formats.payload import PayloadReading
from services.ingestion.domain.series import FLAG_MAY_DECREASE


def decode(document: Document) -> PayloadReading:
    """Wh as sent, flagged."""
    device = document.id("from")
    energy = document.number("content.energy")
    if energy < 0:
        raise PayloadNotUnderstood("content.energy", "must not be negative")
    return PayloadReading(device, "energy", energy, "Wh", document.time_us("timestamp"), FLAG_MAY_DECREASE)
