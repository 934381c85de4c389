"""What the OpenAPI document says that no generator can know: how the gateway reads bodies, and how it answers.

gateway/README.md says the same in words; tests/integration/edge holds the gateway to it.
"""

from http import HTTPStatus
from typing import Any

JSON = "application/json"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
MAX_PAYLOAD = 64 << 10


def ref(kind: str, name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/{kind}/{name}"}


SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "`tocsin token` prints one for development. Each operation names the scopes that it takes.",
    }
}

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Problem details of RFC 9457.",
    "required": ["type", "title", "status", "reason"],
    "properties": {
        "type": {"type": "string", "description": "`urn:tocsin:problem:` and the reason in lower case with hyphens."},
        "title": {"type": "string", "description": "Text of the HTTP status."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599, "description": "HTTP status."},
        "detail": {"type": "string", "description": "What is wrong here, for people."},
        "instance": {"type": "string", "description": "Id of the request, as in `X-Request-Id` and in the logs."},
        "reason": {
            "type": "string",
            "pattern": "^[A-Z][A-Z0-9_]*$",
            "description": "For programs: an `ErrorReason` of the service's contract, or one of the edge's own.",
        },
        "metadata": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Facts that belong to the reason, such as the limit that was passed.",
        },
        "errors": {
            "type": "array",
            "items": ref("schemas", "Violation"),
            "description": "Fields that broke a rule, up to 25.",
        },
    },
}
VIOLATION: dict[str, Any] = {
    "type": "object",
    "description": "One broken rule of one field.",
    "required": ["field", "reason", "detail"],
    "properties": {
        "field": {
            "type": "string",
            "description": "Relative to the body that was sent (or the parameter); empty for the whole.",
        },
        "reason": {"type": "string", "description": "Name of the rule, for programs."},
        "detail": {"type": "string", "description": "For people."},
    },
}

RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
CHALLENGE = {"WWW-Authenticate": {"description": "Challenge of RFC 6750.", "schema": {"type": "string"}}}
# Status: name of the answer, what it means, headers.
PROBLEMS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "400": ("BadRequest", "The request cannot be read or breaks a rule; `errors` names the fields.", {}),
    "401": ("Unauthenticated", "The token is missing, expired or not ours.", CHALLENGE),
    "403": ("PermissionDenied", "The token lacks the scope or the tenant.", {}),
    "404": ("NotFound", "There is no such resource.", {}),
    "409": ("Conflict", "It exists already, or the idempotency key came with other content before.", {}),
    "413": ("TooLarge", "The body is over the limit, which `metadata.limit` tells in bytes.", {}),
    "415": ("UnsupportedMediaType", "`metadata.accepts` tells which Content-Types there are.", {}),
    "429": ("TooManyRequests", "Over a limit of rate; try again later.", RETRY_AFTER),
    "500": ("InternalError", "A fault of ours; it has been logged under the request's id.", {}),
    "503": ("Unavailable", "The service or what it depends on is away or full; try again.", RETRY_AFTER),
    "504": ("DeadlineExceeded", "The request took longer than its deadline allows.", {}),
}
# Typical reason and detail of each.
EXAMPLES_OF_PROBLEMS = {
    400: ("INVALID_FIELD", "value: must be finite"),
    401: ("UNAUTHENTICATED", "Jwt is expired"),
    403: ("SCOPE_MISSING", "the token holds none of the scopes that this operation takes"),
    404: ("SENSOR_TYPE_UNKNOWN", "the sensor type temprature is not in the catalogue"),
    409: ("IDEMPOTENCY_CONFLICT", "the idempotency key was used for other content"),
    413: ("TOO_LARGE", "The body is larger than the 8388608 bytes that this operation takes."),
    415: ("MEDIA_TYPE_UNSUPPORTED", 'This operation takes Content-Type application/json, not "text/html".'),
    429: ("RATE_LIMITED", "Slow down."),
    500: ("INTERNAL", "Something went wrong in the service; it has been logged."),
    503: ("UNAVAILABLE", "The service cannot be reached right now; try again."),
    504: ("DEADLINE_EXCEEDED", "The request took longer than its deadline allows."),
}
OF_BODIES = ("413", "415")


def problem_answers() -> dict[str, Any]:
    """The answers of `PROBLEMS` as components."""
    return {
        name: {
            "description": text,
            **({"headers": headers} if headers else {}),
            "content": {
                "application/problem+json": {"schema": ref("schemas", "Problem"), "example": _example(int(status))}
            },
        }
        for status, (name, text, headers) in PROBLEMS.items()
    }


