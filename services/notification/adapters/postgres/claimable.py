"""What may be claimed in a lane: chosen by the index alone, whoever has a backlog.

A flow is what goes from one tenant to one receiver. The statement goes from flow to flow by the index (never through
the rows of one), takes the first due rows of each by priority, and lets the tenants take turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.chassis.postgres import Connection
from services.notification.application.places import Room
from services.notification.domain.lane import Lane

_WAITING = "d.state = 'OPEN' AND d.lease IS NULL AND d.lane = $1"
_FLOWS = 500
"""Flows that are visited by one claim, at most; the next one goes on behind them."""

_CLAIMABLE = f"""
    WITH RECURSIVE visited AS (
        (
            SELECT d.tenant, d.receiver FROM deliveries d
            WHERE {_WAITING} AND (d.tenant, d.receiver) > ($7, $8) ORDER BY d.tenant, d.receiver LIMIT 1
        )
        UNION ALL
        SELECT following.tenant, following.receiver FROM visited v CROSS JOIN LATERAL (
            SELECT d.tenant, d.receiver FROM deliveries d
            WHERE {_WAITING} AND (d.tenant, d.receiver) > (v.tenant, v.receiver) ORDER BY d.tenant, d.receiver LIMIT 1
        ) AS following
    ), flows AS MATERIALIZED (
        SELECT tenant, receiver FROM visited LIMIT {_FLOWS}
    ), with_room AS MATERIALIZED (
        SELECT f.tenant, f.receiver, coalesce(k.places, $10) AS places, coalesce(k.proven, false) AS proven
        FROM flows f LEFT JOIN unnest($4::text[], $5::integer[], $6::boolean[]) AS k (receiver, places, proven)
            ON k.receiver = f.receiver
        WHERE coalesce(k.places, $10) > 0 AND (coalesce(k.proven, false) OR $9 > 0)
    ), due AS (
        SELECT d.id, d.priority, d.next_attempt_at, w.proven,
            row_number() OVER (PARTITION BY w.tenant ORDER BY d.priority, d.next_attempt_at, d.id) AS turn,
            row_number() OVER (PARTITION BY w.tenant, w.receiver ORDER BY d.priority, d.next_attempt_at, d.id) AS place,
            w.places
        FROM with_room w CROSS JOIN generate_series(0, 3) AS p CROSS JOIN LATERAL (
            SELECT d.id, d.priority, d.next_attempt_at FROM deliveries d
            WHERE {_WAITING} AND d.tenant = w.tenant AND d.receiver = w.receiver AND d.priority = p
                AND d.next_attempt_at <= $2
            ORDER BY d.next_attempt_at, d.id LIMIT w.places
        ) AS d
    ), ranked AS (
        SELECT *, row_number() OVER (PARTITION BY proven ORDER BY priority > 0, turn, priority, next_attempt_at) AS rank
        FROM due WHERE place <= places
    ), chosen AS (
        SELECT id FROM ranked WHERE proven OR rank <= $9
        ORDER BY priority > 0, turn, priority, next_attempt_at, id LIMIT $3
    ), expired AS (
        SELECT d.id FROM deliveries d WHERE d.lease IS NOT NULL AND d.lane = $1 AND d.next_attempt_at <= $2
        ORDER BY d.next_attempt_at LIMIT $3
    ), taken AS MATERIALIZED (
        SELECT d.id, d.kind, d.tenant, d.recipient, d.channel, d.receiver, d.reference, d.endpoint, d.event_id,
            d.event_type, d.body, d.attempts, d.claims, d.lease IS NOT NULL AS crashed, d.deferred, d.priority,
            d.history
        FROM deliveries d
        WHERE d.id = ANY(ARRAY(SELECT id FROM expired UNION ALL SELECT id FROM chosen)) AND d.next_attempt_at <= $2
        ORDER BY d.priority, d.next_attempt_at, d.id LIMIT $3 FOR UPDATE SKIP LOCKED
    ), pace AS (
        SELECT count(*) AS visited, max(tenant) AS tenant,
            (SELECT max(receiver) FROM flows WHERE tenant = (SELECT max(tenant) FROM flows)) AS receiver
        FROM flows
    )
    SELECT pace.visited, pace.tenant AS last_tenant, pace.receiver AS last_receiver,
        CASE WHEN NOT EXISTS (SELECT FROM taken) THEN least(
            (
                SELECT min(d.next_attempt_at)
                FROM with_room w CROSS JOIN generate_series(0, 3) AS p CROSS JOIN LATERAL (
                    SELECT d.next_attempt_at FROM deliveries d
                    WHERE {_WAITING} AND d.tenant = w.tenant AND d.receiver = w.receiver AND d.priority = p
                    ORDER BY d.next_attempt_at LIMIT 1
                ) AS d
            ),
            (
                SELECT d.next_attempt_at FROM deliveries d WHERE d.lease IS NOT NULL AND d.lane = $1
                ORDER BY d.next_attempt_at LIMIT 1
            )
        ) END AS next_due,
        t.id::text AS id, t.kind, t.tenant, t.recipient, t.channel, t.receiver, t.reference::text AS reference,
        t.endpoint::text AS endpoint, t.event_id, t.event_type, t.body, t.attempts, t.claims, t.crashed,
        t.deferred, t.priority, t.history::text AS history
    FROM pace LEFT JOIN taken t ON true
"""

Record = Any


@dataclass(frozen=True, slots=True)
class Claimable:
    """Rows that are locked for this transaction, in the order in which they go; and where there are none, when the
    next one is due."""

    rows: Sequence[Record]
    next_due: datetime | None


class FlowWalk:
    """Goes round the flows of each lane: a claim visits a bounded number, and the next one goes on from there."""

    def __init__(self) -> None:
        self._after: dict[Lane, tuple[str, str]] = {}

    async def next(self, connection: Connection, room: Room, now: datetime) -> Claimable:
        """What may be claimed now."""
        after = self._after.pop(room.lane, ("", ""))
        found = await connection.fetch(_CLAIMABLE, *_arguments(room, now, after))
        first = found[0]
        if first["visited"] == _FLOWS:
            self._after[room.lane] = first["last_tenant"], first["last_receiver"]
        if first["id"] is not None:
            return Claimable(found, None)
        # Behind the last flow it begins anew, and does not wait.
        begins_anew = room.lane in self._after or after != ("", "")
        return Claimable([], now if begins_anew else first["next_due"])


def _arguments(room: Room, now: datetime, after: tuple[str, str]) -> list[object]:
    known: Mapping[str, tuple[int, bool]] = room.known
    return [
        room.lane,
        now,
        room.places,
        list(known),
        [min(places, room.places) for places, _ in known.values()],
        [proven for _, proven in known.values()],
        *after,
        room.unproven,
        room.others,
    ]
