"""Alarms and their rules, to messages and back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from services.aggregation.application.alarms.alarms import ListAlarms
from services.aggregation.application.alarms.ports import AlarmFilter
from services.aggregation.application.alarms.rule_trial import TrialResult
from services.aggregation.domain.alarms import rule as rules
from services.aggregation.domain.alarms.alarm import Alarm, Revocation, State
from services.aggregation.domain.alarms.limits import given as given_condition
from services.aggregation.domain.alarms.scope import Match
from services.aggregation.domain.errors import FieldInvalid
from services.aggregation.domain.times import MINUTE
from services.chassis.grpc import validation
from services.chassis.grpc.validation import json_name
from tocsin.aggregation.v1 import alarm_pb2 as am
from tocsin.aggregation.v1 import alarm_service_pb2 as pb
from tocsin.aggregation.v1.window_pb2 import Series

DEFAULT_STEP: Final = 15 * MINUTE
_FIXED: Final = ("id", "create_time", "update_time", "matching_series", "unmatched", "canonical_unit")
_CHANGEABLE: Final = tuple(field.name for field in am.AlarmRule.DESCRIPTOR.fields if field.name not in _FIXED)


def rule_of(message: am.AlarmRule) -> rules.AlarmRule:
    """The rule of a message that the contract's rules have let through."""
    return rules.AlarmRule(
        id=message.id,
        title=message.title,
        building=message.building,
        room=message.room,
        sensor_type=message.sensor_type,
        device=message.device,
        severity=rules.Severity(message.severity or rules.Severity.WARNING),
        disabled=message.disabled,
        tenant=message.tenant,
        notify=tuple(message.notify),
        notify_cleared=message.notify_cleared,
        unit=message.unit,
        condition=_condition(message),
    )


def _condition(message: am.AlarmRule) -> rules.Condition:
    name = message.WhichOneof("condition") or ""
    given: Any = getattr(message, name)
    match name:
        case "threshold":
            above = given.direction == am.AlarmRule.Threshold.ABOVE
            return rules.Threshold(above, given.limit, given.hysteresis, _length(given.min_duration), given.value_holds)
        case "completeness":
            covered = given.ratio == am.AlarmRule.Completeness.COVERED
            step = _length(given.step) if given.HasField("step") else DEFAULT_STEP
            return rules.Completeness(given.below, covered, step)
        case "no_data":
            return rules.NoData(_length(given.after))
        case "flat_line":
            return rules.FlatLine(_length(given.duration), given.tolerance, given.value_holds)
        case "rate_of_change":
            direction = rules.Direction(given.direction or rules.Direction.EITHER)
            return rules.RateOfChange(given.limit_per_hour, direction, _length(given.over))
        case "container_full":
            return rules.ContainerFull(given.level)
        case _:
            return rules.ContainerEmptied()


def _length(duration: Duration) -> int:
    return duration.seconds * 1_000_000 + duration.nanos // 1000


def rule_message(rule: rules.AlarmRule, match: Match | None = None) -> am.AlarmRule:
    """As it goes out."""
    message = am.AlarmRule(
        id=rule.id,
        title=rule.title,
        building=rule.building,
        room=rule.room,
        sensor_type=rule.sensor_type,
        device=rule.device,
        severity=_severity(rule.severity),
        disabled=rule.disabled,
        tenant=rule.tenant,
        notify=rule.notify,
        notify_cleared=rule.notify_cleared,
        unit=rule.unit,
        canonical_unit=rule.canonical_unit,
        create_time=_moment(rule.created),
        update_time=_moment(rule.updated),
    )
    _set_condition(message, given_condition(rule))
    if match is not None:
        message.matching_series = match.series
        if match.unmatched is not None:
            message.unmatched = am.AlarmRule.UnmatchedPart.Name(int(match.unmatched))  # pyright: ignore[reportAttributeAccessIssue] - same numbers
    return message


def _set_condition(message: am.AlarmRule, condition: rules.Condition) -> None:
    match condition:
        case rules.Threshold(above=above, limit=limit, hysteresis=hysteresis, min_duration=duration, holds=holds):
            kind = am.AlarmRule.Threshold
            message.threshold.CopyFrom(
                kind(
                    direction=kind.ABOVE if above else kind.BELOW, limit=limit, hysteresis=hysteresis, value_holds=holds
                )
            )
            if duration:
                message.threshold.min_duration.FromMicroseconds(duration)
        case rules.Completeness(below=below, covered=covered, step=step):
            share = am.AlarmRule.Completeness
            message.completeness.CopyFrom(share(ratio=share.COVERED if covered else share.RECEIVED, below=below))
            message.completeness.step.FromMicroseconds(step)
        case rules.NoData(after=after):
            message.no_data.after.FromMicroseconds(after)
        case rules.FlatLine(duration=duration, tolerance=tolerance, holds=holds):
            message.flat_line.CopyFrom(am.AlarmRule.FlatLine(tolerance=tolerance, value_holds=holds))
            message.flat_line.duration.FromMicroseconds(duration)
        case rules.RateOfChange(limit_per_hour=limit, direction=direction, over=over):
            name = am.AlarmRule.RateOfChange.Direction.Name(int(direction))
            message.rate_of_change.CopyFrom(am.AlarmRule.RateOfChange(direction=name, limit_per_hour=limit))
            if over:
                message.rate_of_change.over.FromMicroseconds(over)
        case rules.ContainerFull(level=level):
            message.container_full.level = level
        case rules.ContainerEmptied():
            message.container_emptied.SetInParent()


