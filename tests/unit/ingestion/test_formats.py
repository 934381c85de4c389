import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.domain.errors import FormatUnknown, PayloadNotUnderstood
from services.ingestion.domain.formats.registry import FORMATS, decode
from services.ingestion.domain.series import FLAG_MAY_DECREASE

T = 1_720_000_000
EP1 = {"device": "d1", "energy": 12.5, "unit": 3, "ts": T, "tag": "x"}
EP2 = {"from": "d2", "content": {"energy": 12_500}, "timestamp": T, "tag": "x"}
ENV1 = {"id": "c1", "d": {"filling_level": 40}, "ts": T, "tag": "x"}
GOOD = {"ep1": EP1, "ep2": EP2, "env1": ENV1}


def read(name: str, **changes: object):
    return decode(name, json.dumps(GOOD[name] | changes).encode())


def test_ep1_scales_by_the_power_of_ten() -> None:
    found = read("ep1")
    assert (found.device, found.sensor_type, found.value, found.unit) == ("d1", "energy", 12_500.0, "Wh")
    assert (found.event_time_us, found.flags, found.warnings) == (T * 1_000_000, 0, ())
    assert read("ep1", unit=0).value == 12.5
    assert read("ep1", unit=-3, energy=1234).value == 1.234
    assert read("ep1", unit=3.0).value == 12_500.0


def test_ep2_is_flagged_as_decreasing_now_and_then() -> None:
    found = read("ep2")
    assert (found.device, found.value, found.unit, found.flags) == ("d2", 12_500.0, "Wh", FLAG_MAY_DECREASE)


def test_env1_at_zero_means_emptied() -> None:
    assert (read("env1").value, read("env1").emptied) == (40.0, False)
    assert read("env1", d={"filling_level": 0}).emptied
    assert read("env1", d={"filling_level": 0.0}).emptied
    assert not read("env1", d={"filling_level": 0.001}).emptied


@pytest.mark.parametrize(
    ("given_time", "seconds"),
    [
        (T, T),
        (T + 0.25, T + 0.25),
        (T * 1000, T),
        (T * 1000 + 250, T + 0.25),
        ("2024-07-03T09:46:40Z", T),
        ("2024-07-03T11:46:40.250000+02:00", T + 0.25),
        (0, 0),
    ],
)
def test_times_in_seconds_milliseconds_and_rfc_3339(given_time: object, seconds: float) -> None:
    assert read("env1", ts=given_time).event_time_us == round(seconds * 1_000_000)


BAD = [
    ("ep1", {"device": None}, "device"),
    ("ep1", {"device": "a.b"}, "device"),
    ("ep1", {"device": "a\0"}, "device"),
    ("ep1", {"device": "\ud800"}, "device"),
    ("ep1", {"device": "x" * 64}, "device"),
    ("ep1", {"device": "*"}, "device"),
    ("ep1", {"device": 7}, "device"),
    ("ep1", {"energy": "12"}, "energy"),
    ("ep1", {"energy": True}, "energy"),
    ("ep1", {"energy": -1}, "energy"),
    ("ep1", {"energy": 10**400}, "energy"),
    ("ep1", {"energy": [1]}, "energy"),
    ("ep1", {"unit": 1.5}, "unit"),
    ("ep1", {"unit": 13}, "unit"),
    ("ep1", {"unit": "k"}, "unit"),
    ("ep1", {"ts": -1}, "ts"),
    ("ep1", {"ts": 1e300}, "ts"),
    ("ep1", {"ts": "yesterday"}, "ts"),
    ("ep1", {"ts": "2024-07-03T09:46:40"}, "ts"),
    ("ep1", {"ts": "2024-07-03"}, "ts"),
    ("ep1", {"ts": {}}, "ts"),
    ("ep2", {"content": None}, "content"),
    ("ep2", {"content": 5}, "content"),
    ("ep2", {"content": {}}, "content.energy"),
    ("ep2", {"content": {"energy": False}}, "content.energy"),
    ("ep2", {"timestamp": None}, "timestamp"),
    ("env1", {"d": {"filling_level": 101}}, "d.filling_level"),
    ("env1", {"d": {"filling_level": -0.1}}, "d.filling_level"),
    ("env1", {"d": []}, "d"),
]


@pytest.mark.parametrize(("name", "changes", "field"), BAD)
def test_a_complaint_names_the_field(name: str, changes: dict[str, object], field: str) -> None:
    with pytest.raises(PayloadNotUnderstood) as refusal:
        read(name, **changes)
    assert refusal.value.field == field
    assert refusal.value.violations[0].field == field


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\0",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"{" * 30_000,
        b"[" * 60_000,
        b'{"device": NaN}',
        b'{"energy": -Infinity}',
        b'{"energy": ' + b"9" * 60_000 + b"}",
        b'{"energy": 1' + b"0" * 5000 + b".5}",
        b'{"device": "\xff"}',
        b'{"a": 1} {"b": 2}',
        b" " * 70_000,
    ],
)
def test_hostile_bytes_are_an_ordinary_complaint(payload: bytes) -> None:
    for name in FORMATS:
        with pytest.raises(PayloadNotUnderstood):
            decode(name, payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["device", "energy", "unit", "ts", "from", "content", "timestamp", "id", "d"])


@given(st.sampled_from(sorted(GOOD)), st.dictionaries(FIELDS, JSON | st.dictionaries(st.text(), JSON), max_size=3))
@settings(max_examples=120)
def test_whatever_stands_in_the_fields_it_is_understood_or_refused(name: str, changes: dict[str, object]) -> None:
    with contextlib.suppress(PayloadNotUnderstood):
        assert decode(name, json.dumps(GOOD[name] | changes).encode()).value >= 0


@given(st.binary(max_size=200), st.sampled_from(sorted(FORMATS)))
def test_random_bytes_never_break_an_adapter(payload: bytes, name: str) -> None:
    with pytest.raises(PayloadNotUnderstood):
        decode(name, b"?" + payload)


def test_a_missing_tag_is_a_warning_only() -> None:
    payload = {name: value for name, value in EP1.items() if name != "tag"}
    assert decode("ep1", json.dumps(payload).encode()).warnings == ("tag is missing",)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(FormatUnknown) as refusal:
        decode("ep9", b"{}")
    assert refusal.value.metadata == {"format": "ep9", "known": "env1 ep1 ep2"}
