"""Reads one workbook: `python -m services.ingestion.workbook PARENT MEMORY CPU SIZE DECIMAL`, started for each.

The workbook is standard input, a file; the first visible sheet goes to standard output as CSV, a line for each of its
rows. PARENT: process id to die with; MEMORY: bytes of address space on top of what the libraries take; CPU: seconds of
processor time; SIZE: bytes of text; DECIMAL: sign in numbers. What cannot be read ends it with a status of these, and
the reason on standard error.
"""

import csv
import errno
import resource
import signal
import sys
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Final, TextIO

from services.chassis.workers import die_with_parent
from services.ingestion.workbook_errors import ErrorCells, NoWorkbook, error_cells

if TYPE_CHECKING:
    from python_calamine import SheetMetadata

UNREADABLE: Final = 10
OUT_OF_MEMORY: Final = 11
NO_ROOM: Final = 12
_LINE_BREAK: Final = "\N{LINE SEPARATOR}"
_EXACT: Final = 15
"""Digits that a number of a spreadsheet has at most; it shows no more either."""


def main() -> int:
    """Returns the status to exit with."""
    parent, memory, cpu, size = (int(argument) for argument in sys.argv[1:5])
    die_with_parent(parent, signal.SIGKILL)
    import python_calamine

    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, size + 1)
    _limit(resource.RLIMIT_CPU, cpu)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, _address_space() + memory)
    try:
        sheets = python_calamine.load_workbook("/dev/stdin")
        sheet = _first_seen(sheets.sheets_metadata)
        errors = error_cells("/dev/stdin", sheet)
        rows = sheets.get_sheet_by_name(sheet).iter_rows()
        with open(1, "w", encoding="utf-8", newline="", closefd=False) as table:
            _write(table, rows, errors, sys.argv[5])
    except MemoryError:
        return OUT_OF_MEMORY
    except (python_calamine.CalamineError, IndexError, NoWorkbook) as error:
        print(error or "there is no sheet", file=sys.stderr)
        return UNREADABLE
    except OSError as error:
        if error.errno not in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}:
            raise
        return NO_ROOM
    return 0


def _first_seen(sheets: "Sequence[SheetMetadata]") -> str:
    """The first sheet of cells that a person sees, not a chart; one that is hidden where there is no other. Raises
    IndexError."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    tables = [sheet for sheet in sheets if sheet.typ == SheetTypeEnum.WorkSheet]
    seen = [sheet for sheet in tables if sheet.visible == SheetVisibleEnum.Visible]
    return (seen or tables)[0].name


def _write(table: TextIO, rows: Iterable[Sequence[object]], errors: ErrorCells, decimal: str) -> None:
    writer = csv.writer(table, lineterminator="\n")
    count = -1
    for count, row in enumerate(rows):
        texts = [_text(cell, decimal) for cell in row]
        writer.writerow(_with(texts, errors[count]) if count in errors else texts)
    # Rows of errors alone may be none of the library's.
    for place in range(count + 1, max(errors, default=-1) + 1):
        writer.writerow(_with([], errors.get(place, {})))


def _with(texts: list[str], errors: dict[int, str]) -> list[str]:
    """The texts of a row and its errors."""
    texts += [""] * (max(errors, default=-1) + 1 - len(texts))
    for place, error in errors.items():
        texts[place] = error
    return texts


def _text(cell: object, decimal: str) -> str:
    match cell:
        case str():
            return _LINE_BREAK.join(cell.strip("\r\n").splitlines())
        case float():
            return f"{cell:.{_EXACT}g}".replace(".", decimal)
        case datetime():
            return cell.date().isoformat() if cell.time() == time() else cell.isoformat(" ")
        case date() | time():
            return cell.isoformat()
        case bool():
            return str(cell).upper()
        case _:
            return str(cell)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    raise SystemExit(main())
