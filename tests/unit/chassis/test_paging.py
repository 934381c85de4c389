"""Page tokens go on where a page ended, and nowhere else."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.paging import PageTokenInvalid, PageTokens, page_limit


@given(st.floats(allow_nan=False), st.from_regex(r"[A-Za-z0-9_-]{1,63}", fullmatch=True))
def test_a_token_gives_its_key_back(number: float, text: str) -> None:
    tokens = PageTokens("videos", store="s1")
    assert tokens.read(tokens.make((number, text)), (float, str)) == (number, text)


@given(st.text(max_size=80))
def test_other_text_is_refused(text: str) -> None:
    if text:
        with pytest.raises(PageTokenInvalid):
            PageTokens("videos").read(text, (float, str))


def test_a_token_of_another_list_or_filter_is_refused() -> None:
    token = PageTokens("videos", store="s1").make((1.0, "a"))
    for other in (PageTokens("videos", store="s2"), PageTokens("alerts", store="s1"), PageTokens("videos")):
        with pytest.raises(PageTokenInvalid):
            other.read(token, (float, str))
    with pytest.raises(PageTokenInvalid):
        PageTokens("videos", store="s1").read(token, (str, str))


def test_a_forged_key_with_control_characters_is_refused() -> None:
    tokens = PageTokens("videos")
    fingerprint = json.loads(base64.urlsafe_b64decode(tokens.make(("a",)) + "=="))[0]
    forged = base64.urlsafe_b64encode(json.dumps([fingerprint, "a\0"]).encode()).decode()
    with pytest.raises(PageTokenInvalid):
        tokens.read(forged, (str,))


def test_limits_and_the_last_page() -> None:
    assert [page_limit(n) for n in (0, 7, 1000, 5000)] == [50, 7, 1000, 1000]
    tokens = PageTokens("videos")
    assert tokens.next([1, 2], 2, lambda n: (n,)) == ""
    assert tokens.read(tokens.next([1, 2, 3], 2, lambda n: (n,)), (int,)) == (2,)
