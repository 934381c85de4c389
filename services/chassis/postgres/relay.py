"""Publishes the outbox of one service: one relay works at a time, others stand by.

The working relay holds an advisory lock on a connection of its own; when that connection ends, the lock does too and
another relay takes over within a second. It is woken by NOTIFY at each commit that added events; the poll is only the
safety net. A row is deleted after JetStream has acknowledged its events, so a crash at any point repeats at most.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from services.chassis.errors import DomainError, InvalidArgument
from services.chassis.nats.dead_letters import Failure, compose_dead_letter
from services.chassis.nats.envelope import MESSAGE_ID, TYPE, Encoded
from services.chassis.nats.publisher import MANY, MAX_TOGETHER, Publisher
from services.chassis.postgres import metrics
from services.chassis.postgres.bundles import unpack
from services.chassis.postgres.errors import CONNECTION_LOST
from services.chassis.postgres.outbox_depth import MEASURE_EVERY, OutboxDepth
from services.chassis.postgres.pool import PoolOptions, open_session

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_STAND_BY = timedelta(seconds=1)
_PAUSE_AFTER_FAILURE = timedelta(milliseconds=500)
_READ_BYTES = 4 * 1024 * 1024
"""Payload that is read at a time, about."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    key: str | None
    bundled: bool
    messages: list[Encoded]

    @property
    def message(self) -> Encoded:
        """Its event; of a bundle the first."""
        return self.messages[0]


