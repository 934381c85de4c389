"""Rules of alarms on the command line: from options to the JSON of the contract, and back to a line for people."""

from dataclasses import dataclass
from typing import Any

from services.cli.errors import CommandError
from services.cli.options import span, span_text

_MOST_COUNTED = 1000


@dataclass(frozen=True, kw_only=True)
class ConditionOptions:
    """The options that say what is judged; exactly one kind of them. Spans are texts like `10m`."""

    above: float | None = None
    below: float | None = None
    hysteresis: float | None = None
    lasting: str = ""
    holds: bool = False
    completeness: float | None = None
    covered: bool = False
    step: str = ""
    no_data: str = ""
    flat: str = ""
    tolerance: float | None = None
    rate: float | None = None
    direction: str = ""
    over: str = ""
    full: float | None = None
    emptied: bool = False

    def condition(self) -> dict[str, Any]:
        """The field of the rule. Raises CommandError unless one kind is meant, with nothing that belongs to another."""
        kinds: dict[str, tuple[str, dict[str, Any]]] = {
            "--above": ("threshold", {"direction": "ABOVE", "limit": self.above, **self._beyond()}),
            "--below": ("threshold", {"direction": "BELOW", "limit": self.below, **self._beyond()}),
            "--completeness": (
                "completeness",
                {
                    "below": self.completeness,
                    "ratio": "COVERED" if self.covered else "",
                    "step": span(self.step, "--step"),
                },
            ),
            "--no-data": ("noData", {"after": span(self.no_data, "--no-data")}),
            "--flat": ("flatLine", {"duration": span(self.flat, "--flat"), "tolerance": self.tolerance}),
            "--rate": (
                "rateOfChange",
                {
                    "limitPerHour": self.rate,
                    "direction": self.direction.upper(),
                    "over": span(self.over, "--over"),
                },
            ),
            "--full": ("containerFull", {"level": self.full}),
            "--emptied": ("containerEmptied", {}),
        }
        given = {
            "--above": self.above is not None,
            "--below": self.below is not None,
            "--completeness": self.completeness is not None,
            "--no-data": bool(self.no_data),
            "--flat": bool(self.flat),
            "--rate": self.rate is not None,
            "--full": self.full is not None,
            "--emptied": self.emptied,
        }
        named = [name for name, there in given.items() if there]
        if not named:
            raise CommandError(f"say what is judged by one of {', '.join(given)} (or --file)", exit_code=2)
        if len(named) > 1:
            raise CommandError(f"a rule has one condition, not {len(named)}: {' and '.join(named)}", exit_code=2)
        self._only_with(named[0])
        field, content = kinds[named[0]]
        return {field: {name: value for name, value in content.items() if value not in (None, "")}}

    @property
    def any(self) -> bool:
        """Whether anything of a condition is given."""
        return self != ConditionOptions()

    def _beyond(self) -> dict[str, Any]:
        return {
            "hysteresis": self.hysteresis,
            "minDuration": span(self.lasting, "--for"),
            "valueHolds": self.holds or None,
        }

    def _only_with(self, kind: str) -> None:
        belongs: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
            ("--hysteresis", self.hysteresis is not None, ("--above", "--below")),
            ("--for", bool(self.lasting), ("--above", "--below")),
            ("--holds", self.holds, ("--above", "--below")),
            ("--covered", self.covered, ("--completeness",)),
            ("--step", bool(self.step), ("--completeness",)),
            ("--tolerance", self.tolerance is not None, ("--flat",)),
            ("--direction", bool(self.direction), ("--rate",)),
            ("--over", bool(self.over), ("--rate",)),
        )
        for name, there, kinds in belongs:
            if there and kind not in kinds:
                raise CommandError(f"{name} goes with {' or '.join(kinds)}, not with {kind}", exit_code=2)


def digits(value: float) -> str:
    """A number with all its digits."""
    return f"{value:.12g}"


def condition_text(rule: dict[str, Any]) -> str:
    """What a rule judges, in a few words."""
    unit = f" {name}" if (name := rule.get("unit") or rule.get("canonicalUnit")) else ""
    if (found := rule.get("threshold")) is not None:
        sign = ">" if found["direction"] == "ABOVE" else "<"
        lasting = f" for {span_text(found['minDuration'])}" if found.get("minDuration") else ""
        holds = " (a value stands)" if found.get("valueHolds") else ""
        back = f" (hysteresis {digits(found['hysteresis'])}{unit})" if found.get("hysteresis") else ""
        return f"{sign} {digits(found.get('limit', 0))}{unit}{lasting}{back}{holds}"
    if (found := rule.get("completeness")) is not None:
        return (
            f"{found.get('ratio', 'RECEIVED').lower()} < {found['below']:.0%} of {span_text(found.get('step', '900s'))}"
        )
    if (found := rule.get("noData")) is not None:
        return f"no data for {span_text(found['after'])}"
    if (found := rule.get("flatLine")) is not None:
        within = f" within {digits(found['tolerance'])}{unit}" if found.get("tolerance") else ""
        return f"flat for {span_text(found['duration'])}{within}"
    if (found := rule.get("rateOfChange")) is not None:
        over = f" over {span_text(found['over'])}" if found.get("over") else ""
        return f"{found.get('direction', 'EITHER').lower()} > {digits(found['limitPerHour'])}{unit}/h{over}"
    if (found := rule.get("containerFull")) is not None:
        return f"full from {digits(found['level'])} %"
    return "emptied"


def scope_text(rule: dict[str, Any]) -> str:
    """Where a rule judges."""
    place = f"{rule.get('building') or '*'}/{rule.get('room') or '*'}"
    device = f" {rule['device']}" if rule.get("device") else ""
    return f"{rule['sensorType']} {place}{device}"


def series_text(rule: dict[str, Any]) -> str:
    """How many series a rule judges now."""
    count = int(rule.get("matchingSeries", 0))
    return f"{count} or more" if count >= _MOST_COUNTED else str(count)


def silence_text(rule: dict[str, Any]) -> str:
    """Why a rule that judges no series judges none."""
    of, building, room, device = (rule.get(name, "") for name in ("sensorType", "building", "room", "device"))
    place = (f" in room {room}" if room else "") + (f" of building {building}" if room else f" in building {building}")
    where = place if building else ""
    match rule.get("unmatched"):
        case "SENSOR_TYPE":
            return f"there is no series of sensor type {of}"
        case "BUILDING":
            return f"there is no series of sensor type {of} in building {building}"
        case "ROOM":
            return f"there is no series of sensor type {of}{where}"
        case "DEVICE":
            return f"there is no series of sensor type {of} of device {device}{where}"
        case "KIND":
            return f"no series of sensor type {of}{where} is of the kind LEVEL, which this condition is for"
        case _:
            return "no series is in its scope"
