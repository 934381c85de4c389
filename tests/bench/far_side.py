"""What stands on the other side of our services, as a process of its own: `python -m tests.bench.far_side videos`, or
`fcm DIRECTORY`. Says where it is in one line of JSON, and serves until it is ended."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from aiohttp import web

from tests.support.fcm import open_fcm
from tests.support.video_server import video_server
from tests.support.videos import make_video

# Formats with the index before the media, behind them, and in packets.
VIDEOS = {
    "/0.mp4": ("mp4", "mpeg4", (("movflags", "faststart"),)),
    "/1.mp4": ("mp4", "libx264", ()),
    "/2.mkv": ("matroska", "libx264", ()),
    "/3.avi": ("avi", "mpeg4", ()),
}


async def main() -> None:
    """Serves."""
    async with AsyncExitStack() as stack:
        if sys.argv[1] == "videos":
            files = {path: make_video(kind, codec, options=options) for path, (kind, codec, options) in VIDEOS.items()}
            said = {"url": (await stack.enter_async_context(video_server(files))).url}
        else:
            fcm = await stack.enter_async_context(open_fcm(Path(sys.argv[2])))

            async def taken(_request: web.Request) -> web.Response:
                return web.json_response(len(fcm.messages))

            runner = web.AppRunner(web.Application(), access_log=None)
            runner.app.router.add_get("/", taken)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            taken_url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
            said = {"url": fcm.url, "account": str(fcm.account_file), "taken": taken_url}
        print(json.dumps(said), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
