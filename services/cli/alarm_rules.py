"""Rules of alarms on the command line: from options to the JSON of the contract, and back to a line for people."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from services.cli.errors import CommandError
from services.cli.options import finite, span
from services.cli.output import in_larger_units

_MOST_COUNTED = 1000
_DIRECTIONS = ("RISING", "FALLING", "EITHER")
_SEVERITIES = ("INFO", "WARNING", "CRITICAL")


@dataclass(frozen=True, kw_only=True)
class SeriesOptions:
    """The options that say which series are judged, and in what unit."""

    sensor_type: Annotated[str, typer.Option("--type", help="Sensor type that it is about.")] = ""
    building: Annotated[str, typer.Option(help="Only this building.")] = ""
    room: Annotated[str, typer.Option(help="Only this room.")] = ""
    device: Annotated[str, typer.Option(help="Only this device.")] = ""
    unit: Annotated[
        str, typer.Option(help="Unit of the limits and of the texts, like C; the canonical one by default.")
    ] = ""

    def given(self) -> dict[str, Any]:
        """The fields of the rule that are given."""
        texts = {
            "sensorType": self.sensor_type,
            "building": self.building,
            "room": self.room,
            "device": self.device,
            "unit": self.unit,
        }
        return {name: text for name, text in texts.items() if text}


@dataclass(frozen=True, kw_only=True)
class NoticeOptions:
    """The options that say who is told, and how."""

    severity: Annotated[str, typer.Option(help="INFO, WARNING or CRITICAL.")] = ""
    title: Annotated[str, typer.Option(help="Title for people; the id by default.")] = ""
    tenant: Annotated[str, typer.Option(help="Tenant on whose behalf people are told.")] = ""
    notify: Annotated[list[str] | None, typer.Option(help="User to tell; may be repeated.")] = None
    notify_cleared: Annotated[
        bool | None, typer.Option("--notify-cleared/--no-notify-cleared", help="Tell when it is over, too.")
    ] = None

    def given(self) -> dict[str, Any]:
        """The fields of the rule that are given. Raises CommandError for a severity that is none."""
        severity = self.severity.upper()
        if severity and severity not in _SEVERITIES:
            raise CommandError(f"--severity is one of {', '.join(_SEVERITIES)}, not {self.severity!r}", exit_code=2)
        found = {
            "severity": severity,
            "title": self.title,
            "tenant": self.tenant,
            "notify": self.notify,
            "notifyCleared": self.notify_cleared,
        }
        return {name: value for name, value in found.items() if value not in (None, "", [])}


@dataclass(frozen=True, kw_only=True)
class ConditionOptions:
    """The options that say what is judged; exactly one kind of them. Spans are texts like `10m`."""

    above: Annotated[float | None, typer.Option(callback=finite, help="Values above this (see --unit).")] = None
    below: Annotated[float | None, typer.Option(callback=finite, help="Values below this.")] = None
    hysteresis: Annotated[float | None, typer.Option(callback=finite, help="How far back ends it.")] = None
    lasting: Annotated[str, typer.Option("--for", help="How long it must last before it is raised, like 5m.")] = ""
    holds: Annotated[
        bool, typer.Option("--holds", help="A value stands until the next one: --for and --flat are met by the clock.")
    ] = False
    no_data: Annotated[str, typer.Option(help="Nothing for this long, like 10m.")] = ""
    completeness: Annotated[
        float | None, typer.Option(callback=finite, help="Less than this share (0..1) of a window.")
    ] = None
    step: Annotated[str, typer.Option(help="Length of those windows, like 15m.")] = ""
    covered: Annotated[bool, typer.Option("--covered", help="Judge covered time, not readings received.")] = False
    flat: Annotated[str, typer.Option(help="The same value for this long, like 1h.")] = ""
    tolerance: Annotated[float | None, typer.Option(callback=finite, help="What still counts as the same.")] = None
    rate: Annotated[float | None, typer.Option(callback=finite, help="Changes steeper than this per hour.")] = None
    direction: Annotated[str, typer.Option(help="RISING or FALLING; both by default.")] = ""
    over: Annotated[str, typer.Option(help="Time between what is compared, like 10m.")] = ""
    full: Annotated[
        float | None, typer.Option(callback=finite, help="A container at or above this level (percent).")
    ] = None
    emptied: Annotated[bool, typer.Option("--emptied", help="A container is emptied.")] = False

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
            "--flat": (
                "flatLine",
                {
                    "duration": span(self.flat, "--flat"),
                    "tolerance": self.tolerance,
                    "valueHolds": self.holds or None,
                },
            ),
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
        if not named and (belonging := [name for name, there, _ in self._belonging() if there]):
            several = "belong" if len(belonging) > 1 else "belongs"
            told = (
                f"{' and '.join(belonging)} {several} to a condition, which is given as a whole: give it too, by one of"
            )
            raise CommandError(f"{told} {', '.join(given)}", exit_code=2)
        if not named:
            raise CommandError(f"say what is judged by one of {', '.join(given)} (or --file)", exit_code=2)
        if len(named) > 1:
            raise CommandError(f"a rule has one condition, not {len(named)}: {' and '.join(named)}", exit_code=2)
        self._only_with(named[0])
        if self.direction and self.direction.upper() not in _DIRECTIONS:
            raise CommandError(f"--direction is one of {', '.join(_DIRECTIONS)}, not {self.direction!r}", exit_code=2)
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

    def _belonging(self) -> tuple[tuple[str, bool, tuple[str, ...]], ...]:
        """The options that say more about a condition: whether they are given, and with which they go."""
        return (
            ("--hysteresis", self.hysteresis is not None, ("--above", "--below")),
            ("--for", bool(self.lasting), ("--above", "--below")),
            ("--holds", self.holds, ("--above", "--below", "--flat")),
            ("--covered", self.covered, ("--completeness",)),
            ("--step", bool(self.step), ("--completeness",)),
            ("--tolerance", self.tolerance is not None, ("--flat",)),
            ("--direction", bool(self.direction), ("--rate",)),
            ("--over", bool(self.over), ("--rate",)),
        )

    def _only_with(self, kind: str) -> None:
        for name, there, kinds in self._belonging():
            if there and kind not in kinds:
                raise CommandError(f"{name} goes with {' or '.join(kinds)}, not with {kind}", exit_code=2)


def digits(value: float) -> str:
    """A number with all its digits, but for what converting units leaves behind the twelfth."""
    return f"{value:.12g}"


def condition_text(rule: dict[str, Any]) -> str:
    """What a rule judges, in a few words."""
    unit = f" {name}" if (name := rule.get("unit") or rule.get("canonicalUnit")) else ""
    if (found := rule.get("threshold")) is not None:
        sign = ">" if found["direction"] == "ABOVE" else "<"
        lasting = f" for {in_larger_units(found['minDuration'])}" if found.get("minDuration") else ""
        holds = " (a value stands)" if found.get("valueHolds") else ""
        back = f" (hysteresis {digits(found['hysteresis'])}{unit})" if found.get("hysteresis") else ""
        return f"{sign} {digits(found.get('limit', 0))}{unit}{lasting}{back}{holds}"
    if (found := rule.get("completeness")) is not None:
        step = in_larger_units(found.get("step", "900s"))
        return f"{found.get('ratio', 'RECEIVED').lower()} < {found['below']:.0%} of {step}"
    if (found := rule.get("noData")) is not None:
        return f"no data for {in_larger_units(found['after'])}"
    if (found := rule.get("flatLine")) is not None:
        within = f" within {digits(found['tolerance'])}{unit}" if found.get("tolerance") else ""
        holds = " (a value stands)" if found.get("valueHolds") else ""
        return f"flat for {in_larger_units(found['duration'])}{within}{holds}"
    if (found := rule.get("rateOfChange")) is not None:
        over = f" over {in_larger_units(found['over'])}" if found.get("over") else ""
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
