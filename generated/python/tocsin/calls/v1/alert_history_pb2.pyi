import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListAttemptsRequest(_message.Message):
    __slots__ = ("uid",)
    UID_FIELD_NUMBER: _ClassVar[int]
    uid: str
    def __init__(self, uid: _Optional[str] = ...) -> None: ...

class ListAttemptsResponse(_message.Message):
    __slots__ = ("attempts",)
    class Attempt(_message.Message):
        __slots__ = ("number", "failure", "message", "end_time", "event_id")
        NUMBER_FIELD_NUMBER: _ClassVar[int]
        FAILURE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        EVENT_ID_FIELD_NUMBER: _ClassVar[int]
        number: int
        failure: str
        message: str
        end_time: _timestamp_pb2.Timestamp
        event_id: str
        def __init__(self, number: _Optional[int] = ..., failure: _Optional[str] = ..., message: _Optional[str] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event_id: _Optional[str] = ...) -> None: ...
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    attempts: _containers.RepeatedCompositeFieldContainer[ListAttemptsResponse.Attempt]
    def __init__(self, attempts: _Optional[_Iterable[_Union[ListAttemptsResponse.Attempt, _Mapping]]] = ...) -> None: ...

class ListEventDeliveriesRequest(_message.Message):
    __slots__ = ("event_ids",)
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ListEventDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries",)
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ListEventDeliveriesResponse.State]
        OPEN: _ClassVar[ListEventDeliveriesResponse.State]
        DONE: _ClassVar[ListEventDeliveriesResponse.State]
        FAILED: _ClassVar[ListEventDeliveriesResponse.State]
    STATE_UNSPECIFIED: ListEventDeliveriesResponse.State
    OPEN: ListEventDeliveriesResponse.State
    DONE: ListEventDeliveriesResponse.State
    FAILED: ListEventDeliveriesResponse.State
    class Delivery(_message.Message):
        __slots__ = ("event_id", "subscription", "origin", "state", "attempts", "time", "message")
        EVENT_ID_FIELD_NUMBER: _ClassVar[int]
        SUBSCRIPTION_FIELD_NUMBER: _ClassVar[int]
        ORIGIN_FIELD_NUMBER: _ClassVar[int]
        STATE_FIELD_NUMBER: _ClassVar[int]
        ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
        TIME_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        event_id: str
        subscription: str
        origin: str
        state: ListEventDeliveriesResponse.State
        attempts: int
        time: _timestamp_pb2.Timestamp
        message: str
        def __init__(self, event_id: _Optional[str] = ..., subscription: _Optional[str] = ..., origin: _Optional[str] = ..., state: _Optional[_Union[ListEventDeliveriesResponse.State, str]] = ..., attempts: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[ListEventDeliveriesResponse.Delivery]
    def __init__(self, deliveries: _Optional[_Iterable[_Union[ListEventDeliveriesResponse.Delivery, _Mapping]]] = ...) -> None: ...
