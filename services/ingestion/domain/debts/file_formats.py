"""What a file is, told by its first bytes: names and content types of uploads are often wrong."""

import re
from enum import Enum
from typing import Final

from services.ingestion.domain.debts.charsets import UTF_8
from services.ingestion.domain.debts.errors import EncodingInvalid, FileFormatInvalid

ENOUGH: Final = 512
"""Bytes that tell."""

BOM: Final = b"\xef\xbb\xbf"
_SAVE: Final = "save it as CSV (UTF-8) or as xlsx"
_PACKED_SHEET: Final = re.compile(
    rb"PK\x03\x04.{26}(?:\[Content_Types\]|_rels/|xl[/\\]|docProps/|docMetadata/|customXml/)", re.DOTALL
)
_REFUSED: Final = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls", f"is an old Excel workbook (xls), or one with a password: {_SAVE}"),
    (b"PK", "zip", "is a zip archive: unpack it and send the CSV"),
    (b"%PDF-", "pdf", "is a PDF: export the table as CSV"),
    (b"BZh", "bzip2", "is packed with bzip2: send it as it is, or packed with gzip"),
    (b"\xfd7zXZ\0", "xz", "is packed with xz: send it as it is, or packed with gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd", "is packed with zstd: send it as it is, or packed with gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "is a 7z archive: unpack it and send the CSV"),
    (b"Rar!\x1a\x07", "rar", "is a rar archive: unpack it and send the CSV"),
    (b"{\\rtf", "rtf", f"is a text document (RTF), not a table: {_SAVE}"),
    (b"\x89PNG\r\n", "png", f"is a picture, not a table: {_SAVE}"),
    (b"\xff\xd8\xff", "jpeg", f"is a picture, not a table: {_SAVE}"),
    (b"SQLite format 3\0", "sqlite", "is a database (SQLite): export the table as CSV"),
    (b"PAR1", "parquet", "is a Parquet file: export it as CSV"),
)
_OPEN_SHEET: Final = re.compile(rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis\.opendocument", re.DOTALL)
_JSON: Final = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]])")
_TAR: Final = slice(257, 262)
_MARKUP: Final = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|\?xml|table)\b", re.IGNORECASE)
_UTF_16: Final = re.compile(rb"(?:[ -~]\0){4}|(?:\0[ -~]){4}", re.DOTALL)


class FileFormat(Enum):
    """What is taken."""

    TEXT = "csv"
    GZIP = "gzip"
    WORKBOOK = "xlsx"


def format_of(start: bytes, charset: str) -> FileFormat:
    """What a file is that begins so, as far as `start` goes. Raises FileFormatInvalid for what is not taken, and
    EncodingInvalid for UTF-16 that is not said to be that."""
    if start.startswith(b"\x1f\x8b"):
        return FileFormat.GZIP
    if _PACKED_SHEET.match(start):
        return FileFormat.WORKBOOK
    if _OPEN_SHEET.match(start):
        raise FileFormatInvalid("ods", f"the file is a workbook of OpenDocument (ods): {_SAVE}")
    if start[_TAR] == b"ustar":
        raise FileFormatInvalid("tar", "the file is a tar archive: unpack it and send the CSV")
    for sign, name, what in _REFUSED:
        if start.startswith(sign) and not (name == "zip" and start[2:3].isalnum()):
            raise FileFormatInvalid(name, f"the file {what}")
    text = start.removeprefix(BOM)
    if _MARKUP.match(text):
        kind = "xml" if text.lstrip().startswith(b"<?") else "html"
        raise FileFormatInvalid(kind, f"the file is a page of {kind.upper()}, not a table: was it a page of an error?")
    if _JSON.match(text):
        raise FileFormatInvalid("json", f"the file is JSON, not a table: {_SAVE}")
    wide = start[:2] in {b"\xff\xfe", b"\xfe\xff"} or _UTF_16.match(start) is not None
    if wide and not charset.startswith("utf-16"):
        at = 0 if start[0] > 0x7F or not start[0] else 1
        advice = "it is UTF-16 (Unicode text of a spreadsheet): save the file as UTF-8, or say charset=utf-16"
        raise EncodingInvalid(start[at], at, 1, UTF_8.upper(), advice)
    return FileFormat.TEXT
