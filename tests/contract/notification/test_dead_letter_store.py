"""`DeadLetterStore` and `AlertLog`: the same suite on the ones in memory and on PostgreSQL."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import pytest

from services.chassis.nats.dead_letters import ONLY_CONSUMER
from services.chassis.postgres import Database
from services.notification.adapters.memory.dead_letters import InMemoryDeadLetters
from services.notification.adapters.nats.events import RETRY_SUBJECT
from services.notification.adapters.postgres.dead_letters import PostgresDeadLetters
from services.notification.application.ports.dead_letters import AlertLog, DeadLetterStore
from services.notification.domain.dead_letter import (
    LAST_TRY,
    DeadLetter,
    LetterFilter,
    LetterState,
    ReasonClass,
)
from services.notification.domain.errors import DeadLetterNotFound
from tests.support.dead_letters import AT, LETTER
from tests.support.notification import ManualClock

HOUR = timedelta(hours=1)
OPEN, RETRIED, ARCHIVED = LetterState


class Store(DeadLetterStore, AlertLog, Protocol):
    """Both ports."""


class Box(ABC):
    """A store on a clock, and what was sent back from it."""

    store: Store
    clock: ManualClock

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._count = 0

    @abstractmethod
    async def returned(self) -> list[tuple[str, str, bytes]]:
        """Subject, consumer that it is for, payload."""

    async def keep(self, *letters: DeadLetter) -> None:
        """Keeps letters with names of their own."""
        named: list[DeadLetter] = []
        for letter in letters:
            self._count += 1
            about = f"about {self._count}" if letter.about == LETTER.about else letter.about
            named.append(replace(letter, name=f"dead:{self._count}", about=about))
        assert await self.store.keep(named) == len(named)

    async def numbers(self, *, before: int | None = None, limit: int = 100, **wanted: object) -> list[int]:
        """A page."""
        given = LetterFilter(**wanted)  # pyright: ignore[reportArgumentType]
        page = await self.store.page(given, before=before, limit=limit)
        return [letter.number for letter in page]


class MemoryBox(Box):
    def __init__(self) -> None:
        super().__init__()
        self.store = self.kept = InMemoryDeadLetters(lambda: self.clock.time)

    async def returned(self) -> list[tuple[str, str, bytes]]:
        return [(one.subject, f"{one.service}/{one.consumer}", one.payload) for one in self.kept.returned]


class PostgresBox(Box):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.store = PostgresDeadLetters(database, self.clock, "tocsin/tests", HOUR)

    async def returned(self) -> list[tuple[str, str, bytes]]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT subject, payload, headers->>$1 AS only FROM outbox ORDER BY id", ONLY_CONSUMER
            )
        return [(row["subject"], row["only"], row["payload"]) for row in rows]


@pytest.fixture(params=["memory", "postgres"])
def box(request: pytest.FixtureRequest) -> Box:
    return MemoryBox() if request.param == "memory" else PostgresBox(request.getfixturevalue("database"))


async def test_a_letter_is_kept_once_as_it_was_given_up(box: Box) -> None:
    assert await box.store.keep([LETTER, LETTER]) == 1
    assert await box.store.keep([replace(LETTER, reason="other")]) == 0
    [number] = await box.numbers()
    expected = replace(LETTER, number=number, last_try_at=box.clock.time + HOUR)
    assert await box.store.get(number) == expected
    assert list(await box.store.page(LetterFilter(), before=None, limit=10)) == [replace(expected, payload=b"")]


async def test_pages_are_newest_first_and_of_what_is_wanted(box: Box) -> None:
    assert await box.numbers() == []
    await box.keep(
        LETTER,
        replace(LETTER, service="media_probe", tenant=""),
        replace(LETTER, reason_class=ReasonClass.DEFECT, tenant="wellness"),
        replace(LETTER, dead_at=AT + HOUR),
    )
    four, three, two, one = await box.numbers()
    assert one < two < three < four
    assert await box.numbers(limit=2) == [four, three]
    assert await box.numbers(before=three) == [two, one]
    assert await box.numbers(service="media_probe") == [two]
    assert await box.numbers(service="ingestion") == []
    assert await box.numbers(reason_class=ReasonClass.DEFECT) == [three]
    assert await box.numbers(tenant="test") == [four, one]
    assert await box.numbers(since=AT + HOUR) == [four]
    assert await box.numbers(until=AT + HOUR, service="notification") == [three, one]
    assert await box.numbers(tenants=frozenset({"test"})) == [four, two, one]
    assert await box.numbers(tenants=frozenset()) == [two]
    assert await box.numbers(state=ARCHIVED) == []
    assert list(await box.store.find(LetterFilter(), 3)) == [one, two, three]
    assert list(await box.store.find(LetterFilter(reason_class=ReasonClass.DEFECT), 3)) == [three]
    assert await box.store.open() == {
        ("notification", ReasonClass.REFUSED): 2,
        ("media_probe", ReasonClass.REFUSED): 1,
        ("notification", ReasonClass.DEFECT): 1,
    }


async def test_a_letter_goes_back_once_however_many_ask(box: Box) -> None:
    await box.keep(LETTER, LETTER)
    other, number = await box.numbers()
    found = await asyncio.gather(*(box.store.retry([number], f"person {n}") for n in range(5)))
    assert sorted(map(list, found)) == [[], [], [], [], [number]]
    assert await box.returned() == [(RETRY_SUBJECT, "notification/deliveries", b"\x00payload")]
    letter = await box.store.get(number)
    assert (letter.state, letter.closed_at, letter.last_try_at) == (RETRIED, box.clock.time, None)
    assert letter.closed_by.startswith("person ")
    assert await box.numbers() == [other]
    assert await box.numbers(state=RETRIED) == [number]
    assert list(await box.store.archive([number], "me")) == []
    assert list(await box.store.retry([number, 12_345], "me")) == []
    assert len(await box.returned()) == 1


async def test_a_letter_that_was_put_away_can_still_be_sent_back(box: Box) -> None:
    await box.keep(LETTER)
    [number] = await box.numbers()
    assert list(await box.store.archive([number], "me")) == [number]
    assert list(await box.store.archive([number], "me")) == []
    assert await box.numbers() == []
    assert await box.numbers(state=ARCHIVED) == [number]
    assert list(await box.store.retry([number], "you")) == [number]
    assert (await box.store.get(number)).closed_by == "you"


async def test_what_is_not_whole_goes_nowhere(box: Box) -> None:
    await box.keep(replace(LETTER, cut=True))
    [number] = await box.numbers()
    assert await box.numbers(whole=True) == []
    assert (await box.store.get(number)).last_try_at is None
    assert list(await box.store.retry([number], "me")) == []
    assert list(await box.store.archive([number], "me")) == [number]


async def test_what_dies_again_after_its_last_try_is_put_away(box: Box) -> None:
    died = replace(LETTER, about="the same")
    await box.keep(died, replace(LETTER, reason_class=ReasonClass.UNKNOWN_OUTCOME))
    unknown, first = await box.numbers()
    assert list(await box.store.due(10)) == []
    box.clock.time += HOUR
    assert list(await box.store.due(10)) == [first], "what a person must decide has no last try"
    await box.store.retry([first], LAST_TRY)
    assert list(await box.store.due(10)) == []
    await box.keep(replace(died, reason="again"))
    [second] = await box.numbers(state=ARCHIVED)
    letter = await box.store.get(second)
    assert (letter.closed_by, letter.closed_at, letter.last_try_at) == (LAST_TRY, box.clock.time, None)
    assert await box.numbers() == [unknown]
    # By hand it begins anew.
    box.clock.time += HOUR
    await box.store.retry([second], "me")
    await box.keep(replace(died, reason="once more"))
    third, _ = await box.numbers()
    assert (await box.store.get(third)).last_try_at == box.clock.time + HOUR


async def test_an_old_last_try_says_nothing_of_a_new_death(box: Box) -> None:
    await box.keep(replace(LETTER, about="the same"))
    [first] = await box.numbers()
    await box.store.retry([first], LAST_TRY)
    box.clock.time += timedelta(days=8)
    await box.keep(replace(LETTER, about="the same"))
    assert len(await box.numbers()) == 1


async def test_an_unknown_letter_is_named(box: Box) -> None:
    with pytest.raises(DeadLetterNotFound) as refusal:
        await box.store.get(7_000_000)
    assert refusal.value.metadata == {"id": "7000000"}


async def test_operators_are_told_once_of_what_came_together(box: Box) -> None:
    assert await box.store.claim_alert() is None
    await box.keep(*[LETTER] * 7, replace(LETTER, service="media_probe", dead_at=AT + HOUR))
    assert await box.store.claim_alert() is None, "the others may be on their way"
    box.clock.time += timedelta(seconds=5)
    claims = await asyncio.gather(*(box.store.claim_alert() for _ in range(3)))
    [(alert, told)] = [claim for claim in claims if claim is not None]
    assert told == frozenset()
    assert (alert.total, alert.since, alert.until) == (8, AT, AT + HOUR)
    assert alert.counts == (
        ("notification", "deliveries", ReasonClass.REFUSED, 7),
        ("media_probe", "deliveries", ReasonClass.REFUSED, 1),
    )
    numbers = (await box.numbers())[::-1]
    assert [one.number for one in alert.examples] == numbers[:5]
    assert "8 messages could not be processed" in alert.text
    await box.store.told("e-mail")
    # Whoever was at it has died: the same alert, and who was told is known.
    box.clock.time += timedelta(minutes=1)
    claim = await box.store.claim_alert()
    assert claim is not None
    assert (claim[0].id, claim[1]) == (alert.id, frozenset({"e-mail"}))
    await box.store.complete_alert(claim[0], HOUR)
    await box.keep(LETTER)
    box.clock.time += HOUR - timedelta(seconds=1)
    assert await box.store.claim_alert() is None
    box.clock.time += timedelta(seconds=1)
    later = await box.store.claim_alert()
    assert later is not None
    assert (later[0].total, later[1]) == (1, frozenset())
    assert later[0].id != alert.id
