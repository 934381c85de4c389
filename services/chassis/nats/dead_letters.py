"""Dead letters: messages that could not be processed, kept with their reason, their history and a way back.

A dead letter is the original payload with its original headers, and the `Tocsin-Dead-*` headers defined here.
Sending one back publishes it on its original subject for the consumer that failed on it (other consumers of
the stream skip it), with the same `ce-id`: had its effect happened after all, the inbox knows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import FOLLOWS, ID, MESSAGE_ID, Encoded
from services.chassis.nats.topology import dead_letter_subject

ONLY_CONSUMER = "Tocsin-Only-Consumer"
"""`service/consumer` that a message sent back is meant for."""

_RETRY = "retry:"
_PREFIX = "Tocsin-Dead-"
HISTORY_LIMIT = 20
_TEXT_LIMIT = 500
_HISTORY_BYTES = 2500
"""Of the history as it is written; the newest failures are kept."""
MAX_MESSAGE = 1024 * 1024
"""Bytes of a message with its headers: the broker's default."""
_OWN_BYTES = 12 * 1024
"""The headers defined here, at the most: less than what events leave free (`MAX_EVENT_BYTES`)."""
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What a header may be called (RFC 9110 5.6.2); other clients send others, too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt."""

    at: datetime
    error_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry of the dead letters; `sequence` is its identity there."""

    sequence: int
    service: str
    consumer: str
    reason: str
    error_type: str
    attempts: int
    first_seen: datetime
    failed_at: datetime
    original_subject: str
    original_stream: str
    original_sequence: int
    history: tuple[Failure, ...]
    headers: Mapping[str, str]
    payload: bytes
    cut: bool = False
    """Only the beginning of the payload could be kept."""


def dead_letter(delivery: Delivery, *, service: str, consumer: str, history: Sequence[Failure]) -> Encoded:
    """The dead letter of a delivery; `history` has at least the failure that ended it, oldest first."""
    return compose_dead_letter(
        # With the identity that the handler knew it by, which may be that of its publication: that one changes.
        Encoded(subject=delivery.subject, payload=delivery.data, headers={**delivery.headers, ID: delivery.id}),
        service=service,
        consumer=consumer,
        history=history,
        attempts=max(len(history), delivery.attempt),
        first_seen=delivery.published_at,
        identity=f"{delivery.stream}:{delivery.sequence}:{delivery.published_at.timestamp()}",
        stream=delivery.stream,
        sequence=delivery.sequence,
    )


def compose_dead_letter(
    original: Encoded,
    *,
    service: str,
    consumer: str,
    history: Sequence[Failure],
    attempts: int,
    first_seen: datetime,
    identity: str,
    stream: str = "",
    sequence: int = 0,
) -> Encoded:
    """The dead letter of a message that need not have come from a stream (a service may give up its own work).

    Sending it back publishes `original` on its subject for `service/consumer`. `identity` is the same for the same
    failure, so that one reported twice is one dead letter.
    """
    last = history[-1]
    own = {
        # The same failure reported twice (its acknowledgement was lost) is one dead letter.
        MESSAGE_ID: f"dead:{service}:{consumer}:{identity}",
        f"{_PREFIX}Service": service,
        f"{_PREFIX}Consumer": consumer,
        f"{_PREFIX}Reason": _short(last.reason),
        f"{_PREFIX}Error-Type": last.error_type,
        f"{_PREFIX}Attempts": str(attempts),
        f"{_PREFIX}First-Seen": first_seen.isoformat(),
        f"{_PREFIX}Failed-At": last.at.isoformat(),
        f"{_PREFIX}Subject": original.subject,
        f"{_PREFIX}Stream": stream,
        f"{_PREFIX}Sequence": str(sequence),
        f"{_PREFIX}History": _history(history),
    }
    room = MAX_MESSAGE - _OWN_BYTES
    payload = original.payload
    if len(payload) > room:
        own[f"{_PREFIX}Whole-Size"] = str(len(payload))
        payload = payload[:room]
    headers = _carried(original.headers, room - len(payload)) | own
    letter = Encoded(subject=dead_letter_subject(service, consumer), payload=payload, headers=headers)
    if (over := letter.size - MAX_MESSAGE) > 0:
        headers[f"{_PREFIX}Whole-Size"] = str(len(original.payload))
        letter = replace(letter, payload=payload[: -over - _OWN_BYTES])
    return letter


