"""Events and their envelope: CloudEvents attributes and the trace context in NATS headers, protobuf as payload.

`ce-type` is the full name of the protobuf message, `ce-id` is the event's identity for its whole life (inbox marks
are made of it), and `Nats-Msg-Id` is the identity of one publication (JetStream drops repeats of it).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

from google.protobuf.message import Message
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

MESSAGE_ID = "Nats-Msg-Id"
ID = "ce-id"
TYPE = "ce-type"
SOURCE = "ce-source"
TIME = "ce-time"
SPEC_VERSION = "ce-specversion"
CONTENT_TYPE = "content-type"
FOLLOWS = "Tocsin-Follows"
_FOLLOWS = re.compile(r"([0-9A-Za-z_-]{1,64}) ([0-9]{1,18})", re.ASCII)

_trace_context = TraceContextTextMapPropagator()


def _new_id() -> str:
    return str(uuid4())


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be published on `subject`.

    Give an `id` of your own where the same fact may be published twice (derive it from what it is about).
    Events of the same `key` leave the outbox strictly in the order in which they were added.
    """

    subject: str
    message: Message
    id: str = field(default_factory=_new_id)
    time: datetime = field(default_factory=_now)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as it goes over the wire."""

    subject: str
    payload: bytes
    headers: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes of payload and headers together, as the server counts them."""
        return len(self.payload) + sum(len(name) + len(value.encode()) + 4 for name, value in self.headers.items()) + 12


class Follows(NamedTuple):
    """What a message says of the one before it: the `publisher` (a name that is never used twice) had its last message
    on this subject acknowledged with this `sequence` of the stream; 0: this is its first.

    So a reader in order can tell, message by message, that the broker has lost something that it had acknowledged.
    """

    publisher: str
    sequence: int

    def header(self) -> dict[str, str]:
        """As it travels."""
        return {FOLLOWS: f"{self.publisher} {self.sequence}"}

    @classmethod
    def read(cls, headers: Mapping[str, str]) -> "Follows | None":
        """None where nothing (or nothing that makes sense) is said."""
        found = _FOLLOWS.fullmatch(headers.get(FOLLOWS, ""))
        return None if found is None else cls(found[1], int(found[2]))


@dataclass(frozen=True, slots=True)
class Bundle:
    """Many events of one `type` (full name of their message), column by column, to be published in this order."""

    type: str
    subjects: Sequence[str]
    ids: Sequence[str]
    times: Sequence[str]
    """RFC 3339, see `timestamp`."""
    payloads: Sequence[bytes]


def timestamp(time: datetime) -> str:
    """A time as headers carry it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def common_headers(kind: str, *, source: str) -> dict[str, str]:
    """Headers that all events of one type share here and now, the current trace among them."""
    headers = {SPEC_VERSION: "1.0", TYPE: kind, SOURCE: source, CONTENT_TYPE: "application/protobuf"}
    _trace_context.inject(headers)
    return headers


def own_headers(event_id: str, time: str) -> dict[str, str]:
    """Headers that an event has for itself."""
    return {MESSAGE_ID: event_id, ID: event_id, TIME: time}


def encode(event: Event, *, source: str) -> Encoded:
    """Serializes the event; the headers carry the trace that is current here and now."""
    kind, payload = event.message.DESCRIPTOR.full_name, event.message.SerializeToString()
    return enclose(event.subject, kind, payload, id_=event.id, time=event.time, source=source)


def enclose(subject: str, kind: str, payload: bytes, *, id_: str, time: datetime, source: str) -> Encoded:
    """As `encode`, of a message of the type `kind` (its full name) that is serialized already."""
    headers = own_headers(id_, timestamp(time)) | common_headers(kind, source=source)
    return Encoded(subject=subject, payload=payload, headers=headers)


def trace_context(headers: Mapping[str, str]) -> Context:
    """The trace that the headers continue; an empty context where they carry none (or a malformed one)."""
    return _trace_context.extract(headers, context=Context())
