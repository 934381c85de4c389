"""Messages to queries, answers to messages."""

from typing import TypedDict

from services.aggregation.adapters.grpc.amendment_mappers import moment, stored_reading
from services.aggregation.application.queries.averages import (
    DEFAULT_SENSOR_TYPE,
    AverageQuery,
    BuildingAverage,
    GetRoomAverage,
    ListRoomAverages,
    RoomAverage,
)
from services.aggregation.application.queries.lists import ReadingItem, RoomRange, WindowItem
from services.aggregation.application.queries.live_watch import WatchFilter
from services.aggregation.domain.series import SeriesInfo
from services.aggregation.domain.times import MINUTE
from services.aggregation.domain.windows.statistics import Statistics
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2 as wm
from tocsin.events.v1.windows_pb2 import WindowClosed

DEFAULT_STEP = 15 * MINUTE


def average_query(request: pb.GetRoomAverageRequest) -> GetRoomAverage:
    """The query."""
    return GetRoomAverage(building=request.building, room=request.room, **_span(request))


def building_query(request: pb.GetBuildingAverageRequest) -> AverageQuery:
    """The query."""
    return AverageQuery(building=request.building, **_span(request))


def rooms_query(request: pb.ListRoomAveragesRequest) -> ListRoomAverages:
    """The query."""
    return ListRoomAverages(
        building=request.building, page_size=request.page_size, page_token=request.page_token, **_span(request)
    )


class _Span(TypedDict):
    sensor_type: str
    window: int | None
    at: int | None


def _span(request: pb.GetRoomAverageRequest | pb.GetBuildingAverageRequest | pb.ListRoomAveragesRequest) -> _Span:
    return _Span(
        sensor_type=request.sensor_type or DEFAULT_SENSOR_TYPE,
        window=request.window.ToMicroseconds() if request.HasField("window") else None,
        at=moment("at", request.at) if request.HasField("at") else None,
    )


def average_message(query: AverageQuery, found: RoomAverage) -> pb.Average:
    """The answer; without data no statistic has a value."""
    known = found.statistics.known
    message = pb.Average(
        building=query.building,
        room=found.room,
        sensor_type=query.sensor_type,
        unit=found.unit,
        state=pb.Average.OK if known else pb.Average.NO_DATA,
        provisional=found.provisional,
        devices=found.statistics.series,
        devices_without_data=found.silent,
    )
    message.start.FromMicroseconds(found.start)
    message.end.FromMicroseconds(found.end)
    if known:
        message.statistics.CopyFrom(statistics_message(found.statistics))
    return message


def building_message(query: AverageQuery, found: BuildingAverage) -> pb.BuildingAverage:
    """The answer; without data no statistic has a value."""
    rolled = found.rolled
    message = pb.BuildingAverage(
        building=query.building,
        sensor_type=query.sensor_type,
        unit=rolled.unit,
        state=pb.Average.OK if rolled.statistics.known else pb.Average.NO_DATA,
        provisional=rolled.provisional,
        devices=rolled.statistics.series,
        rooms=found.rooms,
        rooms_with_data=rolled.rooms,
        devices_without_data=rolled.silent,
    )
    message.start.FromMicroseconds(found.start)
    message.end.FromMicroseconds(found.end)
    if rolled.statistics.known:
        message.statistics.CopyFrom(statistics_message(rolled.statistics))
    return message


def statistics_message(found: Statistics) -> wm.Statistics:
    """Absent values stay absent."""
    message = wm.Statistics(
        count=found.count,
        min=found.min,
        max=found.max,
        first=None if found.first is None else found.first[1],
        last=None if found.last is None else found.last[1],
        mean=found.mean,
        time_weighted_mean=found.time_weighted_mean,
        received_ratio=found.received_ratio,
        covered_ratio=found.covered_ratio,
        consumption=found.consumption,
    )
    message.longest_gap.FromMicroseconds(found.longest_gap)
    return message


def range_query(request: pb.ListWindowsRequest | pb.ListReadingsRequest) -> RoomRange:
    """What both lists are limited to. (`from` is a word of Python: the field is read by name.)"""
    start = getattr(request, "from")
    return RoomRange(
        building=request.building,
        room=request.room,
        sensor_type=request.sensor_type or DEFAULT_SENSOR_TYPE,
        device=request.device,
        start=moment("from", start) if request.HasField("from") else None,
        end=moment("to", request.to) if request.HasField("to") else None,
        oldest_first=request.oldest_first,
        page_size=request.page_size,
        page_token=request.page_token,
    )


def step_of(request: pb.ListWindowsRequest) -> int:
    """In microseconds."""
    return request.step.ToMicroseconds() if request.HasField("step") else DEFAULT_STEP


def series_message(series: SeriesInfo) -> wm.Series:
    """A series."""
    return wm.Series(
        building=series.building,
        room=series.room,
        sensor_type=series.sensor_type,
        device=series.device,
        unit=series.unit,
    )


def window_message(item: WindowItem) -> wm.Window:
    """A window of a list."""
    message = wm.Window(
        series=series_message(item.series),
        statistics=statistics_message(item.statistics),
        provisional=item.provisional,
        revision=item.revision,
    )
    message.step.FromMicroseconds(item.step)
    message.start.FromMicroseconds(item.start)
    message.end.FromMicroseconds(item.start + item.step)
    return message


def reading_message(item: ReadingItem) -> wm.StoredReading:
    """A raw reading."""
    return stored_reading(item.series.device, item.time, item.value, item.amendment)


def wanted(request: pb.WatchWindowsRequest) -> WatchFilter:
    """What a live stream is limited to."""
    return WatchFilter(
        request.building,
        request.room,
        request.sensor_type,
        request.step.ToMicroseconds() if request.HasField("step") else 0,
    )


_SHARED = ("min", "max", "first", "last", "mean", "time_weighted_mean", "received_ratio", "consumption")


def closed_window_message(event: WindowClosed) -> wm.Window:
    """A window of a live stream."""
    present = {name: getattr(event, name) for name in _SHARED if event.HasField(name)}
    return wm.Window(
        series=wm.Series(
            building=event.building,
            room=event.room,
            sensor_type=event.sensor_type,
            device=event.device,
            unit=event.unit,
        ),
        step=event.step,
        start=event.start,
        end=event.end,
        revision=event.revision,
        statistics=wm.Statistics(
            count=event.count, covered_ratio=event.covered_ratio, longest_gap=event.longest_gap, **present
        ),
    )
