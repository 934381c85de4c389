"""Answering in one go whoever asks while an answer is under way."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from services.chassis.errors import Unavailable

Key = TypeVar("Key", bound=Hashable)
Question = TypeVar("Question")
Answer = TypeVar("Answer")


class _Batch(Generic[Question, Answer]):
    """Questions that are answered together; the first one who gets the lock answers for all."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.lock = asyncio.Lock()
        self.answers: Sequence[Answer] | None = None
        self.failure: Exception | None = None


class SingleFlight(Generic[Key, Question, Answer]):
    """Questions of the same key that wait for their turn are answered together, up to `limit` of them; `at_once`
    answers are under way at the same time.

    Whoever asks is answered from what is true after it has asked: it never joins an answer that has begun. With nobody
    else asking, nothing waits. The one who answers for the others may be cancelled: the next one takes over. Where
    answering fails for several questions at once, each is asked by itself, so that nobody fails for another's; but for
    `Unavailable`, which is everybody's.
    """

    def __init__(
        self, answer: Callable[[Key, Sequence[Question]], Awaitable[Sequence[Answer]]], *, at_once: int, limit: int
    ) -> None:
        self._answer = answer
        self._turns = asyncio.Semaphore(at_once)
        self._limit = limit
        self._waiting: dict[Key, _Batch[Question, Answer]] = {}

    async def ask(self, key: Key, question: Question) -> Answer:
        """The answer; raises what answering the question raised."""
        batch = self._waiting.get(key)
        if batch is None or len(batch.questions) >= self._limit:
            batch = self._waiting[key] = _Batch[Question, Answer]()
        place = len(batch.questions)
        batch.questions.append(question)
        async with batch.lock:
            if batch.answers is None and batch.failure is None:
                await self._lead(key, batch)
        if batch.failure is not None:
            if isinstance(batch.failure, Unavailable) or all(other == question for other in batch.questions):
                raise batch.failure
            async with self._turns:
                (answer,) = await self._answer(key, [question])
                return answer
        assert batch.answers is not None
        return batch.answers[place]

    async def _lead(self, key: Key, batch: _Batch[Question, Answer]) -> None:
        try:
            async with self._turns:
                self._close(key, batch)
                batch.answers = await self._answer(key, batch.questions)
        except Exception as error:
            batch.failure = error
        finally:
            # Also when its turn never came: what nobody waits for must not stay.
            self._close(key, batch)

    def _close(self, key: Key, batch: _Batch[Question, Answer]) -> None:
        """Nobody joins it any more."""
        if self._waiting.get(key) is batch:
            del self._waiting[key]
