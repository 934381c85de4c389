"""Bundles of events as rows of the outbox.

The payload of a row is that of its events, one after another. Its headers are those that all of them share, and a list
of the events: subject, id, time, bytes of payload.
"""

import json
from collections.abc import Iterator

from services.chassis.nats.envelope import Bundle, Encoded, common_headers, own_headers

MAX_EVENTS = 500
"""Events of one row, at the most."""

_COMMON, _EVENTS = "common", "events"


def pack(bundle: Bundle, source: str) -> Iterator[tuple[bytes, str]]:
    """Payload and headers (JSON) of each row."""
    common = common_headers(bundle.type, source=source)
    for first in range(0, len(bundle.ids), MAX_EVENTS):
        part = slice(first, first + MAX_EVENTS)
        payloads = bundle.payloads[part]
        sizes = map(len, payloads)
        events = list(zip(bundle.subjects[part], bundle.ids[part], bundle.times[part], sizes, strict=True))
        yield b"".join(payloads), json.dumps({_COMMON: common, _EVENTS: events})


def unpack(payload: bytes, headers: str) -> list[Encoded]:
    """The events of a row, in order."""
    content = json.loads(headers)
    common: dict[str, str] = content[_COMMON]
    found: list[Encoded] = []
    at = 0
    for subject, event_id, time, size in content[_EVENTS]:
        found.append(Encoded(subject, payload[at : at + size], own_headers(event_id, time) | common))
        at += size
    return found
