"""What the contracts' own rules (buf.validate) say, in the words of JSON Schema.

Rules that JSON Schema has no words for (CEL, finite numbers, bounds of durations) stay in the descriptions.
"""

from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor

ID = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
DURATION = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$"
PRINTABLE = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$"
INTEGERS = ("int32", "uint32", "int64", "uint64")
NUMBERS = (*INTEGERS, "float", "double")


def rules_of(field: FieldDescriptor) -> validate_pb2.FieldRules:
    options: Any = field.GetOptions()  # the stubs know extensions only as plain descriptors
    return options.Extensions[validate_pb2.field]


def enum_values(field: FieldDescriptor) -> list[str]:
    """Names that an enum field may have where the contract says which; empty where it may have all."""
    rules = rules_of(field).enum
    allowed = getattr(rules, "in")  # a keyword
    if field.enum_type is None or not (allowed or rules.not_in):
        return []
    return [
        value.name
        for value in field.enum_type.values
        if value.number not in rules.not_in and (not allowed or value.number in allowed)
    ]


def constraints(field: FieldDescriptor) -> dict[str, Any]:
    """Keywords for the schema of the whole field."""
    rules = rules_of(field)
    if rules.ignore == validate_pb2.IGNORE_ALWAYS:
        return {}
    kind = rules.WhichOneof("type")
    if kind == "repeated":
        return _given(rules.repeated, min_items="minItems", max_items="maxItems", unique="uniqueItems")
    if kind == "map":
        return _given(rules.map, min_pairs="minProperties", max_pairs="maxProperties")
    return scalar(rules) | _form(field)


def item_constraints(field: FieldDescriptor) -> dict[str, Any]:
    """Keywords for the schema of each item of a list, or of each value of a map."""
    rules = rules_of(field)
    items = rules.repeated.items if rules.WhichOneof("type") == "repeated" else rules.map.values
    return {} if items.ignore == validate_pb2.IGNORE_ALWAYS else scalar(items)


def scalar(rules: validate_pb2.FieldRules) -> dict[str, Any]:
    """Keywords for one value."""
    kind = rules.WhichOneof("type")
    if kind == "string":
        return _string(rules.string)
    if kind == "bytes":
        return {"maxLength": -(-rules.bytes.max_len // 3) * 4} if rules.bytes.HasField("max_len") else {}
    # 64-bit integers are strings in JSON, whose bounds cannot be said.
    if kind in NUMBERS and kind not in ("int64", "uint64"):
        return _number(getattr(rules, kind))
    return {}


def _string(rules: validate_pb2.StringRules) -> dict[str, Any]:
    found = _given(rules, min_len="minLength", max_len="maxLength", pattern="pattern")
    for option, value in rules.ListFields():
        match option.name:
            case "resource_id":
                found["pattern"] = f"^{ID}$"
            case "optional_resource_id":
                found["pattern"] = f"^({ID})?$"
            case (
                "optional_day"
                | "optional_sha256"
                | "optional_media_type"
                | "optional_uuid7"
                | "optional_language"
                | "time_of_day"
            ):
                found["pattern"] = _form_of(option)
            case "printable_text":
                found.setdefault("pattern", PRINTABLE)
            case "email":
                found["format"] = "email"
            case "in":
                found["enum"] = list(value)
            case _:
                pass
    return found


def _form_of(option: FieldDescriptor) -> str:
    """The pattern that the rule of ours is made of."""
    options: Any = option.GetOptions()
    expression: str = options.Extensions[validate_pb2.predefined].cel[0].expression
    return expression.removeprefix("!rule || this.matches('").removesuffix("')")


def _number(rules: Any) -> dict[str, Any]:
    found = _given(rules, gte="minimum", lte="maximum")
    for name, keyword in (("gt", "minimum"), ("lt", "maximum")):
        if rules.HasField(name):
            found |= {keyword: getattr(rules, name), f"exclusive{keyword.capitalize()}": True}
    return found


def _form(field: FieldDescriptor) -> dict[str, Any]:
    """How protojson writes what JSON has no type of its own for."""
    message = field.message_type
    if message is not None and message.full_name == "google.protobuf.Duration":
        return {"pattern": DURATION}
    if field.type in (FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_SFIXED64):
        return {"pattern": "^-?[0-9]{1,19}$"}
    return {}


def _given(rules: Any, **keywords: str) -> dict[str, Any]:
    return {keyword: getattr(rules, name) for name, keyword in keywords.items() if rules.HasField(name)}
