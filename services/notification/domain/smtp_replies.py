"""What a mail server's refusal means: by its enhanced status code (RFC 3463), else by its reply code (RFC 5321)."""

import re
from datetime import timedelta

from services.notification.domain.delivery import Failure, FailureKind

GREYLIST_FLOOR = timedelta(minutes=5)
"""Greylisting servers refuse the first attempts for some minutes on purpose."""
FULL_FLOOR = timedelta(hours=1)
"""A full mailbox does not empty within seconds."""
OPERATOR_FLOOR = timedelta(minutes=1)
"""Our own credentials are refused: give an operator time, and do not hammer the server."""

CLOSING = 421
"""The server ends the connection, whatever was asked of it."""

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)", re.ASCII)
_AUTH = frozenset({530, 534, 535, 538})
_TOO_LARGE = frozenset({(2, 3), (3, 4)})
_NO_SUCH_ADDRESS = frozenset({(1, 1), (1, 2), (1, 3), (1, 6), (1, 10)})


def classify_smtp(code: int, text: str, *, about_us: bool = False) -> Failure:
    """The failure that a reply means which is not the one that is hoped for. `text` is only searched for the enhanced
    code at its start.

    `about_us`: no recipient had been named yet, so that we are refused, our name, or our sender's address. No user's
    address is forgotten for that, and no mail is given up at once.
    """
    match = _ENHANCED.match(text)
    enhanced = (int(match[2]), int(match[3])) if match else None
    name = f"SMTP_{code}" + (f"_{match[0].strip()}" if match else "")
    message = " ".join(text.split())[:300]

    def failure(
        kind: FailureKind, *, floor: timedelta | None = None, gone: bool = False, critical: bool = False
    ) -> Failure:
        return Failure(kind=kind, code=name, message=message, floor=floor, endpoint_gone=gone, critical=critical)

    if not 400 <= code < 600:
        return failure(FailureKind.TRANSIENT)  # no refusal: the server has lost its way
    transient = match[1] == "4" if match else 400 <= code < 500
    too_large = code == 552 or enhanced in _TOO_LARGE  # told by SIZE, before the recipient
    if code in _AUTH or (about_us and not transient and not too_large):
        return failure(FailureKind.TRANSIENT, floor=OPERATOR_FLOOR, critical=True)
    if not about_us and (enhanced == (2, 2) or (code == 552 and enhanced is None)):
        return failure(FailureKind.TRANSIENT, floor=FULL_FLOOR)
    if not transient:
        return failure(FailureKind.PERMANENT, gone=enhanced in _NO_SUCH_ADDRESS)
    if enhanced is not None and enhanced[0] == 7:
        return failure(FailureKind.THROTTLED, floor=GREYLIST_FLOOR if code in (450, 451) else OPERATOR_FLOOR)
    return failure(FailureKind.TRANSIENT)
