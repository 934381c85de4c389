"""Verifies ES256 JSON Web Tokens against a JWKS file.

Claims: iss, aud, sub, exp, iat (all required), `scope` (space separated), `tenants` (list). The file is read again when
it changes (looked at once a second at most), which also forgets verified tokens. A verified token is remembered by its
SHA-256 until it expires, so that its signature costs once.
"""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import jwt

from services.chassis.auth.principal import Principal
from services.chassis.errors import Unauthenticated
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_TOKEN: Final = 8192
_MAX_REMEMBERED: Final = 4096
_LOOK_EVERY: Final = 1.0


class TokenMissing(Unauthenticated):
    """The call carries no bearer token; send metadata `authorization: Bearer <token>`."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is malformed, not meant for this system, or not signed by its issuer."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    reason = "TOKEN_EXPIRED"


class Verifier:
    """Turns tokens into principals. Without a JWKS file every token is refused."""

    def __init__(
        self,
        jwks_file: Path | None,
        *,
        issuer: str,
        audience: str,
        leeway: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file, self._issuer, self._audience = jwks_file, issuer, audience
        self._leeway, self._clock = leeway.total_seconds(), clock
        self._keys: dict[str, Any] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._remembered: dict[bytes, tuple[float, Principal]] = {}

    def verify_header(self, value: str | bytes | None) -> Principal:
        """The principal of an `authorization` value. Raises Unauthenticated (by subclass) for anything else."""
        if value is None or value == "":
            raise TokenMissing
        if not isinstance(value, str) or value[:7].lower() != "bearer ":
            raise TokenInvalid("The authorization metadata is no bearer token.")
        return self.verify(value[7:].strip())

    def verify(self, token: str) -> Principal:
        """The principal of the token. Raises Unauthenticated (by subclass)."""
        if not token or len(token) > MAX_TOKEN:
            raise TokenInvalid
        now = self._clock()
        self._reload(now)
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        if known := self._remembered.get(digest):
            if now < known[0]:
                return known[1]
            del self._remembered[digest]
            raise TokenExpired
        until, principal = self._check(token, now)
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.pop(next(iter(self._remembered)))  # the oldest: dicts keep insertion order
        self._remembered[digest] = (until, principal)
        return principal

    def _check(self, token: str, now: float) -> tuple[float, Principal]:
        try:
            key = self._keys.get(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise TokenInvalid
            # PyJWT has no clock to pass in: it checks all but the times, which follow here.
            claims = jwt.decode(
                token,
                key,
                algorithms=["ES256"],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["iss", "aud", "sub", "exp", "iat"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            times = {name: float(claims[name]) for name in ("exp", "iat", "nbf") if name in claims}
            principal = _principal(claims)
        except (jwt.PyJWTError, ValueError, TypeError):
            raise TokenInvalid from None
        if now >= times["exp"] + self._leeway:
            raise TokenExpired
        if max(times["iat"], times.get("nbf", times["iat"])) > now + self._leeway:
            raise TokenInvalid("The token is not valid yet.")
        return times["exp"] + self._leeway, principal

    def _reload(self, now: float) -> None:
        if self._file is None or 0 <= now - self._looked < _LOOK_EVERY:
            return
        self._looked = now
        try:
            state = self._file.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return
            self._keys = read_jwks(self._file)
        except (OSError, ValueError) as error:
            # A file half written or gone for a moment must not lock everybody out: the keys at hand stay in force.
            log.warning("jwks file not usable", file=str(self._file), keys=len(self._keys), problem=str(error))
            return
        self._stamp = stamp
        self._remembered.clear()


def read_jwks(path: Path) -> dict[str, Any]:
    """The ES256 public keys of a JWKS file by key id. Raises OSError, or ValueError if it is no JWKS."""
    try:
        document = json.loads(path.read_bytes())
        return {
            str(entry["kid"]): jwt.PyJWK(entry, "ES256").key
            for entry in document["keys"]
            if entry.get("kty") == "EC" and entry.get("crv") == "P-256"
        }
    except (KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise ValueError(f"{path} is no JWKS file") from error


def _principal(claims: dict[str, Any]) -> Principal:
    subject, scope, tenants = claims["sub"], claims.get("scope", ""), claims.get("tenants", [])
    if not isinstance(subject, str) or not isinstance(scope, str) or not isinstance(tenants, list):
        raise TokenInvalid
    names = cast(list[object], tenants)
    if not all(isinstance(name, str) for name in names):
        raise TokenInvalid
    return Principal(subject, frozenset(scope.split()), frozenset(cast(list[str], names)))
