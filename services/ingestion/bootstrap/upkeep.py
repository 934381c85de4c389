"""What is thrown away after its time."""

import asyncio
from datetime import timedelta

from services.chassis.app import Step
from services.chassis.errors import DomainError
from services.chassis.postgres import Database, prune
from services.chassis.telemetry.logs import get_logger
from services.ingestion.adapters.postgres.idempotency import PostgresIdempotencyKeys
from services.ingestion.bootstrap.base import Base

_PRUNE_EVERY = timedelta(minutes=10)

log = get_logger(__name__)


def wire_upkeep(base: Base, keys: PostgresIdempotencyKeys) -> None:
    """What is thrown away after its time; one worker process does it."""
    if base.app.worker == 0:
        base.app.task("upkeep", _upkeep(base.database, keys), until=Step.STOP_PULLING)


async def _upkeep(database: Database, keys: PostgresIdempotencyKeys) -> None:
    while True:
        try:
            await keys.prune()
            async with database.connection() as connection:
                while await prune(connection):
                    pass
        except DomainError as error:
            log.warning("upkeep failed", error=repr(error))
        await asyncio.sleep(_PRUNE_EVERY.total_seconds())
