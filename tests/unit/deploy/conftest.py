"""A copy of deploy/scripts/ with programs beside it that only write down how they were called."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answering import AnsweringServer, answering_server
from tests.support.recording import RecordingPrograms


@pytest.fixture
def edge() -> Iterator[AnsweringServer]:
    with answering_server() as server:
        yield server


@pytest.fixture
def programs(tmp_path: Path) -> RecordingPrograms:
    return RecordingPrograms(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A checkout that holds the scripts and nothing else."""
    root = tmp_path / "checkout of a test"
    shutil.copytree(repository / "deploy/scripts", root / "deploy/scripts")
    return root
