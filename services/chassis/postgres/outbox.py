"""The outbox: events that leave a service because of what it wrote.

`Outbox.add` writes them in the caller's transaction, so they exist exactly when the change does. `OutboxRelay`
publishes them afterwards, in the order of their ids, at least once; `Nats-Msg-Id` lets JetStream drop the repeats.
Events with the same `key` are published strictly one after another, also over failures.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message

from services.chassis.errors import InvalidArgument
from services.chassis.nats.envelope import Bundle, Encoded, Event, enclose, encode
from services.chassis.postgres.bundles import pack, pack_encoded
from services.chassis.postgres.pool import Connection, Database

MAX_EVENT_BYTES = 1024 * 1024 - 16 * 1024
"""The broker's default limit of a message, less room for headers that are added on the way: those of a dead letter."""
_SOON, _SELDOM = 0.002, 0.05


class Outbox:
    """Adds events to the outbox of the schema that the connection works in."""

    def __init__(self, *, source: str, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._source = source
        self._max_event_bytes = max_event_bytes

    async def add(self, connection: Connection, *events: Event) -> list[int]:
        """Adds the events, in order; they are published after the transaction of `connection` commits. Returns the ids
        of their rows (see `relayed`).

        Raises `InvalidArgument` for an event that the broker would refuse for its size.
        """
        return await self.add_many(connection, events)

    async def add_many(self, connection: Connection, events: Sequence[Event]) -> list[int]:
        """Like `add`; one round trip however many there are."""
        return await self.add_encoded(connection, [(self.encode(event), event.key) for event in events])

    def encode(self, event: Event) -> Encoded:
        """The event as it will leave, with the trace that is current here and now."""
        return encode(event, source=self._source)

    def enclose(self, subject: str, kind: type[Message], payload: bytes, *, id_: str) -> Encoded:
        """As `encode`, of a message of the type `kind` that is serialized already."""
        now = datetime.now(UTC)
        return enclose(subject, kind.DESCRIPTOR.full_name, payload, id_=id_, time=now, source=self._source)

    async def add_encoded(self, connection: Connection, events: Sequence[tuple[Encoded, str | None]]) -> list[int]:
        """Like `add_many`, for events that have been encoded before (dead letters), each with its ordering key."""
        if not events:
            return []
        messages = [message for message, _ in events]
        for message in messages:
            self._check(message)
        return await connection.fetchval(
            """
            WITH added AS (
                INSERT INTO outbox (subject, payload, headers, ordering_key)
                SELECT subject, payload, headers::jsonb, ordering_key
                FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[])
                    WITH ORDINALITY AS new (subject, payload, headers, ordering_key, place)
                ORDER BY place
                RETURNING id
            )
            SELECT array_agg(id), pg_notify(current_schema() || '_outbox', '') FROM added
            """,
            [message.subject for message in messages],
            [message.payload for message in messages],
            [json.dumps(dict(message.headers)) for message in messages],
            [key for _, key in events],
        )

    async def add_bundles(self, connection: Connection, bundles: Sequence[Bundle]) -> None:
        """Like `add_many`, for thousands of events a second: a row holds many.

        Bundles are published strictly in order, and so are the events of each; of other events they are independent.
        """
        if any(len(payload) > self._max_event_bytes for bundle in bundles for payload in bundle.payloads):
            raise InvalidArgument("an event is larger than the broker takes")
        await self._add_rows(connection, [row for bundle in bundles for row in pack(bundle, self._source)])

    async def add_encoded_in_order(self, connection: Connection, messages: Sequence[Encoded]) -> None:
        """Like `add_encoded`, for many events of one stream: a row holds many, and so does a publication. Such events
        are published strictly in the order in which they were added, whatever their keys."""
        for message in messages:
            self._check(message)
        await self._add_rows(connection, list(pack_encoded(messages)))

    def _check(self, message: Encoded) -> None:
        if message.size > self._max_event_bytes:
            raise InvalidArgument(f"an event of {message.size} bytes is more than the broker takes")

    @staticmethod
    async def _add_rows(connection: Connection, packed: Sequence[tuple[bytes, str]]) -> None:
        if not packed:
            return
        await connection.execute(
            """
            WITH added AS (
                INSERT INTO outbox (subject, payload, headers, bundled)
                SELECT '', payload, headers::jsonb, true
                FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS new (payload, headers, place)
                ORDER BY place
            )
            SELECT pg_notify(current_schema() || '_outbox', '')
            """,
            [payload for payload, _ in packed],
            [headers for _, headers in packed],
        )


async def relayed(database: Database, ids: Sequence[int], *, within: timedelta) -> bool:
    """Waits until the broker has these rows, but no longer than `within`; whether it has. Raises Unavailable."""
    pause, deadline = _SOON, asyncio.get_running_loop().time() + within.total_seconds()
    while ids:
        async with database.connection() as connection:
            if not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE id = ANY($1::bigint[]))", ids):
                break
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(2 * pause, _SELDOM)
    return True
