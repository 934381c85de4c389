"""Header, and the encoders of debt rows."""

import csv
import io
import struct
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.currencies import places_of
from services.ingestion.adapters.nats import debt_events
from services.ingestion.adapters.postgres import debt_copy
from services.ingestion.domain.debts import spreadsheet
from services.ingestion.domain.debts.batch import DebtRows
from services.ingestion.domain.debts.errors import HeaderInvalid
from services.ingestion.domain.debts.header import COLUMNS, OPTIONAL, OTHER, ColumnNames, read_header
from tests.support.debts import content, parsed
from tocsin.events.v1.debts_pb2 import DebtsRegistered

FILE = "0192f0c1-2b3c-7d4e-8f50-123456789abc"


@pytest.mark.parametrize(
    ("header", "delimiter", "size", "lines"),
    [
        (b"name,governmentId,email,debtAmount,debtDueDate,debtId\nrest", ",", 54, 1),
        (b"name;governmentId;email;debtAmount;debtDueDate;debtId\nrest", ";", 54, 1),
        (b"name\tgovernmentId\temail\tdebtAmount\tdebtDueDate\tdebtId\nrest", "\t", 54, 1),
        ("\u200bname,governmentId\u2009,email,debtAmount,debtDueDate,debtId\nrest".encode(), ",", 60, 1),
        (b'"NAME", "governmentid" ,EMAIL,debtAmount,debtDueDate,debtId\nrest', ",", 60, 1),
        (b"name,governmentId,email,debtAmount,debtDueDate,debtId", ",", 53, 1),
        (b"sep=;\nname;governmentId;email;debtAmount;debtDueDate;debtId\nrest", ";", 60, 2),
        (b"sep=|\nname|governmentId|email|debtAmount|debtDueDate|debtId\nrest", "|", 60, 2),
        (b"\n ,,\nname,governmentId,email,debtAmount,debtDueDate,debtId\nrest", ",", 59, 3),
    ],
)
def test_the_header_decides_how_a_file_is_read(header: bytes, delimiter: str, size: int, lines: int) -> None:
    told = [read_header(header[:cut], final=False) for cut in range(len(header) + 1)]
    layout = next((found for found in told if found is not None), None) or read_header(header, final=True)
    assert layout is not None
    assert (layout.delimiter, layout.size, layout.lines, layout.columns) == (delimiter, size, lines, COLUMNS)


@pytest.mark.parametrize(
    ("header", "missing", "rule"),
    [
        ("", ",".join(COLUMNS), "the file is empty"),
        ("\n \n", ",".join(COLUMNS), "the file is empty"),
        ("name,email", "governmentId,debtAmount,debtDueDate,debtId", "missing: governmentId, debtAmount"),
        ("|".join(COLUMNS), ",".join(COLUMNS), "the columns are separated by '|'"),
        (",".join((*COLUMNS, "email")), "", "columns named more than once: email"),
        (",".join((*COLUMNS, "colour")), "", "unknown columns: colour"),
    ],
)
def test_what_is_wrong_with_a_header_is_named(header: str, missing: str, rule: str) -> None:
    with pytest.raises(HeaderInvalid) as caught:
        read_header(header.encode(), final=True)
    assert caught.value.metadata["missing"] == missing
    assert rule in caught.value.violations[0].description


def test_a_profile_names_the_columns() -> None:
    names = ColumnNames({"Cliente": "name", "CPF/CNPJ": "governmentId", "Valor": "debtAmount"})
    header = "cliente;cpf/cnpj;email;VALOR;debtDueDate;debtId;moeda"
    with pytest.raises(HeaderInvalid, match="unknown columns: moeda"):
        read_header(header.encode(), final=True, names=names)
    layout = read_header(header.encode(), final=True, names=ColumnNames(names.names, others=True))
    assert layout is not None
    assert layout.columns == ("name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId", OTHER)


