"""The parser of debt files against slow, obvious readings of the same bytes."""

import csv
import io
import itertools
import random
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.conventions import Conventions, DateOrder
from services.ingestion.domain.debts.csv_record import MAX_RECORD
from services.ingestion.domain.debts.debt_file import Reject
from services.ingestion.domain.debts.errors import HeaderInvalid
from services.ingestion.domain.debts.header import COLUMNS, read_header
from services.ingestion.domain.debts.parser import DebtParser
from services.ingestion.domain.debts.rules import Row, RowRules
from services.ingestion.domain.debts.vectorized_rules import EPOCH

GOOD = ["Ana Souza", "12345678901", "ana@example.com", "10.50", "2026-12-31", "debt-1"]
HEADER = ",".join(COLUMNS).encode()


def parse(
    content: bytes,
    cuts: Sequence[int] = (),
    *,
    plain: bool = True,
    conventions: Conventions | None = None,
    anew: bool = False,
) -> tuple[dict[int, tuple[bytes, ...]], list[Reject]]:
    """Texts by line, and rejects, of a whole file that arrives in pieces cut at `cuts` (of its rows). `anew`: each
    piece is read by another parser, which begins where the last one ended."""
    layout = read_header(content, final=True)
    assert layout is not None
    parser = DebtParser(layout, conventions, plain=plain)
    rows: dict[int, tuple[bytes, ...]] = {}
    rejects: list[Reject] = []
    data = content[layout.size :]
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for index, (start, end) in enumerate(itertools.pairwise(edges)):
        block = parser.feed(data[start:end], final=index == len(edges) - 2)
        assert block.end.offset <= end
        if anew:
            parser = DebtParser(layout, conventions, block.end, plain=plain)
            begun = parser.feed(data[block.end.offset : end])
            assert (len(begun.rows), begun.rejects) == (0, [])
        for row in range(len(block.rows)):
            line = int(block.rows.lines[row])
            assert line not in rows
            rows[line] = block.rows.content(row)
            numbers_agree(block.rows, row)
        rejects += block.rejects
    return rows, rejects


def numbers_agree(rows: DebtRows, row: int) -> None:
    content = rows.content(row)
    places = int(rows.places[row])
    assert Decimal(content[3].decode()) == Decimal(int(rows.minor[row])).scaleb(-places)
    assert len(content[3].partition(b".")[2]) == places
    assert date.fromordinal(EPOCH + int(rows.days[row])).isoformat().encode() == content[4]


def told(rejects: list[Reject]) -> list[tuple[int, str, str]]:
    """Line, reason and column of each reject's first broken rule."""
    return [(reject.line, reject.broken[0].reason, reject.broken[0].column) for reject in rejects]


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


def reference(content: bytes, rules: RowRules) -> tuple[dict[int, tuple[bytes, ...]], list[tuple[int, str, str]]]:
    """Reads line by line, each by Python's own reader of CSV where its quotes are as they must be."""
    lines = content.decode().split("\n")
    rows: dict[int, tuple[bytes, ...]] = {}
    refused: list[tuple[int, str, str]] = []
    for number, line in enumerate(lines[1:], 2):
        found = one_line(line)
        if found is None:
            refused.append((number, "ROW_MALFORMED", ""))
            continue
        judged = rules.judge(found)
        if isinstance(judged, Row):
            rows[number] = tuple(text.encode() for text in judged.texts)
        elif judged:
            refused.append((number, judged[0].reason, judged[0].column))
    return rows, refused


def one_line(line: str, delimiter: str = ",") -> list[str] | None:
    """The fields of a line, by its letters; None when a quote is out of place."""
    found: list[str] = []
    value, state = "", "start"
    for place, sign in enumerate(line + delimiter):
        last = place == len(line)
        if state == "quoted" and not last:
            state = "closing" if sign == '"' else state
            value += sign if sign != '"' else ""
        elif state == "closing" and sign == '"' and not last:
            value += sign
            state = "quoted"
        elif sign == delimiter and state != "quoted":
            found.append(value)
            value, state = "", "start"
        elif sign == '"' and state == "start":
            state = "quoted"
        elif sign == '"' or state in {"closing", "quoted"}:
            return None
        else:
            value += sign
            state = "plain"
    return found


def rules_of(header: bytes = HEADER) -> RowRules:
    layout = read_header(header, final=True)
    assert layout is not None
    return RowRules(layout, Conventions())


