"""`make bench`: runs the benchmarks on a mesh of its own and prints figure, reference and ratio."""

import argparse
from pathlib import Path

from rich.console import Console

from tests.bench import live_readings, rest_reading, room_average, storm, stream_readings
from tests.bench.mesh import ROOT, build_load_generator, running_mesh
from tests.bench.report import Row, show

ROWS = ("rest", "storm", "live", "stream", "average")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="which rows to measure")
    parser.add_argument("--runs", type=int, default=3, help="runs of each row; medians are quoted")
    parser.add_argument("--readings", type=int, default=2_000_000, help="readings of each run of `stream`")
    parser.add_argument(
        "--history",
        nargs="+",
        type=int,
        default=[1_000_000, 10_000_000],
        help="stored readings of `average`, ascending; 100000000 take some minutes",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "bench-results" / "bench.json")
    arguments = parser.parse_args()
    build_load_generator()
    console, rows = Console(), list[Row]()
    with running_mesh() as mesh:
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
    show(rows, arguments.output)


if __name__ == "__main__":
    main()
