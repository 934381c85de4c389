"""Averages in the unit that was asked for."""

import pytest

from services.aggregation.adapters.grpc.answer_units import in_unit
from services.aggregation.domain.errors import FieldInvalid
from tocsin.aggregation.v1 import aggregation_service_pb2 as pb
from tocsin.aggregation.v1.window_pb2 import Statistics


def answer(unit: str = "K", **statistics: float) -> pb.Average:
    return pb.Average(unit=unit, statistics=Statistics(count=2, covered_ratio=0.5, **statistics))


def test_values_are_converted_and_shares_are_not() -> None:
    found = answer(min=273.15, mean=304.65)
    in_unit(found, "C")
    assert found == answer("C", min=0.0, mean=31.5)


def test_what_was_used_has_no_zero_of_its_own() -> None:
    found = answer("Wh", consumption=1500.0, last=4_500_000.0)
    in_unit(found, "kWh")
    assert found == answer("kWh", consumption=1.5, last=4500.0)


@pytest.mark.parametrize("unit", ["", "K"])
def test_without_a_unit_or_in_its_own_nothing_changes(unit: str) -> None:
    found = answer(mean=304.6499999999999)
    before = pb.Average.FromString(found.SerializeToString())
    in_unit(found, unit)
    assert found.unit == "K"
    assert found.statistics.mean == pytest.approx(before.statistics.mean)


def test_a_unit_of_another_quantity_is_refused_with_those_that_fit() -> None:
    with pytest.raises(FieldInvalid) as refused:
        in_unit(answer(mean=1.0), "kWh")
    [violation] = refused.value.violations
    assert (violation.field, violation.description) == ("unit", "must be one of K, C, F, is kWh")


def test_without_data_there_is_nothing_to_convert() -> None:
    found = pb.Average(state=pb.Average.NO_DATA)
    in_unit(found, "C")
    assert found == pb.Average(state=pb.Average.NO_DATA)
