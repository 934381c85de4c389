"""Documents of the former system: both shapes, every way to write a time, and what cannot be used."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.ids import derived_id
from services.notification.adapters.migration.documents import MAX_DOCUMENT, Damaged, documents, raw_text
from services.notification.domain.notification import Status, Type
from services.notification.domain.old_notification import WAS_PENDING, Rules, read_document
from services.notification.domain.old_values import Unusable, read_time

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AT = datetime(2026, 5, 1, 8, tzinfo=UTC)
RULES = Rules(frozenset({"test", "wellness"}), True, NOW, {"Wellness App": "wellness"}, {"promo": Type.INFO})
NEWER = {
    "_id": "65",
    "userId": "auth0|123",
    "type": "alert",
    "title": "Glucose is high",
    "body": "It is 14 mmol/l",
    "data": {"device": {"id": 7, "tags": ["a"]}},
    "status": "SENT",
    "createdAt": "2026-05-01T08:00:00Z",
    "sentAt": "2026-05-01T08:00:02Z",
    "readAt": None,
    "serviceName": "test",
}
OLDER = {"_id": 12, "user_id": 99, "kind": "promo", "message": "First line\nand more", "service_name": "Wellness App"}


def read(document: dict[str, Any], rules: Rules = RULES) -> Any:
    return read_document(document, rules)


def test_the_newer_shape() -> None:
    found = read(NEWER)
    assert (found.tenant, found.user, found.type, found.status) == ("test", "auth0|123", Type.ALERT, Status.SENT)
    assert found.id == derived_id(AT, 'migrated/test/"65"')
    assert json.loads(found.data) == NEWER["data"]
    assert (found.created_at, (found.sent_at - AT).total_seconds(), found.read_at) == (AT, 2, None)


def test_the_older_shape() -> None:
    found = read({**OLDER, "created_at": 1777622400, "read_at": 1777622460000})
    assert (found.tenant, found.user, found.type, found.status) == ("wellness", "99", Type.INFO, Status.SENT)
    assert (found.title, found.body) == ("First line", "First line\nand more")
    assert (found.created_at, found.sent_at, found.read_at) == (AT, None, read_time(1777622460, ""))


def test_what_was_pending_is_failed_and_says_so() -> None:
    found = read({**NEWER, "status": "pending", "sentAt": None})
    assert (found.status, found.error, found.pending, found.sent_at) == (Status.FAILED, WAS_PENDING, True, None)


def test_other_tenants_are_left_out_and_one_tenant_needs_no_name() -> None:
    assert read({**NEWER, "serviceName": "billing"}) is None
    alone = Rules(frozenset({"test"}), True, NOW, {}, {})
    assert read({**NEWER, "serviceName": None}, alone).tenant == "test"
    with pytest.raises(Unusable, match="serviceName"):
        read({**NEWER, "serviceName": None})
    mine = Rules(frozenset({"test"}), False, NOW, {}, {})
    with pytest.raises(Unusable, match="--service 'Wellness App=TENANT' says whose it is"):
        read({**NEWER, "serviceName": "Wellness App"}, mine)


@pytest.mark.parametrize(
    "value",
    [
        "2026-05-01T08:00:00Z",
        "2026-05-01T10:00:00+02:00",
        "2026-05-01 08:00:00",
        1777622400,
        1777622400.0,
        1777622400000,
        "1777622400",
        "1777622400000",
        AT,
    ],
)
def test_times(value: object) -> None:
    assert read_time(value, "createdAt") == AT


@pytest.mark.parametrize(
    "value", [True, [], {}, "soon", "-5", -1, 10**30, float("nan"), float("inf"), "9999-12-31T00:00:00Z", "1" * 20]
)
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(Unusable, match="createdAt is no time"):
        read_time(value, "createdAt")


@given(
    st.dictionaries(
        st.sampled_from([*NEWER, *OLDER, "created_at", "_id_time_"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_any_document_is_taken_left_out_or_unusable(document: dict[str, Any]) -> None:
    try:
        found = read({**NEWER, **document})
    except Unusable:
        return  # anything else fails the test
    assert found is None or (found.user and found.title and "\0" not in found.body)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"_id": None}, "no _id"),
        ({"userId": None}, "no userId"),
        ({"userId": "a/b"}, "none that this system takes"),
        ({"title": "a\0b"}, "NUL"),
        ({"body": "\ud800"}, "surrogate"),
        ({"data": {"a": "\0"}}, "NUL"),
        ({"data": [1]}, "no object"),
        ({"data": {"a": float("nan")}}, "NaN"),
        ({"data": {"a": "x" * 5000}}, "4,096"),
        ({"type": "promo2"}, "--type promo2=INFO"),
        ({"status": "LOST"}, "none of"),
        ({"title": None, "body": " "}, "neither title nor body"),
        ({"title": "x" * 201}, "200 are the most"),
        ({"createdAt": "2030-01-01T00:00:00Z"}, "future"),
        ({"createdAt": None, "sentAt": None}, "no ObjectId"),
    ],
)
def test_reasons(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable, match=reason):
        read({**NEWER, **change})


@pytest.mark.parametrize("mode", ["canonical", "relaxed", "bson"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_form_says_the_same(tmp_path: Path, mode: str, packed: bool) -> None:
    key = bson.ObjectId.from_datetime(AT)
    originals = [
        {**NEWER, "_id": key, "createdAt": AT, "sentAt": AT, "data": {"n": bson.Int64(2**40)}},
        {**OLDER, "_id": key, "message": "x"},
    ]
    if mode == "bson":
        content = b"".join(map(bson.encode, originals))
    else:
        options = json_util.CANONICAL_JSON_OPTIONS if mode == "canonical" else json_util.RELAXED_JSON_OPTIONS
        content = "".join(json_util.dumps(one, json_options=options) + "\n" for one in originals).encode()
    file = tmp_path / "export"
    file.write_bytes(gzip.compress(content) if packed else content)
    found = list(documents(file))
    first, second = (read(one.content or {}) for one in found)
    assert first.id == derived_id(AT, f'migrated/test/"{key}"')
    assert (first.data, first.sent_at, second.created_at) == ('{"n": 1099511627776}', AT, AT)
    assert [one.number for one in documents(file, 1, found[0].end)] == [2]


def test_hostile_lines_are_set_aside_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "export.json.gz"
    good = json.dumps(NEWER).encode()
    bad = [
        b"[1, 2]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"_id": ',
        b'{"_id": {"$oid": 5}}',
        b'{"_id": {"$oid": "zz"}}',
        b'{"a": {"$numberDecimal": "x"}}',
        b'{"a": {"$date": {"$numberLong": "x"}}}',
        b'{"a": ' + b"[" * 200_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"a": "' + b"x" * (MAX_DOCUMENT + 10) + b'"}',
    ]
    file.write_bytes(gzip.compress(b"\n\n".join([good, *bad, good]), 1))
    found = list(documents(file))
    assert [one.content is None for one in found] == [False, *[True] * len(bad), False]
    assert all(one.problem and len(raw_text(one)) <= 300_000 for one in found[1:-1])
    assert found[-1].number == 1 + 2 * (len(bad) + 1)  # of the line


@pytest.mark.parametrize("cut", [3, 20, 60])
def test_a_file_that_ends_too_early_is_damaged(tmp_path: Path, cut: int) -> None:
    content = bson.encode({"_id": 1}) + bson.encode({**NEWER})
    (tmp_path / "a.bson").write_bytes(content[:-cut])
    with pytest.raises(Damaged, match="within document 2"):
        list(documents(tmp_path / "a.bson"))
    (tmp_path / "a.gz").write_bytes(gzip.compress(content)[:-cut])
    with pytest.raises(Damaged, match="is damaged after document"):
        list(documents(tmp_path / "a.gz"))


def test_dates_that_python_does_not_have(tmp_path: Path) -> None:
    file = tmp_path / "a.bson"
    file.write_bytes(bson.encode({**NEWER, "createdAt": bson.DatetimeMS(2**60)}))
    [found] = documents(file)
    with pytest.raises(Unusable, match="createdAt is no time"):
        read(found.content or {})
