"""A bucket of an S3-compatible object storage."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, TypeVar
from urllib.parse import unquote_plus
from xml.etree.ElementTree import ParseError

import aiohttp
from aiohttp_s3_client import S3Client
from aiohttp_s3_client.xml import parse_list_objects

from services.chassis.bucket_settings import BucketAddress, StoredObject
from services.chassis.errors import Unavailable
from services.chassis.telemetry.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, connect=5, sock_read=15)
_PAUSES: Final = (0.1, 0.5, 2.0)
_PIECE: Final = 256 * 1024
_SAID: Final = 4096
_NOT_FOUND: Final = 404
_CHANGED: Final = 412
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
"""What a storage calls what is wrong: NoSuchBucket, SignatureDoesNotMatch."""
_NO_PATH: Final = re.compile(r"(?:^|/)\.\.?(?:/|$)|[\x00-\x1f\x7f]")
"""What leads elsewhere when a key becomes the path of a URL, or is lost on the way."""
_ENCODED: Final = b"<EncodingType>url</EncodingType>"
_MOST_TOLD: Final = 1000


@dataclass(frozen=True, slots=True)
class Fetched:
    """The content of an object, and when it was put (to the second)."""

    content: bytes
    modified: datetime


class _Passing(Exception):
    """Worth another attempt; `why` for people."""


class Bucket:
    """Keys that cannot be paths of URLs (`a/../b`) are none here: whoever may put objects under a prefix shall reach no
    others through us. What passes (broken connections, 5xx, 429) is tried again for some seconds
    before Unavailable is raised; everything here may be done twice. So a bucket that does not let us in is Unavailable,
    too: its operator can mend that."""

    def __init__(self, session: aiohttp.ClientSession, address: BucketAddress) -> None:
        """Use `open_bucket`."""
        self._address = address
        self._left_out: set[str] = set()
        self._client = self._client_at(session, address.endpoint)
        self._public = self._client_at(session, address.public_endpoint)

    async def put(self, key: str, content: bytes) -> None:
        """Returns once it is stored, in place of what was there; the storage checks what came. Raises Unavailable."""
        digest = hashlib.sha256(content).hexdigest()

        async def send() -> None:
            async with self._client.put(self._path(key), content, content_sha256=digest) as answer:
                await self._check(answer)

        await self._tried(send)

    async def get(self, key: str) -> Fetched | None:
        """None when there is no such object. Raises Unavailable."""

        async def fetch() -> Fetched | None:
            async with self._client.get(self._path(key)) as answer:
                if answer.status == _NOT_FOUND:
                    return None
                await self._check(answer)
                modified = answer.headers.get("Last-Modified")
                if modified is None:
                    raise _Passing("an answer without Last-Modified")
                return Fetched(await answer.read(), parsedate_to_datetime(modified))

        return await self._tried(fetch)

    async def read(self, found: StoredObject) -> AsyncGenerator[bytes]:
        """The content in pieces, as it was when it was found; an answer that breaks off is gone on with. Raises
        Unavailable, also when the object is gone or another one."""
        offset = 0
        failures = 0
        while offset < found.size:
            began = offset
            try:
                async with self._client.get(self._path(found.key), headers=_range(found, offset)) as answer:
                    if answer.status in {_NOT_FOUND, _CHANGED}:
                        raise Unavailable(f"the object {found.key} is not there any more as it was found")
                    await self._check(answer)
                    async for piece in answer.content.iter_chunked(_PIECE):
                        offset += len(piece)
                        yield piece
            except (_Passing, aiohttp.ClientError, TimeoutError) as error:
                failures = 0 if offset > began else failures + 1
                if failures >= len(_PAUSES):
                    raise self._unavailable(error) from error
                await asyncio.sleep(_PAUSES[failures])

    async def objects(self, prefix: str) -> AsyncGenerator[StoredObject]:
        """The objects whose key begins so, by key, but for those that are none here. Raises Unavailable."""
        token: str | None = ""
        while token is not None:
            found, token = await self._tried(partial(self._page, prefix, token))
            for one in found:
                if _NO_PATH.search(one.key):
                    self._leave_out(one.key)
                else:
                    yield one

    async def first_answer(self) -> tuple[int, str]:
        """What the storage says to one request for a list of one object: the HTTP status, and the beginning of the
        text. For operators: nothing is tried again. Raises aiohttp.ClientError and TimeoutError."""
        params = {"list-type": "2", "max-keys": "1"}
        async with self._client.get(f"/{self._address.bucket}", params=params) as answer:
            return answer.status, (await answer.content.read(_SAID)).decode("utf-8", "replace")

    async def delete(self, key: str) -> None:
        """Also where there is none. Raises Unavailable."""

        async def remove() -> None:
            async with self._client.delete(self._path(key)) as answer:
                if answer.status != _NOT_FOUND:
                    await self._check(answer)

        await self._tried(remove)

    def signed_put(self, key: str, headers: Mapping[str, str], life: timedelta) -> str:
        """A URL to which one may PUT the object for so long, with exactly these headers."""
        path = f"{self._address.public_endpoint.rstrip('/')}{self._path(key)}"
        return str(self._public.presign_url("PUT", path, dict(headers), expires=int(life.total_seconds())))

    async def _page(self, prefix: str, token: str) -> tuple[list[StoredObject], str | None]:
        """A page, and the token of the next one; None: it is the last."""
        # Encoded: XML cannot say every key, and one that it cannot would spoil the whole list.
        params = {"list-type": "2", "encoding-type": "url", "prefix": prefix}
        if token:
            params["continuation-token"] = token
        async with self._client.get(f"/{self._address.bucket}", params=params) as answer:
            await self._check(answer)
            try:
                text = await answer.read()
                found, _, following = parse_list_objects(text)
            except (ParseError, ValueError, AssertionError) as error:
                raise _Passing(f"no list of objects: {error!r}") from error
        plain = unquote_plus if _ENCODED in text else str
        return [
            StoredObject(plain(one.key), one.etag.strip('"'), one.size, one.last_modified) for one in found
        ], following

    def _leave_out(self, key: str) -> None:
        if key not in self._left_out and len(self._left_out) < _MOST_TOLD:
            self._left_out.add(key)
            log.warning("object left out: its key is no path", bucket=self._address.bucket, key=key)

    async def _tried(self, do: Callable[[], Awaitable[T]]) -> T:
        for pause in (*_PAUSES, None):
            try:
                return await do()
            except (_Passing, aiohttp.ClientError, TimeoutError) as error:
                if pause is None:
                    raise self._unavailable(error) from error
                await asyncio.sleep(pause)
        raise AssertionError

    async def _check(self, answer: aiohttp.ClientResponse) -> None:
        """Raises Unavailable for what no other attempt will change."""
        if answer.status >= 500 or answer.status == 429:
            raise _Passing(f"HTTP {answer.status}")
        # Also a redirect: a bucket of another region answers with one that says nothing to follow.
        if answer.status >= 300:
            text = await answer.text()
            code = _CODE.search(text)
            raise self._unavailable(_Passing(f"HTTP {answer.status}: {code[1] if code else text[:300]}"))

    def _unavailable(self, error: BaseException) -> Unavailable:
        # Callers may be told of the message, and need not know where things are.
        told = str(error) if isinstance(error, _Passing) else repr(error)
        log.warning("object storage fails", bucket=f"{self._address.endpoint}/{self._address.bucket}", error=told)
        return Unavailable("the object storage does not do what it is asked for")

    def _path(self, key: str) -> str:
        if _NO_PATH.search(key):
            raise Unavailable("the key of an object is no path")
        return f"/{self._address.bucket}/{key}"

    def _client_at(self, session: aiohttp.ClientSession, endpoint: str) -> S3Client:
        address = self._address
        return S3Client(
            session,
            endpoint,
            access_key_id=address.access_key_id,
            secret_access_key=address.secret_access_key,
            region=address.region,
        )


@asynccontextmanager
async def open_bucket(address: BucketAddress, *, agent: str) -> AsyncGenerator[Bucket]:
    """The bucket, which must be there; nothing is asked of it yet."""
    async with aiohttp.ClientSession(
        timeout=_TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": agent},
    ) as session:
        yield Bucket(session, address)


def _range(found: StoredObject, offset: int) -> dict[str, str]:
    return {"Range": f"bytes={offset}-", "If-Match": f'"{found.etag}"'} if offset else {"If-Match": f'"{found.etag}"'}
