"""Answers in the unit that was asked for."""

from services.aggregation.domain.errors import FieldInvalid
from services.chassis.units import Conversion, conversion, known_units
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb

_VALUES = ("min", "max", "first", "last", "mean", "time_weighted_mean")


def in_unit(answer: pb.Average | pb.BuildingAverage, unit: str) -> None:
    """Converts the statistics; empty: as they are. Raises FieldInvalid for a unit of another quantity."""
    if not unit or not answer.unit:
        return
    found = conversion(answer.unit, unit)
    if found is None:
        description = f"must be one of {', '.join(known_units(answer.unit))}, is {unit}"
        raise FieldInvalid("unit", description, "UNIT_UNKNOWN")
    answer.unit = unit
    statistics = answer.statistics
    for name in _VALUES:
        if statistics.HasField(name):
            setattr(statistics, name, found.shown(getattr(statistics, name)))
    if statistics.HasField("consumption"):
        statistics.consumption = Conversion(found.scale, 0.0).shown(statistics.consumption)
