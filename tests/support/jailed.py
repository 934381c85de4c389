"""A process that goes into the jail of the probe's workers, and tells what it can do there, as lines of JSON.

`python -m tests.support.jailed escapes|libav PARENT MEMORY [unfiltered|outside]`. Files for demuxers come by standard
input: name, length, bytes. The last line says `done`.
"""

import errno
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from services.media_probe.adapters.libav import sandbox


def main() -> None:
    what, parent, memory, *more = sys.argv[1:]
    sandbox.die_with(int(parent))
    out = os.dup(1)
    files = dict(_files())
    from services.media_probe.adapters.libav import inspection

    inspection.load_everything()
    inspection.silence()
    if "unfiltered" in more:
        sandbox.refuse_system_calls = lambda: False
    filtered = "outside" not in more and sandbox.enter_sandbox(int(memory), out)
    _tell(out, "filtered", filtered)
    for name, told in _escapes(int(memory)) if what == "escapes" else _libav(files, inspection, out):
        _tell(out, name, told)
    _tell(out, "done", None)


def _tell(out: int, name: str, told: object) -> None:
    os.write(out, json.dumps([name, told]).encode() + b"\n")


def _files() -> Iterator[tuple[str, bytes]]:
    while head := sys.stdin.buffer.readline():
        name, _, length = head.decode().strip().rpartition(" ")
        yield name, sys.stdin.buffer.read(int(length))


def _escapes(memory: int) -> Iterator[tuple[str, str]]:
    """What each way out ends in: the name of the error, or `done`."""

    def fork() -> None:
        if os.fork() == 0:
            os._exit(0)

    ways: dict[str, Callable[[], object]] = {
        "read a file": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "write a file": lambda: os.open("/tmp/escaped", os.O_WRONLY | os.O_CREAT),
        "connect": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "connect by a path": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "send packets": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "copy a descriptor": lambda: os.dup(0),
        "make a pipe": os.pipe,
        "memory without a name": lambda: os.memfd_create("x"),
        "fork": fork,
        "start a thread": lambda: threading.Thread(target=int).start(),
        "signal the service": lambda: os.kill(os.getppid(), 0),
        "list a folder": lambda: os.listdir("/"),
        "see a file": lambda: os.stat("/etc/passwd"),
        "remove a file": lambda: os.unlink("/tmp/escaped"),
        "memory to execute": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
        "files again": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        "much memory": lambda: bytearray(memory + (16 << 20)),
        "some memory": lambda: bytearray(memory // 4),
        "processor time": lambda: sandbox.allow_cpu(5),
        "execute": lambda: os.execv("/bin/true", ["true"]),
    }
    for name, way in ways.items():
        try:
            way()
        except OSError as error:
            yield name, errno.errorcode.get(error.errno or 0, type(error).__name__)
        except Exception as error:
            yield name, type(error).__name__
        else:
            yield name, "done"


def _libav(files: dict[str, bytes], inspection: Any, out: int) -> Iterator[tuple[str, str]]:
    """What each demuxer and each decoder of pictures makes of a small file: the name of the error, or `done`. A line
    with `...` is told before each, for the case that it is the last."""
    import av
    from av.codec.codec import Capabilities, Codec
    from av.format import Flags

    for name in sorted(av.formats_available):
        with suppress(ValueError):
            if av.ContainerFormat(name, "r").flags & Flags.no_file.value:
                continue  # a device, or what reads files of its own accord
            _tell(out, f"demuxer {name}", "...")
            data = files.get(name, files["junk"])

            def demux(name: str = name, data: bytes = data) -> None:
                options = {"protocol_whitelist": "none", "probesize": "4096", "fpsprobesize": "0"}
                file: Any = inspection._Prefix(data)
                with av.open(file, "r", format=name, options=options, buffer_size=4096) as container:
                    assert all(hasattr(stream, "codec_context") for stream in container.streams)
                    for number, _ in enumerate(container.demux()):
                        if number > 3:
                            break

            yield f"demuxer {name}", _outcome(demux)
    for name in sorted(av.codecs_available):
        with suppress(ValueError):
            codec = Codec(name, "r")
            if (
                name in _CRASHES
                or codec.type != "video"
                or codec.capabilities & Capabilities.hardware.value
                or name.endswith(_HARDWARE)
            ):
                continue
            _tell(out, f"decoder {name}", "...")

            def decode(name: str = name) -> None:
                context: Any = av.CodecContext.create(name, "r")
                context.width, context.height, context.thread_count = 64, 48, 1
                with suppress(av.FFmpegError):
                    context.parse(files["junk"])
                context.open()
                context.decode(av.Packet(files["junk"][:256]))

            yield f"decoder {name}", _outcome(decode)


_CRASHES = {"prores_raw"}
"""Crash libav with bytes that are no picture, in a jail or not. No worker opens them."""
_HARDWARE = ("_cuvid", "_qsv", "_v4l2m2m", "_amf", "_mediacodec", "_rkmpp")


def _outcome(act: Callable[[], None]) -> str:
    try:
        act()
    except Exception as error:
        number = getattr(error, "errno", None)
        return f"{type(error).__name__} {errno.errorcode.get(abs(number or 0), '')}".strip()
    return "done"


if __name__ == "__main__":
    signal.alarm(120)
    main()
