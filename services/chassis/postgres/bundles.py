"""Bundles of events as rows of the outbox.

The payload of a row is that of its events, one after another. Its headers are those that all of them share, and a list
of the events: subject, bytes of payload, and the headers that each has for itself; or, for events of one type, subject,
id, time, bytes of payload.
"""

import json
from collections.abc import Iterator, Sequence

from services.chassis.nats.envelope import Bundle, Encoded, common_headers, own_headers

MAX_EVENTS = 500
"""Events of one row, at the most."""
MAX_BYTES = 1024 * 1024
"""Payload of one row, about; a larger event has a row of its own."""

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


def pack_encoded(messages: Sequence[Encoded]) -> Iterator[tuple[bytes, str]]:
    """As `pack`, for events of any type."""
    first = size = 0
    for place, message in enumerate(messages):
        if place > first and (place - first == MAX_EVENTS or size + len(message.payload) > MAX_BYTES):
            yield _packed(messages[first:place])
            first, size = place, 0
        size += len(message.payload)
    if messages:
        yield _packed(messages[first:])


def _packed(messages: Sequence[Encoded]) -> tuple[bytes, str]:
    common = set(messages[0].headers.items()).intersection(*(message.headers.items() for message in messages[1:]))
    shared = dict(common)
    events = [
        (one.subject, len(one.payload), {name: value for name, value in one.headers.items() if name not in shared})
        for one in messages
    ]
    return b"".join(one.payload for one in messages), json.dumps({_COMMON: shared, _EVENTS: events})


def unpack(payload: bytes, headers: str) -> list[Encoded]:
    """The events of a row, in order."""
    content = json.loads(headers)
    common: dict[str, str] = content[_COMMON]
    found: list[Encoded] = []
    at = 0
    for event in content[_EVENTS]:
        if len(event) == 3:
            subject, size, own = event
        else:
            subject, event_id, time, size = event
            own = own_headers(event_id, time)
        found.append(Encoded(subject, payload[at : at + size], own | common))
        at += size
    return found
