"""What the service and its workers say to each other over a socket. Standard library only.

A job is `!II` (lengths), a JSON head and the bytes of the pieces; an answer is `!I` (length) and JSON. One job at a
time.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

JOB: Final = struct.Struct("!II")
ANSWER: Final = struct.Struct("!I")
MAX_ANSWER: Final = 64 * 1024
READY: Final = "ready"
"""The kind of a worker's first answer; `filtered` tells whether the kernel filters its system calls."""


def pack_job(head: Mapping[str, Any], pieces: Sequence[tuple[int, bytes]]) -> bytes:
    """A job with the pieces (offset, bytes) of the file."""
    described = json.dumps({**head, "pieces": [[offset, len(data)] for offset, data in pieces]}).encode()
    size = sum(len(data) for _, data in pieces)
    return b"".join((JOB.pack(len(described), size), described, *(data for _, data in pieces)))


def pack_answer(answer: Mapping[str, Any]) -> bytes:
    """An answer."""
    described = json.dumps(answer).encode()
    return ANSWER.pack(len(described)) + described
