import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.notification.v1 import notification_service_pb2 as _notification_service_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CountNotificationsRequest(_message.Message):
    __slots__ = ("tenant", "to")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class NotificationCounts(_message.Message):
    __slots__ = ("total", "pending", "sent", "failed")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    SENT_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    total: int
    pending: int
    sent: int
    failed: int
    def __init__(self, total: _Optional[int] = ..., pending: _Optional[int] = ..., sent: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class GetNotificationStatisticsRequest(_message.Message):
    __slots__ = ("tenant", "to", "interval")
    class Interval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        INTERVAL_UNSPECIFIED: _ClassVar[GetNotificationStatisticsRequest.Interval]
        HOUR: _ClassVar[GetNotificationStatisticsRequest.Interval]
        DAY: _ClassVar[GetNotificationStatisticsRequest.Interval]
    INTERVAL_UNSPECIFIED: GetNotificationStatisticsRequest.Interval
    HOUR: GetNotificationStatisticsRequest.Interval
    DAY: GetNotificationStatisticsRequest.Interval
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    to: _timestamp_pb2.Timestamp
    interval: GetNotificationStatisticsRequest.Interval
    def __init__(self, tenant: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[_Union[GetNotificationStatisticsRequest.Interval, str]] = ..., **kwargs) -> None: ...

class NotificationStatistics(_message.Message):
    __slots__ = ("tenant", "figures", "series")
    class Figures(_message.Message):
        __slots__ = ("counts", "types", "channels", "success_rate", "mean_delivery", "p95_delivery", "opened", "open_rate")
        class TypeCount(_message.Message):
            __slots__ = ("type", "count")
            TYPE_FIELD_NUMBER: _ClassVar[int]
            COUNT_FIELD_NUMBER: _ClassVar[int]
            type: _notification_service_pb2.NotificationType
            count: int
            def __init__(self, type: _Optional[_Union[_notification_service_pb2.NotificationType, str]] = ..., count: _Optional[int] = ...) -> None: ...
        class ChannelCount(_message.Message):
            __slots__ = ("channel", "count")
            CHANNEL_FIELD_NUMBER: _ClassVar[int]
            COUNT_FIELD_NUMBER: _ClassVar[int]
            channel: _notification_service_pb2.Channel
            count: int
            def __init__(self, channel: _Optional[_Union[_notification_service_pb2.Channel, str]] = ..., count: _Optional[int] = ...) -> None: ...
        COUNTS_FIELD_NUMBER: _ClassVar[int]
        TYPES_FIELD_NUMBER: _ClassVar[int]
        CHANNELS_FIELD_NUMBER: _ClassVar[int]
        SUCCESS_RATE_FIELD_NUMBER: _ClassVar[int]
        MEAN_DELIVERY_FIELD_NUMBER: _ClassVar[int]
        P95_DELIVERY_FIELD_NUMBER: _ClassVar[int]
        OPENED_FIELD_NUMBER: _ClassVar[int]
        OPEN_RATE_FIELD_NUMBER: _ClassVar[int]
        counts: NotificationCounts
        types: _containers.RepeatedCompositeFieldContainer[NotificationStatistics.Figures.TypeCount]
        channels: _containers.RepeatedCompositeFieldContainer[NotificationStatistics.Figures.ChannelCount]
        success_rate: float
        mean_delivery: _duration_pb2.Duration
        p95_delivery: _duration_pb2.Duration
        opened: int
        open_rate: float
        def __init__(self, counts: _Optional[_Union[NotificationCounts, _Mapping]] = ..., types: _Optional[_Iterable[_Union[NotificationStatistics.Figures.TypeCount, _Mapping]]] = ..., channels: _Optional[_Iterable[_Union[NotificationStatistics.Figures.ChannelCount, _Mapping]]] = ..., success_rate: _Optional[float] = ..., mean_delivery: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., p95_delivery: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., opened: _Optional[int] = ..., open_rate: _Optional[float] = ...) -> None: ...
    class Point(_message.Message):
        __slots__ = ("start", "figures")
        START_FIELD_NUMBER: _ClassVar[int]
        FIGURES_FIELD_NUMBER: _ClassVar[int]
        start: _timestamp_pb2.Timestamp
        figures: NotificationStatistics.Figures
        def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., figures: _Optional[_Union[NotificationStatistics.Figures, _Mapping]] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    figures: NotificationStatistics.Figures
    series: _containers.RepeatedCompositeFieldContainer[NotificationStatistics.Point]
    def __init__(self, tenant: _Optional[str] = ..., figures: _Optional[_Union[NotificationStatistics.Figures, _Mapping]] = ..., series: _Optional[_Iterable[_Union[NotificationStatistics.Point, _Mapping]]] = ...) -> None: ...
