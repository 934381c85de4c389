"""The cells of a sheet that hold an error (`#N/A`), or a formula that no spreadsheet has calculated: the library that
reads workbooks takes them for empty ones, and an empty cell may mean something, such as the currency of the deployment.
"""

import re
import zipfile
from collections.abc import Iterator
from typing import IO, Final
from xml.etree import ElementTree

_PIECE: Final = 1024 * 1024
_UNKNOWN: Final = "#CALC!"
_ROW_END: Final = b"row>"
_SIGNS: Final = (b't="e"', b"t='e'", b"<f", b":f")
_ODD: Final = re.compile(
    rb"""
    (?P<error>\st=["']e["'])
    | (?:(?P<closed></(?:\w{1,20}:)?f>)|<(?:\w{1,20}:)?f(?:\s[^<>]*+|/)?(?<=/)>)\s*+
      (?P<empty><(?:\w{1,20}:)?v\s*+/>\s*+|<(?:\w{1,20}:)?v>\s*+</(?:\w{1,20}:)?v>\s*+)?</(?:\w{1,20}:)?c>
    """,
    re.VERBOSE,
)
"""What tells of an error, or of a formula without its value. (Every search here takes time by the length of its text
alone, whatever that is.)"""
_CELL: Final = re.compile(rb"<(?:\w{1,20}:)?c\s([^<>]*+)>")
_NEXT: Final = re.compile(rb"</?(?:\w{1,20}:)?c[\s/>]")
_VALUE: Final = re.compile(rb"<(?:\w+:)?v>([^<]*)<")
_TEXT: Final = re.compile(rb"""\bt=["']str["']""")
"""Only such a value may be empty; libraries that write formulas leave others so."""
_PLACE: Final = re.compile(rb"""(?:^|\s)r=["']([A-Z]{1,3})([0-9]{1,7})["']""")

ErrorCells = dict[int, dict[int, str]]
"""By row and column, from 0."""


class NoWorkbook(ValueError):
    """It is no xlsx, or one that nobody can find their way in; the message says why."""


def error_cells(path: str, sheet: str) -> ErrorCells:
    """The errors in the sheet of that name. Raises NoWorkbook."""
    found: ErrorCells = {}
    try:
        with zipfile.ZipFile(path) as book:
            parts = {name.replace("\\", "/").lower(): name for name in book.namelist()}
            with book.open(parts[_part_of(book, parts, sheet)]) as content:
                for rows in _rows(content):
                    for says, text in _errors(rows):
                        if (place := _PLACE.search(says)) is None:
                            raise NoWorkbook("a cell with an error has no place")
                        found.setdefault(int(place[2]) - 1, {})[_column(place[1])] = text
    except KeyError as error:
        raise NoWorkbook(f"it has no {error}") from None
    except (zipfile.BadZipFile, ElementTree.ParseError, NotImplementedError, RuntimeError) as error:
        raise NoWorkbook(str(error)) from None
    return found


def _errors(rows: bytes) -> Iterator[tuple[bytes, str]]:
    """What the tags of such cells say, and the errors."""
    done = 0
    for odd in _ODD.finditer(rows):
        at = odd.start()
        if at < done:
            continue
        tag = rows.rfind(b"<", done, at)
        if odd["closed"] and tag >= 0:
            tag = rows.rfind(b"<", done, tag)  # the last one is the formula's own
        cell = _CELL.match(rows, tag) if tag >= 0 else None
        if cell is None or cell[1].endswith(b"/"):
            done = odd.end()
            continue
        done = cell.end()
        if odd["empty"] and _TEXT.search(cell[1]):
            continue
        if not odd["error"]:
            yield cell[1], _UNKNOWN
            continue
        end = _NEXT.search(rows, done)
        value = _VALUE.search(rows, done, end.start() + 1 if end else len(rows))
        yield cell[1], value[1].decode("utf-8", "replace") if value else _UNKNOWN


def _part_of(book: zipfile.ZipFile, parts: dict[str, str], sheet: str) -> str:
    """Where the sheet is, as a key of `parts`."""
    if "xl/workbook.bin" in parts:
        raise NoWorkbook("it is an xlsb; save it as xlsx")
    [relation] = [
        next(value for key, value in one.items() if _local(key) == "id")
        for one in _elements(book, parts["xl/workbook.xml"], "sheet")
        if one.get("name") == sheet
    ][:1] or [""]
    for one in _elements(book, parts["xl/_rels/workbook.xml.rels"], "Relationship"):
        if one.get("Id") == relation:
            target = one.get("Target", "").replace("\\", "/").lower()
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError(f"sheet {sheet[:60]}")


def _elements(book: zipfile.ZipFile, part: str, name: str) -> Iterator[dict[str, str]]:
    with book.open(part) as content:
        # What it may take is bounded by the kernel.
        for _, element in ElementTree.iterparse(content):  # noqa: S314
            if _local(element.tag) == name:
                yield element.attrib


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rows(content: IO[bytes]) -> Iterator[bytes]:
    """Whole rows, as far as they hold what may be an error."""
    rest: list[bytes] = []
    while piece := content.read(_PIECE):
        end = piece.rfind(_ROW_END)
        if end < 0:
            rest.append(piece)
            continue
        rows = b"".join((*rest, piece[:end]))
        rest = [piece[end:]]
        if any(sign in rows for sign in _SIGNS):
            yield rows
    yield b"".join(rest)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1
