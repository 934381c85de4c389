"""Takes a worker's rights away, after its libraries are loaded and before the first byte. Standard library only.

On Linux: it dies with its parent, can open nothing (neither files nor sockets: it has no descriptor left), can write no
file, start no thread or process as an ordinary user, use no more than its memory, and gains no rights by exec. Where
the kernel filters system calls, these and all that is not needed are refused a second time, to root as well.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

from services.media_probe.adapters.libav.system_calls import refuse_system_calls

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def die_with(parent: int) -> None:
    """Has the kernel kill this process when `parent` dies; exits if that has happened already."""
    if sys.platform != "linux":
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)


def enter_sandbox(memory: int, keep: int) -> bool:
    """Everything but reading and writing descriptors 0, 2 and `keep` becomes impossible; others that were inherited are
    closed. `memory`: bytes of address space that jobs may use on top of what is used now. Returns whether the kernel
    filters system calls."""
    maximum, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(3, keep)
    os.closerange(keep + 1, min(maximum, 1 << 20))
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
        _lower(resource.RLIMIT_AS, _address_space() + memory)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_NPROC, 0)
    # The next free number is already too high.
    _lower(resource.RLIMIT_NOFILE, 0)
    return refuse_system_calls()


def allow_cpu(seconds: int) -> None:
    """The process is killed when it uses more than `seconds` of processor time from now on (and up to one more)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
