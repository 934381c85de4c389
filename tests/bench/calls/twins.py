"""What a team would write by hand for each call with FastAPI and asyncpg: one statement, committed durably.

Tuned as far as that design goes: uvloop, httptools, prepared statements, a warm pool, answers that pydantic's core
writes, no logging. Rows are written to tables of the schema `reference` that are like Tocsin's own, keys and indexes
included; what is read are the very rows that Tocsin reads, where they are plain rows. Run with uvicorn.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI, HTTPException, Query, Response
from pydantic import BaseModel, Field, TypeAdapter

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$")]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]

TABLES = """
    DROP SCHEMA IF EXISTS reference CASCADE;
    CREATE SCHEMA reference;
    CREATE TABLE reference.alerts (LIKE ingestion.alerts INCLUDING ALL);
    CREATE TABLE reference.buildings (LIKE ingestion.buildings INCLUDING ALL);
    CREATE TABLE reference.notifications (LIKE notification_test.notifications INCLUDING ALL);
    CREATE TABLE reference.endpoints (LIKE notification_test.endpoints INCLUDING ALL);
    CREATE TABLE reference.readings (
        id bigserial PRIMARY KEY, building text NOT NULL, room text NOT NULL, sensor_type text NOT NULL,
        device text NOT NULL, event_time timestamptz NOT NULL, value float8 NOT NULL
    );
    CREATE INDEX ON reference.readings (building, room, sensor_type, event_time);
    CREATE TABLE reference.windows (
        building text, room text, sensor_type text, step interval, start timestamptz, count bigint NOT NULL,
        sum float8 NOT NULL, min float8 NOT NULL, max float8 NOT NULL, first float8 NOT NULL,
        first_time timestamptz NOT NULL, last float8 NOT NULL, last_time timestamptz NOT NULL,
        PRIMARY KEY (building, room, sensor_type, step, start)
    );
