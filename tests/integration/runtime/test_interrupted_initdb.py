"""A start that is interrupted while the PostgreSQL cluster is made leaves no secret behind."""

import asyncio
import os
from pathlib import Path

import pytest

from services.cli.runtime.postgres_cluster import PostgresCluster
from services.cli.runtime.preparation import ensure_cluster
from services.cli.runtime.state import StateDir
from tests.support.ports import free_port


async def test_neither_password_nor_half_a_cluster_stays(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.create()
    cluster = PostgresCluster.at(state.postgres, free_port())
    password, unfinished = state.root / "postgres.password", state.root / "postgres.new"
    making = asyncio.create_task(ensure_cluster(cluster, "secret", dict(os.environ), state))
    while not (password.exists() and any(unfinished.iterdir())):
        assert not making.done()
        await asyncio.sleep(0.01)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert not password.exists()
    assert not unfinished.exists()
