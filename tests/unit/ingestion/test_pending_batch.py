"""A message under way has the rows as they came, whichever way they came."""

import random
from typing import NamedTuple

import numpy as np

from services.ingestion.adapters.nats.reading_lane import encode_batch
from services.ingestion.application.pending_batch import PendingBatch
from services.ingestion.domain.reading import TimeLimits
from services.ingestion.domain.reading_columns import Piece, SeriesTable, judge
from services.ingestion.domain.series import Series
from tests.support.ingestion import NOW_US, TYPES, series
from tocsin.events.v1 import readings_pb2

MANY = [series(f"d{n}", 1, TYPES[0]) for n in range(8)]
TABLES = [tuple(MANY), tuple(MANY[:3]), tuple(reversed(MANY))]


class Row(NamedTuple):
    """A row of a series by itself."""

    series: Series
    time: int
    value: float
    flags: int


def rows_of(piece: Piece) -> list[Row]:
    flags = [0] * len(piece) if piece.flags is None else piece.flags.tolist()
    columns = piece.index.tolist(), piece.event_time_us.tolist(), piece.value.tolist(), flags
    return [Row(piece.series[at], *rest) for at, *rest in zip(*columns, strict=True)]


def test_rows_keep_their_series_and_their_order() -> None:
    chance = random.Random(5)
    for _ in range(300):
        batch, expected = PendingBatch(""), list[Row]()
        tables = chance.choice([TABLES[:1], TABLES])
        for _ in range(chance.randrange(1, 6)):
            table, size = chance.choice(tables), chance.randrange(1, 5)
            index = [chance.randrange(len(table)) for _ in range(size)]
            times, values = [chance.randrange(99) for _ in index], [chance.random() for _ in index]
            if len(tables) == 1 or chance.random() < 0.7:
                flags = np.array([chance.randrange(2) for _ in index], np.uint8) if chance.random() < 0.3 else None
                columns = np.array(index, np.uint32), np.array(times, np.int64), np.array(values)
                piece = Piece(0, table, *columns, flags)
                batch.add(piece)
                expected += rows_of(piece)
            else:
                for at, time, value in zip(index, times, values, strict=True):
                    batch.add_row(table[at], time, value, 1)
                    expected.append(Row(table[at], time, value, 1))
        weight = batch.weight
        sealed = batch.seal(0)
        assert rows_of(sealed) == expected
        assert batch.rows == len(expected)
        assert weight == sealed.weight
        assert len(set(sealed.series)) == len(sealed.series)
        sent = readings_pb2.ReadingBatch.FromString(encode_batch(sealed, 0))
        assert [sent.series[at].device for at in sent.series_index] == [row.series.key.device for row in expected]


def test_a_series_that_a_client_names_twice_is_one() -> None:
    entry = (MANY[0], MANY[0].limits.conversion("C"))
    table = SeriesTable([entry, (MANY[1], MANY[1].limits.conversion("C")), entry])
    index, times = np.array([2, 1, 0], np.uint32), np.array([NOW_US - 3, NOW_US - 2, NOW_US - 1], np.int64)
    (piece,) = judge(table, index, times, np.array([20.0, 21.0, 22.0]), now_us=NOW_US, limits=TimeLimits()).pieces
    assert piece.series == (MANY[0], MANY[1])
    assert [row.series for row in rows_of(piece)] == [MANY[0], MANY[1], MANY[0]]
