"""Pages of lists, by keyset."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.chassis.paging import Key, PageTokens, page_limit

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The items of a page, and the token of the next one (empty on the last)."""

    items: Sequence[T]
    next_token: str = ""


async def by_id(
    tokens: PageTokens,
    size: int,
    token: str,
    fetch: Callable[[str | None, int], Awaitable[list[T]]],
    key: Callable[[T], str],
) -> Page[T]:
    """The page after `token` of a list ordered by a text key. `fetch` gets the key to start after, and a limit."""
    position = tokens.read(token, (str,))
    return await page(
        tokens, size, lambda limit: fetch(str(position[0]) if position else None, limit), lambda item: (key(item),)
    )


async def page(
    tokens: PageTokens, size: int, fetch: Callable[[int], Awaitable[list[T]]], key: Callable[[T], Key]
) -> Page[T]:
    """A page of what `fetch` finds; it is asked for one more than is shown, to learn whether there is a next page."""
    limit = page_limit(size)
    found = await fetch(limit + 1)
    return Page(found[:limit], tokens.next(found, limit, key))
