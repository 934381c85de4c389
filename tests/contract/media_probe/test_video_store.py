"""The `VideoStore` in memory and in PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.chassis.postgres import Outbox, open_database
from services.media_probe.adapters.memory.store import InMemoryVideoStore
from services.media_probe.adapters.postgres.store import PostgresVideoStore
from services.media_probe.application.errors import VideoNotFailed, VideoNotFound
from services.media_probe.application.ports import MAX_HISTORY, VideoStore
from services.media_probe.application.retention import VideoRetention
from services.media_probe.domain.failure import Failure
from services.media_probe.domain.video import Alert, Effort, Facts, State, Video, VideoFilter
from tests.support.postgres import Schemas

FACTS = Facts(640, 480, 640, 480, 0, "h264", "mp4", timedelta(seconds=2), 25.0)


Databases = Callable[[Schemas], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def stored(databases: Databases, repository: Path) -> AsyncIterator[PostgresVideoStore]:
    async with (
        databases({"media_probe": repository / "services/media_probe/migrations"}) as dsn,
        open_database(dsn, schema="media_probe", application_name="tests") as database,
        PostgresVideoStore(database, Outbox(source="tocsin/media_probe")) as store,
    ):
        yield store


@pytest.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest, databases: Databases, repository: Path) -> AsyncIterator[VideoStore]:
    if request.param == "memory":
        yield InMemoryVideoStore()
        return
    async with stored(databases, repository) as store:
        yield store


def alert(number: int = 1, *, delivery: str = "1") -> Alert:
    return Alert(f"event-{number}", f"cam-{number}", "/videos/a.mp4", 1.7e9 + number, f"store-{number % 2}", delivery)


def row(of: Alert, state: State, *, attempts: int = 1) -> Video:
    failed = state is not State.PROBED
    return Video(
        of.uid,
        of.store,
        of.timestamp,
        of.video,
        state,
        attempts,
        Effort(16_384, 1, timedelta(milliseconds=5)),
        None if failed else FACTS,
        Failure.NOT_MEDIA if failed else None,
        "no video" if failed else "",
        of.event_id,
    )


def content(video: Video | None) -> Video | None:
    """Without what the stores choose themselves, and without the history."""
    return video and replace(video, update_time=None, version=0, result_event="", history=())


async def test_what_was_recorded_is_read(store: VideoStore) -> None:
    assert await store.get("cam-1") is None
    assert not (await store.known(alert())).seen
    assert await store.record(alert(), row(alert(), State.PROBED))
    found = await store.get("cam-1")
    assert content(found) == row(alert(), State.PROBED)
    assert found is not None
    assert found.update_time is not None
    assert (await store.known(alert())).seen


async def test_a_result_has_its_effect_once(store: VideoStore) -> None:
    assert await store.record(alert(), row(alert(), State.PROBED))
    assert not await store.record(alert(delivery="2"), row(alert(), State.PROBED, attempts=9))
    assert content(await store.get("cam-1")) == row(alert(), State.PROBED)


async def test_what_is_recorded_at_the_same_time_is_recorded_each_once(store: VideoStore) -> None:
    twice = [alert(number) for number in range(5)] * 2
    assert await store.record(alert(7), row(alert(7), State.FAILED))
    recorded = await asyncio.gather(
        *(store.record(one, row(one, State.PROBED)) for one in twice),
        store.record(alert(7), row(alert(7), State.FAILED, attempts=9)),
        store.record(alert(8), row(alert(8), State.RETRYING)),
        store.record(alert(8), row(alert(8), State.FAILED, attempts=2)),
    )
    assert recorded == [True] * 5 + [False] * 5 + [False, True, True]
    known = await asyncio.gather(*(store.known(alert(number)) for number in (0, 7, 8, 9, 4)))
    assert [(one.row.state, one.row.attempts) if one.row else None for one in known] == [
        (State.PROBED, 1),
        (State.FAILED, 1),
        (State.FAILED, 2),
        None,
        (State.PROBED, 1),
    ]
    assert [one.seen for one in known] == [True, True, True, False, True]


async def test_attempts_are_recorded_until_one_is_final(store: VideoStore) -> None:
    for attempt in (1, 2):
        assert await store.record(alert(), row(alert(), State.RETRYING, attempts=attempt))
        assert not (await store.known(alert())).seen
    assert await store.record(alert(), row(alert(), State.FAILED, attempts=3))
    assert (await store.known(alert())).seen
    assert content(await store.get("cam-1")) == row(alert(), State.FAILED, attempts=3)


async def test_a_dead_letter_sent_back_is_probed_again_after_a_failure_only(store: VideoStore) -> None:
    assert await store.record(alert(), row(alert(), State.FAILED))
    back = alert(delivery="7")
    assert not (await store.known(back)).seen
    assert await store.record(back, row(back, State.PROBED))
    assert (await store.known(alert(delivery="8"))).seen
    assert not await store.record(alert(delivery="8"), row(alert(), State.PROBED, attempts=9))


async def test_what_came_of_an_old_report_is_not_recorded(store: VideoStore) -> None:
    assert await store.record(alert(), row(alert(), State.FAILED))
    await store.retry("cam-1", "again")
    late, again = alert(delivery="7"), replace(alert(), event_id="again")
    assert not await store.record(late, row(late, State.PROBED))
    assert await store.record(again, row(again, State.PROBED))
    assert not await store.record(late, row(late, State.FAILED, attempts=9))
    assert content(await store.get("cam-1")) == row(again, State.PROBED)


async def test_a_late_failure_does_not_undo_the_success_of_the_same_report(store: VideoStore) -> None:
    assert await store.record(alert(), row(alert(), State.PROBED))
    for state in (State.FAILED, State.RETRYING):
        assert not await store.record(alert(delivery="7"), row(alert(), state, attempts=2))
    assert content(await store.get("cam-1")) == row(alert(), State.PROBED)


async def test_every_attempt_is_kept_with_what_came_of_it(store: VideoStore) -> None:
    again = replace(alert(), event_id="again")
    assert await store.record(alert(), row(alert(), State.RETRYING))
    assert await store.record(alert(), row(alert(), State.FAILED, attempts=2))
    failed = await store.get("cam-1")
    await store.retry("cam-1", "again")
    waiting = await store.get("cam-1")
    assert await store.record(again, row(again, State.PROBED))
    probed = await store.get("cam-1")
    assert failed is not None
    assert waiting is not None
    assert probed is not None
    assert [(one.number, one.failure, bool(one.event)) for one in probed.history] == [
        (1, Failure.NOT_MEDIA, False),
        (2, Failure.NOT_MEDIA, True),
        (1, None, True),
    ]
    assert waiting.history == failed.history == probed.history[:2]
    assert (failed.result_event, waiting.result_event) == (failed.history[1].event, "")
    assert probed.result_event == probed.history[2].event != failed.result_event
    assert 0 <= failed.version < waiting.version < probed.version
    assert [one.ended for one in probed.history] == sorted(one.ended for one in probed.history)
    assert probed.history[0].took == row(alert(), State.FAILED).effort.took
    assert probed.history[0].message == row(alert(), State.RETRYING).message
    (page,) = await store.page(VideoFilter(), None, 9)
    assert page.history == ()


async def test_the_last_attempts_are_kept(store: VideoStore) -> None:
    for number in range(1, MAX_HISTORY + 6):
        assert await store.record(alert(), row(alert(), State.RETRYING, attempts=number))
    found = await store.get("cam-1")
    assert found is not None
    assert [one.number for one in found.history] == list(range(6, MAX_HISTORY + 6))


async def test_old_results_go_with_their_history(store: VideoStore) -> None:
    for number in range(1, 4):
        assert await store.record(alert(number), row(alert(number), State.FAILED))
    await store.retry("cam-1", "again")
    now, counted = datetime.now(UTC), list[int]()
    retention = VideoRetention(store, timedelta(days=30), counted.append)
    assert await retention.remove(now + timedelta(days=29)) == 0
    assert await store.remove(now + timedelta(days=1), 1) == 1
    assert await retention.remove(now + timedelta(days=31)) == 2
    assert await retention.remove(now + timedelta(days=31)) == 0
    assert counted == [0, 2, 0]
    assert await store.page(VideoFilter(), None, 9) == []
    anew = replace(alert(), event_id="anew")
    assert await store.record(anew, row(anew, State.PROBED))
    found = await store.get("cam-1")
    assert found is not None
    assert [one.failure for one in found.history] == [None]


async def test_only_what_failed_is_retried(store: VideoStore) -> None:
    with pytest.raises(VideoNotFound):
        await store.retry("cam-1", "again")
    assert await store.record(alert(), row(alert(), State.FAILED))
    again = await store.retry("cam-1", "again")
    assert (again.state, again.attempts, again.event_id, again.effort) == (State.RETRYING, 0, "again", Effort())
    with pytest.raises(VideoNotFailed):
        await store.retry("cam-1", "and again")
    assert content(await store.get("cam-1")) == content(again)


async def test_pages_are_newest_first_and_keep_to_what_was_asked(store: VideoStore) -> None:
    for number in range(1, 7):
        state = State.FAILED if number in (2, 3) else State.PROBED
        assert await store.record(alert(number), row(alert(number), state))
    first = await store.page(VideoFilter(), None, 4)
    assert [video.uid for video in first] == ["cam-6", "cam-5", "cam-4", "cam-3"]
    rest = await store.page(VideoFilter(), (first[-1].timestamp, first[-1].uid), 4)
    assert [video.uid for video in rest] == ["cam-2", "cam-1"]

    async def listed(**wanted: Any) -> list[str]:
        return [video.uid for video in await store.page(VideoFilter(**wanted), None, 9)]

    assert await listed(store="store-1") == ["cam-5", "cam-3", "cam-1"]
    assert await listed(state=State.FAILED) == ["cam-3", "cam-2"]
    assert await listed(store="store-0", state=State.FAILED) == ["cam-2"]
    assert await listed(since=1.7e9 + 2, until=1.7e9 + 4) == ["cam-3", "cam-2"]
    assert await listed(store="store-1", until=1.7e9 + 4) == ["cam-3", "cam-1"]


async def test_a_result_that_the_database_refuses_harms_no_other(databases: Databases, repository: Path) -> None:
    async with stored(databases, repository) as store:
        spoilt = replace(row(alert(2), State.FAILED), message="what libav said: \0")
        recorded = await asyncio.gather(
            store.record(alert(1), row(alert(1), State.PROBED)),
            store.record(alert(2), spoilt),
            store.record(alert(3), row(alert(3), State.FAILED)),
            return_exceptions=True,
        )
        assert (recorded[0], recorded[2]) == (True, True)
        assert isinstance(recorded[1], Exception)
        assert [(await store.known(alert(number))).seen for number in (1, 2, 3)] == [True, False, True]
