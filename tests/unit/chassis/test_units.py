import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.units import IDENTITY, conversion, known_units

VALUES = st.floats(-1e9, 1e9, allow_nan=False)
QUANTITIES = [("K", "C", "F"), ("Wh", "kWh", "MWh", "J", "GJ"), ("%", "ratio", "permille"), ("Pa", "hPa", "bar")]
PAIRS = st.sampled_from(QUANTITIES).flatmap(lambda units: st.tuples(st.sampled_from(units), st.sampled_from(units)))


@pytest.mark.parametrize(
    ("value", "unit", "canonical", "expected"),
    [
        (0.0, "C", "K", 273.15),
        (-459.67, "F", "K", 0.0),
        (32.0, "F", "C", 0.0),
        (212.0, "F", "C", 100.0),
        (-40.0, "C", "F", -40.0),
        (1.5, "kWh", "Wh", 1500.0),
        (3.6, "MJ", "kWh", 1.0),
        (0.25, "ratio", "%", 25.0),
        (1013.25, "hPa", "Pa", 101_325.0),
        (2.0, "m3", "L", 2000.0),
        (21.0, "°C", "K", 294.15),
    ],
)
def test_known_conversions(value: float, unit: str, canonical: str, expected: float) -> None:
    found = conversion(unit, canonical)
    assert found is not None
    assert found.apply(value) == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(PAIRS, VALUES)
def test_there_and_back_is_the_same_value(pair: tuple[str, str], value: float) -> None:
    there, back = conversion(*pair), conversion(*reversed(pair))
    assert there is not None
    assert back is not None
    assert math.isclose(back.apply(there.apply(value)), value, rel_tol=1e-9, abs_tol=1e-6)


@given(PAIRS, VALUES, VALUES)
def test_order_is_kept(pair: tuple[str, str], one: float, other: float) -> None:
    found = conversion(*pair)
    assert found is not None
    assert (found.apply(one) <= found.apply(other)) or one > other


@pytest.mark.parametrize(("unit", "canonical"), [("C", "Wh"), ("kWh", "W"), ("furlong", "K"), ("k", "K"), ("ppm", "%")])
def test_what_does_not_convert(unit: str, canonical: str) -> None:
    assert conversion(unit, canonical) is None


def test_an_own_unit_converts_to_itself_only() -> None:
    assert conversion("bananas", "bananas") is IDENTITY
    assert conversion("", "bananas") is IDENTITY
    assert conversion("K", "bananas") is None
    assert known_units("bananas") == ["bananas"]
