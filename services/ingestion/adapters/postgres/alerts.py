"""Alerts in PostgreSQL, and the event of each in the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.chassis.nats import Event
from services.chassis.nats.topology import ALERT_REPORTED_SUBJECT
from services.chassis.postgres import Connection, Database, Outbox
from services.ingestion.domain.alert import Alert, AlertState, next_state
from services.ingestion.domain.errors import ResourceExists, ResourceNotFound
from services.ingestion.domain.reading import to_datetime
from tocsin.events.v1 import alerts_pb2

_COLUMNS = 'uid, video, "timestamp", store, state, reason, create_time, update_time'


class PostgresAlerts:
    """Stored alerts (the port `Alerts`)."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox

    async def accept(self, alert: Alert) -> Alert:
        """Row and event commit together; the same content again changes nothing. Raises ResourceExists."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                f"""
                INSERT INTO alerts (uid, video, "timestamp", store) VALUES ($1, $2, $3, $4)
                ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
                """,
                alert.uid,
                alert.video,
                alert.timestamp,
                alert.store,
            )
            if row is not None:
                reported = alerts_pb2.VideoAlertReported(
                    uid=alert.uid, video=alert.video, timestamp=alert.timestamp, store=alert.store
                )
                event = Event(ALERT_REPORTED_SUBJECT, reported, id=f"alert-{alert.uid}")
                await self._outbox.add(connection, event)
                return _alert(row)
        stored = await self.get(alert.uid)
        if not stored.same_content(alert):
            raise ResourceExists("alert", alert.uid)
        return stored

    async def get(self, uid: str) -> Alert:
        """Raises ResourceNotFound."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM alerts WHERE uid = $1", uid)
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
