"""Header, encoding, and the encoders of debt rows."""

import csv
import io
import struct
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingestion.adapters.nats import debt_events
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.domain.debts import spreadsheet
from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.errors import EncodingInvalid, HeaderInvalid
from services.ingestion.domain.debts.header import COLUMNS, read_header
from services.ingestion.domain.debts.parser import DebtParser
from services.ingestion.domain.debts.utf8_check import Utf8Check
from tests.support.debts import content, row
from tocsin.events.v1.debts_pb2 import DebtsRegistered

FILE = "0192f0c1-2b3c-7d4e-8f50-123456789abc"


@pytest.mark.parametrize(
    ("header", "delimiter", "terminator", "size"),
    [
        (b"name,governmentId,email,debtAmount,debtDueDate,debtId\nrest", ",", "\n", 54),
        (b"name;governmentId;email;debtAmount;debtDueDate;debtId\r\nrest", ";", "\n", 55),
        (b"name\tgovernmentId\temail\tdebtAmount\tdebtDueDate\tdebtId\rrest", "\t", "\r", 54),
        (b'\xef\xbb\xbf"NAME", "governmentid" ,EMAIL,debtAmount,debtDueDate,debtId\nrest', ",", "\n", 63),
        (b"name,governmentId,email,debtAmount,debtDueDate,debtId", ",", "\n", 53),
    ],
)
def test_the_header_decides_how_a_file_is_read(header: bytes, delimiter: str, terminator: str, size: int) -> None:
    for cut in range(len(header) + 1):
        layout = read_header(header[:cut], final=False)
        if layout is not None:
            break
    layout = layout or read_header(header, final=True)
    assert layout is not None
    assert (chr(layout.delimiter), chr(layout.terminator), layout.size) == (delimiter, terminator, size)
    assert layout.places == (0, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("", ",".join(COLUMNS)), ("name,email", "governmentId,debtAmount,debtDueDate,debtId"), ("a|b", ",".join(COLUMNS))],
)
def test_missing_columns_are_named(header: str, missing: str) -> None:
    with pytest.raises(HeaderInvalid) as caught:
        read_header(header.encode(), final=True)
    assert caught.value.metadata == {"missing": missing, "seen": header}


@given(data=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=6), good=st.text(max_size=20))
def test_the_first_wrong_byte_is_named_wherever_the_content_is_cut(data: bytes, cuts: list[int], good: str) -> None:
    whole = good.encode() + data
    check = Utf8Check()
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    told: tuple[str, str, str] | None = None
    try:
        for start, end in zip(edges, edges[1:], strict=False):  # noqa: RUF007 - the same edges twice
            check.feed(whole[start:end])
        check.feed(b"", final=True)
    except EncodingInvalid as error:
        told = (error.metadata["byte"], error.metadata["offset"], error.metadata["line"])
    expected: tuple[str, str, str] | None = None
    try:
        whole.decode()
    except UnicodeDecodeError as error:
        before = whole[: error.start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        expected = (f"0x{whole[error.start]:02X}", str(error.start), str(before.count(b"\n") + 1))
    assert told == expected


values = st.builds(
    lambda debt_id, name, government_id, cents, due: row(
        debt_id,
        name=name,
        government_id=government_id,
        email=f"{debt_id.strip('-_') or 'x'}@example.com".replace("_", "a").replace("--", "x"),
        amount=f"{cents // 100}.{cents % 100:02}",
        due_date=due.isoformat(),
    ),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9]{0,40}", fullmatch=True),
    st.one_of(st.sampled_from(["é" * 200, "x" * 130, 'a"b,c']), st.from_regex(r"[a-zé]{1,30}", fullmatch=True)),
    st.from_regex(r"[0-9]{1,64}", fullmatch=True),
    st.integers(1, 10**18 - 1),
    st.dates(),
)


def parsed(rows: list[list[str]]) -> DebtRows:
    data = content(rows)
    layout = read_header(data, final=True)
    assert layout is not None
    block = DebtParser(layout).feed(data[layout.size :], final=True)
    assert not block.rejects
    return block.rows


@given(rows=st.lists(values, max_size=20), batch=st.integers(1, 7))
def test_events_are_what_protobuf_would_write(rows: list[list[str]], batch: int) -> None:
    found: list[list[str]] = []
    for count, payload in debt_events.encode(parsed(rows), FILE, batch):
        message = DebtsRegistered.FromString(payload)
        assert message.SerializeToString() == payload
        assert message.debt_file == FILE
        assert 0 < len(message.debts) == count <= batch
        found += [[d.name, d.government_id, d.email, d.amount, d.due_date, d.id] for d in message.debts]
    assert sorted(found) == sorted(rows)


@given(rows=st.lists(values, max_size=20))
def test_the_binary_copy_says_what_the_rows_say(rows: list[list[str]]) -> None:
    data = io.BytesIO(debt_copy.encode(parsed(rows), FILE))
    assert data.read(19) == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    found: list[list[str]] = []
    while (columns := struct.unpack(">h", data.read(2))[0]) != -1:
        assert columns == len(debt_copy.COLUMNS)
        fields = [data.read(struct.unpack(">i", data.read(4))[0]) for _ in range(columns)]
        count, weight, sign, scale, *digits = struct.unpack(f">{len(fields[0]) // 2}h", fields[0])
        assert (count, sign, scale) == (len(digits), 0, 2)
        amount = sum(Decimal(digit) * Decimal(10_000) ** (weight - place) for place, digit in enumerate(digits))
        due = date(2000, 1, 1) + timedelta(days=struct.unpack(">i", fields[1])[0])
        assert fields[3].hex() == FILE.replace("-", "")
        name, government_id, email, debt_id = (field.decode() for field in fields[4:])
        found.append([name, government_id, email, f"{amount:.2f}", due.isoformat(), debt_id])
    assert data.read() == b""
    assert sorted(found) == sorted(rows)


@given(cells=st.lists(st.text(max_size=10), min_size=2, max_size=5))
def test_no_cell_of_a_download_is_a_formula(cells: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(spreadsheet.line(cells).decode(), newline=""))
    for cell, shown in zip(cells, read, strict=True):
        assert shown in {cell, f"'{cell}"}
        assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
