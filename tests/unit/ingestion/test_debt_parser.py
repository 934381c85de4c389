"""The parser of debt files against slow, obvious readings of the same bytes."""

import csv
import io
import itertools
import random
from collections.abc import Sequence
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.csv_record import MAX_RECORD
from services.ingestion.domain.debts.debt_file import Reject
from services.ingestion.domain.debts.header import COLUMNS, read_header
from services.ingestion.domain.debts.parser import DebtParser
from services.ingestion.domain.debts.rules import Broken, check

GOOD = ["Ana Souza", "12345678901", "ana@example.com", "10.50", "2026-12-31", "debt-1"]
HEADER = ",".join(COLUMNS).encode()


def parse(
    content: bytes, cuts: Sequence[int] = (), *, plain: bool = True
) -> tuple[dict[int, tuple[bytes, ...]], list[Reject]]:
    """Texts by line, and rejects, of a whole file that arrives in pieces cut at `cuts` (of its rows)."""
    layout = read_header(content, final=True)
    assert layout is not None
    parser = DebtParser(layout, plain=plain)
    rows: dict[int, tuple[bytes, ...]] = {}
    rejects: list[Reject] = []
    data = content[layout.size :]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        block = parser.feed(data[start:end], final=index == len(edges) - 2)
        for row in range(len(block.rows)):
            line = int(block.rows.lines[row])
            assert line not in rows
            rows[line] = block.rows.content(row)
            numbers_agree(block.rows, row)
        rejects += block.rejects
    return rows, rejects


def numbers_agree(rows: DebtRows, row: int) -> None:
    content = rows.content(row)
    cents = int(rows.cents[row])
    assert content[3] == f"{cents // 100}.{cents % 100:02}".encode()
    assert date.fromordinal(date(1970, 1, 1).toordinal() + int(rows.days[row])).isoformat().encode() == content[4]


fields = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(
        [
            "", " ", "José Ñandú", 'O"Neil', "a,b", "x;y", "t\tt", "line\nbreak", "cr\rlf\r\n", "0", "0.00", "00.01",
            "1", "12.5",
            "12.", ".5", "1e3", "-1.00", "+1", "9999999999999999.99", "99999999999999999", "1,000.00",
            "\N{ARABIC-INDIC DIGIT ONE}.00",
            "2026-02-29", "2028-02-29", "0000-01-01", "9999-12-31", "2026-13-01", "20261231", "2026-1-1",
            "a@b.c", "a@b.co", "a..b@example.com", "a.@example.com", "a-@example.com", "@x.com", "a@-x.com", "a@x-.com",
            "a@x.c1", "a@x.12", "a@@x.com", "a@x_y.com", "o'k+tag@sub.example.org", "a@x.com.", "a b@x.com",
            "-id", "id-1", "a.b", "x" * 63, "x" * 64, "x" * 200, "x" * 201, "é" * 200, "é" * 201, "\x7f", "\x85", "\0",
            " padded ", "a\\b", "\N{NO-BREAK SPACE}",
        ]
    ),
)  # fmt: skip
good_rows = st.tuples(
    st.sampled_from(["Ana", "José", "a,b", 'O"Neil', "x" * 200]),
    st.from_regex(r"[0-9]{1,14}", fullmatch=True),
    st.sampled_from(["a@b.co", "o'k+tag@sub.example.org", "x-1.y@ex-ample.com"]),
    st.from_regex(r"[1-9][0-9]{0,8}(\.[0-9]{1,2})?", fullmatch=True),
    st.dates().map(date.isoformat),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", fullmatch=True),
).map(list)
mixed_rows = st.tuples(good_rows, st.integers(0, 5), fields).map(lambda x: [*x[0][: x[1]], x[2], *x[0][x[1] + 1 :]])
any_rows = st.lists(
    st.one_of(good_rows, mixed_rows, st.lists(fields, min_size=1, max_size=8).filter(lambda row: row != [""])),
    max_size=12,
)


