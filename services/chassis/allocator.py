"""How the C library gives memory to a service."""

import ctypes
from typing import Final

_M_ARENA_MAX: Final = -8


def one_arena() -> None:
    """All threads take from one pool of memory, where the C library is glibc.

    By default up to eight threads a core have a pool each, and each keeps what its thread has needed at most: a large
    file that a handful of threads work on in turn is paid for by every one of them. What one pool costs is a lock that
    the interpreter's lock mostly implies already.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
