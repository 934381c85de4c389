"""Page tokens that nobody was given."""

from datetime import UTC, datetime

import pytest

from services.chassis.paging import PageTokenInvalid, PageTokens
from services.notification.adapters.grpc.positions import read_id, read_own_position, read_position

TOKENS = PageTokens("list")
ID = "01a20270-b1bf-701a-bb2a-d9784e88e52a"
AT = "2026-11-22T10:00:00+00:00"


def test_what_was_given_is_read() -> None:
    at = datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert read_own_position(TOKENS, TOKENS.make((AT, ID))) == (at, ID)
    assert read_position(TOKENS, TOKENS.make((AT, "debt-1"))) == (at, "debt-1")
    assert read_id(TOKENS, TOKENS.make((ID,))) == ID
    assert read_own_position(TOKENS, "") is None
    assert read_id(TOKENS, "") == ""


@pytest.mark.parametrize(
    ("at", "id_"),
    [
        ("yesterday", ID),
        ("2026-11-22T10:00:00", ID),
        ("0001-01-01T00:00:00+14:00", ID),
        (AT, "debt-1"),
        (AT, ""),
    ],
)
def test_what_was_made_up_is_refused(at: str, id_: str) -> None:
    with pytest.raises(PageTokenInvalid):
        read_own_position(TOKENS, TOKENS.make((at, id_)))


@pytest.mark.parametrize("id_", ["", "nothing", "'; --"])
def test_an_id_that_was_made_up_is_refused(id_: str) -> None:
    with pytest.raises(PageTokenInvalid):
        read_id(TOKENS, TOKENS.make((id_,)))