@settings(max_examples=60)
@given(
    rows=any_rows,
    delimiter=st.sampled_from(",;\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    last_break=st.booleans(),
    columns=st.permutations(COLUMNS),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_what_pythons_csv_module_writes_is_read_as_it_was_meant(
    rows: list[list[str]], delimiter: str, quoting: int, last_break: bool, columns: list[str], cuts: list[int]
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=quoting)  # pyright: ignore[reportArgumentType]
    writer.writerow(columns)
    rules = rules_of(delimiter.join(columns).encode())
    expected: dict[int, tuple[bytes, ...]] = {}
    refused: list[tuple[int, str, str]] = []
    for line, row in enumerate(([cell.replace("\n", " ").replace("\r", " ") for cell in row] for row in rows), 2):
        writer.writerow(row)
        judged = rules.judge(row)
        if isinstance(judged, Row):
            expected[line] = tuple(text.encode() for text in judged.texts)
        elif judged:
            refused.append((line, judged[0].reason, judged[0].column))
    text = out.getvalue()
    content = (text if last_break else text.removesuffix("\n")).encode()
    for plain in (True, False):
        read, rejects = parse(content, cuts, plain=plain)
        assert read == expected
        assert told(rejects) == refused


GOOD_LINE = ",".join(GOOD)
damage = st.lists(
    st.sampled_from(
        ['"', '""', ",", ";", "\n", " ", "x", "é", "\t", "\N{NO-BREAK SPACE}", "\ufffd", GOOD_LINE + "\n",
         ",".join(f'"{text}"' for text in GOOD) + "\n", '"Ana', 'b"c', "\n\n", ",,,,,\n", '"","",""\n', "   \n"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@settings(max_examples=100)
@given(text=damage, cuts=st.lists(st.integers(0, 400), max_size=5))
def test_every_line_is_accounted_for_whatever_the_damage_and_wherever_the_file_is_cut(
    text: str, cuts: list[int]
) -> None:
    content = HEADER + b"\n" + text.encode()
    expected, refused = reference(content, rules_of())
    for plain, anew in itertools.product((True, False), repeat=2):
        read, rejects = parse(content, cuts, plain=plain, anew=anew)
        assert read == expected
        assert told(rejects) == refused
    with_text = [line for line in text.split("\n") if line.strip(' \t,"\N{NO-BREAK SPACE}')]
    blank = [line for line in text.split("\n") if not line.strip(" \t,\N{NO-BREAK SPACE}")]
    assert len(with_text) <= len(expected) + len(refused) <= len(text.split("\n")) - len(blank)


@settings(max_examples=40)
@given(
    lines=st.integers(1, 60),
    hits=st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(['"', ",", "\x00", "\ufffd", ""])), max_size=12),
)
def test_damage_to_a_good_file_costs_no_more_rows_than_it_hits(lines: int, hits: list[tuple[int, str]]) -> None:
    rows = [line_of(debtId=f"d{number}").decode() for number in range(lines)]
    for place, sign in hits:
        row = rows[place % lines]
        at = place % len(row) if row else 0
        rows[place % lines] = row[:at] + sign + row[at + 1 :]
    read, rejects = parse("\n".join([HEADER.decode(), *rows]).encode())
    assert len(read) + len(rejects) == lines
    assert len(rejects) <= len({place % lines for place, _ in hits})


@settings(max_examples=60)
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
        ({"name": "a\0b"}, "TEXT_INVALID", "name"),
        ({"name": "x" * 201}, "TEXT_INVALID", "name"),
        ({"name": 'Joe "Shorty" Smith'}, "ROW_MALFORMED", ""),
        ({"name": '"Ana" x'}, "ROW_MALFORMED", ""),
        ({"name": "a,b"}, "ROW_MALFORMED", ""),
    ],
)
def test_a_bad_row_is_named_and_its_neighbours_stay(changes: dict[str, str], reason: str, column: str) -> None:
    content = b"\n".join([HEADER, line_of(debtId="a"), line_of(**changes), line_of(debtId="c")])
    rows, rejects = parse(content)
    assert set(rows) == {2, 4}
    assert told(rejects) == [(3, reason, column)]
    assert rejects[0].broken[0].message
    assert rejects[0].raw == line_of(**changes).decode().replace("\0", "\ufffd")


def test_a_forgotten_quote_costs_its_own_row() -> None:
    lines = [line_of(debtId=f"SW{n}") for n in range(1202)]
    lines[0] = line_of(name='"Acme', debtId="SW0")
    lines[1200] = line_of(name='Pipe 6"', debtId="SW1200")
    rows, rejects = parse(b"\n".join([HEADER, *lines]))
    assert len(rows) == 1200
    assert told(rejects) == [(2, "ROW_MALFORMED", ""), (1202, "ROW_MALFORMED", "")]
    assert [reject.raw for reject in rejects] == [lines[0].decode(), lines[1200].decode()]


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
    another = DebtParser(layout, begin=parser.feed(b"").end)
    for one in (parser, another):
        last = one.feed(b"\n" + line_of(), final=True)
        assert [(reject.line, len(reject.raw)) for reject in rejects] == [(2, 65537)]
        assert (last.rows.lines.tolist(), last.rejects) == ([3], [])


def test_many_broken_lines_in_one_block_are_each_named() -> None:
    generator = random.Random(7)
    lines = [line_of(debtId=f"d{n}") for n in range(3000)]
    broken = sorted(generator.sample(range(3000), 300))
    for n in broken:
        lines[n] = line_of(name=generator.choice(['a"b', '"a"b']))
    rows, rejects = parse(b"\n".join([HEADER, *lines]))
    assert [reject.line for reject in rejects] == [n + 2 for n in broken]
    assert len(rows) == 2700


def test_all_broken_rules_of_a_row_are_told_in_the_order_of_the_columns() -> None:
    row = line_of(name=" ", governmentId="1.23457E+11", email="ana", debtAmount="1,5", debtDueDate="soon", debtId="a b")
    row = row.replace(b"1,5", b'"1,5"')
    _, rejects = parse(HEADER + b"\n" + row)
    assert [(broken.reason, broken.column) for broken in rejects[0].broken] == [
        ("FIELD_MISSING", "name"),
        ("GOVERNMENT_ID_INVALID", "governmentId"),
        ("EMAIL_INVALID", "email"),
        ("DEBT_AMOUNT_INVALID", "debtAmount"),
        ("DUE_DATE_INVALID", "debtDueDate"),
        ("DEBT_ID_INVALID", "debtId"),
    ]


@pytest.mark.parametrize(
    "lost",
    [
        "Jos\ufffd",
        "\u202eZed",
        "Ze\u200bd",
        "Ze\u2028d",
        "\u0301Zed",
        "\u3164",
        "\u2800",
        "#N/A",
        "#REF!",
        "A\ue000",
        "#BEZUG!",
        "#VALOR!",
        "#¡REF!",
        "#NV",
        "#N/D",
        "#DIV/0!",
        "#NÚM!",
        "NULL",
        "None",
        "N/A",
        "JosÃ©",
        "Oâ€™Neil",
        "ÐœÐ°Ñ€",
        # Letters whose both halves are letters again: in windows-1252, windows-1250, on consoles and Macs.
        "Ãœmit",
        "AyÅŸe",
        "Ion Äƒ",
        "ÐšÐœ",
        "â\u0178\u017e",
        "JosĂ©",
        "GĂłra",
        "MĂĽller",
        "Jos├®",
        "M├╝ller",
        "╨É╨╜╨╜╨░",
        "Jos√©",
        # Letters that were replaced.
        "Jo?o",
        "M??ller",
        "???",
        "Jos&eacute;",
        "Jos&#233;",
        "Jos&#xE9;",
        "Smith &amp; Sons",
        # What stands for nothing.
        "\\N",
        "undefined",
        "<NA>",
        "NaT",
        "[object Object]",
        '"=""00123"""',
    ],
)
def test_text_that_is_visibly_broken_is_rejected(lost: str) -> None:
    for column in ("name", "governmentId"):
        _, rejects = parse(HEADER + b"\n" + line_of(**{column: lost}))
        assert told(rejects) == [(2, "TEXT_INVALID", column)]


# Both halves of letters that were converted twice, and what they stand beside.
halves = st.text(st.sampled_from("ÂÃÄÅÐÑâĂĹƒŠŒŽšœžŸąľłśťźż├╝√©®¼ü?&;#Na\\"), min_size=1, max_size=6)


@settings(max_examples=200)
@given(names=st.lists(halves, min_size=1, max_size=10))
def test_broken_text_is_seen_by_the_quick_rules_too(names: list[str]) -> None:
    for column in ("name", "governmentId"):
        content = b"\n".join((HEADER, *(line_of(**{column: name}) for name in names)))
        assert parse(content) == parse(content, plain=False)


@pytest.mark.parametrize(
    "name",
    [
        "Null",
        "Nan Ng",
        "None Such",
        "NULLA",
        "JOÃO",
        "SÃO ",
        "CAFÉ\u2019S",
        "Ñ",
        "ÅSA",
        "Ã",
        "#1 Sports",
        "Ðorð",
        "ANDRÉ\u2013BAR",
        "Why Not?",
        "Smith & Sons",
        "AT&T",
        "CASĂ\u2019S",
        "LUNĂ\u2013SOARE",
        "MĂŞCAN",
        "Ågren",
        "ĂĂ",
    ],
)
def test_names_that_look_odd_are_names(name: str) -> None:
    rows, rejects = parse(HEADER + b"\n" + line_of(name=name))
    assert (len(rows), rejects) == (1, [])


@pytest.mark.parametrize("blank", ["\u00a0", "\u200b", "\u3000", "\u2009", "\ufeff", "\u2060", " \u00a0 "])
def test_text_that_cannot_be_seen_is_none(blank: str) -> None:
    for column in COLUMNS:
        _, rejects = parse(HEADER + b"\n" + line_of(**{column: blank}))
        assert told(rejects) == [(2, "FIELD_MISSING", column)]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\ufeffZed", "Zed"),
        ("\u00a0Zed\u3000", "Zed"),
        ("Jose\u0301 Silva", "José Silva"),
        ("Ann\u00a0Lee", "Ann Lee"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
        ("\U0001f469\u200d\U0001f469", "\U0001f469\u200d\U0001f469"),
        ("张伟", "张伟"),
        ("葛\U000e0100城", "葛\U000e0100城"),
        ("Пётр", "Пётр"),
        ("Łukasz Żółć", "Łukasz Żółć"),
    ],
)
def test_text_is_kept_in_its_normal_form(written: str, kept: str) -> None:
    for plain in (True, False):
        rows, rejects = parse(HEADER + b"\n" + line_of(name=written), plain=plain)
        assert (rows[2][0].decode(), rejects) == (kept, [])


