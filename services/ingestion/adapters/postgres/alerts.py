"""Alerts in PostgreSQL, and the event of each in the outbox."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.nats import Encoded, Event
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.postgres.conditions import Conditions
from services.chassis.postgres.lookups import lookup
from services.ingestion.domain.alert import Alert, AlertFilter, AlertState, Report, moves
from services.ingestion.domain.errors import AlertExists, ResourceNotFound
from tocsin.events.v1 import alerts_pb2

_COLUMNS = 'uid, video, "timestamp", store, state, reason, create_time, update_time'


_INSERT = f"""
    INSERT INTO alerts (uid, video, "timestamp", store)
    SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[]) AS new (uid) ORDER BY uid
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_STORED = f"SELECT {_COLUMNS} FROM alerts WHERE uid = ANY($1::text[])"

_REMOVE = """
    WITH gone AS (
        DELETE FROM alerts WHERE uid IN (
            SELECT uid FROM alerts WHERE create_time < $1 ORDER BY create_time LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING 1
    )
    SELECT count(*) FROM gone
"""


class PostgresAlerts:
    """Stored alerts (the port `Alerts`)."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._alert = lookup(database, "alert", _STORED, "uid")
        self._accepting = database.group_commit("alerts", self._accept)

    async def accept(self, alert: Alert) -> Alert:
        """Row and event commit together; the same content again changes nothing. Raises AlertExists."""
        reported = alerts_pb2.VideoAlertReported(
            uid=alert.uid, video=alert.video, timestamp=alert.timestamp, store=alert.store
        )
        # An id of its own, as the uid may be used again once the alert has been removed. Encoded here, so that it
        # carries its own caller's trace.
        event = self._outbox.encode(Event(ALERT_REPORTED_SUBJECT, reported))
        return await self._accepting.submit((alert, event))

    async def _accept(
        self, connection: Connection, reports: Sequence[tuple[Alert, Encoded]]
    ) -> list[Alert | DomainError]:
        firsts: dict[str, tuple[Alert, Encoded]] = {}
        for alert, event in reports:
            firsts.setdefault(alert.uid, (alert, event))
        alerts = [alert for alert, _ in firsts.values()]
        made = await connection.fetch(
            _INSERT,
            [alert.uid for alert in alerts],
            [alert.video for alert in alerts],
            [alert.timestamp for alert in alerts],
            [alert.store for alert in alerts],
        )
        stored = {row["uid"]: _alert(row) for row in made}
        await self._outbox.add_encoded_in_order(
            connection, [event for uid, (_, event) in firsts.items() if uid in stored]
        )
        if known := firsts.keys() - stored.keys():
            stored |= {row["uid"]: _alert(row) for row in await connection.fetch(_STORED, sorted(known))}
        return [_answer(alert, stored.get(alert.uid)) for alert, _ in reports]

    async def get(self, uid: str) -> Alert:
        """Raises ResourceNotFound."""
        row = await self._alert.submit((uid,))
        if row is None:
            raise ResourceNotFound("alert", uid)
        return _alert(row)

    async def remove(self, before: datetime, limit: int) -> int:
        """See the port."""
        async with self._database.connection() as connection:
            return await connection.fetchval(_REMOVE, before, limit)

    async def list(self, wanted: AlertFilter, after: tuple[float, str] | None, limit: int) -> list[Alert]:
        """Newest first."""
        conditions = Conditions(limit)
        if after is not None:
            conditions.add('("timestamp", uid) < ({}, {})', *after)
        if wanted.store:
            conditions.add("store = {}", wanted.store)
        if wanted.state is not None:
            # Spelt out where an index has the same condition: a parameter would hide it from the planner.
            open_or_failed = f" AND state <> {int(AlertState.PROBED)}" if wanted.state is not AlertState.PROBED else ""
            conditions.add("state = {}" + open_or_failed, int(wanted.state))
        if wanted.since is not None:
            conditions.add('"timestamp" >= {}', wanted.since)
        if wanted.until is not None:
            conditions.add('"timestamp" < {}', wanted.until)
        statement = f'SELECT {_COLUMNS} FROM alerts /*where*/ ORDER BY "timestamp" DESC, uid DESC LIMIT $1'
        async with self._database.connection() as connection:
            found = await connection.fetch(conditions.into(statement), *conditions.arguments)
        return [_alert(row) for row in found]


async def move(connection: Connection, reports: Sequence[Report]) -> None:
    """Moves the states of alerts by reports about their videos, in their order (see `moves`); reports about unknown
    alerts (removed, or of another deployment) and those that come too late change nothing."""
    if not reports:
        return
    rows = await connection.fetch(
        "SELECT uid, state, version FROM alerts WHERE uid = ANY($1::text[]) ORDER BY uid FOR UPDATE",
        list({report.uid for report in reports}),
    )
    known = {row["uid"]: (AlertState(row["state"]), row["version"]) for row in rows}
    moved: dict[str, Report] = {}
    for report in reports:
        if (current := known.get(report.uid)) is not None and moves(*current, report):
            known[report.uid] = (report.state, report.version or current[1])
            moved[report.uid] = report
    if moved:
        await connection.execute(
            """
            UPDATE alerts SET
                state = moved.state, reason = moved.reason, version = moved.version, update_time = now()
            FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS moved (uid, state, reason, version)
            WHERE alerts.uid = moved.uid
            """,
            list(moved),
            [int(report.state) for report in moved.values()],
            [report.reason for report in moved.values()],
            [known[uid][1] for uid in moved],
        )


def _answer(alert: Alert, stored: Alert | None) -> Alert | DomainError:
    if stored is None:
        return ResourceNotFound("alert", alert.uid)
    return stored if stored.same_content(alert) else AlertExists(alert.uid)


def _alert(row: asyncpg.Record) -> Alert:
    return Alert(
        uid=row["uid"],
        video=row["video"],
        timestamp=row["timestamp"],
        store=row["store"],
        state=AlertState(row["state"]),
        reason=row["reason"],
        create_time=row["create_time"],
        update_time=row["update_time"],
    )
