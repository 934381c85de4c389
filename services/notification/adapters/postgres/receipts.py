"""What providers have said of notifications, and what has followed: rows of the notifications are locked, judged in
Python, and written together."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.chassis.errors import Aborted, DomainError
from services.chassis.postgres import Connection, Database, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.plan_steps import LEGS_OF, Ended, plan_of, settle
from services.notification.adapters.postgres.rows import Row, is_own_id
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.domain.errors import IdempotencyConflict, NotificationNotFound
from services.notification.domain.lane import priority_of_type
from services.notification.domain.notification import ChannelName, Notification, Status
from services.notification.domain.receipt import Effect, Judgement, Receipt, ReceiptKind, judge

# Of what a former system had sent, no provider of ours says anything, and nothing follows.
_LOCK = f"""
    SELECT {rows.NOTIFICATION_COLUMNS}, n.history::text AS history, n.plan, n.step
    FROM TENANT.notifications n WHERE n.id = ANY($1::uuid[]) AND n.migration_run IS NULL
    ORDER BY n.id FOR NO KEY UPDATE
"""
_KNOWN = """
    SELECT id, notification::text AS notification, kind, channel, address, detail, occurred_at
    FROM TENANT.receipts WHERE notification = ANY($1::uuid[]) OR id = ANY($2::text[])
"""
_KEEP = """
    INSERT INTO TENANT.receipts (id, notification, kind, channel, address, detail, occurred_at, effect, received_at)
    SELECT r.*, $9::timestamptz FROM unnest(
        $1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[]
    ) AS r ORDER BY 1
    ON CONFLICT (id) DO NOTHING RETURNING id