@pytest.mark.parametrize(
    "mangled", ["1.23457E+11", "1,2E+5", "11111111111.0", "123,00", "1E+05", "1.2345678901E10", "12.3457E+10"]
)
def test_a_number_that_a_spreadsheet_has_mangled_is_no_government_id(mangled: str) -> None:
    _, rejects = parse(HEADER + b"\n" + line_of(governmentId=f'"{mangled}"'))
    assert told(rejects) == [(2, "GOVERNMENT_ID_INVALID", "governmentId")]


@pytest.mark.parametrize("good", ["123.456.789-01", "12.3", "123E45", "E-5", "AB+1"])
def test_government_ids_with_signs_are_taken(good: str) -> None:
    for plain in (True, False):
        rows, _ = parse(HEADER + b"\n" + line_of(governmentId=good), plain=plain)
        assert rows[2][1].decode() == good


def test_due_dates_outside_of_what_is_taken_are_rejected() -> None:
    window = Conventions(due_from=date(2016, 11, 30), due_to=date(2076, 11, 30))
    dates = [
        "0001-01-01",
        "0206-12-31",
        "1899-12-30",
        "9999-12-31",
        "2016-11-29",
        "2016-11-30",
        "2076-11-30",
        "2076-12-01",
    ]
    content = b"\n".join([HEADER, *(line_of(debtDueDate=day) for day in dates)])
    for plain in (True, False):
        rows, rejects = parse(content, plain=plain, conventions=window)
        assert set(rows) == {7, 8}
        assert told(rejects) == [(line, "DUE_DATE_INVALID", "debtDueDate") for line in (2, 3, 4, 5, 6, 9)]
        assert rejects[0].broken[0].message == "must be from 2016-11-30 to 2076-11-30"


