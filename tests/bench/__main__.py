"""`make bench`: runs the benchmarks on a mesh of its own and prints figure, reference and ratio."""

import argparse
from pathlib import Path

from rich.console import Console

from tests.bench import (
    debt_files,
    hanging_receivers,
    invoices_micro,
    live_readings,
    notify_micro,
    reminders_micro,
    rest_reading,
    room_average,
    storm,
    stream_readings,
)
from tests.bench.calls import measuring
from tests.bench.calls.figures import CallFigures
from tests.bench.calls.listing import NAMES
from tests.bench.calls.world import running_world
from tests.bench.mesh import ROOT, build_load_generator, running_mesh
from tests.bench.report import Row, show
from tests.bench.videos import dripping, economy, speed

ROWS = (
    "rest", "storm", "live", "stream", "average", "hanging", "notifications", "reminders", "invoices", "debts",
    "videos", "calls",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="which rows to measure")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row; medians are quoted")
    parser.add_argument("--debts", type=int, default=1_000_000, help="rows of the files of `debts`")
    parser.add_argument("--readings", type=int, default=2_000_000, help="readings of each run of `stream`")
    parser.add_argument(
        "--history",
        nargs="+",
        type=int,
        default=[1_000_000, 10_000_000],
        help="stored readings of `average`, ascending; 100000000 take some minutes",
    )
    parser.add_argument("--calls", nargs="+", choices=NAMES, default=NAMES, help="which calls of `calls` to measure")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each run of a call takes")
    parser.add_argument(
        "--no-counts",
        dest="counts",
        action="store_false",
        help="spare counting statements and syncs, 20 s a call",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results" / "bench.json")
    arguments = parser.parse_args()
    build_load_generator()
    console, rows, figures = Console(), list[Row](), list[CallFigures]()
    if "hanging" in arguments.rows:
        console.print("measuring alerts beside receivers that hang ...")
        rows.extend(hanging_receivers.measure(arguments.runs))
    if "notifications" in arguments.rows:
        console.print("measuring notifications in bulk ...")
        rows.append(notify_micro.measure(arguments.runs))
    if "reminders" in arguments.rows:
        console.print("measuring reminders that are due at once ...")
        rows.append(reminders_micro.measure(arguments.runs))
    if "invoices" in arguments.rows:
        console.print("measuring invoices from debts to e-mails ...")
        rows.append(invoices_micro.measure(arguments.runs))
    if "debts" in arguments.rows:
        console.print("measuring debt files ...")
        rows.extend(debt_files.measure(arguments.runs, arguments.debts))
    if "videos" in arguments.rows:
        console.print("measuring probes of videos ...")
        rows.extend((economy.measure(), *dripping.measure(arguments.runs), *speed.measure(arguments.runs)))
    with running_world() as world, running_mesh(**world.environment) as mesh:
        if "rest" in arguments.rows:
            console.print("measuring one reading over REST ...")
            rows.append(rest_reading.measure(mesh, arguments.runs))
        if "storm" in arguments.rows:
            console.print("measuring good readings beside storms of bad ones ...")
            rows.extend(storm.measure(mesh, arguments.runs))
        if "live" in arguments.rows:
            console.print("measuring how soon a reading counts and a closed window is told ...")
            rows.extend(live_readings.measure(mesh, arguments.runs))
        if "stream" in arguments.rows:
            console.print("measuring the stream of readings ...")
            rows.append(stream_readings.measure(mesh, arguments.runs, arguments.readings))
        if "average" in arguments.rows:
            console.print("measuring the average of a room ...")
            rows.append(room_average.measure(mesh, arguments.runs, arguments.history))
        if "calls" in arguments.rows:
            console.print("measuring calls ...")
            figures = measuring.measure(
                mesh,
                world,
                arguments.runs,
                names=arguments.calls,
                seconds=arguments.seconds,
                counted=arguments.counts,
            )
    show(rows, figures, arguments.output)


if __name__ == "__main__":
    main()
