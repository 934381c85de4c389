"""The channels of the AsyncAPI document on which trusted publishers ask for something."""

from typing import Any


def add_request(
    channels: dict[str, Any],
    operations: dict[str, Any],
    messages: dict[str, Any],
    name: str,
    subject: str,
    summary: str,
) -> None:
    """Adds the channel of one kind of request, and what Tocsin does with it."""
    channels[name] = {
        "address": subject,
        "description": "Stream NOTIFICATION_REQUESTS_<tenant>, at most 1008 KiB. Publish with a reply subject, as "
        "JetStream clients do: the reply says that the request is durable, or why it was not taken. The login of the "
        "tenant's publisher may publish such requests and nothing else.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {"tenant": {"description": "Tenant of the publisher; that of the message may be left empty."}},
        "x-visibility": "publisher",
    }
    operations[f"take{name}"] = {
        "action": "receive",
        "summary": "Tocsin takes a request as over REST. What it refuses is told on NotificationRequestRefused, and "
        "kept in the dead letters with the reason.",
        "channel": {"$ref": f"#/channels/{name}"},
    }
    messages[name] = {
        "name": f"tocsin.notification.v1.{name}",
        "title": name,
        "summary": summary,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/RequestHeaders"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def add_request_headers(schemas: dict[str, Any]) -> None:
    """Adds what stands beside a request."""
    schemas["RequestHeaders"] = {
        "type": "object",
        "description": "NATS headers, none of them required.",
        "properties": {
            "Nats-Msg-Id": {
                "type": "string",
                "description": "Id of the request, and idempotency key of what it asks to be sent, where that has none "
                "of its own: publishing it again within 24 hours sends nothing a second time.",
            },
            "ce-id": {"type": "string", "description": "Id of the request in place of Nats-Msg-Id."},
            "content-type": {
                "type": "string",
                "enum": ["application/json", "application/protobuf"],
                "description": "Form of the payload; application/json where it is missing.",
            },
            "traceparent": {"type": "string", "description": "W3C trace context; the processing continues the trace."},
        },
    }
