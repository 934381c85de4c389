"""PDFs in a JetStream Object Store, which lets them expire."""

import asyncio
from datetime import timedelta

import nats.errors
import nats.js.errors
from nats.js.api import ObjectStoreConfig
from nats.js.object_store import ObjectStore

from services.chassis.errors import Unavailable
from services.chassis.nats import NatsConnection
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)

_GET_SECONDS = 10.0


class JetStreamDocuments:
    """DocumentStore on one bucket, which is made when it is missing."""

    def __init__(self, connection: NatsConnection, *, bucket: str, ttl: timedelta, replicas: int = 1) -> None:
        self._connection = connection
        self._config = ObjectStoreConfig(
            bucket=connection.names.stream(bucket),
            description="Invoices as PDF, several in an object.",
            ttl=ttl.total_seconds(),
            replicas=replicas,
        )
        self._store: ObjectStore | None = None

    async def open(self) -> None:
        """Makes the bucket when it is missing; one that is there keeps what it holds for as long as is wanted now.
        Raises Unavailable."""
        js = self._connection.js
        bucket = self._config.bucket
        assert bucket is not None
        try:
            try:
                self._store = await js.object_store(bucket)
                await self._keep_for_as_long(f"OBJ_{bucket}")
            except nats.js.errors.NotFoundError:
                self._store = await js.create_object_store(bucket, config=self._config)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the object store cannot be reached") from error

    async def _keep_for_as_long(self, stream: str) -> None:
        js, wanted = self._connection.js, self._config.ttl
        kept = (await js.stream_info(stream)).config
        if kept.max_age != wanted:
            await js.update_stream(kept.evolve(max_age=wanted))
            log.info("documents.time_changed", bucket=self._config.bucket, before=kept.max_age, now=wanted)

    async def put(self, name: str, content: bytes) -> None:
        """See DocumentStore."""
        try:
            await (await self._opened()).put(name, content)
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the object store did not take the invoices") from error

    async def get(self, name: str) -> bytes | None:
        """See DocumentStore."""
        try:
            async with asyncio.timeout(_GET_SECONDS):  # the library waits for ever for chunks that expire meanwhile
                found = await (await self._opened()).get(name)
        except nats.js.errors.NotFoundError:
            return None
        except (nats.errors.Error, TimeoutError) as error:
            raise Unavailable("the object store does not answer") from error
        return found.data

    async def _opened(self) -> ObjectStore:
        if self._store is None:
            await self.open()
        assert self._store is not None
        return self._store
