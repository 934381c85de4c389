"""Messages about corrections and recomputation."""

from services.aggregation.application.partition.decision_request import DecideCorrection
from services.aggregation.application.partition.recomputation_request import Outcome, RecomputeRoom
from services.aggregation.application.queries.corrections import CorrectionFilter, StoredCorrection
from services.aggregation.application.queries.reading_conflicts import ListedConflict
from services.aggregation.domain.counters.correction import Decision
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1 import window_pb2 as wm


def corrections_query(request: pb.ListCorrectionsRequest) -> CorrectionFilter:
    """What the list is limited to."""
    return CorrectionFilter(request.building, request.room, request.sensor_type, request.device, *_range(request))


def conflicts_query(request: pb.ListReadingConflictsRequest) -> CorrectionFilter:
    """What the list is limited to."""
    return CorrectionFilter(request.building, request.room, request.sensor_type, request.device, *_range(request))


def conflict_message(found: ListedConflict) -> wm.StoredReadingConflict:
    """A conflict."""
    message = wm.StoredReadingConflict(
        series=wm.Series(
            building=found.key.building,
            room=found.key.room,
            sensor_type=found.key.sensor_type,
            device=found.key.device,
            unit=found.unit,
        ),
        value=found.value,
        counting_value=found.counting,
        outcome="SUPERSEDED" if found.superseded else "IGNORED",
        count=found.times,
    )
    message.event_time.FromMicroseconds(found.time)
    message.create_time.FromMicroseconds(found.created)
    return message


def correction_message(found: StoredCorrection) -> wm.Correction:
    """A correction."""
    message = wm.Correction(
        series=wm.Series(
            building=found.key.building,
            room=found.key.room,
            sensor_type=found.key.sensor_type,
            device=found.key.device,
            unit=found.unit,
        ),
        value=found.value,
        level=found.level,
        kind=found.kind,
        readings=found.readings,
        id=found.id,
    )
    message.event_time.FromMicroseconds(found.time)
    message.last_event_time.FromMicroseconds(found.last_time)
    if found.doubt is not None:
        message.doubt.CopyFrom(wm.Correction.Doubt(booked=found.doubt.booked, otherwise=found.doubt.otherwise))
    if (decision := found.decision) is not None:
        message.decision.CopyFrom(
            wm.CorrectionDecision(
                kind=decision.kind,
                value=decision.value,
                author=decision.author,
                reason=decision.reason,
                withdrawn=decision.withdrawn,
            )
        )
        message.decision.create_time.FromMicroseconds(decision.created)
    return message


def decide_command(request: pb.DecideCorrectionRequest, author: str) -> DecideCorrection:
    """The command."""
    decision = Decision(wm.CorrectionDecision.Kind.Name(request.decision), request.value)
    return DecideCorrection(request.building, request.room, request.id, decision, author, request.reason)


def recompute_command(request: pb.RecomputeWindowsRequest) -> RecomputeRoom:
    """The command."""
    return RecomputeRoom(
        request.building,
        request.room,
        request.sensor_type,
        request.device,
        *_range(request),
        include_too_late=request.include_too_late,
    )


def recomputed_message(found: Outcome) -> pb.RecomputeWindowsResponse:
    """The answer."""
    return pb.RecomputeWindowsResponse(
        series=found.series,
        readings=found.totals.readings,
        windows=found.totals.windows,
        changed=found.totals.changed,
    )


def _range(
    request: pb.ListCorrectionsRequest | pb.RecomputeWindowsRequest | pb.ListReadingConflictsRequest,
) -> tuple[int | None, int | None]:
    """(`from` is a word of Python: the field is read by name.)"""
    start = getattr(request, "from")
    return (
        start.ToMicroseconds() if request.HasField("from") else None,
        request.to.ToMicroseconds() if request.HasField("to") else None,
    )
