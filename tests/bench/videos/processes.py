"""The mission's source design, as a reference: aiohttp takes an alert, `ffprobe` runs as a process on the video's URL,
the row is inserted, and then comes the answer.

`python -m tests.bench.videos.processes VIDEO_URL DSN` serves `POST /alert` on a free port until it is ended; it first
writes its URL. As many processes run at a time as there are cores: more only get in each other's way.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import uvloop
from aiohttp import web

from tests.bench.mesh import ROOT

FFPROBE = shutil.which("ffprobe")
TABLE = """
    CREATE SCHEMA IF NOT EXISTS reference;
    DROP TABLE IF EXISTS reference.videos;
    CREATE TABLE reference.videos (uid text PRIMARY KEY, store text NOT NULL, video text NOT NULL,
        reported_at float8 NOT NULL, width integer NOT NULL, height integer NOT NULL);
"""
COMMAND = (
    *("ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height"),
    *("-of", "csv=p=0:s=x"),
)


@contextmanager
def source_design(video_url: str, dsn: str) -> Iterator[str]:
    """Runs it during the block; its URL."""
    command = [sys.executable, "-m", __name__, video_url, dsn]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
    finally:
        process.kill()
        process.wait(20)


async def _size(url: str) -> tuple[int, int]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    told, _ = await process.communicate()
    # A stream of a program is told twice, and some versions end a line with the separator.
    width, height = told.decode().split()[0].split("x")[:2]
    return int(width), int(height)


async def _serve(video_url: str, dsn: str) -> None:
    pool = await asyncpg.create_pool(dsn, min_size=8, max_size=8)
    places = asyncio.Semaphore(os.cpu_count() or 1)

    async def alert(request: web.Request) -> web.Response:
        body = await request.json()
        async with places:
            width, height = await _size(video_url + body["video"])
        await pool.execute(
            "INSERT INTO reference.videos VALUES ($1, $2, $3, $4, $5, $6)",
            *(body["uid"], body["store"], body["video"], float(body["timestamp"]), width, height),
        )
        return web.json_response({"width": width, "height": height})

    await pool.execute(TABLE)
    application = web.Application()
    application.router.add_post("/alert", alert)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
