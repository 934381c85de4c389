"""Makes the OpenAPI 3.0 document of the REST routes from the generator's 2.0 one.

Usage: openapi.py SWAGGER PYTHON_FOLDER OUTPUT. OpenAPI 2.0 cannot say that a body may be a form or a file, nor that an
error has another Content-Type than an answer. The contracts' rules (buf.validate) and scopes come in from the compiled
contracts, what the gateway does by itself from `openapi_parts`.
"""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import openapi_parts as parts
import openapi_rules as rules
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

Json = dict[str, Any]


class Contracts:
    """The compiled contracts, by the names that the generator uses."""

    def __init__(self, folder: Path) -> None:
        sys.path.insert(0, str(folder))
        self._pool = descriptor_pool.Default()
        self._services: dict[str, Any] = {}
        for path in sorted(folder.rglob("*_pb2.py")):
            module = importlib.import_module(".".join(path.relative_to(folder).with_suffix("").parts))
            for service in module.DESCRIPTOR.services_by_name.values():
                self._services[service.name] = service
        self._auth = importlib.import_module("tocsin.options.v1.options_pb2").auth

    def method(self, operation: str) -> MethodDescriptor:
        """The method of an operation id such as `AlertService_CreateAlert2`, the digit being that of a binding."""
        service, _, name = operation.partition("_")
        methods = self._services[service].methods_by_name
        return methods.get(name) or methods[name.rstrip("0123456789")]

    def message(self, definition: str) -> Descriptor | None:
        """The message of a definition; of `<package>.<Service>.<Method>Body` the method's input."""
        package_and_service, _, name = definition.rpartition(".")
        service = self._services.get(package_and_service.rpartition(".")[2])
        if service is not None and name.endswith("Body"):
            return service.methods_by_name[name.removesuffix("Body")].input_type
        try:
            return self._pool.FindMessageTypeByName(definition) if definition.startswith("tocsin.") else None
        except KeyError:
            return None  # an enum

    def scopes(self, method: MethodDescriptor) -> list[str]:
        return list(method.GetOptions().Extensions[self._auth].scopes)


def field_of(message: Descriptor, path: str) -> FieldDescriptor:
    """The field that a parameter such as `room.building` fills."""
    head, _, rest = path.partition(".")
    field = next(field for field in message.fields if head in (field.json_name, field.name))
    return field_of(message_of(field), rest) if rest else field


def message_of(field: FieldDescriptor) -> Descriptor:
    if field.message_type is None:
        raise ValueError(f"{field.full_name} is no message")
    return field.message_type


def short_names(definitions: Json) -> dict[str, str]:
    """Names without their packages; with them where two packages have the same."""
    short = {name: re.sub(r"^tocsin\.\w+\.v1\.", "", name) for name in definitions}
    taken = list(short.values())
    return {name: brief if taken.count(brief) == 1 else name for name, brief in short.items()}


def paragraphs(text: str) -> str:
    """Comments without the line breaks of the source."""
    return re.sub(r"(?<!\n)\n(?![\n -])", " ", text).strip()


