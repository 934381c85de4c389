"""The reference of the REST benchmark: what a team writes by hand with FastAPI and asyncpg.

One route validates a reading with pydantic and inserts one row, committed durably before the reply. It is tuned as
far as that design goes: uvloop, httptools, a prepared statement, a warm pool, no logging. Run with uvicorn.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel, Field

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$")]


class Reading(BaseModel):
    """The same fields as Tocsin's reading."""

    building: Id
    room: Id
    sensorType: Id  # noqa: N815 (the JSON spelling is the point)
    device: Id | None = None
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    eventTime: datetime | None = None  # noqa: N815


pool: asyncpg.Pool


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global pool
    pool = await asyncpg.create_pool(os.environ["REFERENCE_DSN"], min_size=16, max_size=16)
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/readings")
async def create_reading(reading: Reading) -> dict[str, bool]:
    await pool.execute(
        "INSERT INTO reference.readings (building, room, sensor_type, device, event_time, value)"
        " VALUES ($1, $2, $3, $4, coalesce($5, clock_timestamp()), $6)",
        reading.building,
        reading.room,
        reading.sensorType,
        reading.device or "",
        reading.eventTime,
        reading.value,
    )
    return {"accepted": True}
