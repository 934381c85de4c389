"""Workbooks (xlsx) to upload, as a spreadsheet writes them."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date
from xml.sax.saxutils import escape

_TYPES = """<?xml version="1.0" encoding="UTF-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/>
<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>
<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>
</Types>"""  # noqa: E501
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_ROOT = f"""<Relationships xmlns="{_PACKAGE}">
<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"""
_PARTS = f"""<Relationships xmlns="{_PACKAGE}">
<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>"""
_BOOK = f"""<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}">
<sheets><sheet name="Debts" sheetId="1" r:id="rId1"/></sheets></workbook>"""
_OTHERS = """<sheet name="Chart" sheetId="2" r:id="rId3"/>
<sheet name="Hidden" sheetId="3" state="hidden" r:id="rId4"/>"""
_OTHER_PARTS = f"""<Relationship Id="rId3" Type="{_OFFICE}/chartsheet" Target="chartsheets/chart.xml"/>
<Relationship Id="rId4" Type="{_OFFICE}/worksheet" Target="worksheets/hidden.xml"/>"""
_STYLES = f"""<styleSheet xmlns="{_SHEET}">
<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>"""


def workbook(
    rows: Iterable[Sequence[str | float | date | None]], sheet: str | None = None, *, behind_others: bool = False
) -> bytes:
    """The rows as the first sheet: texts, numbers and dates as such, None as no cell. `sheet`: its XML instead.
    `behind_others`: as the third one, behind a chart and a sheet that is hidden."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", _TYPES)
        archive.writestr("_rels/.rels", _ROOT)
        archive.writestr("xl/workbook.xml", _BOOK.replace("<sheets>", f"<sheets>{_OTHERS}") if behind_others else _BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", _PARTS.replace("</Rel", f"{_OTHER_PARTS}</Rel"))
        archive.writestr("xl/worksheets/hidden.xml", _sheet([["hidden"]]))
        archive.writestr("xl/chartsheets/chart.xml", f'<chartsheet xmlns="{_SHEET}"/>')
        archive.writestr("xl/styles.xml", _STYLES)
        archive.writestr("xl/worksheets/sheet1.xml", sheet or _sheet(rows))
    return out.getvalue()


def _sheet(rows: Iterable[Sequence[str | float | date | None]]) -> str:
    lines = [
        f'<row r="{number}">'
        + "".join(_cell(f"{chr(65 + place)}{number}", cell) for place, cell in enumerate(row) if cell is not None)
        + "</row>"
        for number, row in enumerate(rows, 1)
    ]
    return f'<worksheet xmlns="{_SHEET}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def _cell(name: str, cell: str | float | date) -> str:
    if isinstance(cell, str):
        return f'<c r="{name}" t="inlineStr"><is><t xml:space="preserve">{escape(cell)}</t></is></c>'
    if isinstance(cell, date):
        return f'<c r="{name}" s="1"><v>{(cell - date(1899, 12, 30)).days}</v></c>'
    return f'<c r="{name}"><v>{cell!r}</v></c>'
