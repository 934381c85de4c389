"""Workbooks and other files that are no plain CSV, through the spool to rows."""

import gzip
import threading
from datetime import date
from pathlib import Path

import pytest

from services.ingestion.adapters.workbooks import Workbooks
from services.ingestion.application.debts.spool import Spool
from services.ingestion.application.debts.spool_directory import SpoolDirectory
from services.ingestion.domain.debts.conventions import Conventions, DateOrder
from services.ingestion.domain.debts.dialect import Dialect
from services.ingestion.domain.debts.errors import FileFormatInvalid, HeaderInvalid, TooLarge
from services.ingestion.domain.debts.parser import Block, DebtParser
from tests.support.debts import COLUMNS, content, row
from tests.support.workbooks import workbook

MIB = 1024 * 1024
BRAZIL = Dialect(conventions=Conventions(decimal=",", grouping=".", dates=DateOrder.DAY_FIRST))


def read(data: bytes, directory: Path, dialect: Dialect = Dialect(), *, limit: int = 64 * MIB) -> Block:  # noqa: B008
    """What becomes of an upload, in pieces."""
    workbooks = Workbooks(256 * MIB, threading.Lock())
    with Spool(SpoolDirectory(directory), limit, dialect, workbooks) as spool:
        for start in range(0, len(data), 1000):
            spool.write(data[start : start + 1000])
        text = spool.close_content()
        parser = DebtParser(text.layout, dialect.conventions)
        blocks = [parser.feed(block, final=final) for block, final in text.blocks(64 * MIB)]
    assert len(blocks) == 1
    return blocks[0]


DUE = date(2027, 1, 31)


@pytest.mark.parametrize("dialect", [Dialect(), BRAZIL])
def test_a_workbook_is_read_as_its_cells_say(tmp_path: Path, dialect: Dialect) -> None:
    data = workbook(
        [
            [None],
            COLUMNS,
            ["José, Ana\n", 12345678901, "jose@example.com", 1234.5, DUE, "d1"],
            [None, None, None, None, None, None],
            ['O"Neil', "007", "o@example.com", 0.1 + 0.2, DUE, 42],
            ["Two\nlines", 1, "t@example.com", 1, DUE, "d3"],
            ["Long", 1.234567890123456e17, "l@example.com", 10, 46053, "d4"],
            ["Text", "1", "t@example.com", "10", "2027-01-31", "d5"],
        ]
    )
    found = read(data, tmp_path, dialect)
    assert sorted(found.rows.content(place)[:6] for place in range(len(found.rows))) == [
        (b"Jos\xc3\xa9, Ana", b"12345678901", b"jose@example.com", b"1234.50", b"2027-01-31", b"d1"),
        (b'O"Neil', b"007", b"o@example.com", b"0.30", b"2027-01-31", b"42"),
        (b"Text", b"1", b"t@example.com", b"10.00", b"2027-01-31", b"d5"),
    ]
    assert [(reject.line, [broken.reason for broken in reject.broken]) for reject in found.rejects] == [
        (6, ["TEXT_INVALID"]),
        (7, ["GOVERNMENT_ID_INVALID", "DUE_DATE_INVALID"]),
    ]
    assert sorted(found.rows.lines.tolist()) == [3, 5, 8]


