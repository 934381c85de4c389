"""Tokens of the links and pixels in e-mails: each says that its bearer may have one notification count as opened.

A token is `<claims><HMAC-SHA256 of them>` in URL-safe base64, the claims being version, purpose, expiry (seconds), the
notification's id (16 bytes) and its tenant. It says nothing of the user or of where a link leads: that is looked up.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import UUID

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BBQ16s")
_DIGEST: Final = hashlib.sha256
_MAC_BYTES: Final = 32
# The keys may have been made for something else as well.
_CONTEXT: Final = b"tocsin/notification/opened\0"
MIN_KEY_BYTES: Final = 32
MAX_KEYS: Final = 8


class Purpose(enum.IntEnum):
    """What a token is for; it is worth nothing for anything else."""

    LINK = 1
    PIXEL = 2


class TokenInvalid(Exception):
    """It is none of ours for the purpose; which of its parts is wrong is nobody's business."""


class TokenExpired(Exception):
    """It was good until its time was over."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The notification that a token names."""

    tenant: str
    notification: str


class OpenTokens:
    """Signs with the first of the keys; what any of them has signed is good. A key has MIN_KEY_BYTES at least."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) < MIN_KEY_BYTES for key in keys):
            raise ValueError(f"there must be a key, and each must have {MIN_KEY_BYTES} bytes at least")
        self._keys = tuple(keys)

    def mint(self, purpose: Purpose, opened: Opened, expires_at: datetime) -> str:
        """The same token for the same arguments."""
        expiry = int(expires_at.timestamp())
        claims = _HEAD.pack(_VERSION, purpose, expiry, UUID(opened.notification).bytes) + opened.tenant.encode()
        return base64.urlsafe_b64encode(claims + _mac(self._keys[0], claims)).rstrip(b"=").decode()

    def read(self, token: str, purpose: Purpose, now: datetime) -> Opened:
        """Raises TokenInvalid, and TokenExpired only for what we have signed for this purpose."""
        signed = _decoded(token)
        claims, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        # Every key is tried, so that the time tells nothing about which one it was.
        matches = [hmac.compare_digest(_mac(key, claims), mac) for key in self._keys]
        if not any(matches):
            raise TokenInvalid
        version, claimed, expiry, notification = _HEAD.unpack_from(claims)
        if version != _VERSION or claimed != purpose:
            raise TokenInvalid
        if now >= datetime.fromtimestamp(expiry, UTC):
            raise TokenExpired
        return Opened(claims[_HEAD.size :].decode(), str(UUID(bytes=notification)))


def _mac(key: bytes, claims: bytes) -> bytes:
    return hmac.digest(key, _CONTEXT + claims, _DIGEST)


def _decoded(token: str) -> bytes:
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenInvalid from None
    # Base64 spells some bytes in more than one way; a token has one.
    spelt = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
    if spelt != token or len(signed) <= _HEAD.size + _MAC_BYTES:
        raise TokenInvalid
    return signed


def read_keys(path: Path) -> OpenTokens:
    """The keys in a file, one a line: the first signs, each of them verifies. Raises OSError and ValueError."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    keys = [line.encode() for line in lines if line and not line.startswith("#")]
    if len(keys) > MAX_KEYS:
        raise ValueError(f"it has more than {MAX_KEYS} keys")
    return OpenTokens(keys)
