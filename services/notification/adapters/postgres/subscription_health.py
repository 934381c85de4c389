"""Subscriptions that fail: since when, and when they are disabled."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.chassis.postgres import Connection
from services.notification.application.claimed_delivery import Completion
from services.notification.domain.webhook import GONE

_SUBSCRIPTIONS = """
    UPDATE webhook_subscriptions s SET
        failing_since = CASE WHEN well THEN NULL WHEN gone OR NOT s.enabled THEN s.failing_since ELSE since END,
        enabled = s.enabled AND NOT gone AND (well OR since > $5),
        version = s.version + (s.enabled AND (gone OR NOT (well OR since > $5)))::integer,
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


async def judge_subscriptions(
    connection: Connection, completions: Sequence[Completion], now: datetime, disable_after: timedelta
) -> None:
    """What the outcomes of their events mean for subscriptions. One success among those that are written together
    outweighs the failures."""
    about = [s for s in completions if s.claimed.blocked is None]
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
        now - disable_after,
        GONE,
    )
    if gone or len(well) < len(ids):
        await connection.execute("SELECT pg_notify('notification_subscriptions', '')")
