"""What the links and pixels of e-mails do, and what they refuse."""

from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.origins import Targets
from services.notification.adapters.memory.notifications import InMemoryNotifications
from services.notification.adapters.memory.state import State
from services.notification.application.openings import Openings
from services.notification.application.tenants import Tenants
from services.notification.domain.errors import LinkExpired, LinkUnknown
from services.notification.domain.links import LinkOrigins
from services.notification.domain.notification import ChannelName, Notification, Status, Type
from services.notification.domain.open_tokens import Opened, OpenTokens, Purpose

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
ID = "0191d7a4-5b6e-7c21-9d5e-3f1a2b4c6d8e"
TOKENS = OpenTokens([b"k" * 32])
ALLOWED = LinkOrigins(Targets.parse("https://app.example"))
SENT = Notification(
    id=ID,
    tenant="test",
    user="ann",
    type=Type.INFO,
    title="Hello",
    body="",
    data="",
    channel=ChannelName.EMAIL,
    status=Status.SENT,
    attempts=1,
    error="",
    created_at=NOW,
    link="https://app.example/here",
)


def _token(purpose: Purpose, tenant: str = "test") -> str:
    return TOKENS.mint(purpose, Opened(tenant, ID), NOW + timedelta(days=1))


@pytest.fixture
def state() -> State:
    made = State(now=lambda: NOW)
    made.notifications["test", ID] = SENT
    return made


def _openings(
    state: State, links: LinkOrigins = ALLOWED, tokens: OpenTokens | None = TOKENS, now: datetime = NOW
) -> Openings:
    return Openings(Tenants(("test",)), InMemoryNotifications(state), tokens, links, now=lambda: now)


async def test_who_follows_the_link_has_opened_the_notification(state: State) -> None:
    assert await _openings(state).follow(_token(Purpose.LINK), look_only=False) == "https://app.example/here"
    kept = state.notifications["test", ID]
    assert (kept.read_at, kept.opened_at) == (NOW, NOW)


async def test_who_only_looks_has_opened_nothing(state: State) -> None:
    assert await _openings(state).follow(_token(Purpose.LINK), look_only=True) == "https://app.example/here"
    assert state.notifications["test", ID] == SENT


async def test_a_pixel_that_is_shown_opens_it(state: State) -> None:
    await _openings(state).view(_token(Purpose.PIXEL))
    assert state.notifications["test", ID].opened_at == NOW


async def test_a_token_is_for_one_purpose_and_a_time(state: State) -> None:
    openings = _openings(state)
    with pytest.raises(LinkUnknown):
        await openings.follow(_token(Purpose.PIXEL), look_only=False)
    with pytest.raises(LinkUnknown):
        await openings.view(_token(Purpose.LINK))
    with pytest.raises(LinkExpired):
        await _openings(state, now=NOW + timedelta(days=1)).view(_token(Purpose.PIXEL))
    with pytest.raises(LinkUnknown):
        await _openings(state, tokens=None).view(_token(Purpose.PIXEL))
    assert state.notifications["test", ID] == SENT


async def test_what_is_gone_or_forbidden_by_now_leads_nowhere(state: State) -> None:
    for openings, token in (
        (_openings(state, LinkOrigins()), _token(Purpose.LINK)),
        (_openings(state), _token(Purpose.LINK, tenant="another")),
        (_openings(State(now=lambda: NOW)), _token(Purpose.LINK)),
    ):
        with pytest.raises(LinkExpired):
            await openings.follow(token, look_only=True)
