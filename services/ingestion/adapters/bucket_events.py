"""Events as S3, and what speaks like it, sends them."""

import json
from typing import Any
from urllib.parse import unquote_plus

from services.ingestion.domain.errors import InvalidField


def keys_of(event: bytes) -> list[str]:
    """The keys of the objects that an event names. Raises InvalidField."""
    try:
        records: list[Any] = json.loads(event).get("Records") or []
        return [unquote_plus(record["s3"]["object"]["key"]) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidField("event", "must be an event of S3: JSON with Records, each with s3.object.key") from None
