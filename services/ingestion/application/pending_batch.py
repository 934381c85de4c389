"""Rows on their way into one message, and the stakes that callers have in it."""

import asyncio
import time
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from services.ingestion.domain.reading_columns import ROW_BYTES, Indices, Piece
from services.ingestion.domain.recent_readings import Conflict
from services.ingestion.domain.series import Series


class Ticket:
    """One caller's stake in one or several batches: done when all are durable, with what is known of its rows whose
    event time had another value; failed when one is not."""

    __slots__ = ("_error", "_left", "conflicts", "future", "weight")

    def __init__(self, batches: int, weight: int) -> None:
        self.future: asyncio.Future[Sequence[Conflict]] = asyncio.get_running_loop().create_future()
        self.weight = weight
        self.conflicts: list[Conflict] = []
        self._left = batches
        self._error: Exception | None = None

    def settle(self, error: Exception | None) -> bool:
        """One of the batches has come to its end; True when it was the last."""
        self._left -= 1
        self._error = self._error or error
        if self._left:
            return False
        # A caller that was cancelled has left its future behind, done.
        if not self.future.done():
            if self._error is None:
                self.future.set_result(self.conflicts)
            else:
                self.future.set_exception(self._error)
        return True


class PendingBatch:
    """Rows of one partition that will be one message."""

    __slots__ = (
        "_columns",
        "_flags",
        "_index",
        "_pieces",
        "_places",
        "_remapped",
        "_shared",
        "_times",
        "_values",
        "begun",
        "id",
        "rows",
        "stakes",
        "tickets",
        "weight",
    )

    def __init__(self, message_id: str) -> None:
        self.id = message_id
        self.begun = time.monotonic()
        """When its first rows came, by the clock of the event loop."""
        self.rows = 0
        self.weight = 0
        self.tickets: list[Ticket] = []
        self.stakes: list[int] = []
        """Where the rows of each ticket begin."""
        self._shared: tuple[Series, ...] | None = None
        """The series of all rows, while these have all come with the same ones (as the batches of a stream do)."""
        self._places: dict[Series, int] = {}
        self._pieces: list[Piece] = []
        self._remapped: tuple[tuple[Series, ...], Indices] | None = None
        self._index: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._flags: list[int] = []

    def enter(self, ticket: Ticket) -> None:
        """The rows that come next are this caller's."""
        self.tickets.append(ticket)
        self.stakes.append(self.rows)

    def tell(self, conflicts: Sequence[Conflict]) -> None:
        """Rows whose event time had another value, to those whose they are."""
        for conflict in conflicts:
            self.tickets[bisect_right(self.stakes, conflict.row) - 1].conflicts.append(conflict)

    def _place(self, series: Series) -> int:
        place = self._places.get(series)
        if place is None:
            place = self._places[series] = len(self._places)
            self.weight += series.weight
        return place

    def add_row(self, series: Series, event_time_us: int, value: float, flags: int) -> None:
        """Appends one row."""
        self._part()
        self._index.append(self._place(series))
        self._times.append(event_time_us)
        self._values.append(value)
        self._flags.append(flags)
        self.rows += 1
        self.weight += ROW_BYTES

    def add(self, piece: Piece) -> None:
        """Appends the rows of a piece."""
        if not self.rows:
            self._shared = piece.series
            self.weight += piece.weight - len(piece) * ROW_BYTES
        if self._shared is not piece.series:
            self._part()
            self._gather()
            piece = self._moved(piece)
        self._pieces.append(piece)
        self.rows += len(piece)
        self.weight += len(piece) * ROW_BYTES

    def _moved(self, piece: Piece) -> Piece:
        if self._remapped is None or self._remapped[0] is not piece.series:
            places = np.array([self._place(series) for series in piece.series], np.uint32)
            self._remapped = (piece.series, places)
        index = self._remapped[1][piece.index]
        return Piece(piece.partition, piece.series, index, piece.event_time_us, piece.value, piece.flags)

    def _part(self) -> None:
        """Rows of other series come: from here on each one has its place."""
        if self._shared is not None:
            self._places = {series: place for place, series in enumerate(self._shared)}
            self._shared = None

    def _gather(self) -> None:
        """Turns single rows into a piece, so that rows keep their order."""
        if not self._index:
            return
        flags = np.array(self._flags, np.uint8) if any(self._flags) else None
        self._pieces.append(
            Piece(
                0,
                (),
                np.array(self._index, np.uint32),
                np.array(self._times, np.int64),
                np.array(self._values, np.float64),
                flags,
            )
        )
        self._index, self._times, self._values, self._flags = [], [], [], []

    def seal(self, partition: int) -> Piece:
        """All rows as one piece."""
        self._gather()
        pieces, series = self._pieces, self._shared or tuple(self._places)
        if len(pieces) == 1:
            only = pieces[0]
            return Piece(partition, series, only.index, only.event_time_us, only.value, only.flags)
        flags = None
        if any(piece.flags is not None for piece in pieces):
            flags = np.concatenate(
                [np.zeros(len(piece), np.uint8) if piece.flags is None else piece.flags for piece in pieces]
            )
        return Piece(
            partition,
            series,
            np.concatenate([piece.index for piece in pieces]),
            np.concatenate([piece.event_time_us for piece in pieces]),
            np.concatenate([piece.value for piece in pieces]),
            flags,
        )
