"""Payloads of senders that cannot be told what is wrong with them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.chassis.value_limits import ValueOutOfRange
from services.ingestion.application.payloads import PayloadReceived
from services.ingestion.domain.catalogue import Kind, SensorType
from services.ingestion.domain.counter_rules import CounterPolicy, CounterRules
from services.ingestion.domain.errors import StreamUnavailable
from tests.support.ingestion import NOW_US, kit

AT = datetime(2026, 11, 22, tzinfo=UTC)
NOW = NOW_US // 1_000_000


def received(content: Any, name: str = "ep1") -> PayloadReceived:
    payload = content if isinstance(content, bytes) else json.dumps(content).encode()
    return PayloadReceived("one", name, payload, AT)


async def test_a_good_payload_is_a_reading() -> None:
    async with kit() as made:
        accepted = await made.payloads.take(received({"device": "d1", "energy": 2, "unit": 3, "ts": NOW}))
        assert accepted is not None
        assert made.lane.rows() == [("d1", NOW_US, 2000.0)]
        assert not await made.quarantine.list("", None, 10)


@pytest.mark.parametrize(
    ("name", "content", "field", "reason"),
    [
        ("ep1", b"{", "", "is not valid JSON at byte 1"),
        ("ep1", b"", "", "is not valid JSON at byte 0"),
        ("ep1", {"device": "d1", "energy": "much", "unit": 0, "ts": NOW}, "energy", "must be a number"),
        ("ep1", {"device": "d1", "energy": 1, "unit": 0, "ts": 1_000}, "eventTime", "must lie between"),
        ("ep9", {"device": "d1"}, "", "ep9"),
    ],
)
async def test_whatever_is_wrong_is_kept_once(name: str, content: Any, field: str, reason: str) -> None:
    async with kit() as made:
        for _ in range(3):
            assert await made.payloads.take(received(content, name)) is None
        (kept,) = await made.quarantine.list("", None, 10)
        assert (kept.id, kept.format, kept.field, kept.create_time) == ("one", name, field, AT)
        assert kept.payload == received(content).payload
        assert reason in kept.reason
        assert made.lane.rows() == []


async def test_what_a_register_cannot_show_is_kept() -> None:
    rolling = CounterRules(CounterPolicy.ROLLOVER, 1000.0)
    async with kit(types=[SensorType("energy", Kind.COUNTER, "Wh", 0.0, None, None, rolling)]) as made:
        payload = {"device": "d1", "energy": 1.5, "unit": 3, "ts": NOW}
        assert await made.payloads.take(received(payload)) is None
        (kept,) = await made.quarantine.list("ep1", None, 10)
        assert (kept.field, "registerSize" in kept.reason) == ("value", True)
        assert made.catalogue.devices == {}, "a refused payload registers nothing"
        tried = await made.payloads.test("ep1", json.dumps(payload).encode())
        assert [(found.reason, found.field) for found in tried.errors] == [("VALUE_OUT_OF_RANGE", "value")]
        with pytest.raises(ValueOutOfRange):
            await made.payloads.submit("ep1", json.dumps(payload).encode())
        assert await made.payloads.take(received(payload | {"energy": 1})) is not None
        with pytest.raises(ValueOutOfRange):
            await made.payloads.submit("ep1", json.dumps(payload).encode())


async def test_a_device_that_nobody_knows_is_kept_where_none_are_registered() -> None:
    async with kit(auto_register=False) as made:
        assert await made.payloads.take(received({"device": "d1", "energy": 1, "unit": 0, "ts": NOW})) is None
        (kept,) = await made.quarantine.list("ep1", None, 10)
        assert "d1" in kept.reason


async def test_an_outage_is_no_ones_fault() -> None:
    async with kit() as made:
        made.lane.refuse = lambda batch: True
        with pytest.raises(StreamUnavailable):
            await made.payloads.take(received({"device": "d1", "energy": 1, "unit": 0, "ts": NOW}))
        assert not await made.quarantine.list("", None, 10)
