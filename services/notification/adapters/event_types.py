"""The messages of all services' events by the names of their types."""

import json
from typing import Any, cast

from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError, Message

from tocsin.events.v1 import (  # registers every event type, so that dead letters of all services can be decoded
    alarms_pb2,
    alerts_pb2,
    debts_pb2,
    invoices_pb2,
    notifications_pb2,
    readings_pb2,
    videos_pb2,
    windows_pb2,
)
from tocsin.notification.v1 import delivery_receipt_service_pb2, notification_service_pb2

KNOWN = (
    alarms_pb2,
    alerts_pb2,
    debts_pb2,
    invoices_pb2,
    notifications_pb2,
    readings_pb2,
    videos_pb2,
    windows_pb2,
    notification_service_pb2,
    delivery_receipt_service_pb2,
)


def new_message(type_name: str) -> Message:
    """An empty message of a registered type. Raises KeyError for an unknown one."""
    pool = cast(Any, descriptor_pool.Default())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(type_name))()


def payload_json(type_name: str, payload: bytes, limit: int) -> str:
    """The payload as JSON by its type; what cannot be decoded, or is over `limit` bytes, is described instead."""
    try:
        message = new_message(type_name)
        message.ParseFromString(payload)
        text = json_format.MessageToJson(message, indent=None, ensure_ascii=False)
    except (KeyError, DecodeError) as error:
        return json.dumps({"undecodable": type(error).__name__, "type": type_name, "bytes": len(payload)})
    if len(text.encode()) > limit:
        return json.dumps({"tooLong": True, "type": type_name, "bytes": len(payload)})
    return text
