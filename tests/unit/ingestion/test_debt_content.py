"""What comes in as bytes: formats, charsets, ends of lines; and how it comes out as text."""

import gzip
import io
import itertools
import re
import zipfile
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.adapters.locales import signs_of
from services.ingestion.domain.debts.charsets import charset_named
from services.ingestion.domain.debts.content import ContentDecoder
from services.ingestion.domain.debts.conventions import DateOrder, Signs
from services.ingestion.domain.debts.dialect import Declared, dialect_of
from services.ingestion.domain.debts.errors import ConventionsInvalid, EncodingInvalid, FileFormatInvalid
from services.ingestion.domain.debts.filenames import shown_filename
from services.ingestion.domain.debts.line_ends import LineEnds
from services.ingestion.domain.debts.reject_limit import RejectLimit
from tests.support.debts import COLUMNS, content, parsed, row

BOM = b"\xef\xbb\xbf"
GOOD = content([row(f"d{number}") for number in range(20)])


def decoded(data: bytes, cuts: Sequence[int] = (), charset: str = "utf-8") -> bytes:
    decoder = ContentDecoder(charset)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(piece for start, end in itertools.pairwise(edges) for piece in decoder.feed(data[start:end]))
    return out + b"".join(decoder.feed(b"", final=True))


cutting = st.lists(st.integers(0, 60), max_size=6)


@given(text=st.lists(st.sampled_from(["a", "\r", "\n", "\r\n", "\r\r\n"]), max_size=30).map("".join), cuts=cutting)
def test_every_way_to_end_a_line_is_one_line(text: str, cuts: list[int]) -> None:
    data = text.encode()
    ends = LineEnds()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    out = b"".join(ends.feed(data[start:end]) for start, end in itertools.pairwise(edges))
    out += ends.feed(b"", final=True)
    assert out.decode() == re.sub(r"\r+\n|\r", "\n", text)
    first = re.search(r"\r*\n|\r", text)
    expected = {None: None, "\n": b"\n", "\r": b"\r"}.get(first[0] if first else None, b"\r\n")
    assert ends.first == expected


@given(data=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6), good=st.text(max_size=20))
def test_the_first_wrong_byte_is_named_wherever_the_content_is_cut(data: bytes, cuts: list[int], good: str) -> None:
    whole = b"name, " + good.encode() + data
    told: tuple[str, str, str] | None = None
    try:
        decoded(whole, cuts)
    except EncodingInvalid as error:
        told = (error.metadata["byte"], error.metadata["offset"], error.metadata["line"])
    expected: tuple[str, str, str] | None = None
    try:
        whole.decode()
    except UnicodeDecodeError as error:
        before = whole[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        expected = (f"0x{whole[error.start]:02X}", str(error.start), str(before.count(b"\n") + 1))
    assert told == expected


@given(
    text=st.text(st.sampled_from("aé€\n;ß"), max_size=40),
    cuts=cutting,
    charset=st.sampled_from(["utf-8", "windows-1252", "utf-16", "utf-16-le", "iso-8859-15", "gb18030"]),
)
def test_text_in_any_charset_comes_out_as_utf_8(text: str, cuts: list[int], charset: str) -> None:
    text = "name;" + text
    assert decoded(text.encode(charset), cuts, charset_named(charset)) == text.encode()
    assert decoded(BOM + text.encode(), cuts, charset_named(charset)) == text.encode()  # a byte order mark says it


def test_what_a_charset_has_not_is_named() -> None:
    with pytest.raises(EncodingInvalid) as caught:
        decoded(b"name\nJo\x81", charset=charset_named("windows-1252"))
    assert caught.value.metadata == {"byte": "0x81", "offset": "7", "line": "2", "charset": "CP1252"}
    for unknown in ("utf-7", "klingon", "rot13", "unicode_escape", "\0"):
        with pytest.raises(ConventionsInvalid):
            charset_named(unknown)
    assert charset_named("") == charset_named("UTF8") == "utf-8"


@given(cuts=st.lists(st.integers(0, 900), max_size=6))
def test_gzip_is_unpacked_in_pieces_of_bounded_size(cuts: list[int]) -> None:
    packed = gzip.compress(GOOD[:300]) + gzip.compress(GOOD[300:]) + bytes(512)
    assert decoded(packed, cuts) == GOOD


def test_a_bomb_comes_out_in_bounded_pieces() -> None:
    decoder = ContentDecoder()
    bomb = gzip.compress(b"name,\n" + bytes(64 * 1024 * 1024), mtime=0)
    assert max(len(piece) for piece in decoder.feed(bomb)) <= 1024 * 1024 + 512


def a_zip(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), GOOD)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "xls"),
        (a_zip("debts.csv"), "zip"),
        (b"%PDF-1.7\n", "pdf"),
        (BOM + b"\n <!DOCTYPE html><html>", "html"),
        (b"<html><body>Sign in</body>", "html"),
        (b'<?xml version="1.0"?>', "xml"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"PAR1", "parquet"),
        (a_zip("mimetype").replace(GOOD[:45], b"application/vnd.oasis.opendocument.spreadshee"), "ods"),
        (b'[{"name": "Ann"}]', "json"),
        (b'{"debts": []}', "json"),
        (b"{\\rtf1\\ansi", "rtf"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (gzip.compress(b"debts.csv".ljust(257, b"\0") + b"ustar\0" + GOOD, mtime=0), "tar"),
        (gzip.compress(GOOD, mtime=0)[:-9], "gzip"),
        (gzip.compress(GOOD, mtime=0)[:40] + bytes(40), "gzip"),
        (gzip.compress(a_zip("xl/workbook.xml"), mtime=0), "gzip"),
        (gzip.compress(b"%PDF-1.7\n", mtime=0), "pdf"),
    ],
)
def test_what_is_no_table_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(FileFormatInvalid) as caught:
        decoded(data)
    assert caught.value.metadata == {"format": kind}


