"""A throwaway gRPC service for tests of the chassis: its contract is compiled when it is first imported.

`python -m tests.support.echo` runs it as a process of its own, configured by the environment like every service.
"""

import asyncio
import importlib.util
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from grpc_tools import protoc

from services.chassis.app import App, run
from services.chassis.auth import principal
from services.chassis.errors import FailedPrecondition, InvalidArgument, ResourceExhausted
from services.chassis.settings import ChassisSettings

_ROOT = Path(__file__).parent.parent.parent
_OWN = Path(__file__).parent / "proto"
SERVICE = "tocsin.test.v1.EchoService"


def _compile() -> tuple[ModuleType, ModuleType]:
    with tempfile.TemporaryDirectory() as out:
        includes = [f"-I{path}" for path in (_OWN, _ROOT / "proto", _ROOT / ".build/third_party/proto")]
        builtin = f"-I{Path(protoc.__file__).parent / '_proto'}"
        status = protoc.main(
            [
                "protoc",
                *includes,
                builtin,
                f"--python_out={out}",
                f"--grpc_python_out={out}",
                "tocsin/test/v1/echo.proto",
            ]
        )
        if status != 0:
            raise RuntimeError(f"protoc failed with status {status}")
        # `tocsin` is the package of the real contracts too: these two modules join it by name.
        folder = Path(out) / "tocsin/test/v1"
        sys.modules.setdefault("tocsin.test", ModuleType("tocsin.test"))
        parent = sys.modules.setdefault("tocsin.test.v1", ModuleType("tocsin.test.v1"))
        modules = [
            _load(f"tocsin.test.v1.{name}", folder / f"{name}.py", parent) for name in ("echo_pb2", "echo_pb2_grpc")
        ]
    return modules[0], modules[1]


def _load(name: str, path: Path, parent: ModuleType) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    setattr(parent, name.rpartition(".")[2], module)
    return module


pb: Any
rpc: Any
pb, rpc = _compile()


class CupboardLocked(FailedPrecondition):
    """The cupboard is locked."""

    reason = "CUPBOARD_LOCKED"


class EchoServicer:
    """Does what `action` of the request says; see `_act`."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def _act(self, request: Any, context: Any) -> str:
        self.entered.set()
        match request.action:
            case "bug":
                raise RuntimeError("the database password is hunter2")
            case "locked":
                raise CupboardLocked(metadata={"cupboard": "7"})
            case "later":
                raise ResourceExhausted(retry_after=timedelta(seconds=7))
            case "huge":
                raise InvalidArgument("x" * 100_000, metadata={"k": "v" * 100_000})
            case "wait":
                await self.release.wait()
            case "hang":
                await asyncio.Event().wait()
            case "die":
                os.kill(os.getpid(), 9)
            case "pid":
                return str(os.getpid())
            case "who":
                return principal.current().subject
            case "abort":
                import grpc

                await context.abort(grpc.StatusCode.ABORTED, "aborted by hand")
            case _:
                pass
        return str(request.room_name)

    async def Echo(self, request: Any, context: Any) -> Any:
        return pb.EchoReply(text=await self._act(request, context), count=1)

    Open = Undeclared = Echo

    async def Expand(self, request: Any, context: Any) -> AsyncIterator[Any]:
        for count in range(3):
            yield pb.EchoReply(text=request.room_name, count=count)
        await self._act(request, context)

    async def Collect(self, requests: AsyncIterator[Any], context: Any) -> Any:
        names = [await self._act(request, context) async for request in requests]
        return pb.EchoReply(text=",".join(names), count=len(names))

    Judge = Collect

    async def Chat(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        count = 0
        async for request in requests:
            yield pb.EchoReply(text=await self._act(request, context), count=count)
            count += 1


class EchoSettings(ChassisSettings):
    """Nothing of its own."""


async def bootstrap(app: App, settings: EchoSettings) -> None:
    """The service as a process. A file named by ECHO_RELEASE lets `wait` calls go; ECHO_PORT_FILE gets the port."""
    servicer = EchoServicer()
    rpc.add_EchoServiceServicer_to_server(servicer, app.server)

    async def watch() -> None:
        release = Path(os.environ.get("ECHO_RELEASE", "/nonexistent"))
        while True:
            if release.exists():
                servicer.release.set()
            if servicer.entered.is_set():
                Path(f"{release}.entered").touch()
            if app.server.port and (port_file := os.environ.get("ECHO_PORT_FILE")):
                Path(port_file).write_text(str(app.server.port))
            await asyncio.sleep(0.02)

    app.task("watch", watch())
    if os.environ.get("ECHO_SIDE_TASK") == "dies":

        async def dies() -> None:
            await servicer.entered.wait()
            raise RuntimeError("side task failure")

        app.task("dies", dies())


if __name__ == "__main__":
    run("echo", EchoSettings, bootstrap)