def _example(status: int) -> dict[str, Any]:
    reason, detail = EXAMPLES_OF_PROBLEMS[status]
    return {
        "type": f"urn:tocsin:problem:{reason.lower().replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": "0191d7a4-5b6e-7c21-9d5e-3f1a2b4c6d8e",
        "reason": reason,
    }


IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Makes a retry safe: the same key with the same content counts once, with other content it is a "
    "409. Counts where the body has no `idempotencyKey`.",
    "schema": {"type": "string", "maxLength": 255},
}

# What people choose as a file: Swagger UI would take a JSON string for it otherwise.
FILE = {"type": "string", "format": "binary"}
UPLOAD_FIELDS: dict[str, dict[str, Any]] = {
    "dryRun": {"type": "boolean", "default": False, "description": "Validates every row and registers none."},
    "rejectLimit": {
        "type": "integer",
        "format": "int64",
        "minimum": 0,
        "default": 0,
        "description": "Fails the whole file once more rows than this were rejected; without this and `rejectPercent` "
        "the deployment's limit counts.",
    },
    "rejectPercent": {
        "type": "number",
        "format": "double",
        "minimum": 0,
        "maximum": 100,
        "default": 0,
        "description": "Fails the whole file when more than this share of its rows were rejected; 100 is no limit.",
    },
    "profile": {"type": "string", "description": "The profile that says how the file is read."},
    "charset": {
        "type": "string",
        "maxLength": 40,
        "example": "windows-1252",
        "description": "Of a file without a UTF-8 byte order mark; by default what its Content-Type says, or UTF-8.",
    },
    "locale": {
        "type": "string",
        "maxLength": 40,
        "example": "pt-BR",
        "description": "How amounts and dates are written; by default like 1234.50 and 2026-12-31.",
    },
    "currency": {
        "type": "string",
        "maxLength": 3,
        "example": "BRL",
        "description": "ISO 4217; of rows that name none.",
    },
    "language": {"type": "string", "example": "pt-BR", "description": "BCP 47; of debtors whose row names none."},
    "issuer": {
        "type": "string",
        "example": "acme-br",
        "description": "Who the invoices are from, as the file of issuers names it; its first one by default.",
    },
    "filename": {
        "type": "string",
        "maxLength": 4096,
        "example": "debts.csv",
        "description": "For people, without folders; the file's own name by default. Kept to 255 characters.",
    },
}
UPLOAD_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": name,
        "in": "query",
        "description": schema["description"],
        "schema": {key: value for key, value in schema.items() if key != "description"},
    }
    for name, schema in UPLOAD_FIELDS.items()
]
UPLOAD = {
    "required": True,
    "description": "The fields of a form come before its file. What the file is, its first bytes say: CSV, the same "
    "packed with gzip, or a workbook (xlsx).",
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    **UPLOAD_FIELDS,
                    "csv": {**FILE, "description": "The file; `file` is the same."},
                },
                "required": ["csv"],
                "additionalProperties": False,
            },
            "encoding": {"csv": {"contentType": "text/csv"}},
        },
        "text/csv": {"schema": FILE},
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {"schema": FILE},
        "application/gzip": {"schema": FILE},
    },
}
CONTENT = {
    "required": True,
    "description": "The file as it is, of the size, checksum and type that were announced; any type where none was.",
    "content": {"application/octet-stream": {"schema": FILE}},
}
EVENT = {
    "required": True,
    "description": "An event as S3 and MinIO send it.",
    "content": {
        JSON: {
            "schema": {"type": "object"},
            "example": {
                "Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "debts/inbox/a.csv"}}}]
            },
        }
    },
}
TOKEN: list[dict[str, Any]] = [
    {
        "name": "token",
        "in": "query",
        "required": True,
        "description": "Of the signed URL, which has it.",
        "schema": {"type": "string", "maxLength": 400},
    }
]
LINES_EXAMPLE = (
    '{"building":"b1","room":"r1","sensorType":"temperature","value":21.5,"unit":"C"}\n'
    '{"building":"b1","room":"r2","sensorType":"temperature","value":19.0,"unit":"C"}\n'
)
IMPORT = {
    "required": True,
    "description": "One JSON object a line, each a `Reading`, at most 64 KiB long.",
    "content": {LINES: {"schema": FILE}, "text/plain": {"schema": {"type": "string"}, "example": LINES_EXAMPLE}},
}
PAYLOAD = {
    "required": True,
    "description": "What the device sent, byte for byte, at most 64 KiB. The Content-Type does not matter.",
    "content": {
        # JSON first, which the formats are in, so that it can be typed; a broken payload may be any bytes.
        JSON: {
            "schema": {},
            "example": {"device": "meter-1", "energy": 12, "unit": 3, "ts": 1795305600, "tag": "main"},
        },
        "application/octet-stream": {"schema": {**FILE, "minLength": 1, "maxLength": MAX_PAYLOAD}},
    },
}


