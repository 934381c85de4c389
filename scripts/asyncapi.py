"""Writes the AsyncAPI 3.0 document of the events, from the compiled contracts.

Usage: asyncapi.py PYTHON_FOLDER OUTPUT. Subjects and visibility come from the `(tocsin.options.v1.event)` option, texts
from the comments of the contracts.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from asyncapi_payloads import add_payloads
from asyncapi_requests import add_request, add_request_headers
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "tocsin/events/v1"
REQUESTS = "tocsin/notification/v1"
"""What trusted publishers send: the messages there that have a subject, and what these are made of."""
JSON_TYPES: dict[int, dict[str, Any]] = {
    Field.TYPE_DOUBLE: {"type": "number"},
    Field.TYPE_FLOAT: {"type": "number"},
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "format": "byte"},
    Field.TYPE_INT32: {"type": "integer", "format": "int32"},
    Field.TYPE_UINT32: {"type": "integer", "format": "int64"},
    # protojson writes 64-bit integers as strings.
    Field.TYPE_INT64: {"type": "string", "format": "int64"},
    Field.TYPE_SFIXED64: {"type": "string", "format": "int64"},
}
WELL_KNOWN = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {"type": "string", "examples": ["900s"]},
    ".google.protobuf.Struct": {"type": "object"},
}


def compile_contracts() -> descriptor_pb2.FileDescriptorSet:
    """Compiles events and requests with comments, which the Python modules do not hold."""
    with tempfile.NamedTemporaryFile() as image:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"-I{ROOT / 'proto'}",
                f"-I{ROOT / '.build/third_party/proto'}",
                "--include_source_info",
                f"--descriptor_set_out={image.name}",
                *(
                    f"{folder}/{path.name}"
                    for folder in (FOLDER, REQUESTS)
                    for path in sorted((ROOT / "proto" / folder).glob("*.proto"))
                ),
            ],
            check=True,
        )
        return descriptor_pb2.FileDescriptorSet.FromString(Path(image.name).read_bytes())


class Contract:
    """One contract file and the comments in it."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        self.file = file
        self._comments = {
            tuple(location.path): re.sub(r"\s+", " ", location.leading_comments).strip()
            for location in file.source_code_info.location
        }

    def comment(self, *path: int) -> str:
        return self._comments.get(path, "")


def field_schema(contract: Contract, field: Field, path: tuple[int, ...]) -> dict[str, Any]:
    if field.type == Field.TYPE_MESSAGE:
        schema = WELL_KNOWN.get(field.type_name) or {"$ref": f"#/components/schemas/{field.type_name.split('v1.')[-1]}"}
    elif field.type == Field.TYPE_ENUM:
        schema = {"type": "string"}
    else:
        schema = JSON_TYPES[field.type]
    text = contract.comment(*path)
    if _is_map(field):
        return {"type": "object", "additionalProperties": {"type": "string"}, "description": text}
    if field.label == Field.LABEL_REPEATED:
        return {"type": "array", "items": dict(schema), "description": text}
    return {**schema, "description": text} if "$ref" not in schema else {"allOf": [dict(schema)], "description": text}


def _is_map(field: Field) -> bool:
    # Only maps of text to text are used.
    return field.type == Field.TYPE_MESSAGE and field.type_name.endswith("MetadataEntry")


def message_schemas(
    contract: Contract, message: descriptor_pb2.DescriptorProto, name: str, path: tuple[int, ...]
) -> dict[str, Any]:
    schemas: dict[str, Any] = {
        name: {
            "type": "object",
            "description": contract.comment(*path),
            "properties": {
                field.json_name: field_schema(contract, field, (*path, 2, index))
                for index, field in enumerate(message.field)
            },
        }
    }
    for index, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            schemas |= message_schemas(contract, nested, f"{name}.{nested.name}", (*path, 3, index))
    return schemas


def _visibility(rule: Any) -> str:
    if rule.public:
        return "public"
    return "publisher" if rule.subject.endswith(".{tenant}") else "mesh"


def document(contracts: list[Contract], event_option: Any) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for contract in contracts:
        request = contract.file.package != "tocsin.events.v1"
        for index, message in enumerate(contract.file.message_type):
            declared = message.options.HasExtension(event_option)
            if declared or not request:
                schemas |= message_schemas(contract, message, message.name, (4, index))
            if not declared:
                continue
            rule = message.options.Extensions[event_option]
            if request:
                add_request(channels, operations, messages, message.name, rule.subject, contract.comment(4, index))
                continue
            messages[message.name] = {
                "name": f"{contract.file.package}.{message.name}",
                "title": message.name,
                "summary": contract.comment(4, index),
                "contentType": "application/protobuf",
                "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
                "payload": {"$ref": f"#/components/schemas/{message.name}"},
            }
            channels[message.name] = {
                "address": rule.subject,
                "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"}},
                "parameters": {
                    name: {"description": f"The `{name}` of the event."}
                    for name in re.findall(r"{(\w+)}", rule.subject)
                },
                "x-visibility": _visibility(rule),
            }
            if rule.public:
                operations[f"receive{message.name}"] = {
                    "action": "send",
                    "summary": f"Tocsin publishes {message.name}; downstream subscribers receive it.",
                    "channel": {"$ref": f"#/channels/{message.name}"},
                }
    add_payloads(channels, operations, messages, schemas)
    add_request_headers(schemas)
    schemas["CloudEventHeaders"] = {
        "type": "object",
        "description": "CloudEvents attributes and W3C trace context, as NATS headers.",
        "properties": {
            "ce-id": {"type": "string", "description": "Unique id of the event, equal to Nats-Msg-Id."},
            "ce-type": {"type": "string", "description": "Full name of the protobuf message."},
            "ce-source": {"type": "string", "description": "Service that published it."},
            "ce-time": {"type": "string", "format": "date-time", "description": "When it was published."},
            "traceparent": {"type": "string", "description": "W3C trace context."},
        },
        "required": ["ce-id", "ce-type", "ce-source", "ce-time"],
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tocsin events",
            "version": "v1",
            "description": "Events on NATS. Payloads are protobuf messages of the package tocsin.events.v1; the "
            "schemas show their JSON form. Downstream accounts see the channels whose x-visibility is public. Gateways "
            "publish vendors' payloads, as JSON, on the channel whose x-visibility is gateway; the trusted publisher "
            "of a tenant has the channels whose x-visibility is publisher, of its tenant. Addresses begin with the "
            "mesh's prefix and a dot where it has one (TOCSIN_NATS_PREFIX).",
        },
        "defaultContentType": "application/protobuf",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    # Importing the generated module registers the option, so that the descriptors below are read with it.
    from tocsin.options.v1 import options_pb2

    contracts = [Contract(file) for file in compile_contracts().file]
    out = Path(sys.argv[2])
    out.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(document(contracts, options_pb2.event), sort_keys=False, allow_unicode=True, width=120)
    out.write_text("# Generated by scripts/asyncapi.py; do not edit.\n" + text)


if __name__ == "__main__":
    main()
