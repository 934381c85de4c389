"""Verifies JSON Web Tokens by the keys of the issuers that are trusted.

Claims: iss, aud, sub, exp, iat (all required), `scope` (space separated, or a list), `tenants` (list). A verified token
is remembered by its SHA-256 until it expires or the keys change, so that its signature costs once.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast

import jwt

from services.chassis.auth.keys import Keys
from services.chassis.auth.principal import Principal
from services.chassis.errors import Unauthenticated

MAX_TOKEN: Final = 8192
_MAX_REMEMBERED: Final = 4096


class TokenMissing(Unauthenticated):
    """The call carries no bearer token; send metadata `authorization: Bearer <token>`."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is malformed, not meant for this system, or not signed by its issuer."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token has expired."""

    reason = "TOKEN_EXPIRED"


class KeyUnknown(TokenInvalid):
    """The token is signed with a key that is not known, or not known yet."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are accepted: `iss` and `aud` of their claims, and the keys that they are signed with."""

    name: str
    audience: str
    keys: Keys


class Verifier:
    """Turns tokens into principals. Without an issuer every token is refused."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        leeway: timedelta = timedelta(seconds=5),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = tuple(issuers)
        self._leeway, self._clock = leeway.total_seconds(), clock
        self._revision = 0
        self._remembered: dict[bytes, tuple[float, Principal]] = {}

    async def authenticate(self, value: str | bytes | None) -> Principal:
        """The principal of an `authorization` value. A key that is not known is looked for once. Raises Unauthenticated
        (by subclass) for anything else than a good token."""
        try:
            return self.verify_header(value)
        except KeyUnknown:
            for issuer in self._issuers:
                await issuer.keys.refetch()
            return self.verify_header(value)

    def verify_header(self, value: str | bytes | None) -> Principal:
        """The principal of an `authorization` value, by the keys at hand. Raises as `authenticate`."""
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
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        self._forget_after_changes()
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

    def _forget_after_changes(self) -> None:
        revision = sum(issuer.keys.look() for issuer in self._issuers)
        if revision != self._revision:
            self._revision = revision
            self._remembered.clear()

    def _check(self, token: str, now: float) -> tuple[float, Principal]:
        claims = self._claims(token)
        try:
            times = {name: float(claims[name]) for name in ("exp", "iat", "nbf") if name in claims}
            principal = _principal(claims)
        except (ValueError, TypeError):
            raise TokenInvalid from None
        if now >= times["exp"] + self._leeway:
            raise TokenExpired
        if max(times["iat"], times.get("nbf", times["iat"])) > now + self._leeway:
            raise TokenInvalid("The token is not valid yet.")
        return times["exp"] + self._leeway, principal

    def _claims(self, token: str) -> dict[str, Any]:
        """Those of a token that one of the issuers has signed."""
        try:
            kid = str(jwt.get_unverified_header(token).get("kid", ""))
        except jwt.PyJWTError:
            raise TokenInvalid from None
        known = [(issuer, key) for issuer in self._issuers if (key := issuer.keys.get(kid))]
        if not known:
            raise KeyUnknown
        for issuer, key in known:
            try:
                # PyJWT has no clock to pass in: it checks all but the times.
                return jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name],
                    audience=issuer.audience,
                    issuer=issuer.name,
                    options={
                        "require": ["iss", "aud", "sub", "exp", "iat"],
                        "verify_exp": False,
                        "verify_iat": False,
                        "verify_nbf": False,
                    },
                )
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
        raise TokenInvalid


def _principal(claims: dict[str, Any]) -> Principal:
    subject, scope, tenants = claims["sub"], claims.get("scope", ""), claims.get("tenants", [])
    scopes = scope.split() if isinstance(scope, str) else _names(scope)
    if not isinstance(subject, str):
        raise TokenInvalid
    return Principal(subject, frozenset(scopes), frozenset(_names(tenants)))


def _names(claim: object) -> list[str]:
    names = cast(list[object], claim) if isinstance(claim, list) else [None]
    if not all(isinstance(name, str) for name in names):
        raise TokenInvalid
    return cast(list[str], names)