def debt(debt_id: str, name: str, government_id: str, minor: int, due: date, currency: str, language: str) -> list[str]:
    email = f"{debt_id.strip('-_') or 'x'}@example.com".replace("_", "a").replace("--", "x")
    amount = f"{Decimal(minor).scaleb(-places_of(currency)):f}"
    return [name, government_id, email, amount, due.isoformat(), debt_id, currency, language]


values = st.builds(
    debt,
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9]{0,40}", fullmatch=True),
    st.one_of(st.sampled_from(["é" * 200, "x" * 130, 'a"b,c']), st.from_regex(r"[a-zé]{1,30}", fullmatch=True)),
    st.from_regex(r"[0-9]{1,64}", fullmatch=True),
    st.integers(1, 10**16 - 1),
    st.dates(),
    st.sampled_from(["EUR", "JPY", "KWD", "CLF"]),
    st.sampled_from(["", "en", "pt-BR"]),
)


def rows_of(rows: list[list[str]]) -> DebtRows:
    block = parsed(content(rows, (*COLUMNS, *OPTIONAL)))
    assert not block.rejects
    return block.rows


@given(rows=st.lists(values, max_size=20), batch=st.integers(1, 7))
def test_events_are_what_protobuf_would_write(rows: list[list[str]], batch: int) -> None:
    found: list[list[str]] = []
    for count, payload in debt_events.encode(rows_of(rows), FILE, "beta", batch):
        message = DebtsRegistered.FromString(payload)
        assert message.SerializeToString() == payload
        assert (message.debt_file, message.issuer) == (FILE, "beta")
        assert 0 < len(message.debts) == count <= batch
        found += [
            [d.name, d.government_id, d.email, d.amount, d.due_date, d.id, d.currency, d.language]
            for d in message.debts
        ]
    assert sorted(found) == sorted(rows)


@given(rows=st.lists(values, max_size=20))
def test_the_binary_copy_says_what_the_rows_say(rows: list[list[str]]) -> None:
    data = io.BytesIO(debt_copy.encode(rows_of(rows), FILE))
    assert data.read(19) == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    found: list[list[str]] = []
    while (columns := struct.unpack(">h", data.read(2))[0]) != -1:
        assert columns == len(debt_copy.COLUMNS)
        fields = [data.read(struct.unpack(">i", data.read(4))[0]) for _ in range(columns)]
        count, weight, sign, scale, *digits = struct.unpack(f">{len(fields[0]) // 2}h", fields[0])
        assert (count, sign) == (len(digits), 0)
        amount = sum(Decimal(digit) * Decimal(10_000) ** (weight - place) for place, digit in enumerate(digits))
        due = date(2000, 1, 1) + timedelta(days=struct.unpack(">i", fields[1])[0])
        assert fields[3].hex() == FILE.replace("-", "")
        name, government_id, email, debt_id, currency, language = (field.decode() for field in fields[4:])
        assert scale == places_of(currency)
        written = [f"{amount:.{scale}f}", due.isoformat(), debt_id, currency, language]
        found.append([name, government_id, email, *written])
    assert data.read() == b""
    assert sorted(found) == sorted(rows)


texts = st.text(st.sampled_from("=+-@'\t \u3000\uff1d\uff0b\uff0d\uff20a\",;"), max_size=6)


@given(
    cells=st.lists(st.one_of(texts, st.text(max_size=10)), min_size=2, max_size=5), delimiter=st.sampled_from(",;\t")
)
def test_no_cell_of_a_download_is_a_formula_and_each_comes_back(cells: list[str], delimiter: str) -> None:
    written = spreadsheet.line(cells, delimiter).decode()
    (read,) = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
    for cell, shown in zip(cells, read, strict=True):
        assert shown in {cell, f"'{cell}"}
        assert not shown.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
        assert not shown.startswith(("\t", "\r", "\n"))
        assert spreadsheet.unguarded(shown) == cell