@pytest.mark.parametrize(("charset", "offset"), [("utf-16", "0"), ("utf-16-le", "1"), ("utf-16-be", "0")])
def test_utf_16_is_named_and_taken_when_it_is_said(charset: str, offset: str) -> None:
    data = GOOD.decode().encode(charset)
    with pytest.raises(EncodingInvalid, match="it is UTF-16") as caught:
        decoded(data)
    assert caught.value.metadata["offset"] == offset
    assert decoded(data, charset=charset_named(charset)) == GOOD


@pytest.mark.parametrize(
    ("locale", "signs"),
    [
        ("", Signs(".", "", DateOrder.ISO)),
        ("pt-BR", Signs(",", ".", DateOrder.DAY_FIRST)),
        ("de_DE", Signs(",", ".", DateOrder.DAY_FIRST)),
        ("fr", Signs(",", " ", DateOrder.DAY_FIRST)),
        ("en-GB", Signs(".", ",", DateOrder.DAY_FIRST)),
        ("en-US", Signs(".", ",", DateOrder.MONTH_FIRST)),
        ("ja-JP", Signs(".", ",", DateOrder.YEAR_FIRST)),
        ("de-CH", Signs(".", "'\N{RIGHT SINGLE QUOTATION MARK}", DateOrder.DAY_FIRST)),
        ("en-IN", Signs(".", ",", DateOrder.DAY_FIRST, group_size=2)),
    ],
)
def test_a_locale_says_how_amounts_and_dates_are_written(locale: str, signs: Signs) -> None:
    assert signs_of(locale) == signs


@pytest.mark.parametrize(
    ("locale", "amount", "due"),
    [
        ("", "1234.50", "2026-12-31"),
        ("pt-BR", "1234,50", "31/12/2026"),
        ("pt-BR", "1.234,50", "31-12-2026"),
        ("de-DE", "1.234,50", "31.12.2026"),
        ("fr-FR", "1 234,50", "31/12/2026"),
        ("fr-FR", "1\N{NARROW NO-BREAK SPACE}234,50", "2026-12-31"),
        ("en-GB", "1,234.50", "31/12/2026"),
        ("en-US", "1,234.50", "12/31/2026"),
        ("ja-JP", "1,234.50", "2026/12/31"),
        ("de-CH", "1\N{RIGHT SINGLE QUOTATION MARK}234.50", "31.12.2026"),
    ],
)
def test_a_file_is_read_as_its_locale_writes(locale: str, amount: str, due: str) -> None:
    dialect = dialect_of(Declared(locale=locale), signs_of(locale), currency="", due_from=date.min, due_to=date.max)
    block = parsed(content([row("d1", amount=amount, due_date=due)]), dialect.conventions)
    assert block.rejects == []
    assert block.rows.content(0)[3:5] == (b"1234.50", b"2026-12-31")


