"""A part of the mesh that stands still for a while."""

from collections.abc import Generator
from contextlib import contextmanager

import psutil

from services.cli.client import MeshClient
from services.cli.runtime.status import read_reports


@contextmanager
def frozen(mesh: MeshClient, part: str) -> Generator[None]:
    """The part's process and its children get no CPU during the block; what they had in hand waits. No part when it is
    empty."""
    processes: list[psutil.Process] = []
    for report in read_reports(mesh.state):
        if report.name == part and report.pid is not None:
            process = psutil.Process(report.pid)
            processes = [process, *process.children(recursive=True)]
    if part and not processes:
        raise RuntimeError(f"the mesh has no part {part}")
    for one in processes:
        one.suspend()
    try:
        yield
    finally:
        for one in processes:
            one.resume()
