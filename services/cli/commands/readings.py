"""`tocsin readings`: send readings, and watch what becomes of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli import stored_readings
from services.cli.errors import CommandError
from services.cli.options import StateDirOption, finite, span
from services.cli.output import JsonOption, console, in_larger_units, number, print_json, table

_FORM = (
    'a line is the JSON of a reading, like {"building":"tower","room":"lobby","sensorType":"temperature","value":21.5}'
)

app = typer.Typer(help="Send, list and mend readings, and watch their windows close.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Adds the commands."""
    stored_readings.register(app)
    root.add_typer(app, name="readings")


# So that -300 is a value and no option.
@app.command(context_settings={"ignore_unknown_options": True})
def send(
    building: Annotated[str, typer.Argument(help="Building id, for example `tower`.")],
    room: Annotated[str, typer.Argument(help="Room id, for example `lobby`.")],
    sensor_type: Annotated[str, typer.Argument(help="Sensor type, for example `temperature`.")],
    value: Annotated[float, typer.Argument(callback=finite, help="The measured value, for example 21.5 or -5.")],
    unit: Annotated[str, typer.Option(help="Unit of the value; the sensor type's own by default.")] = "",
    device: Annotated[str, typer.Option(help="Device that measured it.")] = "",
    at: Annotated[str, typer.Option(help="Event time, RFC 3339; now by default.")] = "",
    key: Annotated[str, typer.Option(help="Idempotency key, so that sending again is safe.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Send one reading; done when it is durable. Exit code 1 when another value of its event time counts."""
    from services.cli.client import answer, open_mesh

    reading: dict[str, Any] = {"building": building, "room": room, "sensorType": sensor_type, "value": value}
    optional = {"unit": unit, "device": device, "eventTime": at}
    reading |= {name: text for name, text in optional.items() if text}
    headers = {"Idempotency-Key": key} if key else {}
    with open_mesh(state_dir).http(scopes=["readings:write"]) as client:
        outcome = answer(client.post("/v1/readings", json=reading, headers=headers))
    stored = outcome["reading"]
    conflict = outcome.get("conflict")
    if json:
        print_json(outcome)
    if conflict and conflict["outcome"] == "IGNORED":
        raise CommandError(
            f"ignored: {building}/{room} {sensor_type} of {stored['eventTime']} is "
            f"{conflict.get('countingValue', 0):.15g} {stored['unit']}, and that value counts; "
            "'tocsin readings replace' has another one count"
        )
    if json:
        return
    note = " (was known already)" if outcome.get("duplicate") else ""
    if conflict:
        note += f", in place of {conflict.get('otherValue', 0):.15g}"
    console().print(
        f"[green]accepted[/] {building}/{room} {sensor_type} = {stored['value']:.15g} {stored['unit']} "
        f"at {stored['eventTime']}{note}"
    )


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Newline-delimited JSON, one reading a line.")
    ],
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Send a file of readings; bad lines are listed, good ones kept. Exit code 1 if some are bad or do not count."""
    from services.cli.client import answer, open_mesh

    with open_mesh(state_dir).http(scopes=["readings:write"], timeout=600) as client, file.open("rb") as content:
        outcome = answer(
            client.post("/v1/readings:import", content=content, headers={"content-type": "application/x-ndjson"})
        )
    accepted, rejected, ignored = (int(outcome.get(name, 0)) for name in ("accepted", "rejected", "ignored"))
    if json:
        print_json(outcome)
    else:
        _show_import(accepted, rejected, outcome.get("rejections", []))
        _show_conflicts(ignored, outcome.get("conflicts", []))
    failed = [f"{count:,} {what}" for count, what in ((rejected, "rejected"), (ignored, "ignored")) if count]
    if failed:
        told = f"{' and '.join(failed)} of {accepted + rejected + ignored:,} lines"
        raise CommandError(told if accepted or ignored or not _no_json(outcome) else f"{told}: {_FORM}")


def _no_json(outcome: dict[str, Any]) -> bool:
    """Whether none of the lines was JSON at all: of a CSV, say."""
    return all(one.get("reason") == "BODY_INVALID" and not one.get("field") for one in outcome.get("rejections", []))


def _show_import(accepted: int, rejected: int, rejections: list[dict[str, Any]]) -> None:
    out = console()
    out.print(f"[green]{accepted:,} accepted[/]" + (f", [red]{rejected:,} rejected[/]" if rejected else ""))
    rows = [
        (rejection.get("index", 0) + 1, rejection.get("field", ""), rejection.get("message", ""))
        for rejection in rejections
    ]
    if rows:
        out.print(table("Rejected lines", ("line>", "field", "why"), rows))


def _show_conflicts(ignored: int, conflicts: list[dict[str, Any]]) -> None:
    if ignored:
        console().print(f"[yellow]{ignored:,} ignored[/]: their series have other values for these event times")
    rows = [
        (
            one.get("index", 0) + 1,
            f"{one.get('countingValue', 0):.15g}",
            f"{one.get('otherValue', 0):.15g}",
            "ignored, the first counts" if one["outcome"] == "IGNORED" else "counts in place of the other",
        )
        for one in conflicts
    ]
    if rows:
        console().print(table("Event times with another value", ("line>", "counts>", "does not>", "line"), rows))


@app.command()
def watch(
    building: Annotated[str, typer.Option(help="Only this building.")] = "",
    room: Annotated[str, typer.Option(help="Only this room.")] = "",
    sensor_type: Annotated[str, typer.Option("--type", help="Only this sensor type.")] = "",
    step: Annotated[str, typer.Option(help="Only windows of this length, for example 1m.")] = "",
    json: JsonOption = False,
    state_dir: StateDirOption = None,
) -> None:
    """Follow windows as they close, until Ctrl-C."""
    import json as json_module

    from services.cli.client import answer, open_mesh

    wanted = {"building": building, "room": room, "sensorType": sensor_type, "step": span(step, "--step")}
    query = {name: text for name, text in wanted.items() if text}
    with (
        open_mesh(state_dir).http(scopes=["readings:read"]) as client,
        client.stream(
            "GET", "/v1/windows:watch", params=query, headers={"accept": "text/event-stream"}, timeout=None
        ) as response,
    ):
        if not response.is_success:
            response.read()
            answer(response)
        for line in response.iter_lines():
            if not line.startswith("data:"):
                continue
            text = line.removeprefix("data:").strip()
            if json:
                print(text, flush=True)
            else:
                _print_window(json_module.loads(text))


def _print_window(window: dict[str, Any]) -> None:
    series, statistics = window["series"], window["statistics"]
    device = f"/{series['device']}" if series.get("device") else ""
    # A window with a single reading has no time-weighted mean.
    mean = statistics.get("timeWeightedMean", statistics.get("mean"))
    console().print(
        f"[dim]{window['start']}[/] {in_larger_units(window['step']):>6} {series['building']}/{series['room']}{device} "
        f"{series['sensorType']}: [bold]{number(mean)}[/] {series.get('unit', '')} "
        f"[dim]n={statistics.get('count', 0)} covered={statistics.get('coveredRatio', 0):.0%} "
        f"rev={window.get('revision', 1)}[/]"
    )
