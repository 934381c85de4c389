"""Alarms in the service as a process: rules by gRPC, readings through the stream, events out; killed and taken over."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from services.aggregation.domain.series import Descriptor, Kind, SeriesKey, partition_of
from services.aggregation.domain.times import MINUTE, SECOND
from services.chassis.auth.dev_issuer import DevIssuer
from services.chassis.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.chassis.grpc.client import connect
from services.chassis.nats.broker_checks import durable_write
from services.chassis.nats.topology import EDGE
from tests.support.aggregation.mesh import PARTITIONS, Mesh, Replica
from tests.support.eventually import eventually
from tocsin.aggregation.v1 import alarm_pb2 as am
from tocsin.aggregation.v1 import alarm_service_pb2 as pb
from tocsin.aggregation.v1.aggregation_service_pb2 import ReplaceReadingRequest, VoidReadingRequest
from tocsin.aggregation.v1.alarm_service_pb2_grpc import AlarmServiceStub
from tocsin.events.v1.alarms_pb2 import AlarmCleared, AlarmNotice, AlarmRaised


def series(device: str, room: str = "r1", sensor: str = "temperature") -> Descriptor:
    return Descriptor(SeriesKey("b1", room, sensor, device), Kind.GAUGE, "K", 5 * SECOND)


def now_us() -> int:
    return time.time_ns() // 1000


class Desk:
    """A client of the service, and everything that the service tells."""

    def __init__(self, mesh: Mesh, replica: Replica) -> None:
        self.mesh = mesh
        self.issuer = DevIssuer.open(mesh.directory / "auth")
        self.replica = replica
        self.stub: Any = None
        self.told: list[Any] = []

    async def connect(self, replica: Replica, **claims: Any) -> Any:
        token = self.issuer.mint(["alarms:write"], **({"tenants": ["test"], "subject": "ada"} | claims))
        channel = connect(f"127.0.0.1:{replica.port}", token=lambda: token)
        return AlarmServiceStub((await self.mesh.stack.enter_async_context(channel)).channel)

    async def hear(self, message: Any) -> None:
        kinds = {"raised": AlarmRaised, "cleared": AlarmCleared}
        kind = AlarmNotice if "notices" in message.subject else kinds[message.subject.rsplit(".", 1)[1]]
        self.told.append(kind.FromString(message.data))

    def of(self, kind: type) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]

    async def rule(self, id_: str, **fields: Any) -> am.AlarmRule:
        rule = am.AlarmRule(id=id_, **{"sensor_type": "temperature", **fields})
        return await self.stub.CreateAlarmRule(pb.CreateAlarmRuleRequest(rule=rule))

    async def alarms(self, **wanted: Any) -> list[am.Alarm]:
        return list((await self.stub.ListAlarms(pb.ListAlarmsRequest(**wanted))).alarms)

    async def until(self, state: str, count: int = 1, timeout: float = 10, **wanted: Any) -> list[am.Alarm]:
        async def look() -> list[am.Alarm]:
            found = await self.alarms(states=[am.Alarm.State.Value(state)], **wanted)
            assert len(found) == count, found
            return found

        return await eventually(look, timeout)


@asynccontextmanager
async def open_desk(mesh: Mesh, **settings: str) -> AsyncIterator[Desk]:
    desk = Desk(mesh, await mesh.replica(**settings))
    desk.stub = await desk.connect(desk.replica)
    subscriptions = [
        await mesh.nats.nc.subscribe(subject, cb=desk.hear)
        for subject in ("tocsin.alarms.v1.*", "tocsin.alarm_notices.>")
    ]
    yield desk
    for one in subscriptions:
        await one.unsubscribe()


@pytest.fixture
async def desk(mesh: Mesh) -> AsyncIterator[Desk]:
    async with open_desk(mesh) as made:
        yield made


async def test_from_a_rule_to_a_cleared_alarm(mesh: Mesh, desk: Desk) -> None:
    threshold = am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=300, hysteresis=2)
    threshold.min_duration.seconds = 10
    made = await desk.rule("hot", title="Too hot", threshold=threshold, tenant="test", notify=["ada", "bob"])
    assert (made.severity, made.HasField("create_time")) == (am.AlarmRule.WARNING, True)
    start = now_us() - MINUTE

    async def pending() -> bool:
        """The rule reaches the owner at its own time: readings before that are not judged."""
        await mesh.send([(series("d1"), now_us() - MINUTE, 305.0)])
        return bool(await desk.alarms(states=["PENDING"]))

    await eventually(pending)
    start = (await desk.until("PENDING"))[0].start_time.ToMicroseconds()
    at = now_us() + 20 * SECOND
    await mesh.send([(series("d1"), at, 306.0)])
    [alarm] = await desk.until("RAISED")
    assert (alarm.rule, alarm.kind, alarm.value, alarm.start_time.ToMicroseconds()) == ("hot", "THRESHOLD", 306, start)
    assert alarm.raise_time.ToMicroseconds() == at
    assert alarm.message.startswith("temperature in b1/r1 (device d1) is 306 K: above 300 K for 10 s (20")
    with pytest.raises(NotFound):
        await desk.stub.AcknowledgeAlarm(pb.AcknowledgeAlarmRequest(id="nobody"))
    for note in ("I am on it", "again"):
        taken = await desk.stub.AcknowledgeAlarm(pb.AcknowledgeAlarmRequest(id=alarm.id, note=note))
        assert (taken.state, taken.acknowledged_by, taken.note) == (am.Alarm.ACKNOWLEDGED, "ada", "I am on it")
    # Still too hot, then within the hysteresis: it stays acknowledged, and takes the values in.
    await mesh.send([(series("d1"), at + SECOND, 310.0), (series("d1"), at + 2 * SECOND, 299.0)])

    async def updated() -> bool:
        [found] = await desk.alarms()
        assert found.state == am.Alarm.ACKNOWLEDGED
        return (found.last_value, found.extreme_value) == (299, 310)

    await eventually(updated)
    # Out of order: not judged.
    await mesh.send([(series("d1"), at - SECOND, 200.0)])
    await mesh.send([(series("d1"), at + 3 * SECOND, 298.0)])
    [cleared] = await desk.until("CLEARED")
    assert (cleared.clear_time.ToMicroseconds(), cleared.acknowledged_by) == (at + 3 * SECOND, "ada")
    with pytest.raises(FailedPrecondition) as refused:
        await desk.stub.AcknowledgeAlarm(pb.AcknowledgeAlarmRequest(id=alarm.id))
    assert (refused.value.reason, refused.value.metadata["state"]) == ("ALARM_NOT_RAISED", "CLEARED")
    await eventually(lambda: len(desk.told) == 3)
    [raised], [gone], [notice] = desk.of(AlarmRaised), desk.of(AlarmCleared), desk.of(AlarmNotice)
    assert raised.alarm == gone.alarm == notice.alarm == alarm.id
    assert (notice.tenant, list(notice.users), notice.title, notice.body) == (
        "test",
        ["ada", "bob"],
        "Too hot",
        alarm.message,
    )
    assert (gone.value, raised.value, raised.severity) == (298, 306, "WARNING")


async def test_silence_is_raised_to_the_tick_and_cleared_by_the_next_reading(mesh: Mesh, desk: Desk) -> None:
    no_data = am.AlarmRule.NoData()
    no_data.after.seconds = 2
    await desk.rule("quiet", no_data=no_data)
    noisy = next(f"n{n}" for n in range(100) if _partition(f"n{n}") == _partition("d1"))
    # Silence counts from when the owner of the partition could take readings.
    above = am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=299)
    await desk.rule("owned", threshold=above)
    await mesh.send([(series(noisy), now_us(), 300.0)])
    await desk.until("RAISED", rule="owned")
    await mesh.send([(series(noisy), now_us(), 298.0)])
    await desk.until("CLEARED", rule="owned")
    newest = now_us()
    await mesh.send([(series("d1"), newest, 290.0)])
    found: list[am.Alarm] = []

    async def raised() -> bool:
        # Others in the same partition never stop talking.
        await mesh.send([(series(noisy), now_us(), 290.0)])
        found[:] = [alarm for alarm in await desk.alarms(rule="quiet") if alarm.series.device == "d1"]
        return bool(found)

    await eventually(raised)
    seen = now_us()
    assert found[0].raise_time.ToMicroseconds() == newest + 2 * SECOND
    assert newest + 2 * SECOND <= seen <= newest + 3 * SECOND + 500_000, "a second, and half of one to look at it"
    assert not found[0].HasField("value")
    await mesh.send([(series("d1"), seen, 291.0)])
    [cleared] = await desk.until("CLEARED", room="r1", rule="quiet")
    assert cleared.clear_time.ToMicroseconds() == seen
    # One alarm for each silence, however long it lasts.
    await desk.until("RAISED", 2, rule="quiet")
    assert len([alarm for alarm in await desk.alarms(rule="quiet") if alarm.series.device == "d1"]) == 2


def _partition(device: str) -> int:
    return partition_of(series(device).key, PARTITIONS)


async def test_an_emptied_container_is_one_alarm_by_either_lane(mesh: Mesh, desk: Desk) -> None:
    await desk.rule("emptied", sensor_type="filling_level", container_emptied=am.AlarmRule.ContainerEmptied())
    await desk.rule("full", sensor_type="filling_level", container_full=am.AlarmRule.ContainerFull(level=80))
    bin_ = Descriptor(SeriesKey("b1", "yard", "filling_level", "c1"), Kind.LEVEL, "%", 0)
    at = now_us() - 10 * MINUTE

    async def full() -> bool:
        nonlocal at
        at += SECOND
        await mesh.send([(bin_, at, 85.0)])
        return bool(await desk.alarms(rule="full"))

    await eventually(full)
    await mesh.empty(bin_, at + SECOND)
    [emptied] = await desk.until("CLEARED", rule="emptied")
    assert emptied.raise_time == emptied.clear_time
    await desk.until("CLEARED", rule="full")
    # The same emptying by the bulk, and the level staying at 0.
    await mesh.send([(bin_, at + SECOND, 0.0), (bin_, at + 2 * SECOND, 0.0)])
    await mesh.send([(bin_, at + 3 * SECOND, 10.0), (bin_, at + 4 * SECOND, 0.0)])
    await desk.until("CLEARED", 2, rule="emptied")
    assert len(await desk.alarms(rule="emptied")) == 2


async def test_a_rule_that_goes_takes_its_alarms_along(mesh: Mesh, desk: Desk) -> None:
    above = am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=300)
    for name in ("deleted", "disabled", "changed", "renamed"):
        await desk.rule(name, threshold=above)

    async def raised() -> bool:
        await mesh.send([(series("d1"), now_us(), 305.0)])
        return len(await desk.alarms(states=["RAISED"])) == 4

    await eventually(raised)
    await desk.stub.DeleteAlarmRule(pb.DeleteAlarmRuleRequest(id="deleted"))
    await desk.stub.UpdateAlarmRule(
        pb.UpdateAlarmRuleRequest(rule=am.AlarmRule(id="disabled", disabled=True), update_mask=_mask("disabled"))
    )
    changed = await desk.stub.UpdateAlarmRule(
        pb.UpdateAlarmRuleRequest(
            rule=am.AlarmRule(id="changed", threshold=am.AlarmRule.Threshold(limit=400)),
            update_mask=_mask("threshold.limit"),
        )
    )
    assert (changed.threshold.limit, changed.threshold.direction) == (400, am.AlarmRule.Threshold.ABOVE)
    await desk.stub.UpdateAlarmRule(pb.UpdateAlarmRuleRequest(rule=am.AlarmRule(id="renamed", title="Another name")))
    gone = await desk.until("CLEARED", 3)
    assert {alarm.rule for alarm in gone} == {"deleted", "disabled", "changed"}
    [kept] = await desk.alarms(states=["RAISED"])
    assert kept.rule == "renamed"
    await eventually(lambda: len(desk.of(AlarmCleared)) == 3)
    rules = await desk.stub.ListAlarmRules(pb.ListAlarmRulesRequest())
    assert [rule.id for rule in rules.rules] == ["changed", "disabled", "renamed"]


def _mask(*paths: str) -> FieldMask:
    return FieldMask(paths=paths)


async def test_readings_that_come_late_clear_the_alarm_of_their_window(mesh: Mesh) -> None:
    async with open_desk(mesh) as desk:
        condition = am.AlarmRule.Completeness(below=0.9)
        condition.step.seconds = 60
        made = await desk.rule("gaps", completeness=condition)
        assert (made.matching_series, made.unmatched) == (0, am.AlarmRule.SENSOR_TYPE)
        start = now_us() - 30 * MINUTE
        start -= start % MINUTE
        tried: list[str] = []

        async def raised() -> list[am.Alarm]:
            """The rule reaches the owner at its own time: windows that closed before that are not judged."""
            tried.append(f"d{len(tried)}")
            kept = [start + at * 5 * SECOND for at in range(16) if at == 0 or at > 11]
            await mesh.send([(series(tried[-1]), at, 290.0) for at in kept])
            return await desk.alarms(states=["RAISED"])

        [alarm, *_] = await eventually(raised)
        assert alarm.value == pytest.approx(1 / 12)
        # Another owner knows what its predecessor has judged.
        await desk.replica.end(signal.SIGKILL)
        desk.replica = await mesh.replica()
        desk.stub = await desk.connect(desk.replica)
        late = [start + at * 5 * SECOND for at in range(1, 12)]
        await mesh.send([(series(alarm.series.device), at, 290.0) for at in late])

        async def cleared() -> am.Alarm:
            found = await desk.stub.GetAlarm(pb.GetAlarmRequest(id=alarm.id))
            assert found.state == am.Alarm.CLEARED
            return found

        found = await eventually(cleared, 30)
        assert found.clear_time.ToMicroseconds() == start + MINUTE
        events = await eventually(lambda: [one for one in desk.of(AlarmCleared) if one.alarm == alarm.id])
        assert len(events) == 1

        async def matches() -> bool:
            rule = await desk.stub.GetAlarmRule(pb.GetAlarmRuleRequest(id="gaps"))
            return (rule.matching_series, rule.unmatched) == (len(tried), am.AlarmRule.UNMATCHED_PART_UNSPECIFIED)

        await eventually(matches)


@pytest.mark.chaos
async def test_killed_and_taken_over_it_tells_everything_once(mesh: Mesh) -> None:
    async with open_desk(mesh) as desk:
        above = am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=300)
        await desk.rule("hot", threshold=above)
        first = now_us() - 60 * MINUTE

        async def known() -> bool:
            await mesh.send([(series("probe"), now_us(), 305.0)])
            return bool(await desk.alarms())

        await eventually(known)
        # Up and down, in every partition: each series has as many episodes as its readings go up.
        devices = [f"d{number}" for number in range(16)]
        sent = 0
        for step in range(60):
            values = [305.0 if step % 2 else 295.0] * len(devices)
            rows = [
                (series(device), first + step * SECOND, value) for device, value in zip(devices, values, strict=True)
            ]
            await mesh.send(rows)
            sent += len(rows)
            if step == 20:
                await mesh.replica()
            if step == 30:
                await desk.replica.end(signal.SIGKILL)
                desk.stub = await desk.connect(mesh.replicas[1])

        async def all_there() -> bool:
            count = await mesh.value("SELECT count(*) FROM alarms WHERE device <> 'probe'")
            assert count <= 30 * len(devices)
            return count == 30 * len(devices)

        await eventually(all_there, 30)

        async def all_told() -> bool:
            told = [one.alarm for one in desk.of(AlarmRaised) if one.device != "probe"]
            return len(set(told)) == 30 * len(devices)

        await eventually(all_told, 30)
        stored = await mesh.value("SELECT count(*) + count(cleared_us) FROM alarms WHERE state > 1")

        async def in_the_stream() -> bool:
            info = await mesh.nats.js.stream_info("ALARMS")
            return info.state.messages == stored

        await eventually(in_the_stream, 20)


@pytest.mark.chaos
async def test_a_restart_with_a_backlog_calls_nobody_quiet(mesh: Mesh) -> None:
    async with open_desk(mesh) as desk:
        no_data = am.AlarmRule.NoData()
        no_data.after.seconds = 3
        await desk.rule("quiet", no_data=no_data)
        await mesh.send([(series("d1"), now_us(), 290.0)])
        await mesh.until_stored(1)
        assert await desk.replica.end() == 0
        # It goes on talking while nobody listens.
        talk = now_us()
        for step in range(1, 5):
            await mesh.send([(series("d1"), talk + step * SECOND, 290.0)])
        behind = now_us() + 4 * SECOND
        await eventually(lambda: now_us() > behind, 10)
        newest = now_us()
        await mesh.send([(series("d1"), newest, 290.0)])
        replica = await mesh.replica()
        desk.stub = await desk.connect(replica)
        await mesh.until_stored(6)
        # The only silence is the one after the newest reading of the backlog.
        [alarm] = await desk.until("RAISED")
        assert alarm.start_time.ToMicroseconds() == newest + 3 * SECOND
        # Raised as long after the service came back.
        assert newest + 3 * SECOND <= alarm.raise_time.ToMicroseconds() <= now_us()
        assert len(await desk.alarms()) == 1


async def test_an_alarm_that_stood_on_a_wrong_reading_is_over_when_it_is_voided(mesh: Mesh, desk: Desk) -> None:
    await desk.rule("hot", threshold=am.AlarmRule.Threshold(direction="ABOVE", limit=300))
    at = now_us() - 30 * SECOND
    await mesh.send([(series("d1"), at - SECOND, 290.0), (series("d1"), at, 390.0)])
    await desk.until("RAISED")
    stub = await mesh.stub(desk.replica)
    wrong = VoidReadingRequest(building="b1", room="r1", sensor_type="temperature", device="d1", reason="a test")
    wrong.event_time.FromMicroseconds(at)
    assert (await stub.VoidReading(wrong, timeout=60)).changed
    [alarm] = await desk.alarms()
    assert (alarm.state, alarm.clear_cause) == (am.Alarm.CLEARED, am.Alarm.READING_AMENDED)
    assert (alarm.revocation.by, alarm.revocation.reason) == ("developer", "a test")
    await eventually(lambda: len(desk.of(AlarmCleared)) == 1)
    assert desk.of(AlarmCleared)[0].cause == "READING_AMENDED"
    assert len(desk.of(AlarmRaised)) == 1


async def test_an_alarm_that_is_long_over_and_was_none_is_marked_when_its_reading_is_amended(
    mesh: Mesh, desk: Desk
) -> None:
    await desk.rule("hot", threshold=am.AlarmRule.Threshold(direction="ABOVE", limit=300))
    at = now_us() - 30 * SECOND
    await mesh.send([(series("d1"), at - SECOND, 290.0), (series("d1"), at, 390.0)])
    await desk.until("RAISED")
    await mesh.send([(series("d1"), at + SECOND, 291.0)])
    [before] = await desk.until("CLEARED")
    assert not before.HasField("revocation")
    await eventually(lambda: len(desk.of(AlarmCleared)) == 1)
    stub = await mesh.stub(desk.replica)
    wrong = ReplaceReadingRequest(
        building="b1", room="r1", sensor_type="temperature", device="d1", value=290.5, unit="K", reason="the sun"
    )
    wrong.event_time.FromMicroseconds(at)
    assert (await stub.ReplaceReading(wrong, timeout=60)).changed
    [alarm] = await desk.alarms()
    assert (alarm.state, alarm.clear_cause) == (am.Alarm.CLEARED, am.Alarm.CONDITION_ENDED)
    assert alarm.revocation.HasField("time")
    assert alarm.revocation.reason == "the sun"
    wrong.value = 389.0
    wrong.reason = "it was hot"
    assert (await stub.ReplaceReading(wrong, timeout=60)).changed
    assert list(await desk.alarms()) == [before]
    assert (len(desk.of(AlarmRaised)), len(desk.of(AlarmCleared))) == (1, 1)


@pytest.mark.chaos
async def test_while_ingestion_is_away_nobody_is_called_quiet(mesh: Mesh) -> None:
    """The same of the edge is in tests/chaos/test_silent_edge.py."""
    alive = asyncio.Event()

    async def marks() -> None:
        """Ingestion says all the time that it can store what comes, and that the edge stands."""
        while True:
            await durable_write(mesh.nats, EDGE)
            if alive.is_set():
                await durable_write(mesh.nats, "ingestion")
            await asyncio.sleep(0.3)

    async with open_desk(mesh) as desk, asyncio.TaskGroup() as tasks:
        heart = tasks.create_task(marks())
        alive.set()
        no_data = am.AlarmRule.NoData()
        no_data.after.seconds = 7
        await desk.rule("quiet", no_data=no_data)
        await mesh.send([(series("d1"), now_us(), 290.0)])
        await mesh.until_stored(1)
        alive.clear()
        over = now_us() + 9 * SECOND
        await eventually(lambda: now_us() > over, 12)
        assert await desk.alarms() == []
        alive.set()
        back = now_us()
        [alarm] = await desk.until("RAISED")
        assert alarm.raise_time.ToMicroseconds() >= back + 7 * SECOND
        heart.cancel()


async def test_refusals_name_field_and_rule(desk: Desk) -> None:
    above = am.AlarmRule.Threshold(direction=am.AlarmRule.Threshold.ABOVE, limit=300)
    step = am.AlarmRule.Completeness(below=0.5)
    step.step.seconds = 7
    for fields, field, reason in (
        ({"room": "r1", "threshold": above}, "rule.building", "ROOM_NEEDS_BUILDING"),
        ({"notify": ["ada"], "threshold": above}, "rule.tenant", "NOTIFY_NEEDS_TENANT"),
        ({"completeness": step}, "rule.completeness.step", "STEP_UNKNOWN"),
        ({}, "rule.condition", "REQUIRED"),
        ({"threshold": am.AlarmRule.Threshold(limit=1)}, "rule.threshold.direction", "ENUM_NOT_IN"),
        ({"threshold": am.AlarmRule.Threshold(direction="ABOVE")}, "rule.threshold.limit", "REQUIRED"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await desk.rule("bad", **fields)
        assert [(one.field, one.reason) for one in refused.value.violations] == [(field, reason)]
    with pytest.raises(PermissionDenied) as denied:
        await desk.rule("bad", tenant="other", threshold=above)
    assert (denied.value.reason, denied.value.metadata) == ("TENANT_DENIED", {"tenant": "other"})
    await desk.rule("good", tenant="test", notify=["ada"], threshold=above)
    stranger = await desk.connect(desk.replica, tenants=["other"])
    seen = await stranger.GetAlarmRule(pb.GetAlarmRuleRequest(id="good"))
    assert (seen.tenant, list(seen.notify)) == ("test", [])
    with pytest.raises(PermissionDenied):
        await stranger.DeleteAlarmRule(pb.DeleteAlarmRuleRequest(id="good"))
    with pytest.raises(InvalidArgument) as mask:
        await desk.stub.UpdateAlarmRule(
            pb.UpdateAlarmRuleRequest(rule=am.AlarmRule(id="good"), update_mask=_mask("create_time"))
        )
    assert mask.value.violations[0].field == "updateMask"
    with pytest.raises(InvalidArgument) as broken:
        await desk.stub.UpdateAlarmRule(
            pb.UpdateAlarmRuleRequest(rule=am.AlarmRule(id="good", room="r1"), update_mask=_mask("room"))
        )
    assert broken.value.violations[0].field == "rule.building"
