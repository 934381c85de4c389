"""What a deployment signs and gives out of its hands: tokens and URLs, good until their time is over, without another
credential.

A token is `<claims><HMAC-SHA256 of purpose and claims>` in URL-safe base64. The purpose (method and path of a URL) is
not in it, so one that was made for something else is worth nothing.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

MIN_KEY_BYTES: Final = 32
MAX_KEYS: Final = 8
_DIGEST: Final = hashlib.sha256
_MAC_BYTES: Final = 32
_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BQ")


class TokenInvalid(Exception):
    """It is none of ours for the purpose; which of its parts is wrong is nobody's business."""


class TokenExpired(Exception):
    """It was good until its time was over."""


class TokenSigner:
    """Signs with the first of the keys; what any of them has signed is good. A key has MIN_KEY_BYTES at least."""

    def __init__(self, keys: Sequence[bytes], purpose: bytes) -> None:
        """The keys may have been made for something else as well: `purpose` keeps that apart. Raises ValueError."""
        if not keys or any(len(key) < MIN_KEY_BYTES for key in keys):
            raise ValueError(f"there must be a key, and each must have {MIN_KEY_BYTES} bytes at least")
        self._keys, self._purpose = tuple(keys), purpose + b"\0"

    def sign(self, claims: bytes) -> str:
        """The token; the same for the same claims."""
        return base64.urlsafe_b64encode(claims + self._mac(self._keys[0], claims)).rstrip(b"=").decode()

    def verify(self, token: str, least: int) -> bytes:
        """The claims, of at least so many bytes. Raises TokenInvalid."""
        signed = _decoded(token)
        claims, mac = signed[:-_MAC_BYTES], signed[-_MAC_BYTES:]
        # Every key is tried, so that the time tells nothing about which one it was.
        matches = [hmac.compare_digest(self._mac(key, claims), mac) for key in self._keys]
        if len(claims) < least or not any(matches):
            raise TokenInvalid
        return claims

    def _mac(self, key: bytes, claims: bytes) -> bytes:
        return hmac.digest(key, self._purpose + claims, _DIGEST)


class SignedUrls:
    """URLs of one method and path that name something in a query `token`, until they expire."""

    def __init__(self, keys: Sequence[bytes], method: str, path: str) -> None:
        """Raises ValueError about the keys."""
        self._signer = TokenSigner(keys, f"{method} {path}".encode())
        self._path = path

    def mint(self, named: bytes, expires_at: datetime, base: str = "") -> str:
        """The URL under `base`, which is where people reach the edge (without one: a path)."""
        token = self._signer.sign(_HEAD.pack(_VERSION, int(expires_at.timestamp())) + named)
        return f"{base.rstrip('/')}{self._path}?token={token}"

    def read(self, token: str, now: datetime) -> bytes:
        """What it names. Raises TokenInvalid, and TokenExpired only for what we have signed for this path."""
        claims = self._signer.verify(token, _HEAD.size)
        version, expiry = _HEAD.unpack_from(claims)
        if version != _VERSION:
            raise TokenInvalid
        if now >= datetime.fromtimestamp(expiry, UTC):
            raise TokenExpired
        return claims[_HEAD.size :]


def read_keys(path: Path) -> list[bytes]:
    """The keys in a file, one a line: the first signs, each of them verifies. Raises OSError and ValueError."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    keys = [line.encode() for line in lines if line and not line.startswith("#")]
    if len(keys) > MAX_KEYS:
        raise ValueError(f"it has more than {MAX_KEYS} keys")
    TokenSigner(keys, b"")
    return keys


def _decoded(token: str) -> bytes:
    try:
        signed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenInvalid from None
    # Base64 spells some bytes in more than one way; a token has one.
    spelt = base64.urlsafe_b64encode(signed).rstrip(b"=").decode()
    if spelt != token or len(signed) <= _MAC_BYTES:
        raise TokenInvalid
    return signed
