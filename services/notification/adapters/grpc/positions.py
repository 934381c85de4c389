"""Where a page continues. Tokens are not signed, so what a caller made up is refused like any other bad token."""

from datetime import UTC, datetime
from uuid import UUID

from services.chassis.paging import PageTokenInvalid, PageTokens
from services.notification.application.ports.notifications import Position


def read_position(tokens: PageTokens, token: str) -> Position | None:
    """Time and id in a page token. Raises PageTokenInvalid."""
    key = tokens.read(token, (str, str))
    if key is None:
        return None
    try:
        at = datetime.fromisoformat(str(key[0]))
        if at.tzinfo is None:
            raise PageTokenInvalid
        return at.astimezone(UTC), str(key[1])
    except (ValueError, OverflowError):
        raise PageTokenInvalid from None


def read_own_position(tokens: PageTokens, token: str) -> Position | None:
    """The same where the id is one of ours, a UUID."""
    position = read_position(tokens, token)
    return None if position is None else (position[0], _own(position[1]))


def read_id(tokens: PageTokens, token: str) -> str:
    """An id of ours in a page token, empty for the first page. Raises PageTokenInvalid."""
    key = tokens.read(token, (str,))
    return "" if key is None else _own(str(key[0]))


def _own(id_: str) -> str:
    try:
        return str(UUID(id_))
    except ValueError:
        raise PageTokenInvalid from None
