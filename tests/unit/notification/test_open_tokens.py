"""Tokens of links and pixels: good for one notification, one purpose and a time; nobody else can make one."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.signed_urls import MAX_KEYS, TokenExpired, TokenInvalid
from services.notification.domain.open_tokens import Opened, OpenTokens, Purpose, read_keys

KEY, NEXT = b"k" * 32, b"n" * 32
NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
THEN = NOW + timedelta(days=30)
OPENED = Opened("test", "0191d7a4-5b6e-7c21-9d5e-3f1a2b4c6d8e")
TOKENS = OpenTokens([KEY])
LINK = TOKENS.mint(Purpose.LINK, OPENED, THEN)


@given(
    st.text("abcdefghijklmnopqrstuvwxyz-_019", min_size=1, max_size=50),
    st.uuids(),
    st.sampled_from(Purpose),
    st.datetimes(datetime(2026, 1, 1), datetime(2100, 1, 1)),
)
def test_a_token_says_what_it_was_made_for(tenant: str, id_: object, purpose: Purpose, until: datetime) -> None:
    opened, expiry = Opened(tenant, str(id_)), until.replace(tzinfo=UTC, microsecond=0)
    token = TOKENS.mint(purpose, opened, expiry)
    assert len(token) <= 200
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert TOKENS.read(token, purpose, expiry - timedelta(seconds=1)) == opened
    with pytest.raises(TokenExpired):
        TOKENS.read(token, purpose, expiry)
    for other in set(Purpose) - {purpose}:
        with pytest.raises(TokenInvalid):
            TOKENS.read(token, other, NOW)


@given(st.integers(0, len(base64.urlsafe_b64decode(LINK + "==")) * 8 - 1))
def test_no_bit_of_a_token_can_be_changed(place: int) -> None:
    signed = bytearray(base64.urlsafe_b64decode(LINK + "=="))
    signed[place // 8] ^= 1 << place % 8
    with pytest.raises(TokenInvalid):
        TOKENS.read(base64.urlsafe_b64encode(signed).rstrip(b"=").decode(), Purpose.LINK, NOW)


@given(st.text(max_size=300))
def test_what_is_no_token_is_none(text: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.read(text, Purpose.LINK, NOW)


@pytest.mark.parametrize("spelling", [LINK + "=", LINK + "\n", " " + LINK, LINK[:-1], LINK[1:], LINK.swapcase(), ""])
def test_a_token_has_one_spelling(spelling: str) -> None:
    with pytest.raises(TokenInvalid):
        TOKENS.read(spelling, Purpose.LINK, NOW)


def test_a_forged_token_is_not_told_that_it_has_expired() -> None:
    forged = OpenTokens([NEXT]).mint(Purpose.LINK, OPENED, NOW - timedelta(days=1))
    with pytest.raises(TokenInvalid):
        TOKENS.read(forged, Purpose.LINK, NOW)


def test_keys_rotate(tmp_path: Path) -> None:
    file = tmp_path / "links.keys"
    file.write_bytes(b"# the new one, then the one before\n" + NEXT + b"\n\n" + KEY + b"\n")
    rotated = read_keys(file)
    assert rotated.read(LINK, Purpose.LINK, NOW) == OPENED
    new = rotated.mint(Purpose.LINK, OPENED, THEN)
    assert OpenTokens([NEXT]).read(new, Purpose.LINK, NOW) == OPENED
    with pytest.raises(TokenInvalid):
        OpenTokens([NEXT]).read(LINK, Purpose.LINK, NOW)


@pytest.mark.parametrize(
    "content", ["", "# nothing\n", "short\n", f"{'k' * 32}\nshort\n", ("k" * 32 + "\n") * (MAX_KEYS + 1)]
)
def test_a_file_of_bad_keys_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "links.keys"
    file.write_text(content)
    with pytest.raises(ValueError, match="key"):
        read_keys(file)