def rule_change(request: pb.UpdateAlarmRuleRequest) -> Callable[[rules.AlarmRule], rules.AlarmRule]:
    """What an update makes of a rule. The function raises FieldInvalid for a mask that names what cannot be changed,
    and RequestInvalid when the rule would break the contract."""
    given, mask = request.rule, request.update_mask

    def change(current: rules.AlarmRule) -> rules.AlarmRule:
        paths = _paths(given, mask)
        # Limits that do not change are told in the new unit.
        message = rule_message(replace(current, unit=given.unit if "unit" in paths else current.unit))
        for path in paths:
            _merge(message, given, path)
        message.ClearField("create_time")
        message.ClearField("update_time")
        validation.check(pb.CreateAlarmRuleRequest(rule=message))
        return rule_of(message)

    return change


def _paths(given: am.AlarmRule, mask: FieldMask) -> list[str]:
    if not mask.paths:
        return [field.name for field, _ in given.ListFields() if field.name in _CHANGEABLE]
    if "*" in mask.paths:
        return [*_CHANGEABLE]
    paths = [path for path in mask.paths if path != "id"]
    # A mask of the id alone is harmless where nothing else is given: a whole entry may be sent back.
    useless = not paths and any(field.name in _CHANGEABLE for field, _ in given.ListFields())
    if useless or not all(map(_changeable, paths)):
        known = ", ".join(json_name(name) for name in _CHANGEABLE)
        raise FieldInvalid("updateMask", f"names fields that cannot be changed; these can: {known}", "MASK")
    return paths


def _changeable(path: str) -> bool:
    head, *rest = path.split(".")
    if head not in _CHANGEABLE:
        return False
    field: Any = am.AlarmRule.DESCRIPTOR.fields_by_name[head]
    for name in rest:
        if field.message_type is None or name not in field.message_type.fields_by_name:
            return False
        field = field.message_type.fields_by_name[name]
    return True


def _merge(target: Any, source: Any, path: str) -> None:
    """Puts what stands in one message at the path into the other; what is absent there becomes absent here."""
    head, _, rest = path.partition(".")
    field = target.DESCRIPTOR.fields_by_name[head]
    if rest:
        getattr(target, head).SetInParent()
        _merge(getattr(target, head), getattr(source, head), rest)
        return
    present = not field.has_presence or source.HasField(head)
    # An optional field stands in a oneof of its own; only the condition has others that would be cleared with it.
    if present or field.containing_oneof is None or field.containing_oneof.name != "condition":
        target.ClearField(head)
    if field.message_type is not None and not field.is_repeated:
        if present:
            getattr(target, head).CopyFrom(getattr(source, head))
            getattr(target, head).SetInParent()
    elif field.is_repeated:
        getattr(target, head).extend(getattr(source, head))
    elif present:
        setattr(target, head, getattr(source, head))


def list_query(request: pb.ListAlarmsRequest) -> ListAlarms:
    """The query."""
    states = tuple(sorted({State(state) for state in request.states}))
    wanted = AlarmFilter(request.building, request.room, request.sensor_type, request.rule, states)
    return ListAlarms(wanted, request.page_size, request.page_token)


def event_time(moment: Timestamp, field: str) -> int:
    """In microseconds. Raises FieldInvalid for what is no instant."""
    try:
        return moment.ToMicroseconds()
    except ValueError:
        raise FieldInvalid(field, "must lie in the years 1 to 9999") from None


def trial_message(found: TrialResult) -> pb.TryAlarmRuleResponse:
    """As it goes out."""
    message = pb.TryAlarmRuleResponse(
        raised=found.raised,
        alarms=[alarm_message(alarm) for alarm in found.alarms],
        series=found.series,
        complete=found.complete,
    )
    message.start.FromMicroseconds(found.start)
    message.end.FromMicroseconds(found.end)
    return message


def alarm_message(alarm: Alarm) -> am.Alarm:
    """As it goes out."""
    return am.Alarm(
        id=alarm.id,
        rule=alarm.rule,
        kind=alarm.kind,
        severity=_severity(alarm.severity),
        series=Series(
            building=alarm.key.building,
            room=alarm.key.room,
            sensor_type=alarm.key.sensor_type,
            device=alarm.key.device,
            unit=alarm.unit,
        ),
        state=am.Alarm.State.Name(int(alarm.state)),  # pyright: ignore[reportArgumentType] - same numbers
        message=alarm.message,
        value=alarm.value,
        last_value=alarm.last_value,
        extreme_value=alarm.extreme,
        start_time=_event_time(alarm.start),
        raise_time=_event_time(alarm.raised),
        update_time=_event_time(alarm.update),
        acknowledge_time=_moment(alarm.acknowledged),
        acknowledged_by=alarm.acknowledged_by,
        note=alarm.note,
        clear_time=_event_time(alarm.cleared),
        clear_cause=am.Alarm.ClearCause.Name(int(alarm.cause)),  # pyright: ignore[reportArgumentType] - same numbers
        closed_by=alarm.closed_by,
        close_reason=alarm.close_reason,
        historical=alarm.historical,
        revocation=_revocation(alarm.revocation),
    )


def _revocation(made: Revocation | None) -> am.Alarm.Revocation | None:
    return None if made is None else am.Alarm.Revocation(time=_moment(made.time), by=made.by, reason=made.reason)


def _severity(severity: rules.Severity) -> am.AlarmRule.Severity:
    return am.AlarmRule.Severity.Name(int(severity))  # pyright: ignore[reportReturnType] - same numbers


def _moment(at: datetime | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromDatetime(at)
    return message


def _event_time(at: int | None) -> Timestamp | None:
    if at is None:
        return None
    message = Timestamp()
    message.FromMicroseconds(at)
    return message
