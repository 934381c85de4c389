"""Answers in the unit that was asked for."""

from services.aggregation.domain.errors import FieldInvalid
from services.chassis.units import conversion, known_units
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb

_VALUES = ("min", "max", "first", "last", "mean", "time_weighted_mean")
_DIGITS = 12
"""That a conversion keeps: without its noise 304.65 K are 31.5 C."""


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
            setattr(statistics, name, _rounded(found.apply(getattr(statistics, name))))
    if statistics.HasField("consumption"):
        statistics.consumption = _rounded(statistics.consumption * found.scale)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
