"""A video server in a process of its own, under one address and several ports, which count as origins of their own.

`/MILLISECONDS/ANYTHING/FILE` answers after so long, `/drip/ANYTHING/FILE` sends a byte a second. What stands for
ANYTHING makes URLs different, and no answer has an ETag: nothing is remembered from one probe to the next.
`python -m tests.bench.videos.serving FOLDER PORTS` serves until it is ended; it first writes its URLs as a line of
JSON.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop
from aiohttp import web

from tests.bench.mesh import ROOT


@contextmanager
def serving(files: Mapping[str, bytes], ports: int = 1) -> Iterator[list[str]]:
    """Serves during the block; the URLs."""
    with TemporaryDirectory(prefix="tocsin-videos-") as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        command = [sys.executable, "-m", __name__, folder, str(ports)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait(20)


async def _serve(folder: Path, ports: int) -> None:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    async def plain(request: web.Request) -> web.StreamResponse:
        if delay := int(request.match_info["delay"]):
            await asyncio.sleep(delay / 1000)
        data, asked = files[request.match_info["file"]], request.http_range
        if asked.start is None:
            return web.Response(body=data)
        if asked.start >= len(data):
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        stop = min(asked.stop or len(data), len(data))
        headers = {"Content-Range": f"bytes {asked.start}-{stop - 1}/{len(data)}"}
        return web.Response(status=206, body=data[asked.start : stop], headers=headers)

    async def drip(request: web.Request) -> web.StreamResponse:
        data = files[request.match_info["file"]]
        response = web.StreamResponse(status=206, headers={"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"})
        response.content_length = len(data)
        await response.prepare(request)
        with suppress(ConnectionError):
            for byte in data:
                await response.write(bytes([byte]))
                await asyncio.sleep(1)
        return response

    application = web.Application()
    application.router.add_get("/drip/{any}/{file}", drip)
    application.router.add_get(r"/{delay:\d+}/{any}/{file}", plain)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    for _ in range(ports):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps([f"http://127.0.0.1:{address[1]}" for address in runner.addresses]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
