"""Who may see and do what of the dead letters; what class a failure is of; who is told."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from services.chassis.auth import principal
from services.notification.adapters.memory.dead_letters import InMemoryDeadLetters
from services.notification.application.dead_letters import DeadLetters, try_last
from services.notification.application.operator_alerts import OperatorAlerts
from services.notification.domain.dead_letter import (
    LAST_TRY,
    LetterAlert,
    LetterFilter,
    LetterState,
    ReasonClass,
    reason_class,
)
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent
from services.notification.domain.errors import DeadLetterClosed, DeadLetterNotFound, TenantForbidden
from tests.support.dead_letters import LETTER
from tests.support.notification import ManualClock


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    principal.enter(principal.Principal("me", frozenset({"*"}), frozenset({"test"})))
    yield
    principal.enter(None)


async def filled(*tenants: str, clock: ManualClock | None = None) -> tuple[DeadLetters, InMemoryDeadLetters]:
    clock = clock or ManualClock()
    store = InMemoryDeadLetters(lambda: clock.time)
    await store.keep([replace(LETTER, tenant=tenant, name=f"{n}", about=f"{n}") for n, tenant in enumerate(tenants)])
    return DeadLetters(store), store


async def test_pages_hold_what_the_caller_may_see() -> None:
    letters, _ = await filled("test", "wellness", "", "test")
    assert [one.number for one in await letters.page(LetterFilter(), before=None, limit=10)] == [4, 3, 1]
    with pytest.raises(TenantForbidden):
        await letters.page(LetterFilter(tenant="wellness"), before=None, limit=10)
    principal.enter(principal.Principal("root", frozenset({"*"}), frozenset({"*"})))
    assert [one.number for one in await letters.page(LetterFilter(), before=None, limit=10)] == [4, 3, 2, 1]


async def test_letters_of_another_tenant_are_not_touched() -> None:
    letters, store = await filled("wellness")
    for ask in (letters.get, letters.retry, letters.archive):
        with pytest.raises(TenantForbidden) as refusal:
            await ask("1")
        assert refusal.value.metadata == {"tenant": "wellness"}
    assert await letters.retry_many(LetterFilter(), 10, dry_run=False) == (0, False)
    assert await letters.archive_many(LetterFilter(), 10, dry_run=False) == (0, False)
    assert store.returned == []


async def test_a_letter_is_sent_back_or_put_away() -> None:
    letters, store = await filled("test", "")
    assert await letters.retry("1") == LETTER.subject
    assert [letter.number for letter in store.returned] == [1]
    for ask in (letters.retry, letters.archive):
        with pytest.raises(DeadLetterClosed) as refusal:
            await ask("1")
        assert refusal.value.metadata["state"] == "RETRIED"
        assert refusal.value.metadata["by"] == "me"
    await letters.archive("2")
    await letters.archive("2")
    assert not await letters.page(LetterFilter(), before=None, limit=10)
    assert await letters.retry("2") == LETTER.subject


async def test_many_are_sent_back_or_put_away_by_a_filter() -> None:
    letters, store = await filled("test", "", "test", "wellness", "test")
    assert await letters.retry_many(LetterFilter(tenant="test"), 2, dry_run=True) == (2, True)
    assert store.returned == []
    assert await letters.retry_many(LetterFilter(tenant="test"), 2, dry_run=False) == (2, True)
    assert await letters.retry_many(LetterFilter(tenant="test"), 2, dry_run=False) == (1, False)
    assert [one.number for one in store.returned] == [1, 3, 5]
    assert await letters.archive_many(LetterFilter(), 10, dry_run=True) == (1, False)
    assert await letters.archive_many(LetterFilter(), 10, dry_run=False) == (1, False)
    assert (await store.get(2)).state is LetterState.ARCHIVED
    assert (await store.get(4)).state is LetterState.OPEN


async def test_the_last_try_comes_by_itself() -> None:
    clock = ManualClock()
    _, store = await filled("test", "", clock=clock)
    assert await try_last(store) == 0
    clock.time += timedelta(hours=1)
    assert await try_last(store) == 2
    assert {one.closed_by for one in store.returned} == {LAST_TRY}
    assert await try_last(store) == 0


@pytest.mark.parametrize("id_", ["", "0", "00", "-1", "1.", "nothing", "9" * 19, "7"])
async def test_ids_that_name_none_are_refused_alike(id_: str) -> None:
    letters, _ = await filled("test")
    with pytest.raises(DeadLetterNotFound) as refusal:
        await letters.get(id_)
    assert refusal.value.metadata == {"id": id_}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("SMTP_550_5.1.1", ReasonClass.REFUSED),
        ("SMTP_421", ReasonClass.UNREACHABLE),
        ("SMTP_535_5.7.8", ReasonClass.CONFIGURATION),
        ("SMTP_TIMEOUT", ReasonClass.UNREACHABLE),
        ("RENDER_FAILED", ReasonClass.BAD_CONTENT),
        ("HTTP_410", ReasonClass.REFUSED),
        ("HTTP_503", ReasonClass.UNREACHABLE),
        ("HTTP_429", ReasonClass.THROTTLED),
        ("HTTP_ClientConnectorError", ReasonClass.UNREACHABLE),
        ("FCM_UNREGISTERED", ReasonClass.REFUSED),
        ("FCM_QUOTA_EXCEEDED", ReasonClass.THROTTLED),
        ("FCM_SENDER_ID_MISMATCH", ReasonClass.CONFIGURATION),
        ("FCM_TOKEN_401", ReasonClass.CONFIGURATION),
        ("FCM_TOKEN_503", ReasonClass.UNREACHABLE),
        ("FCM_INVALID_ARGUMENT", ReasonClass.REFUSED),
        ("NO_ENDPOINT", ReasonClass.REFUSED),
        ("OUTCOME_UNKNOWN", ReasonClass.UNKNOWN_OUTCOME),
        ("TIMEOUT", ReasonClass.UNREACHABLE),
        ("Permanent", ReasonClass.BAD_CONTENT),
        ("Unavailable", ReasonClass.UNREACHABLE),
        ("KeyError", ReasonClass.DEFECT),
        ("DEFECT", ReasonClass.DEFECT),
        ("", ReasonClass.DEFECT),
    ],
)
def test_the_class_of_a_failure_follows_from_its_code(code: str, expected: ReasonClass) -> None:
    assert reason_class(code) is expected


class Recorded:
    """A way that does what it is told to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.told: list[LetterAlert] = []

    async def __call__(self, alert: LetterAlert) -> Outcome:
        self.told.append(alert)
        return self.outcomes.pop(0) if self.outcomes else Sent()


