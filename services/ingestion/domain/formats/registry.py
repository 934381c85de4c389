"""The formats that are understood. A new one is a module beside the others and a line here."""

from collections.abc import Mapping
from dataclasses import replace

from services.ingestion.domain.errors import FormatUnknown
from services.ingestion.domain.formats import env1, ep1, ep2
from services.ingestion.domain.formats.document import Document
from services.ingestion.domain.formats.payload import Adapter, PayloadReading

FORMATS: Mapping[str, Adapter] = {"ep1": ep1.decode, "ep2": ep2.decode, "env1": env1.decode}


def adapter(name: str) -> Adapter:
    """Raises FormatUnknown."""
    if (found := FORMATS.get(name)) is None:
        raise FormatUnknown(name, sorted(FORMATS))
    return found


def decode(name: str, payload: bytes) -> PayloadReading:
    """What the payload says. Raises FormatUnknown, or PayloadNotUnderstood that names the field."""
    decoder = adapter(name)
    document = Document.parse(payload)
    reading = decoder(document)
    if not document.has("tag"):
        return replace(reading, warnings=(*reading.warnings, "tag is missing"))
    return reading
