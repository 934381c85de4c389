"""Tells whoever works with readings of rules that have changed, by events that are stored together with the change."""

from collections.abc import Sequence
from datetime import timedelta

from services.chassis.errors import Unavailable
from services.chassis.postgres import Connection, Database, Outbox, relayed
from services.chassis.telemetry.logs import get_logger
from services.ingestion.adapters.nats.series_descriptor import move_events, rule_events, type_event
from services.ingestion.adapters.postgres.sensor_types import TOLD, next_revision
from services.ingestion.domain.catalogue import Device, SensorType
from services.ingestion.domain.rule_changes import RulesChange, TypesTold, move_of, own_rules_changed

log = get_logger(__name__)


class RuleChangeEvents:
    """`partitions` of the readings; `patience`: how long a change waits for the broker to have its events."""

    def __init__(
        self, database: Database, outbox: Outbox, *, partitions: int, patience: timedelta = timedelta(seconds=1)
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._partitions = partitions
        self._patience = patience

    async def of_type(self, connection: Connection, entry: SensorType) -> list[int]:
        """The rules of the type have changed to these. Returns what `relayed` asks for."""
        return await self._add(connection, [RulesChange(entry)])

    async def of_values(self, connection: Connection, types: Sequence[SensorType]) -> list[int]:
        """What these types, whose rows are locked, say of their values. Returns what `relayed` asks for."""
        told = await connection.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        names = [one.id for one in types]
        await connection.execute(f"UPDATE sensor_types SET told = {TOLD} WHERE id = ANY($1::text[])", names)
        return await self._outbox.add_many(connection, [type_event(TypesTold(types, told))])

    async def of_device(
        self, connection: Connection, name: str, before: Device | None, after: Device | None
    ) -> list[int]:
        """A device was made, changed or deleted; it is locked. Its types are locked after it, in the order of their
        ids (as everywhere: two at once must not block each other for good). Returns what `relayed` asks for."""
        changes: list[RulesChange] = []
        for sensor_type, own in own_rules_changed(before, after).items():
            if (entry := await next_revision(connection, sensor_type)) is not None:
                changes.append(RulesChange(entry, name, own))
        told = await self._add(connection, changes)
        if (move := move_of(before, after)) is not None:
            told += await self._outbox.add_many(connection, move_events(move, self._partitions))
        return told

    async def _add(self, connection: Connection, changes: Sequence[RulesChange]) -> list[int]:
        if not changes:
            return []
        return await self._outbox.add_many(connection, rule_events(changes, self._partitions))

    async def relayed(self, event_ids: Sequence[int]) -> None:
        """After the transaction: waits until the broker has the events, so that what is asked of others next is
        answered by the new rules. They follow by themselves where that takes too long."""
        try:
            if await relayed(self._database, event_ids, within=self._patience):
                return
        except Unavailable as error:
            # The change is committed, and must not be answered as if it were not.
            log.warning("catalogue.news_unknown", error=repr(error))
            return
        log.warning("catalogue.news_delayed", events=len(event_ids))
