"""Idempotency keys: which notifications are there already, and the first that counts."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from services.chassis.errors import DomainError
from services.chassis.postgres import Connection
from services.notification.adapters.postgres import rows
from services.notification.adapters.postgres.accepted import New
from services.notification.adapters.postgres.tenants import in_tenant
from services.notification.application.ports.notifications import Enqueued
from services.notification.domain.errors import IdempotencyConflict
from services.notification.domain.notification import KEYS_LAST, Draft

_CLAIM_KEYS = """
    INSERT INTO TENANT.idempotency_keys AS k (key, fingerprint, notification, created_at)
    SELECT key, fingerprint, notification, $4 FROM unnest($1::text[], $2::bytea[], $3::uuid[])
        AS n (key, fingerprint, notification) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        fingerprint = excluded.fingerprint, notification = excluded.notification, created_at = excluded.created_at
    WHERE k.created_at < $5
    RETURNING key
"""
_KNOWN_KEYS = f"""
    SELECT k.key, k.fingerprint, k.created_at AS used_at, {rows.NOTIFICATION_COLUMNS}, d.next_attempt_at
    FROM TENANT.idempotency_keys k JOIN TENANT.notifications n ON n.id = k.notification {rows.SCHEDULED}
    WHERE k.key = ANY($1::text[])
"""


async def claim_keys(connection: Connection, news: Sequence[New], now: datetime) -> dict[str, Enqueued | DomainError]:
    """What is known already, by the id that the new notification would have had."""
    by_tenant: dict[str, dict[str, list[New]]] = defaultdict(lambda: defaultdict(list))
    for new in news:
        if key := new.draft.idempotency_key:
            by_tenant[new.draft.tenant][key].append(new)
    known: dict[str, Enqueued | DomainError] = {}
    for tenant in sorted(by_tenant):
        groups = by_tenant[tenant]
        firsts = [group[0] for group in groups.values()]
        claimed = await connection.fetch(
            in_tenant(_CLAIM_KEYS, tenant),
            list(groups),
            [new.draft.fingerprint() for new in firsts],
            [new.id for new in firsts],
            now,
            now - KEYS_LAST,
        )
        used = set(groups) - {row["key"] for row in claimed}
        kept = await connection.fetch(in_tenant(_KNOWN_KEYS, tenant), sorted(used)) if used else []
        for row in kept:
            existing = Enqueued(rows.notification(row, tenant, row["next_attempt_at"]), existing=True)
            known |= {new.id: _judged(new.draft, row["fingerprint"], existing) for new in groups[row["key"]]}
        for key in set(groups) - used:
            first, *repeats = groups[key]
            existing = Enqueued(first.notification(now), existing=True)
            known |= {new.id: _judged(new.draft, first.draft.fingerprint(), existing) for new in repeats}
    return known


async def known_drafts(
    connection: Connection, drafts: Sequence[Draft], now: datetime
) -> Sequence[Enqueued | DomainError | None]:
    """What has become of drafts whose keys were used before; None for the others."""
    by_tenant: dict[str, set[str]] = defaultdict(set)
    for draft in drafts:
        if draft.idempotency_key:
            by_tenant[draft.tenant].add(draft.idempotency_key)
    found: dict[tuple[str, str], tuple[bytes, Enqueued]] = {}
    for tenant, keys in by_tenant.items():
        for row in await connection.fetch(in_tenant(_KNOWN_KEYS, tenant), sorted(keys)):
            if row["used_at"] >= now - KEYS_LAST:
                kept = Enqueued(rows.notification(row, tenant, row["next_attempt_at"]), existing=True)
                found[tenant, row["key"]] = row["fingerprint"], kept
    known = [found.get((draft.tenant, draft.idempotency_key)) for draft in drafts]
    return [None if first is None else _judged(draft, *first) for draft, first in zip(drafts, known, strict=True)]


def _judged(draft: Draft, fingerprint: bytes, existing: Enqueued) -> Enqueued | IdempotencyConflict:
    return existing if draft.fingerprint() == fingerprint else IdempotencyConflict(draft.idempotency_key)