def test_an_error_in_a_cell_is_no_empty_cell(tmp_path: Path) -> None:
    """A currency that is `#N/A` is not the deployment's."""

    formulas = {"=A1": ("", ""), "=A2": (' t="str"', "<v></v>"), "=A3": ("", "<v></v>"), "=A4": (' s="1"', "<v />")}
    formulas["=A5"] = (' t="str"', "")

    def texts(number: int, *cells: str) -> str:
        written = (
            f'<c t="e" r="{chr(65 + place)}{number}"/><c r="{chr(65 + place)}{number}" t="e" s="1"><v>{cell}</v></c>'
            if cell.startswith("#")
            else f'<c r="{chr(65 + place)}{number}"{formulas[cell][0]}><f>{cell}</f>{formulas[cell][1]}</c>'
            if cell.startswith("=")
            else f'<c r="{chr(65 + place)}{number}" t="inlineStr"><is><t>{cell}</t></is></c>'
            for place, cell in enumerate(cells)
        )
        return f'<row r="{number}">{"".join(written)}</row>'

    good = ("Ann", "1", "a@example.com", "10", "2027-01-31")
    rows = [
        texts(1, *COLUMNS, "currency"),
        texts(2, *good, "d1", "EUR"),
        texts(3, *good, "d2", "#N/A"),
        texts(4, *good, "d3"),
        texts(5, "#REF!", *good[1:], "d4", "EUR"),
        texts(7, *["#VALUE!"] * 7),
        texts(8, *good, "d8", "=A1"),
        texts(9, *good, "d9", "=A2"),
        *(texts(7 + place, *good, f"e{place}", f"=A{place}") for place in (3, 4, 5)),
    ]
    for data in ("".join(rows), "".join(rows).replace("<c ", "<x:c ").replace("</c>", "</x:c>").replace('"', "'")):
        sheet = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
        sheet += f' xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{data}'
        found = read(workbook([], f"{sheet}</sheetData></worksheet>"), tmp_path)
        assert sorted(found.rows.lines.tolist()) == [2, 4, 9]
        assert [(reject.line, reject.broken[0].reason) for reject in found.rejects] == [
            (3, "CURRENCY_UNKNOWN"),
            (5, "TEXT_INVALID"),
            (7, "TEXT_INVALID"),
            *((line, "CURRENCY_UNKNOWN") for line in (8, 10, 11, 12)),
        ]


@pytest.mark.parametrize("piece", ['t="e" ', '<c r="A1" t="e">', "<f>", "<c "])
def test_looking_for_errors_takes_no_time_whatever_the_sheet_holds(tmp_path: Path, piece: str) -> None:
    sheet = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c '
    with pytest.raises((FileFormatInvalid, HeaderInvalid)):
        read(workbook([], f"{sheet}{piece * 150_000}"), tmp_path)


def test_the_first_sheet_that_a_person_sees_is_read(tmp_path: Path) -> None:
    data = workbook([COLUMNS, ["Ann", "1", "a@example.com", 10, DUE, "d1"]], behind_others=True)
    found = read(data, tmp_path)
    assert (len(found.rows), found.rejects) == (1, [])


def test_a_workbook_that_is_none_is_named(tmp_path: Path) -> None:
    xlsb = workbook([COLUMNS]).replace(b"xl/workbook.xml", b"xl/workbook.bin")
    for broken in (workbook([COLUMNS])[:-40], xlsb, b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml" + bytes(600)):
        with pytest.raises(FileFormatInvalid) as caught:
            read(broken, tmp_path)
        assert caught.value.metadata == {"format": "xlsx"}


def test_a_workbook_that_would_fill_memory_is_refused(tmp_path: Path) -> None:
    far = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    far += '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with pytest.raises(TooLarge):
        read(workbook([], far + "</sheetData></worksheet>"), tmp_path)
    many = [["x" * 1000] * 6 for _ in range(50)]
    with pytest.raises(TooLarge):
        read(workbook([COLUMNS, *many]), tmp_path, limit=100 * 1000)


def test_what_is_packed_or_padded_is_read_like_the_plain_file(tmp_path: Path) -> None:
    plain = content([row(f"d{number}") for number in range(50)])
    whole = [bytes(text) for text in read(plain, tmp_path).rows.ids()]
    assert len(whole) == 50
    for other in (
        gzip.compress(plain),
        plain + b"\x1a",
        plain.rstrip(b"\n") + bytes(4096),
        plain.replace(b"\n", b"\r\r\n"),
        plain.replace(b"\n", b"\r\n", 1).replace(b"\n", b"\r\r\n"),
        plain.replace(b"\n", b"\r").replace(b"\r", b"\n", 1),
        b"\xef\xbb\xbf" + plain,
    ):
        found = read(other, tmp_path)
        assert (found.rejects, [bytes(text) for text in found.rows.ids()]) == ([], whole)


def test_a_packed_bomb_is_refused_when_it_has_unpacked_as_much_as_a_file_may_have(tmp_path: Path) -> None:
    bomb = gzip.compress(content([]) + b"a\n" * (8 * MIB))
    with pytest.raises(TooLarge, match="when unpacked"):
        read(bomb, tmp_path, limit=MIB)
