"""Units of measurement and their conversion to a canonical unit.

Every conversion here is linear: ``canonical = value * scale + offset``. Factors are exact by definition of the units
(SI brochure; 1 cal and 1 BTU are left out because they have several definitions).
"""

import math
from typing import Final, NamedTuple

_DIGITS: Final = 12
"""That a conversion there and back keeps."""


class Conversion(NamedTuple):
    """``canonical = value * scale + offset``."""

    scale: float
    offset: float

    def apply(self, value: float) -> float:
        """The value in the canonical unit."""
        return value * self.scale + self.offset

    def shown(self, value: float) -> float:
        """The same for people: without the noise of the arithmetic, 0 F is 0 and not 5.7e-14."""
        converted, size = self.apply(value), max(abs(value * self.scale), abs(self.offset))
        return round(converted, _DIGITS - 1 - math.floor(math.log10(size))) if 0 < size < math.inf else converted

    @property
    def back(self) -> "Conversion":
        """From the canonical unit to this one."""
        return Conversion(1 / self.scale, -self.offset / self.scale)


IDENTITY = Conversion(1.0, 0.0)


class _Unit(NamedTuple):
    """A unit by the quantity that it measures, and its conversion to that quantity's base unit."""

    quantity: str
    to_base: Conversion


def _unit(quantity: str, scale: float, offset: float = 0.0) -> _Unit:
    return _Unit(quantity, Conversion(scale, offset))


_UNITS = {
    "K": _unit("temperature", 1.0),
    "C": _unit("temperature", 1.0, 273.15),
    "F": _unit("temperature", 5.0 / 9.0, 459.67 * 5.0 / 9.0),
    "J": _unit("energy", 1.0),
    "kJ": _unit("energy", 1e3),
    "MJ": _unit("energy", 1e6),
    "GJ": _unit("energy", 1e9),
    "Wh": _unit("energy", 3600.0),
    "kWh": _unit("energy", 3.6e6),
    "MWh": _unit("energy", 3.6e9),
    "GWh": _unit("energy", 3.6e12),
    "mW": _unit("power", 1e-3),
    "W": _unit("power", 1.0),
    "kW": _unit("power", 1e3),
    "MW": _unit("power", 1e6),
    "%": _unit("ratio", 0.01),
    "ratio": _unit("ratio", 1.0),
    "permille": _unit("ratio", 1e-3),
    "ppm": _unit("concentration", 1.0),
    "ppb": _unit("concentration", 1e-3),
    "Pa": _unit("pressure", 1.0),
    "hPa": _unit("pressure", 100.0),
    "mbar": _unit("pressure", 100.0),
    "kPa": _unit("pressure", 1e3),
    "bar": _unit("pressure", 1e5),
    "V": _unit("voltage", 1.0),
    "mV": _unit("voltage", 1e-3),
    "kV": _unit("voltage", 1e3),
    "A": _unit("current", 1.0),
    "mA": _unit("current", 1e-3),
    "lx": _unit("illuminance", 1.0),
    "klx": _unit("illuminance", 1e3),
    "mm": _unit("length", 1e-3),
    "cm": _unit("length", 1e-2),
    "m": _unit("length", 1.0),
    "L": _unit("volume", 1e-3),
    "m3": _unit("volume", 1.0),
    "L/h": _unit("flow", 1e-3),
    "m3/h": _unit("flow", 1.0),
    "g": _unit("mass", 1e-3),
    "kg": _unit("mass", 1.0),
    "dB": _unit("level", 1.0),
}
_ALIASES = {"°C": "C", "°F": "F", "degC": "C", "degF": "F", "kelvin": "K", "percent": "%", "m³": "m3", "l": "L"}


def conversion(unit: str, canonical: str) -> Conversion | None:
    """How to turn a value in `unit` into `canonical`; None when there is no way. Empty means canonical already.

    A canonical unit that is not known here (`bananas`) converts to itself only.
    """
    if not unit or unit == canonical:
        return IDENTITY
    source, target = _UNITS.get(_ALIASES.get(unit, unit)), _UNITS.get(_ALIASES.get(canonical, canonical))
    if source is None or target is None or source.quantity != target.quantity:
        return None
    if source == target:
        return IDENTITY
    scale = source.to_base.scale / target.to_base.scale
    return Conversion(scale, (source.to_base.offset - target.to_base.offset) / target.to_base.scale)


def known_units(canonical: str) -> list[str]:
    """The units that can be converted to `canonical`, for messages to people."""
    target = _UNITS.get(_ALIASES.get(canonical, canonical))
    return [name for name, unit in _UNITS.items() if target and unit.quantity == target.quantity] or [canonical]
