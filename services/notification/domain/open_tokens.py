"""Tokens of the links and pixels in e-mails: each says that its bearer may have one notification count as opened.

The claims are version, purpose, expiry (seconds), the notification's id (16 bytes) and its tenant. A token says nothing
of the user or of where a link leads: that is looked up.
"""

import enum
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

from services.chassis import signed_urls
from services.chassis.signed_urls import TokenExpired, TokenInvalid, TokenSigner

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBQ16s")


class Purpose(enum.IntEnum):
    """What a token is for; it is worth nothing for anything else."""

    LINK = 1
    PIXEL = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """The notification that a token names."""

    tenant: str
    notification: str


class OpenTokens:
    """Signs with the first of the keys; what any of them has signed is good."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises ValueError about the keys."""
        self._signer = TokenSigner(keys, b"tocsin/notification/opened")

    def mint(self, purpose: Purpose, opened: Opened, expires_at: datetime) -> str:
        """The same token for the same arguments."""
        expiry = int(expires_at.timestamp())
        claims = _HEAD.pack(_VERSION, purpose, expiry, UUID(opened.notification).bytes) + opened.tenant.encode()
        return self._signer.sign(claims)

    def read(self, token: str, purpose: Purpose, now: datetime) -> Opened:
        """Raises TokenInvalid, and TokenExpired only for what we have signed for this purpose."""
        claims = self._signer.verify(token, _HEAD.size + 1)
        version, claimed, expiry, notification = _HEAD.unpack_from(claims)
        if version != _VERSION or claimed != purpose:
            raise TokenInvalid
        if now >= datetime.fromtimestamp(expiry, UTC):
            raise TokenExpired
        return Opened(claims[_HEAD.size :].decode(), str(UUID(bytes=notification)))


def read_keys(path: Path) -> OpenTokens:
    """The keys in a file, one a line: the first signs, each of them verifies. Raises OSError and ValueError."""
    return OpenTokens(signed_urls.read_keys(path))
