"""What the outcomes of its deliveries mean for a notification: it is SENT once one address has it, the channels of its
plan are tried one after the other, and it is FAILED when none is left."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.chassis.nats import Encoded
from services.chassis.postgres import Connection, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.plan_steps import Ended, settle
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Completion
from services.notification.domain.delivery import NO_ENDPOINT, Outgoing
from services.notification.domain.notification import HISTORY_LIMIT, Notification, Status

_OUTCOMES = f"""
    WITH given AS (
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[], $5::boolean[])
            AS g (delivery, lease, recipient, over, reached)
    ), finished AS (
        DELETE FROM deliveries d USING given g WHERE d.id = g.delivery AND g.over
    ), counted AS (
        UPDATE rate_slots s SET at = $7 FROM given g WHERE g.reached
            AND s.tenant = $6 AND s.recipient = g.recipient AND s.delivery = g.delivery AND s.lease = g.lease
    ), released AS (
        DELETE FROM rate_slots s USING given g WHERE NOT g.reached
            AND s.tenant = $6 AND s.recipient = g.recipient AND s.delivery = g.delivery AND s.lease = g.lease
    )
    UPDATE TENANT.notifications n SET
        status = CASE WHEN c.sent THEN 'SENT' ELSE n.status END,
        sent_at = CASE WHEN c.sent AND n.status <> 'SENT' THEN $7 ELSE n.sent_at END,
        channel = CASE WHEN c.sent AND n.status <> 'SENT' THEN c.channel ELSE n.channel END,
        endpoint = CASE WHEN c.sent AND n.status <> 'SENT' THEN c.endpoint ELSE n.endpoint END,
        address = CASE WHEN c.sent AND n.status <> 'SENT' THEN c.address ELSE n.address END,
        attempts = n.attempts + c.attempts,
        error = c.error,
        history = CASE WHEN jsonb_array_length(n.history) + c.attempts > {HISTORY_LIMIT}
            THEN jsonb_path_query_array(n.history || c.history::jsonb, '$[last-{HISTORY_LIMIT - 1} to last]')
            ELSE n.history || c.history::jsonb END,
        legs = n.legs - c.ended,
        version = n.version + 1
    FROM unnest(
        $8::uuid[], $9::boolean[], $10::text[], $11::uuid[], $12::text[], $13::integer[], $14::text[], $15::text[],
        $16::integer[]
    ) AS c (notification, sent, channel, endpoint, address, attempts, error, history, ended)
    WHERE n.id = c.notification
    RETURNING {rows.NOTIFICATION_COLUMNS}, n.history::text AS history, n.legs, n.plan, n.step,
        c.sent AND n.endpoint IS NOT DISTINCT FROM c.endpoint AS became_sent
"""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What has become of the deliveries of one notification, of those that are written together."""

    notification: str
    completions: Sequence[Completion]

    @property
    def ended(self) -> Sequence[Completion]:
        return [one for one in self.completions if one.decision.wait is None]

    @property
    def sent(self) -> Completion | None:
        return next((one for one in self.completions if one.decision.sent), None)

    @property
    def error(self) -> str:
        failures = [one.decision.failure for one in self.completions if one.decision.failure is not None]
        return failures[-1].text if failures else ""

    def values(self, now: datetime) -> tuple[object, ...]:
        """What goes into the statement."""
        sent = self.sent
        point = None if sent is None else sent.claimed.endpoint
        return (
            self.notification,
            sent is not None,
            None if sent is None else sent.claimed.channel,
            (point.id or None) if point else None,
            point.shown if point else "",
            len(self.completions),
            self.error,
            rows.dump_history(one.attempt(now) for one in self.completions),
            len(self.ended),
        )


class OutcomeWriter:
    """Writes what follows for notifications."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def write(self, connection: Connection, held: Sequence[Completion], now: datetime) -> dict[str, Notification]:
        """The notifications after their changes, by id; status changes and dead letters are in the outbox."""
        by_tenant: dict[str, dict[str, list[Completion]]] = defaultdict(lambda: defaultdict(list))
        for one in held:
            if isinstance(one.claimed.message, Outgoing):
                by_tenant[one.claimed.tenant][one.claimed.reference].append(one)
        changed: dict[str, Notification] = {}
        told: list[Notification] = []
        for tenant, groups in by_tenant.items():
            outcomes = [_Outcome(id_, groups[id_]) for id_ in sorted(groups)]
            written = await _write(connection, tenant, outcomes, now)
            told += [one.notification for one in written if one.became_sent]
            settled = await settle(connection, tenant, written, now)
            told += [one for one in settled if one.status is Status.FAILED]
            changed |= {one.notification.id: one.notification for one in written}
            changed |= {one.id: one for one in settled}
        if told:
            await self._outbox.add_bundles(connection, [events.status_changes(told, now)])
        letters: list[tuple[Encoded, str | None]] = [
            events.notification_letter(one, now) for one in told if one.status is Status.FAILED
        ]
        await self._outbox.add_encoded(connection, letters)
        return changed


async def _write(connection: Connection, tenant: str, outcomes: Sequence[_Outcome], now: datetime) -> Sequence[Ended]:
    every = [one for outcome in outcomes for one in outcome.completions]
    found = await connection.fetch(
        in_tenant(_OUTCOMES, tenant),
        [one.claimed.id for one in every],
        [one.claimed.lease for one in every],
        [one.claimed.message.user for one in every if isinstance(one.claimed.message, Outgoing)],
        [one.decision.wait is None for one in every],
        [one.decision.reached for one in every],
        tenant,
        now,
        *map(list, zip(*(outcome.values(now) for outcome in outcomes), strict=True)),
    )
    by_id = {outcome.notification: outcome for outcome in outcomes}
    return [_ended(row, tenant, by_id[row["id"]], now) for row in found]


def _ended(row: rows.Row, tenant: str, outcome: _Outcome, now: datetime) -> Ended:
    waits = [one.decision.wait for one in outcome.completions if one.decision.wait is not None]
    next_attempt_at = now + min(waits) if waits and row["status"] == Status.PENDING else None
    if row["attempts"] == len(outcome.completions):  # nearly all: spares reading what was just written
        history = tuple(one.attempt(now) for one in outcome.completions)[-HISTORY_LIMIT:]
    else:
        history = rows.load_history(row["history"])
    return Ended(
        notification=rows.notification(row, tenant, next_attempt_at, history),
        legs=row["legs"],
        plan=row["plan"],
        step=row["step"],
        ended=len(outcome.ended),
        became_sent=row["became_sent"],
        priority=outcome.completions[0].claimed.priority,
        held=any(one.decision.held for one in outcome.completions),
        vanished=bool(outcome.ended) and all(one.decision.failure == NO_ENDPOINT for one in outcome.ended),
    )