@settings(max_examples=80)
@given(
    rows=any_rows,
    delimiter=st.sampled_from(",;\t"),
    terminator=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    bom=st.booleans(),
    last_break=st.booleans(),
    columns=st.permutations(COLUMNS),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_what_pythons_csv_module_writes_is_read_as_it_was_meant(
    rows: list[list[str]],
    delimiter: str,
    terminator: str,
    quoting: int,
    bom: bool,
    last_break: bool,
    columns: list[str],
    cuts: list[int],
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=terminator, quoting=quoting)  # pyright: ignore[reportArgumentType]
    writer.writerow(columns)
    expected: dict[int, tuple[bytes, ...]] = {}
    refused: list[tuple[int, str, str]] = []
    line = 2
    order = [columns.index(column) for column in COLUMNS]
    layout = None
    breaks = "\r" if terminator == "\r" else "\n"
    for row in rows:
        before = len(out.getvalue())
        writer.writerow(row)
        layout = layout or read_header(out.getvalue().encode(), final=True)
        assert layout is not None
        if len(row) != 6:
            refused.append((line, "ROW_MALFORMED", ""))
        else:
            judged = check([field.encode() for field in row], layout)
            if isinstance(judged, Broken):
                refused.append((line, judged.reason, judged.column))
            else:
                texts = [row[place].strip(" \t") for place in order]
                texts[3] = f"{judged.cents // 100}.{judged.cents % 100:02}"
                expected[line] = tuple(text.encode() for text in texts)
        line += out.getvalue()[before:].count(breaks)
    text = out.getvalue()
    content = (b"\xef\xbb\xbf" if bom else b"") + (text if last_break else text.removesuffix(terminator)).encode()
    for plain in (True, False):
        read, rejects = parse(content, cuts, plain=plain)
        assert read == expected
        assert [(reject.line, reject.reason, reject.column) for reject in rejects] == refused


def reference(content: bytes) -> tuple[dict[int, tuple[bytes, ...]], list[tuple[int, str]]]:
    """Reads byte by byte; a record with wrong quotes costs its first line."""
    layout = read_header(content, final=True)
    assert layout is not None
    data = content[layout.size :]
    end = bytes((layout.terminator,))
    if data and not data.endswith(end):
        data += end
    rows: dict[int, tuple[bytes, ...]] = {}
    rejects: list[tuple[int, str]] = []
    at, line = 0, 2
    while at < len(data):
        read = one_record(data, at, layout.delimiter, layout.terminator)
        if read is None:
            rejects.append((line, "ROW_MALFORMED"))
            at, line = data.index(end, at) + 1, line + 1
            continue
        found, following = read
        if data[at : following - 1].removesuffix(b"\r" if end == b"\n" else b""):
            judged = check(found, layout)
            if isinstance(judged, Broken):
                rejects.append((line, judged.reason))
            else:
                texts = [found[place].strip(b" \t") for place in layout.places]
                texts[3] = f"{judged.cents // 100}.{judged.cents % 100:02}".encode()
                rows[line] = tuple(texts)
        line += data[at:following].count(end)
        at = following
    return rows, rejects


def one_record(data: bytes, at: int, delimiter: int, terminator: int) -> tuple[list[bytes], int] | None:
    found: list[bytes] = []
    value, state = bytearray(), "start"
    while at < len(data):
        byte = data[at]
        if state == "quoted":
            if byte != 0x22:
                value.append(byte)
            elif data[at + 1 : at + 2] == b'"':
                value.append(byte)
                at += 1
            else:
                state = "closed"
        elif byte in {delimiter, terminator} or (data[at : at + 2] == b"\r\n" and terminator == 0x0A):
            found.append(bytes(value))
            value, state = bytearray(), "start"
            if byte != delimiter:
                return found, at + 1 + (byte == 0x0D and terminator == 0x0A)
        elif byte == 0x22 and state == "start":
            state = "quoted"
        elif byte == 0x22 or state == "closed":
            return None
        else:
            value.append(byte)
            state = "plain"
        at += 1
    return None


soup = st.lists(
    st.sampled_from(
        ['"', '""', ",", ";", "\n", "\r\n", "\r", " ", "x", "é", "\t", ",".join(GOOD) + "\n",
         ",".join(f'"{text}"' for text in GOOD) + "\n", ",".join(GOOD) + "\r\n", '"Ana', 'b"c', "\n\n"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=120)
@given(text=soup, cuts=st.lists(st.integers(0, 400), max_size=5), breaks=st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_broken_quoting_costs_one_line_wherever_the_file_is_cut(text: str, cuts: list[int], breaks: bytes) -> None:
    content = HEADER + breaks + text.encode()
    expected, refused = reference(content)
    for plain in (True, False):
        read, rejects = parse(content, cuts, plain=plain)
        assert read == expected
        assert [(reject.line, reject.reason) for reject in rejects] == refused


@settings(max_examples=80)
@given(rows=st.lists(st.one_of(mixed_rows, st.lists(fields, min_size=6, max_size=6)), min_size=1, max_size=30))
def test_the_quick_rules_and_the_exact_rules_agree(rows: list[list[str]]) -> None:
    content = HEADER + b"\n" + "\n".join(",".join(f'"{f.replace(chr(34), chr(34) * 2)}"' for f in row) for row in rows).encode()  # fmt: skip # noqa: E501
    assert parse(content) == parse(content, plain=False)


def line_of(**changes: str) -> bytes:
    return ",".join(changes.get(column, text) for column, text in zip(COLUMNS, GOOD, strict=True)).encode()


@pytest.mark.parametrize(
    ("changes", "reason", "column"),
    [
        ({"name": ""}, "FIELD_MISSING", "name"),
        ({"debtId": " "}, "FIELD_MISSING", "debtId"),
        ({"email": "ana"}, "EMAIL_INVALID", "email"),
        ({"email": "ana@example"}, "EMAIL_INVALID", "email"),
        ({"debtAmount": "0"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtAmount": "-1"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtAmount": "1.005"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtAmount": "1e3"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtAmount": "NaN"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtAmount": "10000000000000000.00"}, "DEBT_AMOUNT_INVALID", "debtAmount"),
        ({"debtDueDate": "31/12/2026"}, "DUE_DATE_INVALID", "debtDueDate"),
        ({"debtDueDate": "2026-02-30"}, "DUE_DATE_INVALID", "debtDueDate"),
        ({"debtId": "a b"}, "DEBT_ID_INVALID", "debtId"),
        ({"debtId": "a.*.>"}, "DEBT_ID_INVALID", "debtId"),
        ({"name": "a\0b"}, "ROW_MALFORMED", "name"),
        ({"name": "x" * 201}, "ROW_MALFORMED", "name"),
        ({"name": 'Joe "Shorty" Smith'}, "ROW_MALFORMED", ""),
        ({"name": '"Ana" x'}, "ROW_MALFORMED", ""),
        ({"name": "a,b"}, "ROW_MALFORMED", ""),
    ],
)
def test_a_bad_row_is_named_and_its_neighbours_stay(changes: dict[str, str], reason: str, column: str) -> None:
    content = b"\n".join([HEADER, line_of(debtId="a"), line_of(**changes), line_of(debtId="c")])
    rows, rejects = parse(content)
    assert set(rows) == {2, 4}
    assert [(reject.line, reject.reason, reject.column) for reject in rejects] == [(3, reason, column)]
    assert rejects[0].message
    assert rejects[0].raw == line_of(**changes).decode().replace("\0", "\ufffd")


def test_a_quote_that_nobody_closes_swallows_no_good_rows() -> None:
    lines = [line_of(debtId=f"d{n}") for n in range(2000)]
    lines[10] = line_of(name='"Ana', debtId="d10")
    rows, rejects = parse(b"\n".join([HEADER, *lines]))
    assert len(rows) == 1999
    assert [(reject.line, reject.reason) for reject in rejects] == [(12, "ROW_MALFORMED")]


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_endless_lines_cost_bounded_memory_and_one_row(quote: bytes) -> None:
    layout = read_header(HEADER + b"\n", final=True)
    assert layout is not None
    parser = DebtParser(layout)
    rejects: list[Reject] = []
    for _ in range(40):
        rejects += parser.feed(quote + b"x" * MAX_RECORD).rejects
        quote = b""
        assert len(parser._rest) <= 2 * MAX_RECORD + 2  # pyright: ignore[reportPrivateUsage]
    last = parser.feed(b"\n" + line_of(), final=True)
    assert [(reject.line, len(reject.raw)) for reject in rejects] == [(2, 4096)]
    assert last.rows.lines.tolist() == [3]


def test_many_broken_lines_in_one_block_are_each_named() -> None:
    generator = random.Random(7)
    lines = [line_of(debtId=f"d{n}") for n in range(3000)]
    broken = sorted(generator.sample(range(3000), 300))
    for n in broken:
        lines[n] = line_of(name=generator.choice(['a"b', '"a"b']))
    rows, rejects = parse(b"\n".join([HEADER, *lines]))
    assert [reject.line for reject in rejects] == [n + 2 for n in broken]
    assert len(rows) == 2700
