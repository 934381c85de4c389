"""Resource ids: one pattern for all, and a maker of time-ordered ones. Standard library only."""

import hashlib
import os
import re
import time
import uuid
from datetime import datetime

from services.chassis.errors import FieldViolation, InvalidArgument

ID_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,62}$"
"""The contract's pattern of every resource id: safe as a NATS subject token, a file name and a metric label."""

ID_RULE = "must be 1 to 63 characters of A-Z a-z 0-9 _ - and must not start with -"
"""The pattern for people, in the contract's words."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", re.ASCII)


def is_id(value: str) -> bool:
    """Whether `value` is a well-formed resource id."""
    return _ID.fullmatch(value) is not None


def check_id(value: str, field: str) -> str:
    """Returns `value`; raises InvalidArgument that names `field` if it is no well-formed id."""
    if is_id(value):
        return value
    raise InvalidArgument(
        violations=[
            FieldViolation(
                field=field,
                description="must be 1 to 63 letters, digits, '_' or '-', and not start with '-'",
                reason="ID_PATTERN",
            )
        ]
    )


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits. Later ones sort after earlier
    ones (to the millisecond), which keeps B-tree inserts local."""
    return _version_7(time.time_ns() // 1_000_000, os.urandom(10))


def derived_id(at: datetime, name: str) -> str:
    """The id, a version 7 UUID as text, of what happened at that time under that name: the same whenever it is made."""
    return str(_version_7(int(at.timestamp() * 1000), hashlib.sha256(name.encode()).digest()[:10]))


def _version_7(milliseconds: int, other: bytes) -> uuid.UUID:
    value = milliseconds << 80 | int.from_bytes(other, "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def new_id() -> str:
    """A new unique id as text (a version 7 UUID, 36 characters); it is a well-formed resource id."""
    return str(uuid7())
