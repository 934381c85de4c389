"""What a script takes is what its help says."""

import re
from pathlib import Path

import pytest

from tests.support.recording import RecordingPrograms


@pytest.mark.parametrize("name", ["build-and-push.sh", "deploy.sh", "monitor.sh", "smoke-test.sh"])
def test_the_help_names_every_option(checkout: Path, programs: RecordingPrograms, name: str) -> None:
    script = checkout / "deploy/scripts" / name
    done = programs.run(script, "--help")
    assert done.returncode == 0
    taken = set(re.findall(r"^    (--[a-z-]+)\)", script.read_text(), re.MULTILINE))
    assert {"--dry-run"} < taken
    assert taken - set(re.findall(r"--[a-z-]+", done.stdout)) == set()
    assert done.stdout.startswith(("Asks ", "Builds ", "Deploys ", "Shows "))
    assert "Exit code: 0" in done.stdout
