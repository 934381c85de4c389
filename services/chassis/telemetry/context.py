"""What is known about the work at hand, in context variables: copied into every task that the work starts."""

import re
import secrets
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request being served; empty outside of one."""

bearer: ContextVar[str] = ContextVar("bearer", default="")
"""The token that the request being served came with, for calls to peers on the caller's behalf. Never logged."""

deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When the request being served must be done, on the clock of `time.monotonic`; None when it may stay open."""

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


def accept_request_id(offered: object) -> str:
    """The caller's request id if it is short and harmless, else a new one."""
    if isinstance(offered, str) and _SAFE.fullmatch(offered):
        return offered
    return secrets.token_hex(16)
