"""One isolated worker: `python -m services.media_probe.worker PARENT MEMORY CPU`, started by the pool.

Reads jobs from standard input and answers on what was standard output, until the input ends. PARENT: process id to die
with; MEMORY: bytes of address space for jobs; CPU: seconds of processor time for one job.
"""

import json
import os
import sys

from services.media_probe.adapters.libav import sandbox, worker_protocol

_SHOWN = 500


def main() -> None:
    """Works until there is no more to do."""
    parent, memory, cpu = (int(argument) for argument in sys.argv[1:4])
    sandbox.die_with(parent)
    reading, writing = 0, os.dup(1)
    # Whatever a library prints must not be taken for an answer.
    os.dup2(2, 1)
    from services.media_probe.adapters.libav.inspection import inspect, load_everything, silence

    load_everything()
    silence()
    filtered = sandbox.enter_sandbox(memory, writing)
    _write(writing, worker_protocol.pack_answer({"kind": worker_protocol.READY, "filtered": filtered}))
    while head := _read(reading, worker_protocol.JOB.size):
        described, size = worker_protocol.JOB.unpack(head)
        data = _read(reading, described + size)
        job = json.loads(data[:described])
        pieces: list[tuple[int, bytes]] = []
        at = described
        for offset, length in job["pieces"]:
            pieces.append((offset, data[at : at + length]))
            at += length
        sandbox.allow_cpu(cpu)
        try:
            answer = inspect(job["demuxer"], pieces, seekable=job["seekable"], size=job["size"])
        except MemoryError:
            answer = {"kind": "nothing", "message": "the file needs more memory than a probe may use", "streams": 0}
        except Exception as error:
            answer = {"kind": "broken", "message": f"{type(error).__name__}: {error}"[:_SHOWN]}
        _write(writing, worker_protocol.pack_answer(answer))


def _read(descriptor: int, length: int) -> bytes:
    """`length` bytes; empty when the input ends before the first."""
    parts: list[bytes] = []
    missing = length
    while missing:
        part = os.read(descriptor, missing)
        if not part:
            if parts:
                raise SystemExit(1)
            return b""
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    main()
