"""Writes what became of deliveries: many in one transaction, with status changes and dead letters in the outbox."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.nats import Encoded
from services.chassis.postgres import Connection, Database, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed, Completion, EventMessage
from services.notification.domain.delivery import Attempt, Outgoing
from services.notification.domain.notification import Notification
from services.notification.domain.webhook import GONE

_STILL_OURS = """
    SELECT clock_timestamp() AS now, ARRAY(
        SELECT place FROM deliveries d
        JOIN unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS c (id, lease, place) ON d.id = c.id AND d.lease = c.lease
        ORDER BY d.id FOR UPDATE OF d
    ) AS places
"""
_NOTIFICATIONS = f"""
    WITH given AS (
        SELECT * FROM unnest(
            $1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::boolean[], $10::boolean[]
        ) AS g (delivery, lease, notification, recipient, status, error, over, reached)
    ), finished AS (
        DELETE FROM deliveries d USING given g WHERE d.id = g.delivery AND g.over
    ), counted AS (
        UPDATE rate_slots s SET at = $9 FROM given g WHERE g.reached
            AND s.tenant = $8 AND s.recipient = g.recipient AND s.delivery = g.delivery AND s.lease = g.lease
    ), released AS (
        DELETE FROM rate_slots s USING given g WHERE NOT g.reached
            AND s.tenant = $8 AND s.recipient = g.recipient AND s.delivery = g.delivery AND s.lease = g.lease
    )
    UPDATE TENANT.notifications n SET
        status = g.status,
        attempts = n.attempts + 1,
        error = g.error,
        sent_at = CASE WHEN g.status = 'SENT' THEN $9 ELSE n.sent_at END,
        version = n.version + 1
    FROM given g WHERE n.id = g.notification
    RETURNING {rows.NOTIFICATION_COLUMNS}
"""
_SUBSCRIPTIONS = """
    UPDATE webhook_subscriptions s SET
        failing_since = CASE WHEN well THEN NULL WHEN gone OR NOT s.enabled THEN s.failing_since ELSE since END,
        enabled = s.enabled AND NOT gone AND (well OR since > $5),
        disabled_reason = CASE
            WHEN NOT s.enabled OR (NOT gone AND (well OR since > $5)) THEN s.disabled_reason
            WHEN gone THEN $6
            ELSE 'nothing but failures since ' || to_char(since, 'YYYY-MM-DD HH24:MI')
        END
    FROM (
        SELECT s.id AS about, g.well, g.gone, coalesce(s.failing_since, $4) AS since
        FROM unnest($1::uuid[], $2::boolean[], $3::boolean[]) AS g (id, well, gone)
        JOIN webhook_subscriptions s ON s.id = g.id
        WHERE CASE WHEN g.well AND NOT g.gone THEN s.failing_since IS NOT NULL ELSE s.enabled OR g.well END
        ORDER BY s.id FOR NO KEY UPDATE OF s
    ) AS f
    WHERE s.id = about