"""
_CHANGE = f"""
    UPDATE TENANT.notifications n SET
        status = c.status, sent_at = c.sent_at, delivered_at = c.delivered_at, opened_at = c.opened_at,
        read_at = c.read_at, channel = c.channel, address = c.address, error = c.error, history = c.history::jsonb,
        version = c.version,
        endpoint = CASE WHEN (c.status, c.channel, c.address) = (n.status, n.channel, n.address) THEN n.endpoint END,
        legs = CASE WHEN c.status = n.status THEN n.legs
            ELSE (SELECT count(*) FROM deliveries d WHERE {LEGS_OF}) END
    FROM unnest(
        $1::uuid[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::bigint[]
    ) AS c (
        id, status, sent_at, delivered_at, opened_at, read_at, channel, address, error, history, version
    )
    WHERE n.id = c.id RETURNING n.id::text AS id, n.legs
"""
# Other ways to the user are not needed any more, nor is another attempt at the one address of this channel.
_CALL_OFF = f"""
    DELETE FROM deliveries d USING unnest($1::uuid[], $2::text[]) AS n (id, channel)
    WHERE {LEGS_OF} AND d.lease IS NULL AND (
        d.standby OR d.channel <> n.channel OR NOT EXISTS (
            SELECT FROM deliveries other WHERE other.kind = 'NOTIFICATION' AND other.channel = d.channel
                AND other.id <> d.id
                AND (other.id = n.id OR (other.reference = n.id AND other.id <> other.reference))
        )
    )
"""

Applied = tuple[Effect, Notification]


class PostgresReceipts:
    """ReceiptStore."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, *, patience: timedelta) -> None:
        self._clock = clock
        self._outbox = outbox
        self._patience = patience
        self._applying = database.group_commit("receipts", self._apply)

    async def apply(self, receipt: Receipt) -> Applied:
        """See ReceiptStore."""
        if not is_own_id(receipt.notification):
            raise NotificationNotFound(metadata={"id": receipt.notification})
        return await self._applying.submit(receipt)

    async def _apply(self, connection: Connection, receipts: Sequence[Receipt]) -> list[Applied | DomainError]:
        now = await self._clock.now(connection)
        outcomes: dict[int, Applied | DomainError] = {}
        waiting = list(enumerate(receipts))
        while waiting:
            # One about each notification at a time: the next one is judged by what has become of it.
            groups: dict[str, dict[str, tuple[int, Receipt]]] = defaultdict(dict)
            ids: set[tuple[str, str]] = set()
            later: list[tuple[int, Receipt]] = []
            for place, one in waiting:
                if one.notification in groups[one.tenant] or (one.tenant, one.id) in ids:
                    later.append((place, one))
                else:
                    groups[one.tenant][one.notification] = place, one
                    ids.add((one.tenant, one.id))
            for tenant in sorted(groups):
                outcomes |= await self._apply_of(connection, tenant, groups[tenant], now)
            waiting = later
        return [outcomes[place] for place in range(len(receipts))]

    async def _apply_of(
        self, connection: Connection, tenant: str, wanted: Mapping[str, tuple[int, Receipt]], now: datetime
    ) -> Mapping[int, Applied | DomainError]:
        found = {row["id"]: row for row in await connection.fetch(in_tenant(_LOCK, tenant), sorted(wanted))}
        ids = [receipt.id for _, receipt in wanted.values()]
        known: dict[str, list[Receipt]] = defaultdict(list)
        by_id: dict[str, Receipt] = {}
        for row in await connection.fetch(in_tenant(_KNOWN, tenant), sorted(wanted), ids):
            kept = _receipt(row, tenant)
            known[kept.notification].append(kept)
            by_id[kept.id] = kept
        outcomes: dict[int, Applied | DomainError] = {}
        judged: dict[int, _Judged] = {}
        for id_, (place, receipt) in wanted.items():
            row, repeated = found.get(id_), by_id.get(receipt.id)
            if row is None:
                outcomes[place] = NotificationNotFound(metadata={"id": id_})
            elif repeated is not None and not receipt.same(repeated):
                outcomes[place] = IdempotencyConflict(receipt.id)
            elif repeated is not None:
                outcomes[place] = Effect.REPEATED, _notification(row, tenant)
            else:
                try:
                    receipt.check_time(now)
                    before = _notification(row, tenant)
                    judgement = judge(before, receipt, known[id_], patience=self._patience)
                    judged[place] = _Judged(receipt, before, judgement, row["plan"], row["step"])
                except DomainError as error:
                    outcomes[place] = error
        if judged:
            await _keep(connection, tenant, list(judged.values()), now)
            changed = await self._change(connection, tenant, list(judged.values()), now)
            outcomes |= {
                place: (one.judgement.effect, changed.get(one.receipt.notification, one.judgement.notification))
                for place, one in judged.items()
            }
        return outcomes

    async def _change(
        self, connection: Connection, tenant: str, judged: "Sequence[_Judged]", now: datetime
    ) -> Mapping[str, Notification]:
        """The notifications that have changed, as they are then; changes of their statuses leave by the outbox."""
        applied = [one for one in judged if one.judgement.effect is Effect.APPLIED]
        if not applied:
            return {}
        columns = map(list, zip(*(_values(one.judgement.notification) for one in applied), strict=True))
        written = await connection.fetch(in_tenant(_CHANGE, tenant), *columns)
        legs: dict[str, int] = {row["id"]: row["legs"] for row in written}
        after = {one.receipt.notification: one.judgement.notification for one in applied}
        if arrived := [one.judgement.notification for one in applied if one.became(Status.SENT)]:
            await connection.execute(_CALL_OFF, [one.id for one in arrived], [one.channel for one in arrived])
        unreached = [one.ended(legs[one.receipt.notification]) for one in applied if one.judgement.unreached]
        after |= {one.id: one for one in await settle(connection, tenant, unreached, now)}
        told = [after[one.before.id] for one in applied if after[one.before.id].status is not one.before.status]
        if told:
            await self._outbox.add_bundles(connection, [events.status_changes(told, now)])
        letters = [events.notification_letter(one, now) for one in told if one.status is Status.FAILED]
        await self._outbox.add_encoded(connection, letters)
        return after


@dataclass(frozen=True, slots=True)
class _Judged:
    """A receipt with what follows from it, and where the notification stood in its plan."""

    receipt: Receipt
    before: Notification
    judgement: Judgement
    plan: str
    step: int

    def became(self, status: Status) -> bool:
        """Whether the notification has this status only now."""
        return self.before.status is not status and self.judgement.notification.status is status

    def ended(self, legs: int) -> Ended:
        """The step of its channel has come to nothing after all; `legs` others go on."""
        notification = self.judgement.notification
        steps = [step.channel for step in plan_of(self.plan, notification)]
        channel = self.receipt.channel
        return Ended(
            notification=notification,
            legs=legs,
            plan=self.plan,
            step=steps.index(channel) if channel in steps else self.step,
            ended=1,
            became_sent=False,
            priority=priority_of_type(notification.type),
            held=False,
            vanished=False,
        )


def _values(notification: Notification) -> tuple[object, ...]:
    return (
        notification.id,
        notification.status,
        notification.sent_at,
        notification.delivered_at,
        notification.opened_at,
        notification.read_at,
        notification.channel,
        notification.address,
        notification.error,
        rows.dump_history(notification.history),
        notification.version,
    )


async def _keep(connection: Connection, tenant: str, judged: "Sequence[_Judged]", now: datetime) -> None:
    """Raises Aborted where another one with the same id has been committed meanwhile."""
    kept = await connection.fetch(
        in_tenant(_KEEP, tenant),
        [one.receipt.id for one in judged],
        [one.receipt.notification for one in judged],
        [one.receipt.kind for one in judged],
        [one.receipt.channel for one in judged],
        [one.receipt.address for one in judged],
        [one.receipt.detail for one in judged],
        [one.receipt.occurred_at for one in judged],
        [one.judgement.effect for one in judged],
        now,
    )
    if len(kept) < len(judged):
        raise Aborted("another receipt with this id has just been written down; report it again")


def _notification(row: Row, tenant: str) -> Notification:
    return rows.notification(row, tenant, history=rows.load_history(row["history"]))


def _receipt(row: Row, tenant: str) -> Receipt:
    return Receipt(
        id=row["id"],
        tenant=tenant,
        notification=row["notification"],
        kind=ReceiptKind(row["kind"]),
        channel=ChannelName(row["channel"]),
        occurred_at=row["occurred_at"],
        address=row["address"],
        detail=row["detail"],
    )
