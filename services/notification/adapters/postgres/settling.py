"""Writes what became of deliveries: many in one transaction, with status changes and dead letters in the outbox."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.chassis.nats import Encoded, Event
from services.chassis.postgres import Connection, Database, Outbox
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rate_limit, rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.work import Claimed, EventMessage, Settlement
from services.notification.domain.delivery import Attempt
from services.notification.domain.notification import Notification
from services.notification.domain.webhook import GONE

_NOTIFICATIONS = f"""
    UPDATE TENANT.notifications n SET
        status = o.status,
        attempts = n.attempts + o.made,
        error = o.error,
        sent_at = CASE WHEN o.status = 'SENT' THEN $5 ELSE n.sent_at END,
        version = n.version + 1
    FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::text[]) AS o (id, status, made, error)
    WHERE n.id = o.id
    RETURNING {rows.NOTIFICATION_COLUMNS}
"""


class Settler:
    """Settles claims that still hold; a lease that another process has taken over is left alone."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, *, disable_after: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._disable_after = disable_after

    async def settle(self, settlements: Sequence[Settlement]) -> Sequence[Notification | None]:
        """See DeliveryQueue.settle."""
        async with self._database.transaction() as connection:
            now = await self._clock.now(connection)
            ours = await _still_ours(connection, [settlement.claimed for settlement in settlements])
            held = [(settlement, settlement.history(now)) for settlement in settlements if _lease(settlement) in ours]
            await self._write_schedule(connection, held, now)
            await rate_limit.complete(
                connection,
                [
                    (s.claimed.id, s.claimed.lease, s.decision.sent)
                    for s, _ in held
                    if not isinstance(s.claimed.message, EventMessage)
                ],
                now,
            )
            changed = await self._write_notifications(connection, held, now)
            letters = [letter for s, history in held for letter in self._event_letters(s, history)]
            await self._outbox.add_encoded(connection, letters)
            await self._write_subscriptions(connection, [s for s, _ in held], now)
            await _forget_addresses(connection, [s for s, _ in held])
        return [changed.get(s.claimed.reference) if _lease(s) in ours else None for s in settlements]

    async def _write_schedule(
        self, connection: Connection, held: Sequence[tuple[Settlement, tuple[Attempt, ...]]], now: datetime
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
        over = [s for s, _ in held if s.decision.wait is None]
        if gone := [s.claimed.id for s in over if not isinstance(s.claimed.message, EventMessage)]:
            await connection.execute("DELETE FROM deliveries WHERE id = ANY($1::uuid[])", gone)
        # Events keep their row for a while: its key is what makes a redelivered event harmless.
        if kept := [s for s in over if isinstance(s.claimed.message, EventMessage)]:
            await connection.execute(
                """
                UPDATE deliveries d SET lease = NULL, state = o.state, body = NULL, attempts = d.attempts + 1
                FROM unnest($1::uuid[], $2::text[]) AS o (id, state) WHERE d.id = o.id
                """,
                [s.claimed.id for s in kept],
                ["DONE" if s.decision.sent else "FAILED" for s in kept],
            )

    async def _write_notifications(
        self, connection: Connection, held: Sequence[tuple[Settlement, tuple[Attempt, ...]]], now: datetime
    ) -> dict[str, Notification]:
        by_tenant: dict[str, list[tuple[Settlement, tuple[Attempt, ...]]]] = defaultdict(list)
        for settlement, history in held:
            if not isinstance(settlement.claimed.message, EventMessage):
                by_tenant[settlement.claimed.tenant].append((settlement, history))
        changed: dict[str, Notification] = {}
        told: list[Event] = []
        letters: list[tuple[Encoded, str | None]] = []
        for tenant, group in by_tenant.items():
            histories = {s.claimed.reference: (s, history) for s, history in group}
            found = await connection.fetch(
                in_tenant(_NOTIFICATIONS, tenant),
                [s.claimed.reference for s, _ in group],
                [s.status for s, _ in group],
                [1 for _ in group],
                [s.decision.failure.text if s.decision.failure else "" for s, _ in group],
                now,
            )
            for row in found:
                notification = rows.notification(row, tenant)
                settlement, history = histories[notification.id]
                wait = settlement.decision.wait
                if wait is None:
                    told.append(events.status_changed(notification, now))
                    if not settlement.decision.sent:
                        letters.append(events.notification_letter(notification, history, now))
                changed[notification.id] = (
                    notification if wait is None else replace(notification, next_attempt_at=now + wait)
                )
        await self._outbox.add_in_order(connection, told)
        await self._outbox.add_encoded(connection, letters)
        return changed

    @staticmethod
    def _event_letters(settlement: Settlement, history: tuple[Attempt, ...]) -> list[tuple[Encoded, str | None]]:
        claimed, message = settlement.claimed, settlement.claimed.message
        if not isinstance(message, EventMessage) or settlement.decision.sent or settlement.decision.wait is not None:
            return []
        first_seen = history[0].at
        return [
            events.event_letter(message.type, message.event_id, message.body, claimed.reference, history, first_seen)
        ]

    async def _write_subscriptions(
        self, connection: Connection, settlements: Sequence[Settlement], now: datetime
    ) -> None:
        about = [s for s in settlements if isinstance(s.claimed.message, EventMessage) and s.claimed.blocked is None]
        if not about:
            return
        well = sorted({s.claimed.reference for s in about if s.decision.sent})
        gone = sorted({s.claimed.reference for s in about if s.decision.gone})
        failing = sorted({s.claimed.reference for s in about if not s.decision.sent})
        if well:
            await connection.execute(
                """
                UPDATE webhook_subscriptions SET failing_since = NULL
                WHERE id = ANY($1::uuid[]) AND failing_since IS NOT NULL
                """,
                well,
            )
        if gone:
            await connection.execute(
                """
                UPDATE webhook_subscriptions SET enabled = false, disabled_reason = $2
                WHERE id = ANY($1::uuid[]) AND enabled
                """,
                gone,
                GONE,
            )
        if failing:
            await connection.execute(
                """
                UPDATE webhook_subscriptions SET
                    failing_since = since,
                    enabled = since > $3,
                    disabled_reason = CASE WHEN since > $3 THEN ''
                        ELSE 'nothing but failures since ' || to_char(since, 'YYYY-MM-DD HH24:MI') END
                FROM (
                    SELECT id AS failing, coalesce(failing_since, $2) AS since FROM webhook_subscriptions
                    WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
                ) AS f
                WHERE id = failing AND enabled
                """,
                [id_ for id_ in failing if id_ not in well],
                now,
                now - self._disable_after,
            )
        if gone or failing:
            await connection.execute("SELECT pg_notify('notification_subscriptions', '')")


async def _still_ours(connection: Connection, claimed: Sequence[Claimed]) -> set[tuple[str, str]]:
    """By delivery and lease: who lost a delivery may report in the same breath as who took it over."""
    found = await connection.fetch(
        """
        SELECT d.id::text AS id, d.lease::text AS lease FROM deliveries d
        JOIN unnest($1::uuid[], $2::uuid[]) AS c (id, lease) ON d.id = c.id AND d.lease = c.lease
        ORDER BY d.id FOR UPDATE OF d
        """,
        [claim.id for claim in claimed],
        [claim.lease for claim in claimed],
    )
    return {(row["id"], row["lease"]) for row in found}


def _lease(settlement: Settlement) -> tuple[str, str]:
    return settlement.claimed.id, settlement.claimed.lease


async def _forget_addresses(connection: Connection, settlements: Sequence[Settlement]) -> None:
    by_tenant: dict[str, set[str]] = defaultdict(set)
    for settlement in settlements:
        if not isinstance(settlement.claimed.message, EventMessage):
            by_tenant[settlement.claimed.tenant] |= settlement.decision.gone
    for tenant, gone in by_tenant.items():
        if gone:
            await connection.execute(
                in_tenant("DELETE FROM TENANT.endpoints WHERE id = ANY($1::uuid[])", tenant), sorted(gone)
            )
