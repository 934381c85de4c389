from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.domain.series import SeriesKey, partition_of

IDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", fullmatch=True)
KEYS = st.builds(SeriesKey, IDS, IDS, IDS, IDS | st.just(""))


def test_partitions_never_change() -> None:
    """Readings under way would change their lane: these numbers are for ever."""
    assert partition_of(SeriesKey("b1", "r1", "temperature", ""), 8) == 0
    assert partition_of(SeriesKey("b1", "r1", "temperature", "d1"), 8) == 3
    assert partition_of(SeriesKey("hq", "lab-1", "energy", "m_7"), 1024) == 109


@given(KEYS, st.integers(1, 64))
def test_a_partition_is_one_of_them_and_always_the_same(key: SeriesKey, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == partition_of(SeriesKey(*key), partitions)


def test_partitions_are_filled_evenly() -> None:
    counts = [0] * 8
    for number in range(8000):
        counts[partition_of(SeriesKey(f"b{number % 20}", f"r{number}", "temperature", ""), 8)] += 1
    assert min(counts) > 800
    assert max(counts) < 1200