@pytest.mark.parametrize(
    ("amount", "read"),
    [
        ("12,34,567.50", b"1234567.50"),
        ("1,23,45,678", b"12345678.00"),
        ("1,234,567.50", b"1234567.50"),
        ("99,999", b"99999.00"),
        ("1,2,345", None),
        ("123,45,678", None),
        ("12,34,56.50", None),
        ("1,23", None),
    ],
)
def test_lakhs_and_crores_are_read_where_they_are_written(amount: str, read: bytes | None) -> None:
    signs = signs_of("en-IN")
    dialect = dialect_of(Declared(locale="en-IN"), signs, currency="INR", due_from=date.min, due_to=date.max)
    block = parsed(content([row("d1", amount=amount, due_date="31/12/2026")]), dialect.conventions)
    if read is None:
        assert [reject.broken[0].reason for reject in block.rejects] == ["DEBT_AMOUNT_INVALID"]
    else:
        assert block.rejects == []
        assert block.rows.content(0)[3] == read


def test_what_is_declared_must_exist() -> None:
    for field, declared in (
        ("locale", Declared(locale="xx-YY")),
        ("charset", Declared(charset="latin-99")),
        ("currency", Declared(currency="DEM")),
        ("columns", Declared(columns={"Cliente": "nome"})),
    ):
        with pytest.raises(ConventionsInvalid) as caught:
            dialect_of(declared, signs_of(declared.locale), currency="", due_from=date.min, due_to=date.max)
        assert [violation.field for violation in caught.value.violations] == [field]


def test_what_an_upload_says_counts_before_its_profile() -> None:
    profile = Declared({"Cliente": "name"}, charset="utf-16", locale="pt-BR", currency="BRL")
    said = Declared(currency="USD", language="en-gb").over(profile)
    assert said == Declared({"Cliente": "name"}, charset="utf-16", locale="pt-BR", currency="USD", language="en-gb")
    found = dialect_of(said, signs_of(said.locale), currency="EUR", due_from=date.min, due_to=date.max)
    assert (found.charset, found.conventions.currency, found.conventions.decimal) == ("utf-16", "USD", ",")
    assert found.conventions.language == "en-GB"
    plain = dialect_of(Declared(), signs_of(""), currency="EUR", due_from=date.min, due_to=date.max)
    assert (plain.key, plain.conventions.currency) == ("", "EUR")
    assert found.key


def test_names_of_columns_that_differ_by_case_alone_are_refused() -> None:
    declared = Declared(columns={"Nome": "name", "NOME ": "email"})
    with pytest.raises(ConventionsInvalid) as caught:
        dialect_of(declared, signs_of(""), currency="EUR", due_from=date.min, due_to=date.max)
    assert caught.value.metadata == {"value": "NOME "}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("debts.csv", "debts.csv"),
        (r"C:\Users\ann\x.csv", "x.csv"),
        ("/home/ann/x.csv", "x.csv"),
        ("fact\ufffdra\x00\n.csv", "fact\ufffdra\ufffd\ufffd.csv"),
        ("x" * 300 + ".csv", "x" * 250 + "….csv"),
        ("x" * 300, "x" * 254 + "…"),
        ("", ""),
        (" ", ""),
        ("/ x.csv ", "x.csv"),
    ],
)
def test_names_of_files_are_for_people(name: str, shown: str) -> None:
    assert shown_filename(name) == shown
    assert len(shown) <= 255


@pytest.mark.parametrize(
    ("text", "rejected", "rows", "passed"),
    [
        ("", 10**6, 10**6, False),
        ("0", 1, 10, True),
        ("3", 3, 3, False),
        ("3", 4, 10**6, True),
        ("5%", 5, 100, False),
        ("5%", 6, 100, True),
        ("0.5%", 5, 1000, False),
        ("100%", 7, 7, False),
    ],
)
def test_a_reject_limit_is_in_rows_or_per_cent(text: str, rejected: int, rows: int, passed: bool) -> None:
    limit = RejectLimit.parse(text)
    assert (limit.passed(rejected, rows), bool(limit), str(limit)) == (passed, text != "", text)


@pytest.mark.parametrize("text", ["x", "-1", "5 %", "101%", "1e3", "%"])
def test_a_reject_limit_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number of rows"):
        RejectLimit.parse(text)


def test_the_columns_are_those_of_the_contract() -> None:
    assert GOOD.startswith(",".join(COLUMNS).encode())
