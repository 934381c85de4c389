"""Programs in the place of those that scripts call: they write down how they were called, and answer as a test says."""

import os
import subprocess
from pathlib import Path


class RecordingPrograms:
    """A folder of programs, first on PATH of what `run` starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "bin"
        self._folder.mkdir()
        self._calls = folder / "calls"
        self._calls.touch()
        # Scripts that wait for something need not wait here.
        self.add("sleep", "")

    def add(self, name: str, body: str) -> None:
        """A program in bash; its arguments are written down before `body` runs."""
        program = self._folder / name
        program.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self._calls}"\n{body}\n')
        program.chmod(0o755)

    def run(self, *command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command, with no more of this process's environment than PATH."""
        given = {"PATH": f"{self._folder}:{os.environ['PATH']}", "HOME": str(self._folder), **environment}
        return subprocess.run(
            [str(part) for part in command], env=given, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self, name: str) -> list[str]:
        """The arguments of each call of a program so far, in order."""
        lines = self._calls.read_text().splitlines()
        return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]