async def test_a_way_that_fails_is_tried_again_and_the_others_are_told_once() -> None:
    clock = ManualClock()
    _, store = await filled("test", clock=clock)
    away = Failure(kind=FailureKind.TRANSIENT, code="HTTP_503", message="busy")
    refused = Failure(kind=FailureKind.PERMANENT, code="SMTP_550", message="no such user")
    good, later, never = Recorded(), Recorded(away, away), Recorded(refused)
    alerts = OperatorAlerts(store, {"good": good, "later": later, "never": never}, timedelta(minutes=15))
    for _ in range(5):
        clock.time += timedelta(minutes=1)
        await alerts.tell()
    assert [len(way.told) for way in (good, later, never)] == [1, 3, 1]
    assert len({alert.id for way in (good, later, never) for alert in way.told}) == 1
    await store.keep([replace(LETTER, name="new", about="new")])
    clock.time += timedelta(minutes=13)
    await alerts.tell()
    assert [len(way.told) for way in (good, later, never)] == [2, 4, 2]


@pytest.mark.parametrize(("total", "headline"), [(1, "a message"), (2, "2 messages"), (12_345, "12,345 messages")])
def test_an_alert_says_how_many_in_one_line(total: int, headline: str) -> None:
    now = ManualClock().time
    alert = LetterAlert(id="a", last=9, total=total, since=now, until=now, counts=(), examples=())
    assert alert.headline == f"{headline} could not be processed"


def test_a_letter_that_is_closed_says_since_when_or_why() -> None:
    at = ManualClock().time
    closed = DeadLetterClosed("7", "RETRIED", "ann", at, cut=False)
    assert str(closed) == f"it is RETRIED since {at.isoformat(timespec='seconds')}, by ann"
    assert str(DeadLetterClosed("7", "OPEN", "", None, cut=True)) == (
        "it was too large to be kept whole, and can only be archived: 7"
    )
