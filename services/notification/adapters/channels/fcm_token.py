"""OAuth2 access tokens for a service account (JWT bearer grant, RFC 7523), kept until shortly before they expire."""

import asyncio
import json
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import jwt

from services.notification.adapters.channels.http import HttpClient, NotReached

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_FORM = {"content-type": "application/x-www-form-urlencoded"}
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_SECONDS = 3600
_RENEW_BEFORE_SECONDS = 60.0


class TokenRefused(Exception):
    """The authorization server gives us no token; `status` 0 when it did not answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What is needed of a service account's key file."""

    project_id: str
    client_email: str
    private_key_id: str
    token_uri: str
    private_key: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "ServiceAccount":
        """Raises OSError, or ValueError for a file that is no service account key."""
        document: Any = json.loads(path.read_bytes())
        if not isinstance(document, dict) or cast(dict[str, Any], document).get("type") != "service_account":
            raise ValueError(f"{path} is no key file of a service account")
        values = cast(dict[str, Any], document)
        names = ("project_id", "client_email", "private_key_id", "token_uri", "private_key")
        missing = [name for name in names if not isinstance(values.get(name), str) or not values[name]]
        if missing:
            raise ValueError(f"{path} lacks {', '.join(missing)}")
        return cls(**{name: values[name] for name in names})


class AccessTokens:
    """One token for all; at most one request for a new one is under way, and whoever waits for it shares what comes of
    it, a refusal too: while the server hangs, nobody waits for longer than one request takes."""

    def __init__(self, account: ServiceAccount, client: HttpClient, *, clock: Callable[[], float] = time.time) -> None:
        self._account = account
        self._client = client
        self._clock = clock
        self._token = ""
        self._until = 0.0
        self._renewal: asyncio.Task[None] | None = None

    async def get(self, *, instead_of: str = "") -> str:
        """The token to use; a new one when it is the refused `instead_of`. Raises TokenRefused."""
        if not self._good(instead_of):
            if self._renewal is None or self._renewal.done():
                self._renewal = asyncio.create_task(self._renew(), name="access token of FCM")
            # Whoever gives up leaves it to the others.
            await asyncio.shield(self._renewal)
        return self._token

    def _good(self, refused: str) -> bool:
        return bool(self._token) and self._token != refused and self._clock() < self._until

    async def _renew(self) -> None:
        account, now = self._account, int(self._clock())
        claims = {
            "iss": account.client_email,
            "scope": SCOPE,
            "aud": account.token_uri,
            "iat": now,
            "exp": now + _LIFE_SECONDS,
        }
        assertion = jwt.encode(claims, account.private_key, algorithm="RS256", headers={"kid": account.private_key_id})
        form = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        try:
            answer = await self._client.post(account.token_uri, _FORM, form)
        except NotReached as error:
            raise TokenRefused(0, f"the authorization server cannot be reached ({error.code})") from error
        if answer.status != 200:
            raise TokenRefused(answer.status, f"the authorization server answered {answer.status}")
        try:
            token, life = _granted(json.loads(answer.body))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise TokenRefused(200, "the authorization server's answer is not understood") from error
        # A token of a short life is used for half of it.
        self._token, self._until = token, self._clock() + max(life - _RENEW_BEFORE_SECONDS, life / 2)


def _granted(answer: Any) -> tuple[str, float]:
    """The token, and for how many seconds it is good. Raises ValueError for what no header can hold, and no clock."""
    token, life = answer["access_token"], float(answer["expires_in"])
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token) or not 0 <= life < math.inf:
        raise ValueError("neither a token nor a time")
    return token, life