def test_what_spreadsheets_leave_behind_is_no_row() -> None:
    header = HEADER + b",,"
    rows, rejects = parse(b"\n".join([header, line_of() + b",,", b",,,,,,,", b"   ", b"\t", line_of(debtId="b")]))
    assert (set(rows), rejects) == ({2, 6}, [])
    rows, rejects = parse(b"\n".join([HEADER, line_of() + b",,", line_of() + b",x", line_of()[:20]]))
    assert set(rows) == {2}
    assert told(rejects) == [(3, "ROW_MALFORMED", ""), (4, "ROW_MALFORMED", "")]
    rows, rejects = parse(header + b"\n" + line_of() + b",,x")
    assert (set(rows), told(rejects)) == (set(), [(2, "ROW_MALFORMED", "")])


PORTUGUESE = Conventions(decimal=",", grouping=".", dates=DateOrder.DAY_FIRST, currency="BRL")


@pytest.mark.parametrize(
    ("amount", "due", "kept"),
    [
        ("1234,5", "31/12/2026", ("1234.50", "2026-12-31")),
        ("1.234.567,89", "1/2/2027", ("1234567.89", "2027-02-01")),
        ("10", "2026-12-31", ("10.00", "2026-12-31")),
        ("0,01", "31.12.2026", ("0.01", "2026-12-31")),
        ("1234.50", "31/12/2026", None),
        ("1.23,00", "31/12/2026", None),
        ("10,00", "12/31/2026", None),
        ("10,00", "31. 12. 2026", ("10.00", "2026-12-31")),
        ("10,00", "31.12.2026.", ("10.00", "2026-12-31")),
        ("10,00", "31/ 12/ 2026", None),
        ("10,00", "31. 12.2026", None),
        ("10,00", "31/12-2026", None),
    ],
)
def test_amounts_and_dates_are_written_as_the_locale_says(amount: str, due: str, kept: tuple[str, str] | None) -> None:
    row = line_of(debtAmount=f'"{amount}"', debtDueDate=due)
    for plain in (True, False):
        rows, rejects = parse(HEADER + b"\n" + row, plain=plain, conventions=PORTUGUESE)
        if kept is None:
            assert (rows, len(rejects)) == ({}, 1)
        else:
            assert (rows[2][3].decode(), rows[2][4].decode(), rows[2][6]) == (*kept, b"BRL")


