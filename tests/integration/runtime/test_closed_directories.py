"""PostgreSQL below directories that only their owner may enter, as a checkout below root's home is."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from services.cli.runtime.postgres_binaries import find_postgres
from tests.integration.runtime.conftest import CommandLine


async def test_programs_and_data_may_stand_where_others_cannot_go(
    tmp_path: Path, command_line: Callable[..., CommandLine]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    installed = find_postgres().directory.parent
    package = installed.parent
    shutil.copytree(installed, closed / package.name / installed.name, symlinks=True)
    # The wheel's own libraries stand beside the package.
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs", symlinks=True)
    programs = closed / package.name / installed.name / "bin"
    one = command_line("closed/state", TOCSIN_POSTGRES_BIN_DIR=str(programs))
    one.start()
    pid = (await one.up())["postgres"]["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert str(closed) in os.readlink(f"/proc/{pid}/exe")
    assert "0" not in fields["Uid"].split(), "PostgreSQL runs as root"
    # At most the one capability that lets it walk through closed directories.
    assert int(fields["CapEff"], 16).bit_count() <= 1
    assert (closed.stat().st_mode & 0o777) == 0o700
    exit_code, _, errors = await one.stop()
    assert (exit_code, errors) == (0, "")
