"""Checks requests against the `buf.validate` rules of the contract."""

import re
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, cast

from buf.validate import validate_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from protovalidate import Validator, Violation

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.grpc.status import clip

MAX_VIOLATIONS: Final = 25
_validator: Final = Validator()


class RequestInvalid(InvalidArgument):
    """The request breaks the rules of its contract."""

    reason = "INVALID_FIELD"


def violations(message: Message) -> list[FieldViolation]:
    """The broken rules of `message`, at most 25, in the order of its fields; an empty list when it is valid."""
    found = _validator.collect_violations(message)
    return [_describe(violation, message.DESCRIPTOR) for violation in found[:MAX_VIOLATIONS]] if found else []


def check(message: Message) -> None:
    """Raises RequestInvalid with the broken rules of `message`, if any."""
    if _validator.collect_violations(message):
        raise RequestInvalid(violations=violations(message))


async def checked(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same messages, each checked; the violations of the n-th (from 0) name it as `[n]` in the metadata."""
    index = 0
    async for message in messages:
        try:
            check(message)
        except RequestInvalid as error:
            error.metadata["messageIndex"] = str(index)
            raise
        yield message
        index += 1


def warm(inputs: Iterable[Descriptor]) -> None:
    """Compiles the rules of the message types, so that the first call does not pay for it. Raises
    protovalidate.CompilationError if a rule of the contract is wrong: better at boot than at the first call."""
    for descriptor in inputs:
        _validator.collect_violations(message_factory.GetMessageClass(descriptor)())


def _describe(violation: Violation, root: Any) -> FieldViolation:
    proto = violation.proto
    rule = re.sub(r"[^A-Z0-9]+", "_", proto.rule_id.upper()).strip("_") or "INVALID"
    text = _of_enum(proto, root) or proto.message or f"breaks the rule {proto.rule_id}"
    return FieldViolation(_path(proto), clip(text), rule)


def _of_enum(proto: Any, root: Any) -> str:
    """Names instead of the numbers that protovalidate tells; empty for other rules."""
    if proto.rule_id not in ("enum.in", "enum.not_in", "enum.defined_only"):
        return ""
    field: Any = None
    for element in proto.field.elements:
        field = (root if field is None else field.message_type).fields_by_name[element.field_name]
    options = field.GetOptions().Extensions[validate_pb2.field]
    if options.WhichOneof("type") != "enum":
        return ""  # of a list's items: the library's own text
    rules = options.enum
    allowed = getattr(rules, "in")  # a keyword
    names = [
        value.name
        for value in field.enum_type.values
        if value.number not in rules.not_in and (not allowed or value.number in allowed)
    ]
    return f"must be one of {', '.join(names)}"


def _path(proto: Any) -> str:
    path = ""
    for element in proto.field.elements if proto.field is not None else ():
        path += ("." if path else "") + json_name(element.field_name)
        if element.subscript is not None:
            path += f"[{_subscript(element.subscript)}]"
    return path


def _subscript(subscript: Any) -> str:
    value = cast(object, subscript.value)
    return f'"{clip(value, 40)}"' if isinstance(value, str) else str(value).lower()


def json_name(field: str) -> str:
    """The lowerCamelCase JSON name that protobuf gives to a field by default."""
    head, *rest = field.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
