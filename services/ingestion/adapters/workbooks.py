"""Reads workbooks in a process of their own: what they unpack to is bounded by the kernel, and memory is given back."""

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from io import FileIO
from typing import Final

from services.ingestion.domain.debts.errors import FileFormatInvalid, TooLarge
from services.ingestion.workbook import NO_ROOM, OUT_OF_MEMORY, UNREADABLE

_CPU: Final = 120
_SAVE: Final = "save it as CSV (UTF-8)"


@dataclass(frozen=True, slots=True)
class Workbooks:
    """The port `WorkbookReader`. `memory`: bytes that reading one may take. One is read at a time."""

    memory: int
    one: threading.Lock

    def read(self, workbook: FileIO, table: FileIO, decimal: str, limit: int) -> None:
        """See the port."""
        workbook.seek(0)
        arguments = (os.getpid(), self.memory, _CPU, limit, decimal)
        command = [sys.executable, "-m", "services.ingestion.workbook", *map(str, arguments)]
        with self.one:
            ended = subprocess.run(command, stdin=workbook, stdout=table, stderr=subprocess.PIPE, check=False)
        if ended.returncode == 0:
            return
        if ended.returncode == UNREADABLE:
            why = ended.stderr.decode("utf-8", "replace").strip()[-200:]
            raise FileFormatInvalid("xlsx", f"the workbook cannot be read ({why}); {_SAVE}")
        if ended.returncode == NO_ROOM:
            raise TooLarge(f"the workbook has more than {limit} bytes of text, or there is no room", limit=str(limit))
        if ended.returncode == OUT_OF_MEMORY or ended.returncode < 0:
            rule = f"the workbook needs more memory or time than {self.memory} bytes and {_CPU} s; {_SAVE}"
            raise TooLarge(rule, limit=str(self.memory))
        raise FileFormatInvalid("xlsx", f"the workbook cannot be read; {_SAVE}")
