"""Environment sensor 1 (containers): ``{"id": "c1", "d": {"filling_level": 40}, "ts": 1720000000, "tag": "..."}``.

The filling level is in percent; 0 means that the container was emptied.
"""

from services.ingestion.domain.errors import PayloadNotUnderstood
from services.ingestion.domain.formats.document import Document
from services.ingestion.domain.formats.payload import PayloadReading


def decode(document: Document) -> PayloadReading:
    """A level in percent; `emptied` when it is 0."""
    device = document.id("id")
    level = document.number("d.filling_level")
    if not 0 <= level <= 100:
        raise PayloadNotUnderstood("d.filling_level", "must be from 0 to 100")
    return PayloadReading(device, "filling_level", level, "%", document.time_us("ts"), emptied=level == 0)
