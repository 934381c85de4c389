"""Alerts in PostgreSQL, and the event of each in the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.chassis.errors import DomainError
from services.chassis.nats import Encoded, Event
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from services.chassis.postgres import Connection, Database, Outbox
from services.chassis.postgres.lookups import lookup
from services.ingestion.domain.alert import Alert, AlertState, next_state
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound
from services.ingestion.domain.reading import to_datetime
from tocsin.events.v1 import alerts_pb2

_COLUMNS = 'uid, video, "timestamp", store, state, reason, create_time, update_time'


_INSERT = f"""
    INSERT INTO alerts (uid, video, "timestamp", store)
    SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[]) AS new (uid) ORDER BY uid
    ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
"""
_STORED = f"SELECT {_COLUMNS} FROM alerts WHERE uid = ANY($1::text[])"


class PostgresAlerts:
    """Stored alerts (the port `Alerts`)."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self._alert = lookup(database, "alert", _STORED, "uid")
        self._accepting = database.group_commit("alerts", self._accept)

    async def accept(self, alert: Alert) -> Alert:
        """Row and event commit together; the same content again changes nothing. Raises ResourceExists."""
        reported = alerts_pb2.VideoAlertReported(
            uid=alert.uid, video=alert.video, timestamp=alert.timestamp, store=alert.store
        )
        # Encoded here, so that it carries its own caller's trace.
        event = self._outbox.encode(Event(ALERT_REPORTED_SUBJECT, reported, id=f"alert-{alert.uid}"))
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

    async def list(
        self, store: str, state: AlertState | None, before: tuple[int, str] | None, limit: int
    ) -> list[Alert]:
        """Newest first."""
        conditions, arguments = ["true"], list[object]()
        for condition, values in (
            ("store = ${}", (store,) if store else ()),
            ("state = ${}", (int(state),) if state else ()),
            ("(create_time, uid) < (${}, ${})", (to_datetime(before[0]), before[1]) if before else ()),
        ):
            if values:
                numbers = range(len(arguments) + 1, len(arguments) + len(values) + 1)
                conditions.append(condition.format(*numbers))
                arguments += values
        query = f"""
            SELECT {_COLUMNS} FROM alerts WHERE {" AND ".join(conditions)}
            ORDER BY create_time DESC, uid DESC LIMIT ${len(arguments) + 1}
        """
        async with self._database.connection() as connection:
            return [_alert(row) for row in await connection.fetch(query, *arguments, limit)]


@dataclass(frozen=True, slots=True)
class Report:
    """What is reported about the video of an alert."""

    uid: str
    state: AlertState
    reason: str = ""


async def move(connection: Connection, reports: Sequence[Report]) -> None:
    """Moves the states of alerts by reports about their videos, in their order; reports about unknown alerts (pruned,
    or of another deployment) and those that come too late change nothing."""
    if not reports:
        return
    rows = await connection.fetch(
        "SELECT uid, state FROM alerts WHERE uid = ANY($1::text[]) ORDER BY uid FOR UPDATE",
        list({report.uid for report in reports}),
    )
    states = {row["uid"]: AlertState(row["state"]) for row in rows}
    moved: dict[str, Report] = {}
    for report in reports:
        current = states.get(report.uid)
        if current is not None and next_state(current, report.state) is not current:
            states[report.uid] = report.state
            moved[report.uid] = report
    if moved:
        await connection.execute(
            """
            UPDATE alerts SET state = moved.state, reason = moved.reason, update_time = now()
            FROM unnest($1::text[], $2::smallint[], $3::text[]) AS moved (uid, state, reason)
            WHERE alerts.uid = moved.uid
            """,
            list(moved),
            [int(report.state) for report in moved.values()],
            [report.reason for report in moved.values()],
        )


def _answer(alert: Alert, stored: Alert | None) -> Alert | DomainError:
    if stored is None:
        return ResourceNotFound("alert", alert.uid)
    return stored if stored.same_content(alert) else ResourceExists("alert", alert.uid)


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