def _history(history: Sequence[Failure]) -> str:
    """As JSON: the newest failures that there is room for, oldest first."""
    entries: list[str] = []
    size = 2
    for item in reversed(history[-HISTORY_LIMIT:]):
        entry = json.dumps([item.at.isoformat(), item.error_type, _short(item.reason)])
        size += len(entry) + 2
        if entries and size > _HISTORY_BYTES:
            break
        entries.append(entry)
    return f"[{', '.join(reversed(entries))}]"


def _short(text: str) -> str:
    # Whatever the reason quotes of a message, it must be text that can be sent.
    return text[:_TEXT_LIMIT].encode("utf-8", "backslashreplace").decode()


def _carried(headers: Mapping[str, str], room: int) -> dict[str, str]:
    """The headers of the original that can be sent on, and that there is room for."""
    kept: dict[str, str] = {}
    for name, value in _original(headers).items():
        room -= len(name) + len(value.encode("utf-8", "backslashreplace")) + 4
        if _HEADER_NAME.fullmatch(name) and room >= 0:
            kept[name] = value
    return kept


def sent_back_to(headers: Mapping[str, str]) -> str | None:
    """`service/consumer` that a dead letter was sent back to; None for every other message, whatever it claims."""
    return headers.get(ONLY_CONSUMER) if headers.get(MESSAGE_ID, "").startswith(_RETRY) else None


def sent_back(letter: Encoded, *, to: str, occasion: str) -> Encoded:
    """The original of a dead letter as it goes back to the consumer `to` (`service/consumer`) alone, with attempts
    counted from 1. `letter` holds the original's subject, payload and headers. The same `occasion` is published
    once."""
    headers = _original(letter.headers)
    headers[MESSAGE_ID] = f"{_RETRY}{occasion}"
    headers[ONLY_CONSUMER] = to
    return replace(letter, headers=headers)


def parse_dead_letter(sequence: int, headers: Mapping[str, str], payload: bytes) -> DeadLetter:
    """A message of the stream of dead letters, whatever its headers hold."""

    def text(name: str) -> str:
        return headers.get(f"{_PREFIX}{name}", "")

    return DeadLetter(
        sequence=sequence,
        service=text("Service"),
        consumer=text("Consumer"),
        reason=text("Reason"),
        error_type=text("Error-Type"),
        attempts=_number(text("Attempts")),
        first_seen=_time(text("First-Seen")),
        failed_at=_time(text("Failed-At")),
        original_subject=text("Subject"),
        original_stream=text("Stream"),
        original_sequence=_number(text("Sequence")),
        history=_failures(text("History")),
        headers={name: value for name, value in headers.items() if not name.startswith(_PREFIX)},
        payload=payload,
        cut=bool(text("Whole-Size")),
    )


def _original(headers: Mapping[str, str]) -> dict[str, str]:
    # What it follows is said of its first place in the stream, not of the next one.
    left_out = (_PREFIX, ONLY_CONSUMER, FOLLOWS, "Nats-")
    return {name: value for name, value in headers.items() if not name.startswith(left_out)}


# Whatever a service has written there, the list can be read.


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _failures(text: str) -> tuple[Failure, ...]:
    try:
        return tuple(
            Failure(at=_time(str(at)), error_type=str(kind), reason=str(reason))
            for at, kind, reason in json.loads(text or "[]")
        )
    except (ValueError, TypeError):
        return ()


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
