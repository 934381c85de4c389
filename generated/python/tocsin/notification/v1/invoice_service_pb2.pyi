import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tocsin.options.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Invoice(_message.Message):
    __slots__ = ("debt", "state", "email", "amount", "due_date", "debt_file", "attempts", "error", "create_time", "mail_time", "next_attempt_time", "doubtful", "issuer")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Invoice.State]
        PENDING: _ClassVar[Invoice.State]
        STORED: _ClassVar[Invoice.State]
        MAILED: _ClassVar[Invoice.State]
        FAILED: _ClassVar[Invoice.State]
        CANCELLED: _ClassVar[Invoice.State]
    STATE_UNSPECIFIED: Invoice.State
    PENDING: Invoice.State
    STORED: Invoice.State
    MAILED: Invoice.State
    FAILED: Invoice.State
    CANCELLED: Invoice.State
    DEBT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DUE_DATE_FIELD_NUMBER: _ClassVar[int]
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MAIL_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_ATTEMPT_TIME_FIELD_NUMBER: _ClassVar[int]
    DOUBTFUL_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    debt: str
    state: Invoice.State
    email: str
    amount: str
    due_date: str
    debt_file: str
    attempts: int
    error: str
    create_time: _timestamp_pb2.Timestamp
    mail_time: _timestamp_pb2.Timestamp
    next_attempt_time: _timestamp_pb2.Timestamp
    doubtful: bool
    issuer: str
    def __init__(self, debt: _Optional[str] = ..., state: _Optional[_Union[Invoice.State, str]] = ..., email: _Optional[str] = ..., amount: _Optional[str] = ..., due_date: _Optional[str] = ..., debt_file: _Optional[str] = ..., attempts: _Optional[int] = ..., error: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mail_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_attempt_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., doubtful: _Optional[bool] = ..., issuer: _Optional[str] = ...) -> None: ...

class GetInvoiceRequest(_message.Message):
    __slots__ = ("debt",)
    DEBT_FIELD_NUMBER: _ClassVar[int]
    debt: str
    def __init__(self, debt: _Optional[str] = ...) -> None: ...

class ListInvoicesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "debt_file", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    debt_file: str
    state: Invoice.State
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., debt_file: _Optional[str] = ..., state: _Optional[_Union[Invoice.State, str]] = ...) -> None: ...

class ListInvoicesResponse(_message.Message):
    __slots__ = ("invoices", "next_page_token")
    INVOICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    invoices: _containers.RepeatedCompositeFieldContainer[Invoice]
    next_page_token: str
    def __init__(self, invoices: _Optional[_Iterable[_Union[Invoice, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CountInvoicesRequest(_message.Message):
    __slots__ = ("debt_file",)
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    debt_file: str
    def __init__(self, debt_file: _Optional[str] = ...) -> None: ...

class CountInvoicesResponse(_message.Message):
    __slots__ = ("counts",)
    class Count(_message.Message):
        __slots__ = ("state", "invoices")
        STATE_FIELD_NUMBER: _ClassVar[int]
        INVOICES_FIELD_NUMBER: _ClassVar[int]
        state: Invoice.State
        invoices: int
        def __init__(self, state: _Optional[_Union[Invoice.State, str]] = ..., invoices: _Optional[int] = ...) -> None: ...
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[CountInvoicesResponse.Count]
    def __init__(self, counts: _Optional[_Iterable[_Union[CountInvoicesResponse.Count, _Mapping]]] = ...) -> None: ...

class DownloadInvoiceRequest(_message.Message):
    __slots__ = ("debt",)
    DEBT_FIELD_NUMBER: _ClassVar[int]
    debt: str
    def __init__(self, debt: _Optional[str] = ...) -> None: ...

class CreateInvoiceLinkRequest(_message.Message):
    __slots__ = ("debt",)
    DEBT_FIELD_NUMBER: _ClassVar[int]
    debt: str
    def __init__(self, debt: _Optional[str] = ...) -> None: ...

class InvoiceLink(_message.Message):
    __slots__ = ("url", "expire_time")
    URL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    url: str
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, url: _Optional[str] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenInvoiceRequest(_message.Message):
    __slots__ = ("token",)
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: str
    def __init__(self, token: _Optional[str] = ...) -> None: ...

class InvoiceDocument(_message.Message):
    __slots__ = ("debt", "content")
    DEBT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    debt: str
    content: bytes
    def __init__(self, debt: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class RetryInvoiceRequest(_message.Message):
    __slots__ = ("debt",)
    DEBT_FIELD_NUMBER: _ClassVar[int]
    debt: str
    def __init__(self, debt: _Optional[str] = ...) -> None: ...

class InvoiceFilter(_message.Message):
    __slots__ = ("state", "debt_file", "code", "to")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEBT_FILE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    state: Invoice.State
    debt_file: str
    code: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[Invoice.State, str]] = ..., debt_file: _Optional[str] = ..., code: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class RetryInvoicesRequest(_message.Message):
    __slots__ = ("filter", "limit", "dry_run")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    filter: InvoiceFilter
    limit: int
    dry_run: bool
    def __init__(self, filter: _Optional[_Union[InvoiceFilter, _Mapping]] = ..., limit: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RetryInvoicesResponse(_message.Message):
    __slots__ = ("retried", "more")
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    retried: int
    more: bool
    def __init__(self, retried: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...
