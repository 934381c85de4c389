"""The documents of an export: Extended JSON (one a line) or BSON, gzip or plain, told apart by what they begin with.

Memory is bounded whatever the file holds: what is larger than any document of MongoDB is stepped over and reported.
"""

import base64
import gzip
import json
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from bson import DatetimeMS, Int64, ObjectId, Timestamp, decode
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONMode, JSONOptions, object_hook

MAX_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
"""Bytes of the largest document that MongoDB hands out, in either form."""
MAX_RAW = 64 * 1024
"""So much of a document that cannot be used is kept."""
_CHUNK = 1024 * 1024
_JSON = JSONOptions(json_mode=JSONMode.RELAXED, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
_BSON: CodecOptions[dict[str, Any]] = CodecOptions(
    document_class=dict, tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
_WRONG = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, AttributeError, BSONError)
"""What the parsers raise for content that they do not take."""


_START = 64
_OTHER_FORMS = {
    rb"\x6d\xe2\x99\x81": "an archive of mongodump; dump without --archive, and name the collection's .bson",
    rb"\xff\xfe|\xfe\xff": "UTF-16, as PowerShell writes what is redirected; export with --out",
    rb"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    rb"\xfd7zX": "compressed with xz; unpack it",
    rb"BZh[1-9]": "compressed with bzip2; unpack it",
    rb"PK\x03\x04": "a ZIP archive; unpack it",
    rb"_id,": "CSV; export as JSON, which keeps types and nested data",
    rb"\s*\[\s*\{": "one array; export without --jsonArray, a document a line",
    rb"\s*\{[ \t]*\r?\n": "printed over several lines; export without --pretty, a document a line",
}
"""How files begin that are often taken for an export."""


class Damaged(Exception):
    """The file cannot be read on; the message says where and why. `read`: bytes of the file until there."""

    def __init__(self, message: str, read: int = 0) -> None:
        super().__init__(message)
        self.read = read


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `content` is None when it cannot be parsed, for `problem`. `end`: where the next one begins, in the
    uncompressed file; `read`: bytes of the file itself that have been read; `size`: bytes of the document, of which
    `raw` has no more than MAX_RAW if it is too large."""

    number: int
    end: int
    read: int
    size: int
    raw: bytes
    content: dict[str, Any] | None
    problem: str = ""


@contextmanager
def open_export(path: Path) -> Generator[tuple[IO[bytes], IO[bytes]]]:
    """The content and, beneath it, the file. Raises OSError."""
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not compressed:
            yield file, file
            return
        with gzip.GzipFile(fileobj=file) as content:
            yield content, file  # pyright: ignore[reportReturnType] - a GzipFile is IO[bytes] in all that is used


def documents(path: Path, number: int = 0, offset: int = 0) -> Iterator[Document]:
    """Documents after the first `number`, which end at `offset`. Raises Damaged and OSError."""
    done, read = number, 0
    try:
        with open_export(path) as (content, file):
            start = content.read(4)
            content.seek(offset)
            binary = len(start) == 4 and 5 <= int.from_bytes(start, "little") <= MAX_DOCUMENT
            for document in (_binary if binary else _lines)(content, file, number, offset):
                done, read = document.number, document.read
                yield document
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Damaged(f"{path.name} is damaged after document {done:,}: {error}", read) from error


def check_form(path: Path) -> None:
    """Raises Damaged when the file begins as one that cannot be read line by line or as BSON, and OSError."""
    if not path.is_file():
        raise Damaged(f"{path.name} is no regular file, in which a run could go on where it stopped; save it first")
    with path.open("rb") as file:
        start = file.read(_START)
    for beginning, what in _OTHER_FORMS.items():
        if re.match(beginning, start):
            raise Damaged(f"{path.name} is {what}")


def raw_text(document: Document) -> str:
    """The raw document as text, cut at MAX_RAW; BSON as base64."""
    kept = document.raw[:MAX_RAW]
    if kept[:1] in (b"{", b"["):
        return kept.decode(errors="backslashreplace")
    try:
        return kept.decode()
    except UnicodeDecodeError:
        binary = len(kept) > 4 and kept[-1:] == b"\0"
        return "base64:" + base64.b64encode(kept).decode() if binary else kept.decode(errors="backslashreplace")


def _lines(content: IO[bytes], file: IO[bytes], number: int, end: int) -> Iterator[Document]:
    while line := content.readline(MAX_DOCUMENT + 1):
        end += len(line)
        number += 1
        if len(line) > MAX_DOCUMENT:
            size, last = len(line), line[-1:]
            while last != b"\n" and (rest := content.readline(_CHUNK)):
                size, last = size + len(rest), rest[-1:]
            end += size - len(line)
            problem = f"has {size:,} bytes; {MAX_DOCUMENT:,} are the most"
            yield Document(number, end, file.tell(), size, line[:MAX_RAW], None, problem)
            continue
        raw = line.strip(b" \t\r\n\xef\xbb\xbf") if number == 1 else line.strip()
        if raw:
            yield _parsed(number, end, file.tell(), raw, binary=False)


def _binary(content: IO[bytes], file: IO[bytes], number: int, end: int) -> Iterator[Document]:
    while head := content.read(4):
        length = int.from_bytes(head, "little")
        if len(head) < 4 or not 5 <= length <= MAX_DOCUMENT:
            where = f"at byte {end:,}, after document {number:,}"
            raise Damaged(f"the file is damaged {where}: no document of BSON begins", file.tell())
        raw = head + content.read(length - 4)
        if len(raw) < length:
            raise Damaged(f"the file ends within document {number + 1:,}, which begins at byte {end:,}", file.tell())
        end += length
        number += 1
        yield _parsed(number, end, file.tell(), raw, binary=True)


def _parsed(number: int, end: int, read: int, raw: bytes, *, binary: bool) -> Document:
    content, problem = None, ""
    try:
        found: Any = _plain(decode(raw, codec_options=_BSON)) if binary else _DECODER.decode(raw.decode())
        if isinstance(found, dict):
            content = _with_id_time(found)
        else:
            problem = f"is no object but {_kind(found)}"
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 at its byte {error.start:,}"
    except _WRONG as error:
        form = "BSON" if binary else "Extended JSON"
        problem = f"is no {form}: {str(error).partition(chr(10))[0][:200] or type(error).__name__}"
    return Document(number, end, read, len(raw), raw, content, problem)


def _typed(found: dict[str, Any]) -> Any:
    """An object of Extended JSON: the value, if it is one. A date that is text stays text: rules read more of them than
    the library, and in half the time."""
    first = next(iter(found), "")
    if first[:1] != "$":
        return found
    if first == "$date" and isinstance(text := found[first], str):
        return text
    return _plain(object_hook(found, _JSON))


_DECODER = json.JSONDecoder(object_hook=_typed)


def _with_id_time(content: dict[str, Any]) -> dict[str, Any]:
    key = content.get("_id")
    ids = {name: str(value) for name, value in content.items() if isinstance(value, ObjectId)}
    times = {"_id_time": key.generation_time if isinstance(key, ObjectId) else None}
    return {**content, **ids, **times}


def _kind(value: object) -> str:
    kinds: dict[type[object], str] = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _plain(value: Any) -> Any:
    """Without the types of MongoDB, but for ObjectIds: what rules know, and what JSON can say."""
    match value:
        case ObjectId():
            return value
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case str() | bool() | None | float() | datetime():
            return str(value) if type(value) not in (str, bool, float, type(None), datetime) else value
        case DatetimeMS() | Int64() | int():
            return int(value)
        case Timestamp():
            return value.as_datetime()
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)
