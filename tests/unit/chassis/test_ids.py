import re
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import InvalidArgument
from services.chassis.ids import ID_PATTERN, check_id, derived_id, is_id, new_id, uuid7


@given(st.text(max_size=70))
def test_is_id_is_the_pattern(text: str) -> None:
    assert is_id(text) == bool(re.fullmatch(ID_PATTERN.strip("^$"), text, re.ASCII))


@pytest.mark.parametrize("bad", ["", "-a", "a.b", "a b", "*", ">", "a\x00", "a'", "é", "a\n", "x" * 64])
def test_bad_ids_are_refused_by_field(bad: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_id(bad, "roomId")
    assert caught.value.violations[0].field == "roomId"


def test_good_ids_pass() -> None:
    for good in ("a", "_", "0-1", "x" * 63, new_id()):
        assert check_id(good, "id") == good


def test_uuid7_is_well_formed_and_ordered_by_time() -> None:
    before = time.time_ns() // 1_000_000
    made = [uuid7() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 1000
    assert all(one.version == 7 and one.variant == uuid.RFC_4122 for one in made)
    stamps = [one.int >> 80 for one in made]
    assert stamps == sorted(stamps)
    assert before <= stamps[0] <= stamps[-1] <= after


def test_a_derived_id_is_the_same_again_and_ordered_by_time() -> None:
    at = datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    found = [derived_id(at + timedelta(milliseconds=place), "PAYLOADS:7") for place in range(50)]
    assert found == sorted(set(found))
    assert derived_id(at, "PAYLOADS:7") == found[0] != derived_id(at, "PAYLOADS:8")
    assert uuid.UUID(found[0]).version == 7
    assert all(is_id(one) for one in found)
