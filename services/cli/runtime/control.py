"""The way into a supervisor that runs: a Unix socket in the state directory, for the directory's owner.

A line of JSON asks, `{"ask": "restart", ...}`; another answers: the handler's, or `{"problem": "...", "code": 1}`.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

from services.cli.runtime.errors import RuntimeProblem, describe
from services.cli.runtime.state import StateDir

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one request; what it raises becomes the asker's problem."""

_SOCKET = "control.sock"
_PATIENCE_SECONDS = 10.0
_CREDENTIALS = struct.Struct("3i")


async def answer_requests(state: StateDir, handlers: Mapping[str, Handler]) -> None:
    """Answers whoever asks, for ever. Raises OSError where the file system takes no sockets."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), contextlib.suppress(ConnectionError):
            if not _is_owner(writer.get_extra_info("socket")):
                return
            writer.write(json.dumps(await _answer(reader, handlers)).encode() + b"\n")
            await writer.drain()

    server = await asyncio.start_unix_server(answer, sock=_listen(state))
    try:
        await asyncio.Event().wait()
    finally:
        # Without waiting for answers under way: the end of the mesh is what they would tell.
        server.close()
        (state.run / _SOCKET).unlink(missing_ok=True)


def ask(state: StateDir, what: str, *, within: timedelta, **content: str) -> dict[str, Any]:
    """The supervisor's answer. Raises RuntimeProblem: its own, or that it does not answer."""
    try:
        with _address(state) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(within.total_seconds())
            connection.connect(address)
            connection.sendall(json.dumps({"ask": what, **content}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
    except TimeoutError:
        raise RuntimeProblem(f"the supervisor has not answered within {within.total_seconds():.0f} s") from None
    except OSError as error:
        raise RuntimeProblem(f"the supervisor cannot be asked on {state.run / _SOCKET}: {error.strerror}") from error
    if not line:
        raise RuntimeProblem("the supervisor ended before it answered")
    found: dict[str, Any] = json.loads(line)
    if "problem" in found:
        raise RuntimeProblem(found["problem"], found["code"])
    return found


async def _answer(reader: asyncio.StreamReader, handlers: Mapping[str, Handler]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            request = json.loads(await reader.readline())
        handler = handlers[request["ask"]]
    except (TimeoutError, ValueError, TypeError, KeyError):
        return {"problem": "the supervisor does not know this request; it may be of another version", "code": 1}
    try:
        return await handler(request)
    except RuntimeProblem as error:
        return {"problem": error.message, "code": error.exit_code}
    except Exception as error:
        return {"problem": describe(error), "code": 1}


def _listen(state: StateDir) -> socket.socket:
    (state.run / _SOCKET).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # From its first moment on nobody else may connect.
        before = os.umask(0o177)
        try:
            with _address(state) as address:
                listener.bind(address)
        finally:
            os.umask(before)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


@contextmanager
def _address(state: StateDir) -> Generator[str]:
    """The socket's path by way of its open directory: 107 bytes are all that an address has room for."""
    directory = os.open(state.run, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{_SOCKET}"
    finally:
        os.close(directory)


def _is_owner(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in (0, os.geteuid())
