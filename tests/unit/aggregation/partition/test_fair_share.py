"""Replicas share the partitions evenly, and rest."""

from hypothesis import given
from hypothesis import strategies as st

from services.aggregation.domain.partition.fair_share import fair_share


@given(st.integers(1, 64), st.lists(st.integers(1, 3), min_size=1, max_size=6))
def test_replicas_come_to_fair_shares_and_rest(partitions: int, turns: list[int]) -> None:
    held = [0] * len(turns)
    held[0] = partitions
    for _ in range(4 * len(turns) + 4):
        for place in range(len(held)):
            share = fair_share(partitions=partitions, replicas=len(held), held=held[place], free=partitions - sum(held))
            assert not (share.take and share.give)
            held[place] += share.take - share.give
    assert sum(held) == partitions
    assert max(held) - min(held) <= 1
