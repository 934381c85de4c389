"""The question that is asked before a reminder: whether what it reminds of is done."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from services.chassis.errors import FieldViolation, InvalidArgument
from services.chassis.origins import Origin

DEFAULT_TIMEOUT: Final = timedelta(seconds=5)
_PLACE: Final = re.compile(r"\{([^{}]*)\}")
_PLACES: Final = ("user", "reminder", "occurrence")
_AUTHORITY: Final = re.compile(r"https?://[^/?#]*")


class OnNoAnswer(enum.StrEnum):
    """What to do when nobody answers."""

    SEND = "SEND"
    SKIP = "SKIP"
    HOLD = "HOLD"


class CheckOutcome(enum.StrEnum):
    """What came of the question."""

    TAKEN = "TAKEN"
    NOT_TAKEN = "NOT_TAKEN"
    NO_ANSWER = "NO_ANSWER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome after so many questions; `error` says in a code why there was none."""

    outcome: CheckOutcome
    attempts: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Whom to ask. Raises InvalidArgument for a URL with other places than those that can be filled in, or with any of
    them where it says who is asked."""

    url: str
    timeout: timedelta = DEFAULT_TIMEOUT
    on_no_answer: OnNoAnswer = OnNoAnswer.SEND

    def __post_init__(self) -> None:
        authority = _AUTHORITY.match(self.url)
        if authority is None or "{" in authority[0]:
            raise _bad("must begin with http:// or https:// and a host without places to fill in")
        if unknown := [name for name in _PLACE.findall(self.url) if name not in _PLACES]:
            raise _bad(f"has {{{unknown[0][:20]}}}; {{user}}, {{reminder}} and {{occurrence}} can be filled in")
        try:
            _origin(self.url)
        except ValueError as error:
            raise _bad(str(error)) from None

    @property
    def origin(self) -> Origin:
        """Who is asked."""
        return _origin(self.url)

    def filled(self, *, user: str, reminder: str, occurrence: datetime) -> str:
        """The URL of one question."""
        at = occurrence.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        values: Mapping[str, str] = {"user": user, "reminder": reminder, "occurrence": at}
        return _PLACE.sub(lambda place: quote(values[place[1]], safe=""), self.url)


@lru_cache(maxsize=10_000)
def _origin(template: str) -> Origin:
    return Origin.of(_PLACE.sub("x", template))


def _bad(description: str) -> InvalidArgument:
    return InvalidArgument(
        violations=[FieldViolation("reminder.check.url", description, "CHECK_URL")], reason="INVALID_FIELD"
    )
