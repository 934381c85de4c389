"""The service as a process: readings in, averages, windows, events and live streams out."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest

from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import MINUTE, SECOND
from services.chassis.errors import InvalidArgument
from tests.support.aggregation.mesh import Mesh, Row
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.events.v1.windows_pb2 import WindowClosed

T = TypeVar("T")


def series(device: str, room: str = "r1", building: str = "b1", sensor: str = "temperature") -> Descriptor:
    return Descriptor(SeriesKey(building, room, sensor, device), Kind.GAUGE, "K", 5 * SECOND)


def now_us() -> int:
    return time.time_ns() // 1000


async def _first(stream: AsyncIterator[T], count: int) -> AsyncIterator[T]:
    """So many, then no more."""
    async for item in stream:
        yield item
        count -= 1
        if not count:
            return


def request(**fields: object) -> pb.GetRoomAverageRequest:
    return pb.GetRoomAverageRequest(building="b1", room="r1", **fields)  # pyright: ignore[reportArgumentType]


async def test_the_average_of_a_room_is_of_its_devices_and_of_nothing_else(mesh: Mesh) -> None:
    replica = await mesh.replica()
    end = now_us() // (5 * SECOND) * (5 * SECOND)
    rows: list[Row] = []
    for place in range(200):
        at = end - (place + 1) * 5 * SECOND
        rows.append((series("d1"), at, 290.0))
        rows.append((series("d2"), at, 300.0))
        rows.append((series("d1", room="r2"), at, 900.0))
        rows.append((series("d1", building="b2"), at, 900.0))
        rows.append((series("d1", sensor="humidity"), at, 900.0))
    rows.sort(key=lambda row: row[1])
    await mesh.send(rows)
    await mesh.until_stored(1000)
    stub = await mesh.stub(replica)
    asked = request()
    asked.at.FromMicroseconds(end)
    found = await stub.GetRoomAverage(asked)
    assert found.state == pb.Average.OK
    assert (found.devices, found.unit, found.sensor_type) == (2, "K", "temperature")
    assert found.statistics.count == 360
    assert found.statistics.mean == pytest.approx(295.0)
    assert found.statistics.time_weighted_mean == pytest.approx(295.0)
    assert found.statistics.received_ratio == pytest.approx(1.0)
    assert found.statistics.covered_ratio == pytest.approx(895 / 900)
    assert found.end.ToMicroseconds() == end
    assert found.start.ToMicroseconds() == end - 15 * MINUTE
    assert found.provisional
    nothing = await stub.GetRoomAverage(pb.GetRoomAverageRequest(building="b1", room="r9"))
    assert nothing.state == pb.Average.NO_DATA
    assert not nothing.HasField("statistics")


async def test_a_building_and_its_rooms(mesh: Mesh) -> None:
    replica = await mesh.replica()
    end = now_us() // (5 * SECOND) * (5 * SECOND)
    rows: list[Row] = []
    for place in range(24):
        at = end - (24 - place) * 5 * SECOND
        rows += [(series("d1", room=f"r{room}"), at, 290.0 + room) for room in range(3)]
        rows += [(series("d1", building="b2"), at, 900.0), (series("d1", sensor="humidity"), at, 900.0)]
    rows.append((series("d1", room="r9"), end - 60 * MINUTE, 900.0))
    rows.append((series("d2", room="r0"), end - 60 * MINUTE, 900.0))
    rows.sort(key=lambda row: row[1])
    await mesh.send(rows)
    await mesh.until_stored(24 * 5 + 2)
    stub = await mesh.stub(replica)
    asked = pb.GetBuildingAverageRequest(building="b1")
    asked.at.FromMicroseconds(end)
    found = await stub.GetBuildingAverage(asked)
    assert (found.state, found.unit, found.devices, found.rooms, found.rooms_with_data) == (pb.Average.OK, "K", 3, 4, 3)
    assert found.devices_without_data == 2
    assert (found.statistics.count, found.statistics.mean) == (72, pytest.approx(291.0))
    assert found.statistics.time_weighted_mean == pytest.approx(291.0)
    assert (found.start.ToMicroseconds(), found.end.ToMicroseconds()) == (end - 15 * MINUTE, end)
    assert found.provisional
    averages: list[pb.Average] = []
    listing = pb.ListRoomAveragesRequest(building="b1", page_size=3)
    listing.at.FromMicroseconds(end)
    while True:
        page = await stub.ListRoomAverages(listing)
        averages += page.averages
        if not page.next_page_token:
            break
        listing.page_token = page.next_page_token
    assert [(one.room, one.state, one.statistics.mean) for one in averages] == [
        ("r0", pb.Average.OK, 290.0),
        ("r1", pb.Average.OK, 291.0),
        ("r2", pb.Average.OK, 292.0),
        ("r9", pb.Average.NO_DATA, 0.0),
    ]
    assert not averages[3].HasField("statistics")
    assert [(one.devices, one.devices_without_data) for one in averages] == [(1, 1), (1, 0), (1, 0), (0, 1)]
    room = pb.GetRoomAverageRequest(building="b1", room="r0")
    room.at.FromMicroseconds(end)
    assert await stub.GetRoomAverage(room) == averages[0]
    nothing = await stub.GetBuildingAverage(pb.GetBuildingAverageRequest(building="b9"))
    assert (nothing.state, nothing.rooms) == (pb.Average.NO_DATA, 0)
    assert not nothing.HasField("statistics")
    listing.building = "b2"
    with pytest.raises(InvalidArgument) as other_list:
        await stub.ListRoomAverages(listing)
    assert other_list.value.reason == "PAGE_TOKEN_INVALID"


async def test_an_accepted_reading_is_visible_at_once(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    await mesh.send([(series("d1"), now_us(), 291.5)])

    async def visible() -> bool:
        found = await stub.GetRoomAverage(request())
        return found.state == pb.Average.OK and found.statistics.mean == 291.5

    await eventually(visible, 2)


async def test_windows_close_by_the_next_readings_and_when_a_series_goes_quiet(mesh: Mesh) -> None:
    replica = await mesh.replica(TOCSIN_AGGREGATION_EDGE_WAIT="500ms", TOCSIN_AGGREGATION_GRACE="200ms")
    stub = await mesh.stub(replica)
    events: list[WindowClosed] = []

    async def told(message: object) -> None:
        events.append(WindowClosed.FromString(message.data))  # pyright: ignore

    subscription = await mesh.nats.nc.subscribe("tocsin.windows.v1.closed.b1.r1.temperature", cb=told)
    watched: list[object] = []

    async def watch() -> None:
        live = stub.WatchWindows(pb.WatchWindowsRequest(building="b1", room="r1"))
        watched.extend([window async for window in _first(live, 2)])

    watching = asyncio.create_task(watch())
    minute = (now_us() // MINUTE - 2) * MINUTE
    await mesh.send([(series("d1"), minute + place * 5 * SECOND, float(place)) for place in range(14)])
    # Two readings of the second minute close the first; nothing follows them, so the clock closes the second.
    await eventually(
        lambda: (
            {(event.start.ToMicroseconds(), event.revision) for event in events} >= {(minute, 1), (minute + MINUTE, 1)}
        )
    )
    first = next(event for event in events if event.start.ToMicroseconds() == minute and event.step.seconds == 60)
    assert (first.count, first.mean, first.min, first.max) == (12, 5.5, 0.0, 11.0)
    assert first.time_weighted_mean == pytest.approx(6.0)
    assert first.covered_ratio == 1.0
    await watching
    assert len(watched) == 2
    # A late reading corrects it.
    await mesh.send([(series("d1"), minute + 2 * SECOND, 100.0)])
    await eventually(lambda: any(event.revision == 2 and event.step.seconds == 60 for event in events))
    second = next(event for event in events if event.revision == 2 and event.step.seconds == 60)
    assert (second.start.ToMicroseconds(), second.count, second.max) == (minute, 13, 100.0)
    listed = await stub.ListWindows(pb.ListWindowsRequest(building="b1", room="r1", step={"seconds": 60}))
    assert [(window.start.ToMicroseconds(), window.revision) for window in listed.windows] == [
        (minute + MINUTE, 1),
        (minute, 2),
    ]
    await subscription.unsubscribe()
    assert await replica.end() == 0


async def test_windows_of_a_rare_meter_sum_to_the_whole_and_only_those_with_readings_are_announced(mesh: Mesh) -> None:
    replica = await mesh.replica(TOCSIN_AGGREGATION_ANNOUNCE_FINE_WITHIN="2h")
    stub = await mesh.stub(replica)
    events: list[WindowClosed] = []

    async def told(message: object) -> None:
        events.append(WindowClosed.FromString(message.data))  # pyright: ignore

    subscription = await mesh.nats.nc.subscribe("tocsin.windows.v1.closed.b1.r1.energy", cb=told)
    meter = Descriptor(SeriesKey("b1", "r1", "energy", "m1"), Kind.COUNTER, "Wh", 150 * SECOND)
    start = (now_us() // (15 * MINUTE) - 2) * 15 * MINUTE
    # A glitch among them, and a value every two and a half minutes that no window of a minute ends with.
    values = [100.0, 130, 160, 0, 220, 250, 280]
    await mesh.send([(meter, start + 10 * SECOND + at * 150 * SECOND, value) for at, value in enumerate(values)])
    await mesh.until_stored(len(values))
    asked = request(sensor_type="energy")
    asked.at.FromMicroseconds(start + 30 * MINUTE)
    asked.window.FromSeconds(30 * 60)
    whole = (await stub.GetRoomAverage(asked)).statistics.consumption
    assert whole == pytest.approx(180.0)
    for step in (5, 60, 900, 3600, 86400):
        listed = await stub.ListWindows(
            pb.ListWindowsRequest(
                building="b1",
                room="r1",
                sensor_type="energy",
                page_size=1000,
                step={"seconds": step},  # pyright: ignore[reportArgumentType]
            )
        )
        assert sum(window.statistics.consumption for window in listed.windows) == pytest.approx(whole)
        for window in listed.windows:
            holds = window.statistics.count > 0
            present = [window.statistics.HasField(name) for name in ("min", "max", "first", "last", "mean")]
            assert [*present, window.revision > 0] == [holds] * 6
        assert sum(window.statistics.count for window in listed.windows) == len(values)
    # The reading before the newest one is in the last window of a minute that a reading closes.
    await eventually(lambda: any(event.start.ToMicroseconds() == start + 12 * MINUTE for event in events))
    assert all(event.count > 0 and event.revision > 0 for event in events)
    await subscription.unsubscribe()
    assert await replica.end() == 0


async def test_pages_of_readings_and_windows(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    start = (now_us() // MINUTE - 300) * MINUTE
    sent = [(series(f"d{place % 2}"), start + place * 7 * SECOND, float(place)) for place in range(500)]
    await mesh.send(sent)
    await mesh.until_stored(500)
    for oldest_first in (False, True):
        token, times = "", list[tuple[int, float]]()
        while True:
            page = await stub.ListReadings(
                pb.ListReadingsRequest(
                    building="b1", room="r1", page_size=70, page_token=token, oldest_first=oldest_first
                )
            )
            times += [(reading.event_time.ToMicroseconds(), reading.value) for reading in page.readings]
            token = page.next_page_token
            if not token:
                break
        expected = [(at, value) for _, at, value in sent]
        assert times == (expected if oldest_first else expected[::-1])
    for step in (5, 60, 900, 3600, 86400):
        for oldest_first in (False, True):
            token, starts, counted = "", list[tuple[int, str]](), 0
            while True:
                listed = await stub.ListWindows(
                    pb.ListWindowsRequest(
                        building="b1",
                        room="r1",
                        page_size=30,
                        page_token=token,
                        oldest_first=oldest_first,
                        step={"seconds": step},  # pyright: ignore[reportArgumentType]
                    )
                )
                starts += [(window.start.ToMicroseconds(), window.series.device) for window in listed.windows]
                counted += sum(window.statistics.count for window in listed.windows)
                token = listed.next_page_token
                if not token:
                    break
            width = step * SECOND
            # Each device sends every 14 s, less than three intervals: all that lies between is known, too.
            ends = {device: [at for one, at, _ in sent if one.key.device == device] for device in ("d0", "d1")}
            expected_starts = {
                (at, device)
                for device, own in ends.items()
                for at in range(own[0] - own[0] % width, own[-1] + 1, width)
            }
            assert starts == sorted(expected_starts, reverse=not oldest_first)
            assert counted == 500
    with pytest.raises(InvalidArgument) as refused:
        await stub.ListWindows(pb.ListWindowsRequest(building="b1", room="r1", step={"seconds": 7}))
    assert refused.value.reason == "STEP_UNKNOWN"
    assert refused.value.metadata == {"step": "7s", "known": "5s, 60s, 900s, 3600s, 86400s"}
    page = await stub.ListReadings(pb.ListReadingsRequest(building="b1", room="r1", page_size=2))
    with pytest.raises(InvalidArgument) as other_list:
        await stub.ListReadings(
            pb.ListReadingsRequest(building="b1", room="r2", page_size=2, page_token=page.next_page_token)
        )
    assert other_list.value.reason == "PAGE_TOKEN_INVALID"


async def test_an_emptied_container_is_level_zero_at_once(mesh: Mesh) -> None:
    replica = await mesh.replica()
    stub = await mesh.stub(replica)
    container = Descriptor(SeriesKey("b1", "r1", "filling_level", "c1"), Kind.LEVEL, "%", 0)
    at = now_us() - MINUTE
    await mesh.send([(container, at, 80.0)])
    await mesh.until_stored(1)
    await mesh.empty(container, at + 30 * SECOND)

    async def emptied() -> bool:
        found = await stub.GetRoomAverage(request(sensor_type="filling_level"))
        return found.statistics.count == 2 and found.statistics.last == 0.0

    await eventually(emptied, 2)
    assert await mesh.value("SELECT count(*) FROM emptied") == 0
    # A container that nobody has heard of, and the same again.
    other = Descriptor(SeriesKey("b1", "r2", "filling_level", "c2"), Kind.LEVEL, "%", 0)
    await mesh.empty(other, at)
    await mesh.empty(other, at)
    await mesh.until_stored(3)
    await eventually(lambda: mesh.value("SELECT count(*) = 0 FROM emptied"))
    assert await mesh.stored() == 3
