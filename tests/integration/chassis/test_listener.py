"""Listeners hear what is notified, look for themselves after each connect, and outlive their session."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from services.chassis.errors import Unavailable
from services.chassis.postgres.listener import listen, reload_on_change
from services.chassis.tasks import cancel
from tests.support.eventually import eventually

NAME = "tocsin-tests-listener"


@asynccontextmanager
async def running(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
        assert not task.done()
    finally:
        await cancel(task)


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_what_is_notified_is_heard_and_a_lost_session_is_made_anew(chassis_dsn: str) -> None:
    heard: list[tuple[str, str | None]] = []
    wake = {channel: lambda payload, channel=channel: heard.append((channel, payload)) for channel in ("one", "two")}
    async with session(chassis_dsn) as other, running(listen(chassis_dsn, "public", NAME, wake, lost="lost")):
        await eventually(lambda: heard == [("one", None), ("two", None)])
        await other.execute("SELECT pg_notify('two', 'a'), pg_notify('three', 'b')")
        await eventually(lambda: heard[2:] == [("two", "a")])
        ended = await other.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1", NAME
        )
        assert ended == 1
        await eventually(lambda: heard[3:] == [("one", None), ("two", None)])
        await other.execute("SELECT pg_notify('one', 'c')")
        await eventually(lambda: heard[5:] == [("one", "c")])


async def test_a_burst_is_one_reload_and_one_that_fails_is_tried_again(chassis_dsn: str) -> None:
    reloads: list[int] = []
    fails = [False]

    async def reload() -> None:
        reloads.append(len(reloads))
        if fails[0]:
            fails[0] = False
            raise Unavailable("the store is away")

    work = reload_on_change(
        chassis_dsn, "public", NAME, "changes", reload, settle=timedelta(milliseconds=200), lost="lost"
    )
    async with session(chassis_dsn) as other, running(work):
        await eventually(lambda: len(reloads) == 1)
        async with other.transaction():
            await other.execute("SELECT pg_notify('changes', number::text) FROM generate_series(1, 50) AS number")
        await eventually(lambda: len(reloads) == 2)
        fails[0] = True
        await other.execute("SELECT pg_notify('changes', '')")
        await eventually(lambda: len(reloads) == 4)
    assert len(reloads) == 4