class Document:
    """The document in the making."""

    def __init__(self, swagger: Json, contracts: Contracts) -> None:
        self.swagger, self.contracts = swagger, contracts
        self.names = short_names(swagger["definitions"])
        self.schemas: Json = {"Problem": parts.PROBLEM, "Violation": parts.VIOLATION}
        for name, definition in swagger["definitions"].items():
            self.schemas[self.names[name]] = self.schema(definition, contracts.message(name))

    def build(self) -> Json:
        answers = parts.problem_answers()
        paths: Json = {}
        for path, operations in self.swagger["paths"].items():
            # `{room.building}` and `{building}` are the same place.
            place = re.sub(r"{\w+\.(\w+)}", r"{\1}", path)
            for verb, operation in operations.items():
                paths.setdefault(place, {})[verb] = self.operation(operation)
        self.close_requests(paths)
        used = {tag for operations in paths.values() for operation in operations.values() for tag in operation["tags"]}
        return {
            "openapi": "3.0.3",
            "info": self.swagger["info"],
            "servers": [{"url": "/"}],
            "tags": [
                {**tag, "description": paragraphs(tag["description"])}
                for tag in sorted(self.swagger["tags"], key=lambda tag: tag["name"])
                if tag["name"] in used
            ],
            "security": [{"bearer": []}],
            "paths": dict(sorted(paths.items())),
            "components": {
                "securitySchemes": parts.SECURITY,
                "responses": answers,
                "schemas": {name: self.schemas[name] for name in sorted(reachable([paths, answers], self.schemas))},
            },
        }

    def schema(self, source: Json, message: Descriptor | None = None) -> Json:
        """A schema of 2.0 in 3.0; of a message with the rules of its fields."""
        if "$ref" in source:
            target = parts.ref("schemas", self.names[source["$ref"].removeprefix("#/definitions/")])
            text = source.get("description")
            return {"allOf": [target], "description": paragraphs(text)} if text else target
        found = {key: value for key, value in source.items() if key not in ("properties", "items")}
        if "description" in found:
            found["description"] = paragraphs(found["description"])
        if "items" in source:
            found["items"] = self.schema(source["items"])
        if isinstance(source.get("additionalProperties"), dict):
            found["additionalProperties"] = self.schema(source["additionalProperties"])
        if "properties" in source:
            found["properties"] = {
                name: self.field(self.schema(value), field_of(message, name) if message else None)
                for name, value in source["properties"].items()
            }
        return found

    def field(self, schema: Json, field: FieldDescriptor | None) -> Json:
        """The schema of a field with what the contract's rules add."""
        if field is None:
            return schema
        values = rules.enum_values(field)
        if values:
            schema = {"type": "string", "enum": values, "description": schema.get("description", "")}
        schema |= rules.constraints(field)
        for inner in ("items", "additionalProperties"):
            if isinstance(schema.get(inner), dict):
                schema[inner] |= rules.item_constraints(field)
        if field.json_name in parts.EXAMPLES and "type" in schema and schema["type"] != "array":
            schema["example"] = parts.EXAMPLES[field.json_name]
        return schema

    def operation(self, source: Json) -> Json:
        method = self.contracts.method(source["operationId"])
        text = paragraphs(source["summary"])
        scopes = " or ".join(f"`{scope}`" for scope in self.contracts.scopes(method))
        found: Json = {
            "tags": source["tags"],
            "summary": re.split(r"(?<=[a-z)`])[.:;] ", text)[0].rstrip("."),
            "description": f"{text}\n\nScope: {scopes}." if scopes else f"{text}\n\nNo bearer token is needed.",
            "operationId": source["operationId"],
        }
        keyed = "idempotency_key" in method.input_type.fields_by_name
        parameters = [
            self.parameter(parameter, method)
            for parameter in source.get("parameters", [])
            # The header is the way to say it where the body has no place for it.
            if parameter["in"] != "body" and not (keyed and parameter["name"] == "idempotencyKey")
        ]
        parameters += parts.PARAMETERS.get(method.name, [])
        if keyed:
            parameters.append(parts.IDEMPOTENCY_KEY)
        if parameters:
            found["parameters"] = parameters
        body = next((parameter for parameter in source.get("parameters", []) if parameter["in"] == "body"), None)
        if body is not None:
            found["requestBody"] = parts.BODIES.get(method.name) or self.body(body, source, method)
        if method.name in parts.OPEN:
            return found | {"security": [], "responses": parts.OPEN[method.name]}
        found["responses"] = {"200": self.answer(source["responses"]["200"], method)} | {
            status: parts.ref("responses", name)
            for status, (name, _, _) in parts.PROBLEMS.items()
            if body is not None or status not in parts.OF_BODIES
        }
        return found

    def parameter(self, source: Json, method: MethodDescriptor) -> Json:
        field = field_of(method.input_type, source["name"])
        keywords = ("type", "format", "enum", "default", "items")
        schema = self.field({key: source[key] for key in keywords if key in source}, field)
        found: Json = {"name": source["name"].rpartition(".")[2], "in": source["in"]}
        if source["required"]:
            found["required"] = True
        return found | {"description": paragraphs(source.get("description", "")), "schema": schema}

    def body(self, source: Json, operation: Json, method: MethodDescriptor) -> Json:
        """A JSON body. What the path says need not be in it; of an update nothing need."""
        schema = self.schema(source["schema"])
        if source["name"] != "body":  # a field of the request, which the generator shows without what is in the path
            message = message_of(field_of(method.input_type, source["name"]))
            schema = parts.ref("schemas", self.names[message.full_name])
        name = schema["$ref"].rpartition("/")[2]
        whole = self.schemas[name]
        required = whole.get("required", [])
        in_path = {parameter["name"].rpartition(".")[2] for parameter in operation["parameters"]}
        update = method.name.startswith("Update")
        kept = [] if update else [field for field in required if field not in in_path]
        if kept != required:
            name = f"{method.name}Body"
            self.schemas[name] = {key: value for key, value in whole.items() if key != "required"}
            if kept:
                self.schemas[name]["required"] = kept
            if update:  # null clears what may be absent
                self.schemas[name]["properties"] = {
                    field: value if field in required or "type" not in value else {**value, "nullable": True}
                    for field, value in whole["properties"].items()
                }
        return {"required": bool(kept), "content": {parts.JSON: {"schema": parts.ref("schemas", name)}}}

    def answer(self, source: Json, method: MethodDescriptor) -> Json:
        if method.name in parts.FILES:
            return parts.FILES[method.name]
        schema = self.schema(source["schema"])
        text = self.schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("description", "Done.")
        if method.server_streaming:
            name = method.output_type.name
            content = parts.stream_content(parts.ref("schemas", name), name[:1].lower() + name[1:])
            return {"description": self.schemas[name]["description"], "content": content}
        return {"description": text, "content": {parts.JSON: {"schema": schema}}}

    def close_requests(self, paths: Json) -> None:
        """Unknown fields of requests are refused."""
        bodies = [operation.get("requestBody", {}) for verbs in paths.values() for operation in verbs.values()]
        for name in reachable(bodies, self.schemas):
            if self.schemas[name]["type"] == "object":
                self.schemas[name].setdefault("additionalProperties", False)


def references(node: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(node)))


def reachable(start: Any, schemas: Json) -> set[str]:
    """Names of the schemas that `start` refers to, directly or not."""
    found, waiting = set[str](), references(start)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= references(schemas[name]) - found
    return found


def main() -> None:
    swagger, folder, out = map(Path, sys.argv[1:])
    document = Document(json.loads(swagger.read_text()), Contracts(folder)).build()
    out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
