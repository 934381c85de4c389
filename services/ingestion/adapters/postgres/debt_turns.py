"""The order in which blocks of one file are committed, two of which are on their way at a time.

While the events of a block are written and its transaction is committed, the rows of the next one are copied. That one
commits only behind the first. When the first has to be tried again, the other gives up what it has copied until the
first has ended: it may hold an id that the first one has, too.
"""

import asyncio
from typing import Self

from services.ingestion.domain.debts.errors import UploadBroken


class StepBack(Exception):
    """The block before has to be tried again."""


class Turn:
    """The turn of a block: a context that ends when the block is committed, or given up for good."""

    def __init__(self, number: int, before: "Turn | None") -> None:
        """`number`: blocks before it; `before`: the turn of the last one."""
        self.number = number
        self._before = before
        self._copied, self._decided, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._committed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._before = None
        for event in (self._copied, self._decided, self._ended):
            event.set()

    async def to_copy(self) -> None:
        """Returns when the rows may be copied. Raises UploadBroken when the block before was given up."""
        if self._before is not None:
            await self._before._copied.wait()
            if self._before._ended.is_set() and not self._before._committed:
                raise UploadBroken("the rows before were not stored")

    def copied(self) -> None:
        """The rows are copied."""
        self._copied.set()

    async def to_commit(self) -> None:
        """Returns when the block before is committed. Raises StepBack."""
        if self._before is not None:
            await self._before._decided.wait()
            if not self._before._committed:
                raise StepBack

    def committed(self) -> None:
        """The block is committed."""
        self._committed = True

    def failed(self) -> None:
        """The block is to be tried again."""
        self._copied.set()
        self._decided.set()

    async def stepped_back(self) -> None:
        """Returns when the block before has ended."""
        if self._before is not None:
            await self._before._ended.wait()