"""

pool: asyncpg.Pool
_rows = TypeAdapter(list[dict[str, Any]])
_row = TypeAdapter(dict[str, Any])
_UNREAD = "status = 'SENT' AND read_at IS NULL"
_STEPS = {"60s": timedelta(minutes=1)}


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global pool
    settings = {"search_path": "reference"}
    pool = await asyncpg.create_pool(os.environ["REFERENCE_DSN"], min_size=16, max_size=16, server_settings=settings)
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


def one(row: asyncpg.Record | None) -> Response:
    """The row as JSON, or 404."""
    if row is None:
        raise HTTPException(404)
    return Response(_row.dump_json(dict(row)), media_type="application/json")


class Alert(BaseModel):
    uid: Id
    video: Text
    timestamp: Annotated[float, Field(ge=0)]
    store: Id


@app.post("/v1/alerts")
async def create_alert(alert: Alert) -> Response:
    return one(
        await pool.fetchrow(
            'INSERT INTO alerts (uid, video, "timestamp", store) VALUES ($1, $2, $3, $4) ON CONFLICT (uid)'
            " DO UPDATE SET uid = excluded.uid RETURNING *",
            alert.uid,
            alert.video,
            alert.timestamp,
            alert.store,
        )
    )


class Payload(BaseModel):
    device: Id
    energy: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Annotated[int, Field(ge=-12, le=12)]
    ts: Annotated[float, Field(ge=0)]
    """Milliseconds."""


@app.post("/v1/devices/ep1/payloads")
async def create_payload(payload: Payload) -> Response:
    return one(
        await pool.fetchrow(
            "INSERT INTO readings (building, room, sensor_type, device, event_time, value)"
            " VALUES ('unassigned', 'unassigned', 'energy', $1, to_timestamp($2 / 1e3), $3) RETURNING *",
            payload.device,
            payload.ts,
            payload.energy * 10**payload.unit,
        )
    )


class Notification(BaseModel):
    tenant: Literal["test"]
    user: Id
    type: Literal["ALERT", "REMINDER", "INFO"]
    title: Text
    body: Text
    channel: Literal["CONSOLE"]


@app.post("/v1/notifications")
async def create_notification(notification: Notification) -> Response:
    return one(
        await pool.fetchrow(
            "INSERT INTO notifications (id, recipient, type, title, body, channel, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
            uuid4(),
            notification.user,
            notification.type,
            notification.title,
            notification.body,
            notification.channel,
            datetime.now(UTC),
        )
    )


@app.get("/v1/notifications")
async def list_notifications(
    _tenant: Annotated[Literal["test"], Query(alias="tenant")],
    user: Id,
    unread: bool,
    page_size: Annotated[int, Query(alias="pageSize")],
) -> Response:
    rows = await pool.fetch(
        "SELECT * FROM notification_test.notifications WHERE recipient = $1 AND"
        f" {_UNREAD if unread else 'true'} ORDER BY created_at DESC, id DESC LIMIT $2",
        user,
        page_size + 1,
    )
    return Response(_rows.dump_json([dict(row) for row in rows]), media_type="application/json")


class Mark(BaseModel):
    tenant: Literal["test"]


@app.post("/v1/notifications/{id_}:markRead")
async def mark_read(id_: UUID, _mark: Mark) -> Response:
    return one(
        await pool.fetchrow(
            "UPDATE notifications SET read_at = coalesce(read_at, now()), version = version + 1"
            " WHERE id = $1 RETURNING *",
            id_,
        )
    )


class Endpoint(BaseModel):
    tenant: Literal["test"]
    channel: Literal["EMAIL", "WEBHOOK", "FCM"]
    address: Annotated[str, Field(min_length=1, max_length=4096, pattern=r"^\S+$")]


@app.post("/v1/users/{user}/endpoints")
async def register_endpoint(user: Id, endpoint: Endpoint) -> Response:
    return one(
        await pool.fetchrow(
            "INSERT INTO endpoints (id, recipient, channel, address, address_digest, updated_at)"
            " VALUES ($1, $2, $3, $4, $5, now()) ON CONFLICT (recipient, channel, address_digest)"
            " DO UPDATE SET updated_at = excluded.updated_at"
            " RETURNING id, recipient, channel, address, updated_at",
            uuid4(),
            user,
            endpoint.channel,
            endpoint.address,
            sha256(endpoint.address.encode()).digest(),
        )
    )


class Building(BaseModel):
    id: Id


@app.post("/v1/buildings")
async def create_building(building: Building) -> Response:
    return one(await pool.fetchrow("INSERT INTO buildings (id) VALUES ($1) RETURNING *", building.id))


@app.get("/v1/buildings/{id_}")
async def get_building(id_: Id) -> Response:
    return one(await pool.fetchrow("SELECT * FROM ingestion.buildings WHERE id = $1", id_))


@app.get("/v1/buildings/{building}/rooms/{room}/average")
async def average(building: Id, room: Id) -> Response:
    return one(
        await pool.fetchrow(
            "SELECT count(*), avg(value), min(value), max(value), min(event_time) AS first, max(event_time) AS last"
            " FROM readings WHERE building = $1 AND room = $2 AND sensor_type = 'temperature'"
            " AND event_time > now() - interval '15 minutes' AND event_time <= now()",
            building,
            room,
        )
    )


@app.get("/v1/buildings/{building}/rooms/{room}/windows")
async def list_windows(
    building: Id, room: Id, step: Literal["60s"], page_size: Annotated[int, Query(alias="pageSize")]
) -> Response:
    rows = await pool.fetch(
        "SELECT * FROM windows WHERE building = $1 AND room = $2 AND sensor_type = 'temperature'"
        " AND step = $3::interval ORDER BY start DESC LIMIT $4",
        building,
        room,
        _STEPS[step],
        page_size + 1,
    )
    return Response(_rows.dump_json([dict(row) for row in rows]), media_type="application/json")
