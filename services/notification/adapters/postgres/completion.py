"""Writes what became of deliveries: many in one transaction, with status changes and dead letters in the outbox."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.chassis.nats import Encoded
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.telemetry.logs import get_logger
from services.notification.adapters.nats import events
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.clock import Clock
from services.notification.adapters.postgres.outcomes import OutcomeWriter
from services.notification.adapters.postgres.subscription_health import judge_subscriptions
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.claimed_delivery import Claimed, Completion, EventMessage
from services.notification.domain.notification import Notification

log = get_logger(__name__)

_STILL_OURS = """
    SELECT clock_timestamp() AS now, ARRAY(
        SELECT place FROM deliveries d
        JOIN unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS c (id, lease, place) ON d.id = c.id AND d.lease = c.lease
        ORDER BY d.id FOR UPDATE OF d
    ) AS places
"""
_FORGET = """
    DELETE FROM TENANT.endpoints e USING unnest($1::uuid[], $2::bigint[]) AS gone (id, version)
    WHERE e.id = gone.id AND e.version = gone.version
"""


class Completer:
    """Completes claims that still hold; a lease that another process has taken over is left alone."""

    def __init__(self, database: Database, clock: Clock, outbox: Outbox, *, disable_after: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._outbox = outbox
        self._outcomes = OutcomeWriter(outbox)
        self._disable_after = disable_after

    async def complete(self, completions: Sequence[Completion]) -> Sequence[Notification | None]:
        """See DeliveryQueue.complete."""
        async with self._database.transaction() as connection:
            ours, server_time = await _still_ours(connection, [completion.claimed for completion in completions])
            now = self._clock.at(server_time)
            held = [completion for completion in completions if _lease(completion) in ours]
            about_events = [one for one in held if isinstance(one.claimed.message, EventMessage)]
            await _write_schedule(connection, held, now)
            changed = await self._outcomes.write(connection, held, now)
            await self._write_events(connection, about_events, now)
            await judge_subscriptions(connection, about_events, now, self._disable_after)
            await _forget_addresses(connection, held)
        _tell(held)
        return [changed.get(s.claimed.reference) if _lease(s) in ours else None for s in completions]

    async def _write_events(self, connection: Connection, ended: Sequence[Completion], now: datetime) -> None:
        # Events keep their row for a while: its key is what makes a redelivered event harmless.
        kept = [one for one in ended if one.decision.wait is None]
        if not kept:
            return
        await connection.execute(
            """
            UPDATE deliveries d SET
                lease = NULL, state = o.state, state_at = $3, body = NULL, attempts = d.attempts + 1
            FROM unnest($1::uuid[], $2::text[]) AS o (id, state) WHERE d.id = o.id
            """,
            [one.claimed.id for one in kept],
            ["DONE" if one.decision.sent else "FAILED" for one in kept],
            now,
        )
        letters = [letter for one in kept for letter in _letters(one, now)]
        await self._outbox.add_encoded(connection, letters)


async def _write_schedule(connection: Connection, held: Sequence[Completion], now: datetime) -> None:
    again = [(one, one.decision.wait) for one in held if one.decision.wait is not None]
    if again:
        await connection.execute(
            """
            UPDATE deliveries d SET
                lease = NULL, deferred = false, attempts = d.attempts + 1, next_attempt_at = o.at,
                history = o.history::json
            FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS o (id, at, history)
            WHERE d.id = o.id
            """,
            [one.claimed.id for one, _ in again],
            [now + wait for _, wait in again],
            [
                rows.dump_history(one.history(now)) if isinstance(one.claimed.message, EventMessage) else "[]"
                for one, _ in again
            ],
        )


def _tell(held: Sequence[Completion]) -> None:
    """One line for all that were sent: a line for each costs as much as a third of the sending."""
    if sent := [one.claimed.id for one in held if one.decision.sent]:
        log.info("deliveries.sent", count=len(sent), deliveries=" ".join(sent))


def _letters(completion: Completion, now: datetime) -> list[tuple[Encoded, str | None]]:
    claimed, message = completion.claimed, completion.claimed.message
    if not isinstance(message, EventMessage) or completion.decision.sent:
        return []
    history = completion.history(now)
    return [
        events.event_letter(message.type, message.event_id, message.body, claimed.reference, history, history[0].at)
    ]


async def _still_ours(connection: Connection, claimed: Sequence[Claimed]) -> tuple[set[tuple[str, str]], datetime]:
    """By delivery and lease: who lost a delivery may report in the same breath as who took it over. Tells the server's
    time by the way."""
    row = await connection.fetchrow(_STILL_OURS, [claim.id for claim in claimed], [claim.lease for claim in claimed])
    assert row is not None
    return {(claimed[place - 1].id, claimed[place - 1].lease) for place in row["places"]}, row["now"]


def _lease(completion: Completion) -> tuple[str, str]:
    return completion.claimed.id, completion.claimed.lease


async def _forget_addresses(connection: Connection, completions: Sequence[Completion]) -> None:
    """Those that were registered anew during the attempt stay: the answer is about what they were before."""
    by_tenant: dict[str, set[tuple[str, int]]] = {}
    for one in completions:
        if one.decision.gone and one.claimed.endpoint is not None and one.claimed.tenant:
            by_tenant.setdefault(one.claimed.tenant, set()).add((one.claimed.endpoint.id, one.claimed.endpoint.version))
    for tenant, gone in sorted(by_tenant.items()):
        await connection.execute(in_tenant(_FORGET, tenant), *map(list, zip(*sorted(gone), strict=True)))
