"""How many bytes and requests a video costs, over the mixed corpus.

`python -m tests.bench.videos.economy` shows each kind.
"""

import statistics
from collections import defaultdict
from collections.abc import Sequence

import uvloop
from rich.console import Console

from services.media_probe.domain.video import Effort
from tests.bench.report import Row, row
from tests.bench.videos.mixture import mixture
from tests.bench.videos.probing import prober_at
from tests.bench.videos.serving import serving

BYTES, REQUESTS = 64 * 1024, 3


async def _measure() -> dict[str, list[Effort]]:
    files = mixture()
    found: dict[str, list[Effort]] = defaultdict(list)
    with serving({name: data for name, (_, data) in files.items()}) as (url,):
        async with prober_at(url) as (prober, _):
            for name, (kind, _) in files.items():
                outcome = await prober.probe(f"/0/0/{name}")
                if outcome.facts is None:
                    raise RuntimeError(f"{kind}: {outcome.error}")
                found[kind].append(outcome.effort)
    return found


def _told(efforts: Sequence[Effort]) -> str:
    fetched = sorted(effort.bytes_fetched for effort in efforts)
    requests = [effort.requests for effort in efforts]
    return (
        f"bytes median {statistics.median(fetched):,.0f}, most {fetched[-1]:,}; "
        f"requests median {statistics.median(requests):.0f}, most {max(requests)}"
    )


def measure() -> Row:
    """How many videos are within the bounds, beside how many there are."""
    found = uvloop.run(_measure())
    every = [effort for efforts in found.values() for effort in efforts]
    within = sum(effort.bytes_fetched <= BYTES and effort.requests <= REQUESTS for effort in every)
    return row(
        f"videos of the mixed corpus that are probed with at most {BYTES // 1024} KiB and {REQUESTS} requests",
        [(within, len(every))],
        unit="videos, of all",
        goal=">= 0.99",
        notes={"all": _told(every)} | {kind: _told(efforts) for kind, efforts in found.items()},
    )


if __name__ == "__main__":
    shown = measure()
    Console(width=160).print(f"{shown.path}: {shown.figure:.0f} of {shown.reference:.0f}\n", shown.notes)
