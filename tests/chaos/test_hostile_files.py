"""Videos that are damaged on purpose, for a minute: whatever libav makes of them, there is a typed answer in time, and
nothing is left behind. `TOCSIN_FUZZ_SECONDS` takes longer, `TOCSIN_FUZZ_SEED` repeats a run."""

import asyncio
import os
import random
import time
from pathlib import Path

import psutil

from services.media_probe.domain.failure import Failure
from tests.integration.media_probe.conftest import OpenRig, open_rig
from tests.integration.media_probe.test_corpus import corpus
from tests.support import video_server as vs

__all__ = ["open_rig"]
SECONDS = float(os.environ.get("TOCSIN_FUZZ_SECONDS", "60"))
SEED = int(os.environ.get("TOCSIN_FUZZ_SEED", str(random.randrange(1 << 32))))
SIZES = (0, 1, 7, 8, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
AT_ONCE = 4


def damaged(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """The file with some damage: bytes of its header, sizes that lie, pieces that are cut, doubled, nested or another
    file's."""
    spoilt = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        header = min(len(spoilt), 4096) if chance.random() < 0.8 else len(spoilt)
        if header < 16:
            break
        at = chance.randrange(header - 8)
        match chance.randrange(7):
            case 0:
                spoilt[at] = chance.randrange(256)
            case 1:
                spoilt[at : at + 4] = chance.choice(SIZES).to_bytes(4, chance.choice(("big", "little")))
            case 2:
                del spoilt[at : at + chance.randrange(1, 64)]
            case 3:
                end = at + chance.randrange(1, 512)
                spoilt[at:at] = spoilt[at:end] * chance.randrange(1, 40)
            case 4:
                del spoilt[at:]
            case 5:
                other = chance.choice(others)
                begin = chance.randrange(len(other))
                spoilt[at:at] = other[begin : begin + chance.randrange(1, 4096)]
            case _:
                spoilt[at : at + 8] = chance.randbytes(8)
    return bytes(spoilt)


async def test_no_damage_hangs_grows_or_escapes(open_rig: OpenRig, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    files = [made.data for made in corpus()]
    server_files: dict[str, bytes] = {}
    seen = dict.fromkeys((failure.value for failure in Failure), 0) | {"PROBED": 0}
    slowest, peak = 0.0, 0
    async with vs.video_server(server_files) as server, open_rig(server) as rig:

        async def probe(name: str, data: bytes) -> None:
            nonlocal slowest, peak
            server.files[f"/{name}"] = data
            began = time.monotonic()
            outcome = await rig.prober.probe(f"/{name}")
            slowest = max(slowest, time.monotonic() - began)
            result = outcome.error.failure.value if outcome.error is not None else "PROBED"
            seen[result] += 1
            if result == "CRASHED":
                kept = tmp_path / f"{name}.bin"
                kept.write_bytes(data)
                print(f"seed {SEED}: {outcome.error}: {kept}")
            if outcome.facts is not None:
                assert 0 < outcome.facts.width <= 8 << 16
                assert 0 < outcome.facts.height <= 8 << 16
            for pid in rig.pool.pids:
                if psutil.pid_exists(pid):
                    peak = max(peak, psutil.Process(pid).memory_info().rss)
            del server.files[f"/{name}"]

        end = time.monotonic() + SECONDS
        count = 0
        while time.monotonic() < end:
            batch = {f"{count + n}": damaged(chance.choice(files), chance, files) for n in range(AT_ONCE)}
            count += AT_ONCE
            await asyncio.gather(*(probe(name, data) for name, data in batch.items()))
        children = [psutil.Process(pid).children(recursive=True) for pid in rig.pool.pids]
    print(f"seed {SEED}: {count} files, {seen}, slowest {slowest:.1f} s, peak of a worker {peak / 2**20:.0f} MiB")
    assert count > 100
    assert seen["PROBED"] > 0
    # A worker that ends itself costs one probe; one that hangs is killed after `job_within`.
    assert seen["CRASHED"] <= count // 200
    assert slowest < 30
    assert peak < 512 * 2**20
    assert not any(children)
