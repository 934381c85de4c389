"""The one channel of the AsyncAPI document that is no event: payloads of gateways, in the formats of vendors."""

import json
from typing import Any

_TIME: dict[str, Any] = {
    "oneOf": [{"type": "number"}, {"type": "string", "format": "date-time"}],
    "description": "When it was measured: seconds or milliseconds since 1970, or RFC 3339 with an offset.",
}
_TAG: dict[str, Any] = {"type": "string", "description": "Whatever the vendor puts there; not kept."}
_ID: dict[str, Any] = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$",
    "description": "Device that measured it.",
}

FORMATS: dict[str, dict[str, Any]] = {
    "ep1": {
        "type": "object",
        "description": "Energy meter; the counter stands at energy * 10^unit watt-hours.",
        "required": ["device", "energy", "unit", "ts"],
        "properties": {
            "device": _ID,
            "energy": {"type": "number", "minimum": 0},
            "unit": {"type": "integer", "minimum": -12, "maximum": 12},
            "ts": _TIME,
            "tag": _TAG,
        },
        "examples": [{"device": "meter-1", "energy": 12.5, "unit": 3, "ts": 1795342530, "tag": "main"}],
    },
    "ep2": {
        "type": "object",
        "description": "Energy meter; the counter in watt-hours. Decreasing values are corrected by the aggregation.",
        "required": ["from", "content", "timestamp"],
        "properties": {
            "from": _ID,
            "content": {
                "type": "object",
                "required": ["energy"],
                "properties": {"energy": {"type": "number", "minimum": 0}},
            },
            "timestamp": _TIME,
            "tag": _TAG,
        },
        "examples": [{"from": "meter-2", "content": {"energy": 12500}, "timestamp": 1795342530, "tag": "main"}],
    },
    "env1": {
        "type": "object",
        "description": "Filling level of a container in percent; 0 means that it was emptied and overtakes everything.",
        "required": ["id", "d", "ts"],
        "properties": {
            "id": _ID,
            "d": {
                "type": "object",
                "required": ["filling_level"],
                "properties": {"filling_level": {"type": "number", "minimum": 0, "maximum": 100}},
            },
            "ts": _TIME,
            "tag": _TAG,
        },
        "examples": [{"id": "bin-1", "d": {"filling_level": 0}, "ts": 1795342530, "tag": "yard"}],
    },
}


def add_payloads(
    channels: dict[str, Any], operations: dict[str, Any], messages: dict[str, Any], schemas: dict[str, Any]
) -> None:
    """Adds the channel, what Tocsin does with it, and the formats."""
    name = "VendorPayload"
    channels[name] = {
        "address": "tocsin.payloads.v1.{format}",
        "description": "Stream PAYLOADS. Publish with a reply subject, as JetStream clients do: the reply says that "
        "the payload is durable, or why it was not taken. The login of gateways may publish here and nothing else.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "parameters": {"format": {"description": "Format of the payload.", "enum": [*FORMATS]}},
        "x-visibility": "gateway",
    }
    operations[f"take{name}"] = {
        "action": "receive",
        "summary": "Tocsin takes a payload as over REST. What it does not understand, an unknown format or a refused "
        "reading among it, is kept in the quarantine.",
        "channel": {"$ref": f"#/channels/{name}"},
    }
    messages[name] = {
        "name": name,
        "title": "Vendor payload",
        "summary": "One payload as the device sends it, at most 64 KiB.",
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/PayloadHeaders"},
        "payload": {"oneOf": [{"$ref": f"#/components/schemas/{one}"} for one in FORMATS]},
    }
    # Copied piece by piece: YAML would write what several formats share as references of its own.
    schemas.update(json.loads(json.dumps(FORMATS)))
    schemas["PayloadHeaders"] = {
        "type": "object",
        "description": "NATS headers, none of them required.",
        "properties": {
            "Nats-Msg-Id": {
                "type": "string",
                "description": "Publishing the same id again within 5 minutes stores nothing a second time.",
            },
            "traceparent": {"type": "string", "description": "W3C trace context; the processing continues the trace."},
        },
    }
