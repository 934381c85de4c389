"""`PartitionStore.past`: what a recomputation reads, also of readings that came too late; on both stores."""

import pytest

from services.aggregation.domain.recompute import AHEAD, Past
from services.aggregation.domain.summary import DAY, HOUR, MINUTE
from tests.contract.aggregation.test_partition_store import RULES, Rig, rig
from tests.support.aggregation.partition import T0, Arrival, message

__all__ = ["rig"]
MIDNIGHT = T0 - T0 % DAY + DAY
METER = 2
# By the number of the day after midnight; the readings of day 0 and 1 are followed by two that came too late.
COUNTED = [(METER, MIDNIGHT + hour * HOUR, 10.0 * hour) for hour in (1, 5, 25, 26, 27, 60)]
TOO_LATE = [(METER, MIDNIGHT + 2 * HOUR, 11.0), (METER, MIDNIGHT + 24 * HOUR + MINUTE, 12.0)]


def items(past: Past) -> list[Arrival]:
    return [(METER, time, value) for time, value in zip(past.time.tolist(), past.value.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("late_until", "inside", "after"),
    [(None, [], []), (MIDNIGHT + DAY, TOO_LATE[:1], []), (MIDNIGHT + 2 * DAY, TOO_LATE[:1], TOO_LATE[1:])],
)
async def test_too_late_readings_count_up_to_a_time(
    rig: Rig, late_until: int | None, inside: list[Arrival], after: list[Arrival]
) -> None:
    processor = await rig.open()
    await processor.process([message(1, COUNTED)], [])
    await processor.process([message(2, TOO_LATE)], [])
    (series_id,) = processor.engine.states.ids
    settled = MIDNIGHT + 60 * HOUR
    past = await rig.store.past(series_id, MIDNIGHT, MIDNIGHT + DAY, settled, counter=True, late_until=late_until)
    assert items(past) == sorted([*COUNTED[:2], *inside], key=lambda one: one[1])
    following = [(METER, *one) for one in past.following]
    assert following == sorted([*COUNTED[2:], *after], key=lambda one: one[1])[:AHEAD]
    assert [len(stored.start) for stored in past.windows] == [2] * 3 + [1]
    assert RULES.steps[-1] == DAY
