"""The first thing that runs in every child: ties its life to the supervisor's, drops root where asked, then execs.

Started as a script by path (`python -I -S launcher.py ...`), so that it needs the standard library only and
costs some ten milliseconds. Arguments:

    launcher.py PARENT_PID DEATH_SIGNAL UID:GID:CAPABILITY|- COMMAND [ARGUMENT...]

It is a program of its own and not a `preexec_fn`, because code between fork and exec may deadlock in a process
that has threads, and gRPC starts some.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
CANNOT_EXECUTE = 126


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilitySets(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _become(libc: ctypes.CDLL, uid: int, gid: int, capability: int | None) -> None:
    """Give up root for good; of its powers keep at most the one capability, over the exec too."""
    if capability is not None:
        # Keeps capabilities over the change of user. Without it access(2) would also look away from them, and
        # PostgreSQL asks it whether its own program can be executed.
        _checked(libc.prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0), "prctl(PR_SET_SECUREBITS)")
    os.setgroups([gid])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capability is None:
        return
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    sets = (_CapabilitySets * 2)()
    word, bit = divmod(capability, 32)
    sets[word] = _CapabilitySets(1 << bit, 1 << bit, 1 << bit)
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0), "prctl(PR_CAP_AMBIENT)")


def _launch(arguments: list[str]) -> None:
    parent, death_signal, identity, *command = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if identity != "-":
        uid, gid, capability = identity.split(":")
        _become(libc, int(uid), int(gid), int(capability) if capability else None)
    # After the change of user: the kernel forgets the death signal when credentials change.
    _checked(libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):
        # The supervisor died before the line above took effect; nobody would tell us any more.
        os.kill(os.getpid(), signal.SIGKILL)
    os.execvp(command[0], command)  # noqa: S606 - replacing this process is what the launcher is for


if __name__ == "__main__":
    try:
        _launch(sys.argv[1:])
    except OSError as error:
        sys.stderr.write(f"cannot start {' '.join(sys.argv[4:5])}: {error}\n")
        sys.exit(CANNOT_EXECUTE)
