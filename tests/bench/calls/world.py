"""The world outside of the calls, in a process of its own: a video server, and one that speaks FCM's protocol.

`python -m tests.bench.calls.world FOLDER` serves until it is ended; it first writes where to a line of JSON.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from services.cli.demo.videos import make_videos
from tests.bench.mesh import ROOT
from tests.support.fcm import open_fcm
from tests.support.video_server import video_server

VIDEO = "/gate.avi"


@dataclass(frozen=True)
class World:
    """Addresses of the servers."""

    video_url: str
    fcm_url: str
    fcm_account: str

    @property
    def environment(self) -> dict[str, str]:
        """What the mesh is told of it. Parts may stand still for as long as a run takes."""
        return {
            "TOCSIN_MEDIA_PROBE_VIDEO_SERVER": self.video_url,
            "TOCSIN_NOTIFICATION_FCM_BASE_URL": self.fcm_url,
            "TOCSIN_NOTIFICATION_FCM_ACCOUNT_FILE": self.fcm_account,
            "TOCSIN_RESTART_AFTER": "3600s",
        }


@contextmanager
def running_world() -> Iterator[World]:
    """Serves during the block."""
    with TemporaryDirectory(prefix="tocsin-world-") as folder:
        process = subprocess.Popen([sys.executable, "-m", __name__, folder], cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            yield World(**json.loads(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(20)


async def _serve(folder: Path) -> None:
    make_videos(folder)
    files = {VIDEO: (folder / VIDEO.lstrip("/")).read_bytes()}
    async with video_server(files) as videos, open_fcm(folder) as fcm:
        print(json.dumps(asdict(World(videos.url, fcm.url, str(fcm.account_file)))), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
