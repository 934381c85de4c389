"""A stream that comes back with less than it had is told, and remembered over starts of the runtime."""

from pathlib import Path
from typing import Any

import pytest

from services.chassis.mesh_names import MeshNames
from services.cli.runtime.state import StateDir
from services.cli.runtime.stream_memory import StreamMemory, read_losses


class Told(list[str]):
    def tell(self, where: str, what: str) -> None:
        self.append(f"{where}: {what}")


def jsz(**streams: tuple[str, int]) -> dict[str, Any]:
    details = [{"name": name, "created": at, "state": {"last_seq": last}} for name, (at, last) in streams.items()]
    return {"account_details": [{"stream_detail": details}]}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    state = StateDir(tmp_path / "state")
    state.create()
    return state


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"READINGS": ("monday", 2_686)}, None),
        ({"READINGS": ("monday", 2_687)}, None),
        (
            {"READINGS": ("monday", 233)},
            "READINGS came back shorter: its last sequence is 233 and was 2,686; of the 2,453",
        ),
        ({"READINGS": ("tuesday", 9_000)}, "READINGS was made anew"),
        ({}, "READINGS is gone; the last message that it was seen to hold had sequence 2,686"),
    ],
)
def test_less_than_remembered_is_told(state: StateDir, after: dict[str, tuple[str, int]], words: str | None) -> None:
    told = Told()
    before = StreamMemory(state, told.tell, MeshNames())
    before.compare(jsz(READINGS=("monday", 2_686)))
    before.write()
    assert not told
    # The next start of the runtime.
    memory = StreamMemory(state, told.tell, MeshNames())
    memory.compare(jsz(**after))
    memory.compare(jsz(**after))
    memory.write()
    assert len(told) == (words is not None)
    assert [loss.stream for loss in read_losses(state)] == ["READINGS"] * (words is not None)
    if words:
        assert f"nats: stream {words}" in told[0]
        assert read_losses(state)[0].what in told[0]


def test_a_new_and_an_empty_stream_are_no_loss(state: StateDir) -> None:
    told = Told()
    memory = StreamMemory(state, told.tell, MeshNames())
    memory.compare(jsz(EMPTY=("monday", 0)))
    memory.compare(jsz(NEW=("monday", 5)))
    assert not told


def test_the_stream_of_health_checks_is_not_remembered(state: StateDir) -> None:
    told = Told()
    memory = StreamMemory(state, told.tell, MeshNames())
    memory.compare(jsz(HEALTH=("monday", 500)))
    memory.compare(jsz(HEALTH=("monday", 5)))
    assert not told


@pytest.mark.parametrize(
    "content", ["", '{"streams": 7, "losses": {}}', '{"streams": {"READINGS": {}}, "losses": [1]}']
)
def test_a_damaged_file_counts_as_nothing_seen(state: StateDir, content: str) -> None:
    (state.root / "streams.json").write_text(content)
    told = Told()
    StreamMemory(state, told.tell, MeshNames()).compare(jsz(READINGS=("monday", 1)))
    assert not told
    assert read_losses(state) == []
