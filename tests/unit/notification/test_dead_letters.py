"""Who may see and do what of the dead letters."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.chassis.auth import principal
from services.notification.adapters.memory.dead_letters import InMemoryDeadLetters
from services.notification.application.dead_letters import DeadLetters
from services.notification.domain.errors import DeadLetterNotFound, TenantForbidden
from tests.support.dead_letters import LETTER


@pytest.fixture(autouse=True)
def _caller() -> Iterator[None]:
    principal.enter(principal.Principal("me", frozenset({"*"}), frozenset({"test"})))
    yield
    principal.enter(None)


def filled(*tenants: str) -> tuple[DeadLetters, InMemoryDeadLetters]:
    store = InMemoryDeadLetters()
    for tenant in tenants:
        store.add(replace(LETTER, tenant=tenant))
    return DeadLetters(store), store


async def test_pages_are_full_whatever_is_left_out() -> None:
    letters, _ = filled("test", *["wellness"] * 7, "", "test", *["wellness"] * 2, "test")
    seen: list[int] = []
    before = None
    while page := await letters.page(service="", before=before, limit=2):
        seen += [letter.sequence for letter in page]
        before = seen[-1]
    assert seen == [13, 10, 9, 1]
    assert [one.sequence for one in await letters.page(service="", before=None, limit=100)] == seen


async def test_letters_of_another_tenant_are_not_touched() -> None:
    letters, store = filled("wellness")
    for ask in (letters.get, letters.retry, letters.archive):
        with pytest.raises(TenantForbidden) as refusal:
            await ask("1")
        assert refusal.value.metadata == {"tenant": "wellness"}
    assert store.returned == []
    assert len(await store.page(service="", before=None, limit=10)) == 1


async def test_a_letter_is_sent_back_or_put_away() -> None:
    letters, store = filled("test", "")
    assert await letters.retry("1") == LETTER.subject
    assert [letter.sequence for letter in store.returned] == [1]
    await letters.archive("2")
    assert not await letters.page(service="", before=None, limit=10)


@pytest.mark.parametrize("id_", ["", "0", "00", "-1", "1.", "nothing", "9" * 19, "7"])
async def test_ids_that_name_none_are_refused_alike(id_: str) -> None:
    letters, _ = filled("test")
    with pytest.raises(DeadLetterNotFound) as refusal:
        await letters.get(id_)
    assert refusal.value.metadata == {"id": id_}
