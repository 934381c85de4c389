"""Lines of the parts' logs, in one shape: ours are JSON already, PostgreSQL and NATS have forms of their own."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
_OWN_KEYS = frozenset({"time", "level", "service", "event"})
# As `log_line_prefix` and `log_timezone` of the cluster have it.
_POSTGRES = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC \[\d+\] (?:\S+ )?([A-Z]+\d?): +(.*)", re.DOTALL)
_NATS = re.compile(r"\[\d+\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+) \[([A-Z]{3})\] (.*)", re.DOTALL)
_LEVEL_NAMES: Mapping[str, str] = {
    **{name: name for name in LEVELS},
    "warn": "warning",
    "DEBUG": "debug",
    "LOG": "info",
    "INFO": "info",
    "NOTICE": "info",
    "WARNING": "warning",
    "ERROR": "error",
    "FATAL": "critical",
    "PANIC": "critical",
    "TRC": "debug",
    "DBG": "debug",
    "INF": "info",
    "WRN": "warning",
    "ERR": "error",
    "FTL": "critical",
}
# They belong to the line before, whatever that was.
_POSTGRES_FURTHER = frozenset({"DETAIL", "HINT", "STATEMENT", "CONTEXT", "QUERY", "LOCATION"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a part's log; `time` and `level` are those of the line before where it has none of its own."""

    part: str
    time: datetime
    level: str
    event: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    raw: str = ""
    """The JSON that it was; empty for text."""

    def as_json(self) -> str:
        """The line as JSON, whatever it was."""
        if self.raw:
            return self.raw
        time = self.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
        shape = {"time": time, "level": self.level, "service": self.part, "event": self.event}
        return json.dumps(shape, ensure_ascii=False)

    def at_least(self, level: str) -> bool:
        """Whether it is of the level or a graver one."""
        return LEVELS.index(self.level) >= LEVELS.index(level)


def starts_anew(text: str) -> bool:
    """Whether a line has a time of its own; others go on with the one before."""
    return _read(text) is not None


def parse_line(part: str, text: str, before: LogLine | None, *, otherwise: datetime) -> LogLine:
    """The line; `before` lends time and level to one that has none, `otherwise` is its time where none was before."""
    found = _read(text)
    if found is not None:
        time, level, event, values, raw = found
        if not level:
            level = before.level if before is not None else "info"
        return LogLine(part=part, time=time, level=level, event=event, values=values, raw=raw)
    time, level = (before.time, before.level) if before is not None else (otherwise, "info")
    return LogLine(part=part, time=time, level=level, event=text)


def _read(text: str) -> tuple[datetime, str, str, Mapping[str, Any], str] | None:
    if text.startswith("{"):
        return _read_json(text)
    for form, time_format in ((_POSTGRES, "%Y-%m-%d %H:%M:%S.%f"), (_NATS, "%Y/%m/%d %H:%M:%S.%f")):
        if match := form.fullmatch(text):
            time, level, event = match.groups()
            at = datetime.strptime(time, time_format).replace(tzinfo=UTC)
            if level in _POSTGRES_FURTHER:
                return at, "", f"{level.lower()}: {event}", {}, ""
            return at, _LEVEL_NAMES.get(level.rstrip("12345"), "info"), event, {}, ""
    return None


def _read_json(text: str) -> tuple[datetime, str, str, Mapping[str, Any], str] | None:
    try:
        content = json.loads(text)
        time = datetime.fromisoformat(content["time"])
    except (ValueError, KeyError, TypeError):
        return None
    values = {str(name): value for name, value in content.items() if name not in _OWN_KEYS}
    level = _LEVEL_NAMES.get(str(content.get("level", "info")).lower(), "info")
    # Without a zone it is nobody's of ours; UTC as everywhere.
    at = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return at, level, str(content.get("event", "")), values, text
