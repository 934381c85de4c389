"""The system calls that a jailed worker may make: a seccomp filter (Linux, x86-64 and ARM64). Standard library only.

The list says what is allowed, so that nobody has to know what is dangerous: reading and writing what is open already,
memory (none that can be executed), and asking for the time. All else fails with EPERM: no file, socket, process or
thread comes to be, nobody is signalled, no limit but that of processor time is changed. Why by hand: ADR 0037.
"""

import ctypes
import errno
import platform
import resource
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_SET_MODE_FILTER: Final = 1
_EVERY_THREAD: Final = 1
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EPERM
# The classic BPF that seccomp takes: load a word, jump if equal, jump if a bit is set, return.
_LOAD, _IF_EQUAL, _IF_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
# Of `struct seccomp_data`; arguments have 64 bits, of which the lower ones stand first.
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_ARGUMENTS: Final = 16
_PROT_EXEC: Final = 4


@dataclass(frozen=True)
class _Machine:
    """Its mark in <linux/audit.h>, and its numbers of system calls. `plain` are harmless whatever is asked by them."""

    mark: int
    seccomp: int
    plain: Sequence[int]
    mmap: int
    mprotect: int
    prlimit64: int


_MACHINES: Final = {
    "x86_64": _Machine(
        mark=0xC000003E,
        seccomp=317,
        # read write close fstat lseek munmap brk, rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack, sched_yield
        # mremap madvise nanosleep getpid exit gettimeofday getrusage gettid futex sched_getaffinity restart_syscall
        # clock_gettime clock_nanosleep exit_group getrandom
        plain=(
            *(0, 1, 3, 5, 8, 11, 12, 13, 14, 15, 131, 24),
            *(25, 28, 35, 39, 60, 96, 98, 186, 202, 204, 219),
            *(228, 230, 231, 318),
        ),
        mmap=9,
        mprotect=10,
        prlimit64=302,
    ),
    "aarch64": _Machine(
        mark=0xC00000B7,
        seccomp=277,
        # The same, in the same order.
        plain=(
            *(63, 64, 57, 80, 62, 215, 214, 134, 135, 139, 132, 124),
            *(216, 233, 101, 172, 93, 169, 165, 178, 98, 123, 128),
            *(113, 115, 94, 278),
        ),
        mmap=222,
        mprotect=226,
        prlimit64=261,
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def refuse_system_calls() -> bool:
    """Refuses all but the allowed ones from now on, for every thread and for good; needs PR_SET_NO_NEW_PRIVS. False,
    and nothing done, where the kernel or the machine knows no such filter."""
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" and sys.byteorder == "little" else None
    if machine is None:
        return False
    code = _filter(machine)
    program = _Program(len(code) // 8, code)
    call = ctypes.CDLL(None, use_errno=True).syscall
    return call(machine.seccomp, _SET_MODE_FILTER, _EVERY_THREAD, ctypes.byref(program)) == 0


def _filter(machine: _Machine) -> bytes:
    # Each rule is skipped when it does not apply. Numbers of other machines' modes (x32, 32 bits) are on no list.
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, machine.mark),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in machine.plain:
        steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for number in (machine.mmap, machine.mprotect):
        steps += [
            (_IF_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _ARGUMENTS + 8 * 2),
            (_IF_SET, 0, 1, _PROT_EXEC),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    steps += [
        (_IF_EQUAL, 0, 5, machine.prlimit64),
        (_LOAD, 0, 0, _ARGUMENTS),
        (_IF_EQUAL, 0, 3, 0),  # of itself
        (_LOAD, 0, 0, _ARGUMENTS + 8),
        (_IF_EQUAL, 0, 1, resource.RLIMIT_CPU),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
