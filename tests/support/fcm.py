"""A local server that speaks what Firebase Cloud Messaging speaks: OAuth 2 tokens for a service account (RFC 7523), and
`messages:send` of HTTP v1 with its documented errors."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROJECT = "demo-project"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_MAX_PAYLOAD = 4096
_TEXTS = {
    "INVALID_ARGUMENT": "The registration token is not a valid FCM registration token",
    "TOO_BIG": "Android message is too big",
    "SENDER_ID_MISMATCH": "SenderId mismatch",
}
_STATUS = {
    "UNREGISTERED": (404, "NOT_FOUND"),
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT"),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
    "UNAVAILABLE": (503, "UNAVAILABLE"),
    "INTERNAL": (500, "INTERNAL"),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED"),
}


@dataclass
class Fcm:
    """`errors` are the codes of coming answers (with optional headers), then messages are taken. `BAD_PAYLOAD` and
    `TOO_BIG` are INVALID_ARGUMENT about the payload instead of the token, with and without a violation."""

    url: str = ""
    account_file: Path = Path()
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    requests: int = 0
    grants: int = 0
    errors: deque[tuple[str, dict[str, str]]] = field(default_factory=deque[tuple[str, dict[str, str]]])
    unregistered: set[str] = field(default_factory=set[str])
    """Tokens of apps that are gone."""
    in_two_pieces: bool = False
    """Answers come as two chunks, the second one later."""
    strange: bytes = b""
    """What comes with 200 in place of FCM's answer, when it is not empty."""
    granted: dict[str, object] = field(default_factory=dict[str, object])
    """What the answer to a good assertion says instead."""
    tokens: set[str] = field(default_factory=set[str])
    """Access tokens that are good; clear it to have clients renew theirs."""
    refuse_grants: bool = False
    public_key: Any = None
    before_grant: Callable[[], Awaitable[None]] | None = None
    """Awaited before an access token is given."""
    before_answer: Callable[[], Awaitable[None]] | None = None
    """Awaited when a message is taken, and nothing is said yet."""

    async def grant(self, request: web.Request) -> web.Response:
        """Exchanges a signed assertion for an access token."""
        if self.before_grant is not None:
            await self.before_grant()
        form = await request.post()
        if self.refuse_grants:
            return web.json_response({"error": "invalid_grant"}, status=400)
        assert form["grant_type"] == _GRANT
        claims = jwt.decode(str(form["assertion"]), self.public_key, algorithms=["RS256"], audience=f"{self.url}/token")
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["exp"] - claims["iat"] <= 3600
        assert claims["exp"] > time.time()
        self.grants += 1
        token = uuid4().hex
        self.tokens.add(token)
        answer = {"access_token": token, "expires_in": 3599, "token_type": "Bearer"} | self.granted
        return web.json_response(answer)

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Takes a message."""
        whole = await self._take(request)
        if not self.in_two_pieces:
            return whole
        assert isinstance(whole.body, bytes)
        pieces = web.StreamResponse(status=whole.status, headers={"content-type": "application/json"})
        pieces.enable_chunked_encoding()
        await pieces.prepare(request)
        half = len(whole.body) // 2
        await pieces.write(whole.body[:half])
        await asyncio.sleep(0.05)  # as between two packets
        await pieces.write(whole.body[half:])
        return pieces

    async def _take(self, request: web.Request) -> web.Response:
        self.requests += 1
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _error(401, "UNAUTHENTICATED", [])
        message: dict[str, Any] = (await request.json())["message"]
        if any(not isinstance(value, str) for value in message.get("data", {}).values()):
            return self._refuse("BAD_PAYLOAD", {})
        if self.errors:
            return self._refuse(*self.errors.popleft())
        if message["token"] in self.unregistered:
            return self._refuse("UNREGISTERED", {})
        if _size(message["notification"]) + _size(message.get("data", {})) > _MAX_PAYLOAD:
            return self._refuse("TOO_BIG", {})
        self.messages.append(message)
        if self.before_answer is not None:
            await self.before_answer()
        if self.strange:
            return web.Response(body=self.strange)
        return web.json_response({"name": f"projects/{PROJECT}/messages/{uuid4().hex}"})

    @staticmethod
    def _refuse(code: str, headers: dict[str, str]) -> web.Response:
        if code == "BAD_PAYLOAD":
            details = [
                {"@type": _FCM_ERROR, "errorCode": "INVALID_ARGUMENT"},
                {"@type": _BAD_REQUEST, "fieldViolations": [{"field": "message.data", "description": "bad"}]},
            ]
            return _error(400, "INVALID_ARGUMENT", details, headers)
        text = _TEXTS.get(code, "no")
        if code == "TOO_BIG":
            code = "INVALID_ARGUMENT"
        status, name = _STATUS[code]
        return _error(status, name, [{"@type": _FCM_ERROR, "errorCode": code}], headers, text)


def _size(values: dict[str, str]) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in values.items())


def _error(
    status: int,
    name: str,
    details: list[dict[str, Any]],
    headers: dict[str, str] | None = None,
    text: str = "no",
) -> web.Response:
    body = {"error": {"code": status, "message": text, "status": name, "details": details}}
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def open_fcm(directory: Path) -> AsyncIterator[Fcm]:
    """Serves during the block; `account_file` is the key file of a service account that it knows."""
    fcm = Fcm()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    fcm.public_key = key.public_key()
    app = web.Application()
    app.router.add_post("/token", fcm.grant)
    app.router.add_post(f"/v1/projects/{PROJECT}/messages:send", fcm.send)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fcm.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    fcm.account_file = directory / "account.json"
    fcm.account_file.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "k1",
                "private_key": pem.decode(),
                "client_email": f"tocsin@{PROJECT}.iam.gserviceaccount.com",
                "token_uri": f"{fcm.url}/token",
            }
        )
    )
    try:
        yield fcm
    finally:
        await runner.cleanup()
