"""Dead letters: messages that could not be processed, kept with their reason, their history and a way back.

A dead letter is the original payload with its original headers, and the `Tocsin-Dead-*` headers defined here.
Sending one back publishes it on its original subject for the consumer that failed on it (other consumers of
the stream skip it), with the same `ce-id`: had its effect happened after all, the inbox knows.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import nats.errors
import nats.js.errors
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.chassis.errors import FailedPrecondition, NotFound, Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.delivery import Delivery
from services.chassis.nats.envelope import FOLLOWS, MESSAGE_ID, Encoded
from services.chassis.nats.publisher import Published, Publisher
from services.chassis.nats.topology import DEAD_LETTERS, dead_letter_subject

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
        Encoded(subject=delivery.subject, payload=delivery.data, headers=delivery.headers),
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


class DeadLetters:
    """Reads the dead letters and sends them back or away."""

    def __init__(self, connection: NatsConnection, publisher: Publisher) -> None:
        self._connection = connection
        self._publisher = publisher
        self._stream = connection.names.stream(DEAD_LETTERS)

    async def get(self, sequence: int) -> DeadLetter:
        """Raises `NotFound` when there is none (any more)."""
        try:
            raw = await self._connection.js.get_msg(self._stream, sequence)
        except nats.js.errors.NotFoundError as error:
            raise NotFound(f"there is no dead letter {sequence}") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error
        return _parse(sequence, raw.headers or {}, raw.data or b"")

    async def list(
        self, *, service: str = "*", consumer: str = "*", after: int = 0, limit: int = 50
    ) -> Sequence[DeadLetter]:
        """Up to `limit` dead letters with a sequence greater than `after`, oldest first."""
        return [letter async for letter in self._scan(dead_letter_subject(service, consumer), after, limit)]

    async def retry(self, sequence: int) -> Published:
        """Publishes it anew on its original subject, with attempts counted from 1, then removes it here.

        Only the consumer that failed handles it. Raises `NotFound`, `FailedPrecondition` or `Unavailable`; after
        `Unavailable` it may have been published, and retrying again is harmless.
        """
        letter = await self.get(sequence)
        if letter.cut:
            raise FailedPrecondition(f"dead letter {sequence} was too large to be kept whole; it can only be archived")
        headers = _original(letter.headers)
        headers[MESSAGE_ID] = f"{_RETRY}{sequence}:{uuid4()}"
        headers[ONLY_CONSUMER] = f"{letter.service}/{letter.consumer}"
        published = await self._publisher.publish_encoded(
            Encoded(subject=letter.original_subject, payload=letter.payload, headers=headers)
        )
        await self.archive(sequence)
        return published

    async def archive(self, sequence: int) -> None:
        """Removes it for good; nothing happens when it is gone already."""
        try:
            await self._connection.js.delete_msg(self._stream, sequence)
        except nats.js.errors.APIError as error:
            # The server says the same for a message that is gone and for a failure.
            if await self._exists(sequence):
                raise Unavailable(f"the dead letter could not be removed: {error.description}") from error
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error

    async def _exists(self, sequence: int) -> bool:
        try:
            await self.get(sequence)
        except NotFound:
            return False
        return True

    async def _scan(self, subject: str, after: int, limit: int) -> AsyncIterator[DeadLetter]:
        config = ConsumerConfig(
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=30,
            mem_storage=True,
        )
        js = self._connection.js
        try:
            subscription = await js.pull_subscribe(
                self._connection.names.subject(subject), stream=self._stream, config=config
            )
            info = await subscription.consumer_info()
            try:
                count = min(limit, info.num_pending or 0)
                while count > 0:
                    for message in await subscription.fetch(count, timeout=5):
                        count -= 1
                        yield _parse(message.metadata.sequence.stream, message.headers or {}, message.data)
            finally:
                await subscription.unsubscribe()
                await js.delete_consumer(self._stream, info.name)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the message broker does not answer") from error


def _parse(sequence: int, headers: Mapping[str, str], payload: bytes) -> DeadLetter:
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
