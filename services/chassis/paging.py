"""Keyset paging: limits and opaque page tokens. Standard library and chassis errors only.

A token holds the sort key of the last item of a page, and a fingerprint of the list that it belongs to, so that one
list's token (or the same list's with other filters) is refused instead of silently skipping items::

    tokens = PageTokens("videos", store=query.store, state=query.state)
    after = tokens.read(query.page_token, (float, str))           # None on the first page
    page = await fetch_page(
        tokens, query.page_size, lambda limit: store.page(after, limit), lambda row: (row.timestamp, row.uid)
    )
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from services.chassis.errors import FieldViolation, InvalidArgument

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1000
Key = tuple[str | int | float, ...]
T = TypeVar("T")


class PageTokenInvalid(InvalidArgument):
    """The page token is not one of this list with these arguments."""

    reason = "PAGE_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__(
            violations=[
                FieldViolation("pageToken", "is not a token of this list with these arguments", "PAGE_TOKEN_INVALID")
            ]
        )


def page_limit(page_size: int, *, default: int = DEFAULT_PAGE, maximum: int = MAX_PAGE) -> int:
    """How many items a page has: `default` for 0, never more than `maximum`."""
    return min(page_size, maximum) if page_size > 0 else default


class PageTokens:
    """Makes and reads the tokens of one list under one set of filters."""

    def __init__(self, name: str, **filters: object) -> None:
        described = json.dumps([name, sorted((key, str(value)) for key, value in filters.items())])
        self._fingerprint = hashlib.sha256(described.encode()).hexdigest()[:12]

    def make(self, key: Key) -> str:
        """The token that continues after the item with this sort key."""
        packed = json.dumps([self._fingerprint, *key], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    def read(self, token: str, types: tuple[type, ...]) -> Key | None:
        """The sort key in the token, None for an empty token. Raises PageTokenInvalid."""
        if not token:
            return None
        try:
            packed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            parts: Any = json.loads(packed)
        except (binascii.Error, ValueError, RecursionError):
            raise PageTokenInvalid from None
        if not isinstance(parts, list) or len(cast(list[Any], parts)) != len(types) + 1:
            raise PageTokenInvalid
        fingerprint, *key = cast(list[Any], parts)
        if fingerprint != self._fingerprint or any(type(v) is not t for v, t in zip(key, types, strict=True)):
            raise PageTokenInvalid
        if any(isinstance(v, str) and not (v.isprintable() and len(v) <= 256) for v in key):
            raise PageTokenInvalid
        return tuple(key)

    def next(self, found: Sequence[T], limit: int, key: Callable[[T], Key]) -> str:
        """The token of the next page when more than `limit` items were found; empty otherwise."""
        return self.make(key(found[limit - 1])) if len(found) > limit else ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The items of a page, and the token of the next one (empty on the last)."""

    items: Sequence[T]
    next_token: str = ""


async def fetch_page(
    tokens: PageTokens, page_size: int, fetch: Callable[[int], Awaitable[Sequence[T]]], key: Callable[[T], Key]
) -> Page[T]:
    """A page of what `fetch` finds; it is asked for one more than is shown, to learn whether there is a next page."""
    limit = page_limit(page_size)
    found = await fetch(limit + 1)
    return Page(found[:limit], tokens.next(found, limit, key))


async def fetch_page_by_id(
    tokens: PageTokens,
    page_size: int,
    page_token: str,
    fetch: Callable[[str | None, int], Awaitable[Sequence[T]]],
    id_of: Callable[[T], str],
) -> Page[T]:
    """The page after `page_token` of a list ordered by id. `fetch` gets the id to start after, and a limit. Raises
    PageTokenInvalid."""
    after = tokens.read(page_token, (str,))
    return await fetch_page(
        tokens, page_size, lambda limit: fetch(str(after[0]) if after else None, limit), lambda item: (id_of(item),)
    )
