"""Structured logs: JSON lines in production, colours on a terminal; trace ids in, secrets out.

`configure()` once at start; then `log = get_logger(__name__)` at module level and `log.info("event", key=value)`: the
event is a short constant phrase, everything that varies is a key. The standard library's loggers (grpc, nats,
asyncio...) pass through the same processors. Logs go to stderr.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from services.chassis.telemetry import context, tracing

REDACTED: Final = "[redacted]"
_SECRET_KEY: Final = re.compile(
    r"authorization|passw|secret|token(?!s?_count)|api_?key|private_?key|cookie|credential|(^|_)dsn($|_)|jwt",
    re.IGNORECASE,
)
_SECRET_VALUE: Final = re.compile(
    r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}"  # an Authorization value
    r"|\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"  # a JWT on its own
    r"|(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+(?=@)"  # the password of a URL
    r"|\bwhsec_[A-Za-z0-9+/=]+",  # a webhook secret
    re.IGNORECASE,
)


# Without the values of local variables: they hold requests, rows and secrets.
_frames: Final = structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)


def configure(
    *,
    form: str = "json",
    level: str = "info",
    service: str = "",
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Sets logging up for the process. `form` is json or console. Calling it again replaces what was set up."""
    fixed = {key: value for key, value in {"service": service, "worker": worker}.items() if value not in ("", None)}

    def add_fixed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**fixed, **event}

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        add_trace,
        add_fixed,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    last: list[Any] = (
        [structlog.processors.ExceptionRenderer(_frames), redact, structlog.processors.JSONRenderer(default=str)]
        if form == "json"
        else [
            structlog.processors.ExceptionRenderer(),
            redact,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR")),
        ]
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "tocsin", False):
            root.removeHandler(old)
    cast(Any, handler).tocsin = True
    root.addHandler(handler)
    root.setLevel(threshold)
    for chatty in ("asyncio", "grpc", "nats", "urllib3", "opentelemetry", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(max(threshold, logging.WARNING))


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes its configuration when it is first used, so that it may be made at import."""
    return structlog.stdlib.get_logger(name)


def add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Adds trace_id, span_id and request_id of the work at hand."""
    if ids := tracing.current_ids():
        event["trace_id"], event["span_id"] = ids
    if request_id := context.request_id.get():
        event["request_id"] = request_id
    return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blanks values under keys that name a secret, and what looks like a secret inside any text, at any depth."""
    return cast(EventDict, _redacted(event, 0))


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _SECRET_VALUE.sub(_blank, value)
    if depth > 8:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            key: REDACTED if isinstance(key, str) and _SECRET_KEY.search(key) else _redacted(inner, depth + 1)
            for key, inner in cast(Mapping[Any, Any], value).items()
        }
    if isinstance(value, list | tuple):
        return [_redacted(inner, depth + 1) for inner in cast(list[Any], value)]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value


def _blank(match: re.Match[str]) -> str:
    return (match["keep"] or match["head"] or "") + REDACTED