"""
"""Locked in the order of their ids, in one statement: two replicas never wait for each other."""


class Completer:
    """Completes claims that still hold; a lease that another process has taken over is left alone."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, *, disable_after: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._disable_after = disable_after

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """See DeliveryQueue.complete."""
        async with self._database.transaction() as connection:
            ours, server_time = await _still_ours(connection, [completion.claimed for completion in completions])
            now = self._clock.at(server_time)
            held = [(completion, completion.history(now)) for completion in completions if _lease(completion) in ours]
            await self._write_schedule(connection, held, now)
            changed = await self._write_notifications(connection, held, now)
            letters = [letter for s, history in held for letter in self._event_letters(s, history)]
            await self._outbox.add_encoded(connection, letters)
            await self._write_subscriptions(connection, [s for s, _ in held], now)
            await _forget_addresses(connection, [s for s, _ in held])
        return [changed.get(s.claimed.reference) if _lease(s) in ours else None for s in completions]

    async def _write_schedule(
        self, connection: Connection, held: Sequence[tuple[Completion, tuple[Attempt, ...]]], now: datetime
    ) -> None:
        again = [(s, history, s.decision.wait) for s, history in held if s.decision.wait is not None]
        if again:
            await connection.execute(
                """
                UPDATE deliveries d SET
                    lease = NULL, deferred = false, attempts = d.attempts + 1, next_attempt_at = o.at,
                    history = o.history::json, done = ARRAY(SELECT json_array_elements_text(o.done::json))
                FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS o (id, at, history, done)
                WHERE d.id = o.id
                """,
                [s.claimed.id for s, _, _ in again],
                [now + wait for _, _, wait in again],
                [rows.dump_history(history) for _, history, _ in again],
                [json.dumps(sorted(s.decision.done)) for s, _, _ in again],
            )
        # Events keep their row for a while: its key is what makes a redelivered event harmless.
        kept = [s for s, _ in held if s.decision.wait is None and isinstance(s.claimed.message, EventMessage)]
        if kept:
            await connection.execute(
                """
                UPDATE deliveries d SET lease = NULL, state = o.state, body = NULL, attempts = d.attempts + 1
                FROM unnest($1::uuid[], $2::text[]) AS o (id, state) WHERE d.id = o.id
                """,
                [s.claimed.id for s in kept],
                ["DONE" if s.decision.sent else "FAILED" for s in kept],
            )

    async def _write_notifications(
        self, connection: Connection, held: Sequence[tuple[Completion, tuple[Attempt, ...]]], now: datetime
    ) -> dict[str, Notification]:
        by_tenant: dict[str, list[tuple[Completion, Outgoing, tuple[Attempt, ...]]]] = defaultdict(list)
        for completion, history in held:
            if isinstance(message := completion.claimed.message, Outgoing):
                by_tenant[completion.claimed.tenant].append((completion, message, history))
        changed: dict[str, Notification] = {}
        told: list[Notification] = []
        letters: list[tuple[Encoded, str | None]] = []
        for tenant, unordered in by_tenant.items():
            group = sorted(unordered, key=lambda one: one[0].claimed.reference)
            histories = {s.claimed.reference: (s, history) for s, _, history in group}
            found = await connection.fetch(
                in_tenant(_NOTIFICATIONS, tenant),
                [s.claimed.id for s, _, _ in group],
                [s.claimed.lease for s, _, _ in group],
                [s.claimed.reference for s, _, _ in group],
                [message.user for _, message, _ in group],
                [s.status for s, _, _ in group],
                [s.decision.failure.text if s.decision.failure else "" for s, _, _ in group],
                [s.decision.wait is None for s, _, _ in group],
                tenant,
                now,
                [s.decision.reached for s, _, _ in group],
            )
            for row in found:
                notification = rows.notification(row, tenant)
                completion, history = histories[notification.id]
                wait = completion.decision.wait
                if wait is None:
                    told.append(notification)
                    if not completion.decision.sent:
                        letters.append(events.notification_letter(notification, history, now))
                changed[notification.id] = (
                    notification if wait is None else replace(notification, next_attempt_at=now + wait)
                )
        if told:
            await self._outbox.add_bundles(connection, [events.status_changes(told, now)])
        await self._outbox.add_encoded(connection, letters)
        return changed

    @staticmethod
    def _event_letters(completion: Completion, history: tuple[Attempt, ...]) -> list[tuple[Encoded, str | None]]:
        claimed, message = completion.claimed, completion.claimed.message
        if not isinstance(message, EventMessage) or completion.decision.sent or completion.decision.wait is not None:
            return []
        first_seen = history[0].at
        return [
            events.event_letter(message.type, message.event_id, message.body, claimed.reference, history, first_seen)
        ]

    async def _write_subscriptions(
        self, connection: Connection, completions: Sequence[Completion], now: datetime
    ) -> None:
        about = [s for s in completions if isinstance(s.claimed.message, EventMessage) and s.claimed.blocked is None]
        if not about:
            return
        well = {s.claimed.reference for s in about if s.decision.sent}
        gone = {s.claimed.reference for s in about if s.decision.gone}
        ids = sorted({s.claimed.reference for s in about})
        await connection.execute(
            _SUBSCRIPTIONS,
            ids,
            [id_ in well for id_ in ids],
            [id_ in gone for id_ in ids],
            now,
            now - self._disable_after,
            GONE,
        )
        if gone or len(well) < len(ids):
            await connection.execute("SELECT pg_notify('notification_subscriptions', '')")


async def _still_ours(connection: Connection, claimed: Sequence[Claimed]) -> tuple[set[tuple[str, str]], datetime]:
    """By delivery and lease: who lost a delivery may report in the same breath as who took it over. Tells the server's
    time by the way."""
    row = await connection.fetchrow(_STILL_OURS, [claim.id for claim in claimed], [claim.lease for claim in claimed])
    assert row is not None
    return {(claimed[place - 1].id, claimed[place - 1].lease) for place in row["places"]}, row["now"]


def _lease(completion: Completion) -> tuple[str, str]:
    return completion.claimed.id, completion.claimed.lease


async def _forget_addresses(connection: Connection, completions: Sequence[Completion]) -> None:
    by_tenant: dict[str, set[str]] = defaultdict(set)
    for completion in completions:
        if not isinstance(completion.claimed.message, EventMessage):
            by_tenant[completion.claimed.tenant] |= completion.decision.gone
    for tenant, gone in by_tenant.items():
        if gone:
            await connection.execute(
                in_tenant("DELETE FROM TENANT.endpoints WHERE id = ANY($1::uuid[])", tenant), sorted(gone)
            )