@pytest.mark.parametrize(
    ("amount", "due", "why"),
    [
        ("R$ 10,00", "2026-12-31", "; the currency stands in a column of its own"),
        ("10,00 €", "2026-12-31", "; the currency stands in a column of its own"),
        ("EUR 10,00", "2026-12-31", "; the currency stands in a column of its own"),
        ("ten", "2026-12-31", "16 digits and 2 places"),
        ("10,00", "12/31/26", "must be a date like 31/12/2026 or 31.12.2026"),
    ],
)
def test_what_a_sheet_formats_is_told_what_to_do(amount: str, due: str, why: str) -> None:
    row = line_of(debtAmount=f'"{amount}"', debtDueDate=due)
    _, (reject,) = parse(HEADER + b"\n" + row, conventions=PORTUGUESE)
    assert why in reject.broken[0].message


def test_a_header_of_other_names_is_told_of_profiles() -> None:
    with pytest.raises(HeaderInvalid, match="a profile says what each is called"):
        read_header(b"Kunde;Betrag\n", final=True)
    with pytest.raises(HeaderInvalid) as caught:
        read_header(b"Kunde\tBetrag\n", final=True)
    assert caught.value.metadata["seen"] == "Kunde\u2409Betrag"
    with pytest.raises(HeaderInvalid, match=r"unknown columns: Clerk; .*otherColumns"):
        read_header(HEADER + b",Clerk\n", final=True)


@settings(max_examples=40)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["EUR", "JPY", "KWD", "CLF", "eur", "", "XXX", "EURO"]),
            st.sampled_from(["", "en", "pt-BR", "PT", "pt_br", "e", "portuguese of brazil"]),
            st.from_regex(r"[0-9]{1,17}(\.[0-9]{1,4})?", fullmatch=True),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_currencies_have_their_places(rows: list[tuple[str, str, str]]) -> None:
    header = HEADER + b",Currency,LANGUAGE"
    content = b"\n".join([header, *(line_of(debtAmount=a) + f",{c},{lang}".encode() for c, lang, a in rows)])
    quick = parse(content)
    assert quick == parse(content, plain=False)
    for line, (currency, _, amount) in enumerate(rows, 2):
        places = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "": 2}.get(currency.upper())
        if line in quick[0]:
            assert Decimal(quick[0][line][3].decode()) == Decimal(amount)
            assert places is not None
            assert len(amount.partition(".")[2]) <= places
