"""The public keys of an issuer of tokens (JWKS), from a file or from a URL."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, Protocol

import jwt

from services.chassis.telemetry import metrics
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)

MAX_DOCUMENT: Final = 1024 * 1024
"""Bytes of a JWKS; a larger one is refused."""
_ALGORITHMS: Final = frozenset(
    ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
)
_MIN_RSA_BITS: Final = 2048
_LOOK_EVERY: Final = 1.0
_FETCH_WITHIN: Final = 5.0
_RETRY_AFTER: Final = 2.0
_REFETCH_EVERY: Final = 5.0

_fetches = metrics.counter(
    "tocsin_auth_key_fetches_total", "Fetches of the identity provider's keys, by outcome.", ("outcome",)
)
_known = metrics.gauge("tocsin_auth_keys_known", "Keys of the identity provider at hand; with 0 nobody is let in.")


class Keys(Protocol):
    """Keys by their id."""

    def look(self) -> int:
        """Takes over what has changed, where that costs nothing; a number that grows with every change."""
        ...

    def get(self, kid: str) -> jwt.PyJWK | None:
        """The key with this id, if it is known."""
        ...

    async def refetch(self) -> None:
        """Looks for keys that are not known yet, where that makes sense. Bounded in time and in number."""
        ...


class KeyFile:
    """The keys in a file. It is read again when it changes, which is looked at once a second at most."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._looked = float("-inf")
        self._revision = 0

    def get(self, kid: str) -> jwt.PyJWK | None:
        """See Keys."""
        return self._keys.get(kid)

    async def refetch(self) -> None:
        """See Keys: `look` does it."""

    def look(self) -> int:
        """See Keys."""
        now = self._clock()
        if not 0 <= now - self._looked < _LOOK_EVERY:
            self._looked = now
            self._read()
        return self._revision

    def _read(self) -> None:
        try:
            state = self._path.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return
            self._keys = parse_jwks(self._path.read_bytes())
        except (OSError, ValueError) as error:
            # A file half written or gone for a moment must not lock everybody out: the keys at hand stay in force.
            log.warning("jwks file not usable", file=str(self._path), keys=len(self._keys), problem=str(error))
            return
        self._stamp = stamp
        self._revision += 1


class KeyUrl:
    """The keys that an identity provider publishes. `keep` fetches them again and again; those at hand stay in force
    while the provider cannot be asked. Redirects are not followed."""

    def __init__(self, url: str, *, refresh: timedelta, ca_file: Path | None = None) -> None:
        self.url = url
        self._refresh, self._ca_file = refresh.total_seconds(), ca_file
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetching: asyncio.Task[str] | None = None
        self._began = float("-inf")
        self._problem = ""
        self._last = b""
        self._revision = 0

    def look(self) -> int:
        """See Keys."""
        return self._revision

    def get(self, kid: str) -> jwt.PyJWK | None:
        """See Keys."""
        return self._keys.get(kid)

    async def keep(self) -> NoReturn:
        """Fetches the keys for ever. What goes wrong is logged, once until it changes."""
        while True:
            problem = await self.fetch()
            await asyncio.sleep(min(self._refresh, _RETRY_AFTER) if problem else self._refresh)

    async def refetch(self) -> None:
        """See Keys: one fetch for all who ask, at most every few seconds."""
        if self._fetching is not None or time.monotonic() - self._began >= _REFETCH_EVERY:
            await self.fetch()

    async def fetch(self) -> str:
        """Fetches the keys now, or waits for the fetch under way; what is wrong, empty when nothing is."""
        if self._fetching is None:
            self._began = time.monotonic()
            self._fetching = asyncio.create_task(self._fetch(), name="fetch keys")
            self._fetching.add_done_callback(self._fetched)
        # One caller who leaves takes nothing from the others.
        return await asyncio.shield(self._fetching)

    def _fetched(self, _task: asyncio.Task[str]) -> None:
        self._fetching = None

    async def _fetch(self) -> str:
        try:
            document = await self._document()
            keys = parse_jwks(document)
        except (OSError, ValueError) as error:
            problem = str(error) or type(error).__name__
            _fetches.labels("failed").inc()
            if problem != self._problem:
                log.warning("keys cannot be fetched", url=self.url, keys=len(self._keys), problem=problem)
            self._problem = problem
            return problem
        _fetches.labels("ok").inc()
        if self._problem:
            log.info("keys are fetched again", url=self.url)
        self._problem = ""
        if document != self._last:
            log.info("keys have changed", url=self.url, keys=sorted(keys))
            self._keys, self._last = keys, document
            self._revision += 1
            _known.set(len(keys))
        return ""

    async def _document(self) -> bytes:
        # Only where it is needed: it takes long to load.
        import aiohttp

        try:
            context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
            async with (
                asyncio.timeout(_FETCH_WITHIN),
                aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(self.url, ssl=context, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise ValueError(f"the provider answers {answer.status}")
                body = bytearray()
                async for block in answer.content.iter_any():
                    body += block
                    if len(body) > MAX_DOCUMENT:
                        raise ValueError(f"the provider's answer has more than {MAX_DOCUMENT} bytes")
                return bytes(body)
        except TimeoutError:
            raise OSError(f"the provider does not answer within {_FETCH_WITHIN:g} s") from None
        except aiohttp.ClientError as error:
            raise OSError(f"the provider cannot be reached: {error}") from error


def parse_jwks(document: bytes) -> dict[str, jwt.PyJWK]:
    """The keys of a JWKS that signatures can be verified with, by their ids. Others in it are passed over; raises
    ValueError when none is left."""
    try:
        entries = json.loads(document)["keys"]
        keys = {str(entry["kid"]): key for entry in entries if entry.get("kid") and (key := _usable(entry))}
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("it is no JWKS") from None
    if not keys:
        raise ValueError("it is a JWKS without a key that can be used")
    return keys


def _usable(entry: dict[str, Any]) -> jwt.PyJWK | None:
    # A symmetric key would let everybody who can verify sign, too.
    if entry.get("kty") not in ("EC", "RSA", "OKP") or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    bits = getattr(key.key, "key_size", _MIN_RSA_BITS)
    if key.algorithm_name not in _ALGORITHMS or (key.key_type == "RSA" and bits < _MIN_RSA_BITS):
        return None
    return key