def stream_content(schema: dict[str, Any], event: str) -> dict[str, Any]:
    """Both forms of a stream of messages, `event` being the name of the server-sent event."""
    line = {
        "type": "object",
        "description": "One line: a message, or as the last one what went wrong.",
        "properties": {"result": schema, "error": ref("schemas", "Problem")},
        "minProperties": 1,
        "maxProperties": 1,
    }
    events = {
        "type": "string",
        "description": f"Events named `{event}` with a message each as JSON; the last one is `end`, or `error` with a "
        "problem. A comment every 15 s keeps the connection alive.",
    }
    example = f'retry: 3000\n\nid: 1\nevent: {event}\ndata: {{"...":"..."}}\n\nid: 2\nevent: end\ndata: {{}}\n\n'
    return {LINES: {"schema": line}, EVENTS: {"schema": events, "example": example}}


def file_answer(content_type: str, text: str) -> dict[str, Any]:
    """An answer that is a file."""
    schema = {"type": "string"} if content_type.startswith("text/") else FILE
    name = {"description": "Name of the file.", "schema": {"type": "string"}}
    return {
        "description": text,
        "headers": {"Content-Disposition": name},
        "content": {content_type: {"schema": schema}},
    }


# By name of a field: what Swagger UI fills in, instead of random text that fits the rules.
EXAMPLES = {
    "building": "b1",
    "room": "r1",
    "sensorType": "temperature",
    "value": 294.65,
    "unit": "K",
    "device": "d1",
    "tenant": "acme",
    "user": "user-1",
    "store": "store-1",
    "uid": "alert-1",
    "window": "900s",
    "step": "900s",
    "expectedInterval": "60s",
}

# By method: what the body really is, and what the answer really is.
BODIES: dict[str, dict[str, Any]] = {
    "UploadDebtFile": UPLOAD,
    "PutDebtUpload": CONTENT,
    "TellBucketEvent": EVENT,
    "ImportReadings": IMPORT,
    "SubmitPayload": PAYLOAD,
    "TestPayload": PAYLOAD,
}
PARAMETERS = {"UploadDebtFile": UPLOAD_PARAMETERS, "PutDebtUpload": TOKEN}
NEVER_CACHED = {"Cache-Control": {"description": "`no-store`.", "schema": {"type": "string"}}}
PLAIN: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
LOCATION = {"Location": {"description": "The notification's link.", "schema": {"type": "string", "format": "uri"}}}
# What needs no token, and all of its answers.
OPEN: dict[str, dict[str, Any]] = {
    "FollowLink": {
        "302": {"description": "Where it leads.", "headers": {**LOCATION, **NEVER_CACHED}},
        "404": {"description": "There is no such link.", "content": PLAIN},
        "410": {"description": "Its time is over, or what it led to is gone.", "content": PLAIN},
        "503": {"description": "The service cannot be reached right now.", "content": PLAIN},
        "504": {"description": "The service took too long.", "content": PLAIN},
    },
    "ViewPixel": {
        "200": {
            "description": "One transparent pixel, whatever the token is worth.",
            "headers": NEVER_CACHED,
            "content": {"image/gif": {"schema": FILE}},
        }
    },
    "OpenInvoice": {
        "200": file_answer("application/pdf", "The invoice."),
        "404": {"description": "There is no such link.", "content": PLAIN},
        "410": {"description": "Its time is over, or its invoice is cancelled or gone.", "content": PLAIN},
        "503": {"description": "The service cannot be reached right now.", "content": PLAIN},
        "504": {"description": "The service took too long.", "content": PLAIN},
    },
    "PutDebtUpload": {
        "200": {"description": "The debt file.", "content": {JSON: {"schema": ref("schemas", "DebtFile")}}},
        "400": ref("responses", "BadRequest"),
        "404": ref("responses", "NotFound"),
        "409": ref("responses", "Conflict"),
        "410": {
            "description": "Its time is over (`UPLOAD_EXPIRED`), or the content has come already (`UPLOAD_ENDED`).",
            "content": {"application/problem+json": {"schema": ref("schemas", "Problem")}},
        },
        "413": ref("responses", "TooLarge"),
        "429": ref("responses", "TooManyRequests"),
        "500": ref("responses", "InternalError"),
        "503": ref("responses", "Unavailable"),
    },
}
FILES = {
    "DownloadInvoice": file_answer("application/pdf", "The invoice."),
    "DownloadDebtFileRejects": file_answer("text/csv", "The rejects."),
}