class OutboxRelay:
    """Publishes what stands in the outbox of `schema`."""

    def __init__(
        self,
        dsn: str,
        *,
        schema: str,
        publisher: Publisher,
        batch: int = 500,
        poll: timedelta = timedelta(seconds=1),
        measure_every: timedelta = MEASURE_EVERY,
    ) -> None:
        self._dsn = dsn
        self._schema = schema
        self._publisher = publisher
        self._batch = batch
        self._poll = poll
        self._depth = OutboxDepth(schema, measure_every)
        self._woken = asyncio.Event()

    def poke(self) -> None:
        """Makes the relay look at the outbox now (a commit in this process, or a stop)."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relays until `stop` is set and the batch in hand is done. Survives restarts of PostgreSQL and NATS."""
        while not stop.is_set():
            try:
                await self._session(stop)
            except (*CONNECTION_LOST, asyncpg.PostgresError, TimeoutError) as error:
                metrics.RELAY_FAILURES.labels(schema=self._schema).inc()
                log.warning("outbox.database_lost", schema=self._schema, error=repr(error))
                self._woken.clear()
                await self._pause((stop, self._woken), _PAUSE_AFTER_FAILURE)

    async def _session(self, stop: asyncio.Event) -> None:
        settings = PoolOptions().session_settings(self._schema, f"tocsin-{self._schema}-outbox")
        # A delete that a crash undoes is a repeat: not worth waiting for the disk.
        settings["synchronous_commit"] = "off"
        connection = await open_session(self._dsn, settings)
        try:
            while not await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", f"tocsin:outbox:{self._schema}"
            ):
                # Commits of this process poke, and are nothing to one that stands by.
                await self._pause((stop,), _STAND_BY)
                if stop.is_set():
                    return
            log.info("outbox.relay_active", schema=self._schema)
            await connection.add_listener(f"{self._schema}_outbox", self._on_notify)
            connection.add_termination_listener(self._on_terminated)
            await self._relay(connection, stop)
        finally:
            self._depth.end()
            with suppress(*CONNECTION_LOST, TimeoutError):
                await connection.close(timeout=2)

    async def _relay(self, connection: "asyncpg.Connection[asyncpg.Record]", stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._woken.clear()
            await self._depth.measure(connection)
            rows = await self._read(connection)
            if not rows:
                await self._pause((stop, self._woken), self._poll)
                continue
            done = await self._publish(rows)
            if done:
                await connection.execute("DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row.id for row in done])
                metrics.RELAYED.labels(schema=self._schema).inc(sum(len(row.messages) for row in done))
            if len(done) < len(rows):
                metrics.RELAY_FAILURES.labels(schema=self._schema).inc()
                self._woken.clear()
                await self._pause((stop, self._woken), _PAUSE_AFTER_FAILURE)

    async def _read(self, connection: "asyncpg.Connection[asyncpg.Record]") -> list[_Row]:
        records = await connection.fetch(
            """
            WITH head AS (SELECT id, octet_length(payload) AS size FROM outbox ORDER BY id LIMIT $1),
            summed AS (SELECT id, sum(size) OVER (ORDER BY id) - size AS before FROM head)
            SELECT id, subject, payload, headers::text AS headers, ordering_key, bundled FROM outbox
            WHERE id <= (SELECT max(id) FROM summed WHERE before < $2) ORDER BY id LIMIT $1
            """,
            self._batch,
            _READ_BYTES,
        )
        return [_row(record) for record in records]

    async def _publish(self, rows: Sequence[_Row]) -> list[_Row]:
        """Publishes the rows and returns those that are durable."""
        bundles, singles = await asyncio.gather(
            self._publish_bundles([row for row in rows if row.bundled]),
            self._publish_singles([row for row in rows if not row.bundled]),
        )
        return bundles + singles

    async def _publish_singles(self, rows: Sequence[_Row]) -> list[_Row]:
        """Those of one key in order, also where they go to several streams."""
        done: list[_Row] = []
        stuck: set[str | None] = set()
        for wave in _waves(rows):
            going = [[row for row in part if row.key is None or row.key not in stuck] for part in wave]
            published = {row.id for found in await asyncio.gather(*map(self._publish_part, going)) for row in found}
            done += [row for part in going for row in part if row.id in published]
            stuck |= {row.key for part in going for row in part if row.id not in published}
        return done

    async def _publish_part(self, rows: Sequence[_Row]) -> Sequence[_Row]:
        """Those of one stream: as one write where they are many, and each for itself where that fails, so that none
        stands in the way of another."""
        if len(rows) >= MANY and await self._publisher.publish_together([row.message for row in rows]):
            return rows
        chains: dict[str, list[_Row]] = {}
        for row in rows:
            if row.key is not None:
                chains.setdefault(row.key, []).append(row)
        results = await asyncio.gather(
            self._publish_free([row for row in rows if row.key is None]),
            *(self._publish_chain(chain) for chain in chains.values()),
        )
        return [row for found in results for row in found]

    async def _publish_bundles(self, rows: Sequence[_Row]) -> list[_Row]:
        """In order, small ones together; stops at the first failure."""
        done: list[_Row] = []
        for part in _together(rows):
            messages = [one for row in part for one in row.messages]
            durable, error = await self._publisher.publish_in_order(messages)
            while error is not None and await self._given_up(messages[durable], error):
                more, error = await self._publisher.publish_in_order(messages[durable + 1 :])
                durable += 1 + more
            for row in part:
                durable -= len(row.messages)
                if durable >= 0:
                    done.append(row)
            if error is not None:
                self._report(part[-1], error)
                break
        return done

    async def _given_up(self, message: Encoded, error: DomainError) -> bool:
        """Whether it can never be published and is a dead letter now: what stands behind it goes on."""
        if not isinstance(error, InvalidArgument):
            return False
        now = datetime.now(UTC)
        letter = compose_dead_letter(
            message,
            service=self._schema,
            consumer="outbox",
            history=[Failure(at=now, error_type=type(error).__name__, reason=error.message)],
            attempts=1,
            first_seen=now,
            identity=message.headers.get(MESSAGE_ID, ""),
        )
        try:
            await self._publisher.publish_encoded(letter)
        except DomainError as problem:
            log.error("outbox.dead_letter_failed", schema=self._schema, error=repr(problem))
            return False
        log.error("outbox.dead_letter", schema=self._schema, subject=message.subject, reason=error.message)
        return True

    async def _publish_free(self, rows: Sequence[_Row]) -> list[_Row]:
        done: list[_Row] = []
        outcomes = await self._publisher.publish_all([row.message for row in rows])
        for row, outcome in zip(rows, outcomes, strict=True):
            if isinstance(outcome, DomainError) and not await self._given_up(row.message, outcome):
                self._report(row, outcome)
            else:
                done.append(row)
        return done

    async def _publish_chain(self, chain: Sequence[_Row]) -> list[_Row]:
        """One after another; stops at the first failure, so that a later event never overtakes an earlier one."""
        done: list[_Row] = []
        for row in chain:
            try:
                await self._publisher.publish_encoded(row.message)
            except DomainError as error:
                if not await self._given_up(row.message, error):
                    self._report(row, error)
                    break
            done.append(row)
        return done

    def _report(self, row: _Row, error: DomainError) -> None:
        log.warning(
            "outbox.publish_failed", schema=self._schema, id=row.id, subject=row.message.subject, error=repr(error)
        )

    def _on_notify(self, *_: object) -> None:
        self._woken.set()

    def _on_terminated(self, *_: object) -> None:
        self._woken.set()

    @staticmethod
    async def _pause(events: Sequence[asyncio.Event], time: timedelta) -> None:
        """Until one of these is set, or the time is over."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, timeout=time.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _row(record: asyncpg.Record) -> _Row:
    if record["bundled"]:
        messages = unpack(record["payload"], record["headers"])
    else:
        messages = [Encoded(record["subject"], record["payload"], json.loads(record["headers"]))]
    return _Row(record["id"], record["ordering_key"], record["bundled"], messages)


def _waves(rows: Sequence[_Row]) -> Iterator[list[list[_Row]]]:
    """The rows in parts of one stream each; a part waits for the wave before it, where the rows of its keys are that go
    to other streams."""
    wave: dict[str, list[_Row]] = {}
    streams: dict[str, str] = {}
    for row in rows:
        stream = ".".join(row.message.subject.split(".", 2)[:2])  # all below it go to the same one
        if row.key is not None and streams.setdefault(row.key, stream) != stream:
            yield list(wave.values())
            wave, streams = {}, {row.key: stream}
        wave.setdefault(stream, []).append(row)
    if wave:
        yield list(wave.values())


def _together(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Bundles of one type that follow each other, up to what is published as one write."""
    part: list[_Row] = []
    size = 0
    for row in rows:
        same = bool(part) and part[0].message.headers[TYPE] == row.message.headers[TYPE]
        if part and not (same and size + len(row.messages) <= MAX_TOGETHER):
            yield part
            part, size = [], 0
        part.append(row)
        size += len(row.messages)
    if part:
        yield part
