"""What people decide about meters on the real parts: asked for over gRPC, followed by windows, for ever."""

import time
from functools import partial

import pytest

from services.aggregation.domain.series import Descriptor, Kind, SeriesKey
from services.aggregation.domain.times import MINUTE, SECOND
from services.chassis.errors import InvalidArgument, NotFound
from tests.support.aggregation.mesh import Mesh, Row
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2 as wm
from tocsin.aggregation.v1.aggregation_service_pb2_grpc import AggregationServiceStub
from tocsin.events.v1.readings_pb2 import SensorTypeInfo

METER = Descriptor(SeriesKey("b1", "r1", "energy", "m1"), Kind.COUNTER, "Wh", 60 * SECOND)


async def used(stub: AggregationServiceStub) -> float:
    page = await stub.ListWindows(
        pb.ListWindowsRequest(building="b1", room="r1", sensor_type="energy", device="m1", page_size=1000)
    )
    return sum(window.statistics.consumption for window in page.windows)


async def corrections(stub: AggregationServiceStub) -> list[wm.Correction]:
    page = await stub.ListCorrections(pb.ListCorrectionsRequest(building="b1", room="r1"))
    return list(page.corrections)


async def test_a_person_decides_and_it_stays_decided(mesh: Mesh) -> None:
    replica = await mesh.replica(TOCSIN_AGGREGATION_EDGE_WAIT="200ms", TOCSIN_AGGREGATION_GRACE="200ms")
    stub = await mesh.stub(replica)
    start = (time.time_ns() // 1000 // MINUTE - 40) * MINUTE
    await mesh.tell(SensorTypeInfo(sensor_type="energy", unit="Wh", min_value=0.0, max_value=1e12, told_us=1))
    values = [100.0, 101, 102, 3, 103, 104, 105, 106, 107]
    rows: list[Row] = [(METER, start + at * MINUTE, value) for at, value in enumerate(values)]
    await mesh.send(rows)
    await mesh.until_stored(len(rows))

    async def listed() -> bool:
        return len(await corrections(stub)) == 1

    await eventually(listed)
    (found,) = await corrections(stub)
    assert (found.kind, found.value, found.HasField("decision")) == (wm.Correction.GLITCH, 3.0, False)

    async def decide(kind: int, value: float | None = None, reason: str = "seen") -> pb.DecideCorrectionResponse:
        request = pb.DecideCorrectionRequest(
            building="b1",
            room="r1",
            id=found.id,
            decision=wm.CorrectionDecision.Kind.Name(kind),  # pyright: ignore[reportArgumentType]
            value=value,
            reason=reason,
        )
        return await stub.DecideCorrection(request, timeout=60)

    kinds = wm.CorrectionDecision
    for wrong in (-5.0, 1e300):
        with pytest.raises(InvalidArgument, match="value: must be not below 0 Wh") as refusal:
            await decide(kinds.VALUE, wrong)
        assert refusal.value.reason == "VALUE_OUT_OF_RANGE"
    assert await mesh.value("SELECT count(*) FROM correction_decisions") == 0
    for kind, value, right in (
        (kinds.RESET, None, 6),
        (kinds.IGNORE, None, 7),
        (kinds.VALUE, 102.5, 7),
        (kinds.GLITCH, None, 7),
    ):
        done = await decide(kind, value, f"because {kind}")
        assert done.changed
        decision = done.correction.decision
        assert (decision.kind, decision.reason, decision.author) == (kind, f"because {kind}", "developer")
        assert (done.correction.value, decision.HasField("value")) == (3.0, value is not None)
        assert abs(decision.create_time.ToSeconds() - time.time()) < 300
        assert await used(stub) == pytest.approx(right), kind
        again = await decide(kind, value, "once more")
        assert (again.changed, again.correction.decision.reason) == (False, f"because {kind}")
        recomputed = await stub.RecomputeWindows(pb.RecomputeWindowsRequest(building="b1", room="r1"), timeout=60)
        assert recomputed.changed == 0
    await decide(kinds.RESET)
    # Another owner, and windows of steps that were not there before: built anew from raw readings.
    await replica.end()
    stub = await mesh.stub(await mesh.replica(TOCSIN_AGGREGATION_STEPS="1m,5m,15m,1h,1d"))
    built = partial(mesh.value, "SELECT count(*) > 0 FROM windows WHERE step_us = $1", 5 * MINUTE)
    await eventually(built)
    assert await used(stub) == pytest.approx(6)
    found.id = f"{found.id}0"
    with pytest.raises(NotFound):
        await decide(kinds.GLITCH)
