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
_CELL: Final = re.compile(
    rb"""
    <(?:\w+:)?c\s(?P<says>[^>]*\bt=["']e["'](?:[^>]*[^>/])?)>(?P<holds>.*?)</(?:\w+:)?c>
    | <(?:\w+:)?c\s(?P<place>[^>]*[^>/])>\s*<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*
      (?P<empty><(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>
    """,
    re.DOTALL | re.VERBOSE,
)
"""An error, or a formula without its value."""
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
                    for cell in _CELL.finditer(rows):
                        if cell["empty"] and _TEXT.search(cell["place"]):
                            continue
                        place, value = _PLACE.search(cell["says"] or cell["place"]), _VALUE.search(cell["holds"] or b"")
                        if place is None:
                            raise NoWorkbook("a cell with an error has no place")
                        text = value[1].decode("utf-8", "replace") if value else _UNKNOWN
                        found.setdefault(int(place[2]) - 1, {})[_column(place[1])] = text
    except KeyError as error:
        raise NoWorkbook(f"it has no {error}") from None
    except (zipfile.BadZipFile, ElementTree.ParseError, NotImplementedError, RuntimeError) as error:
        raise NoWorkbook(str(error)) from None
    return found


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
