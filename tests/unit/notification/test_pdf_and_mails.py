"""PDFs that readers open, and e-mails that parsers understand, whatever the debt says."""

import email
import email.policy
import io
from datetime import UTC, datetime

import pypdf
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.rendering.pdf import InvoiceDrawer, bars
from services.notification.domain.delivery import Outgoing
from services.notification.domain.invoice import Debt
from services.notification.domain.notification import Type

DRAWER = InvoiceDrawer("Tocsin")
COMPOSER = Composer("bell@tocsin.test", "The Bell, Inc.")
IDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", fullmatch=True)
# What Windows-1252 has beyond ASCII, brackets and backslashes among it.
LATIN = st.text(st.characters(codec="cp1252", exclude_categories=("Cc",)), max_size=200)


def debt(**more: str) -> Debt:
    given = {
        "id": "d1",
        "debt_file": "f1",
        "name": "José (Zé) \\ da Silva",
        "government_id": "123.456.789-00",
        "email": "a@example.org",
        "amount": "1234.50",
        "due_date": "2026-12-24",
        **more,
    }
    return Debt(**given)


def text_of(pdf: bytes) -> str:
    return pypdf.PdfReader(io.BytesIO(pdf), strict=True).pages[0].extract_text()


def test_a_pdf_says_what_is_owed() -> None:
    text = text_of(DRAWER.draw(debt()))
    for expected in ("Invoice", "José (Zé) \\ da Silva", "123.456.789-00", "d1", "1234.50", "2026-12-24"):
        assert expected in text


@given(IDS, LATIN)
@settings(max_examples=60)
def test_any_debt_gives_a_sound_pdf_and_always_the_same(id_: str, name: str) -> None:
    one = debt(id=id_, name=name)
    pdf = DRAWER.draw(one)
    assert pdf == InvoiceDrawer("Tocsin").draw(one)
    reader = pypdf.PdfReader(io.BytesIO(pdf), strict=True)
    assert len(reader.pages) == 1
    assert id_ in reader.pages[0].extract_text()


@pytest.mark.parametrize("name", ["Łukasz Kowalski", "Ελένη", "株式会社", "😀", "a\nb"])
def test_other_scripts_are_drawn_with_an_embedded_font(name: str) -> None:
    pdf = DRAWER.draw(debt(name=name))
    assert text_of(pdf).count("Invoice") == 1
    assert pdf == DRAWER.draw(debt(name=name))


def test_the_bar_code_is_a_code_128() -> None:
    """Decodes the bars by the widths of Code 128: start, symbols and checksum must fit the reference."""
    drawn = bars("AB1")
    widths: list[int] = []
    for (at, width), following in zip(drawn, [*drawn[1:], (0.0, 0.0)], strict=True):
        widths.append(round(width))
        if following[0]:
            widths.append(round(following[0] - at - width))
    symbols = ["".join(map(str, widths[at : at + 6])) for at in range(0, len(widths) - 7, 6)]
    assert symbols[0] == "211214"  # start in code B
    assert symbols[1:4] == ["111323", "131123", "123221"]  # A, B, 1
    assert "".join(map(str, widths[-7:])) == "2331112"  # stop


@given(IDS, st.text(st.characters(exclude_categories=("Cs",)), max_size=100))
def test_any_invoice_mail_can_be_parsed(id_: str, name: str) -> None:
    mail = COMPOSER.invoice(debt(id=id_, name=name), b"%PDF-1.3 content")
    message = email.message_from_bytes(mail.content, policy=email.policy.SMTP)
    assert message["To"] == "a@example.org"
    assert message["Message-ID"] == f"<invoice.{id_}@tocsin.test>"
    assert not message.defects
    assert len(list(message.keys())) == len(set(message.keys())) == 8
    [attachment] = message.iter_attachments()
    assert attachment.get_content() == b"%PDF-1.3 content"
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert b"\n" not in mail.content.replace(b"\r\n", b"")


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=200),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=300),
)
@example("=?utf-8?q?=1b=5b31m_red?=", "")
@example("=?utf-8?q?=00?=", "")
@example("a =?utf-8?b?4pyT?= b", "")
@example("x" * 200, "")
@example("x" * 68, "")
@example("  indented", "")
@example("a" * 60 + "   " + "b" * 60, "")
def test_any_notification_mail_can_be_parsed(title: str, body: str) -> None:
    message = Outgoing(
        id="n1",
        tenant="t",
        user="u",
        type=Type.ALERT,
        title=title,
        body=body,
        data="",
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    mail = COMPOSER.notification(message, "a@example.org")
    parsed = email.message_from_bytes(mail.content, policy=email.policy.SMTP)
    assert parsed["Message-ID"] == "<n1@tocsin.test>"
    assert parsed["Subject"] == title
    head = mail.content.split(b"\r\n\r\n")[0].replace(b"\r\n", b"")
    assert all(0x20 <= byte < 0x7F or byte == 0x09 for byte in head)
    assert parsed.get_body(("html",)) is not None
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))


def test_an_address_that_is_an_encoded_word_is_in_no_header() -> None:
    message = Outgoing(
        id="n1", tenant="t", user="u", type=Type.INFO, title="x", body="", data="", created_at=datetime.now(UTC)
    )
    with pytest.raises(ValueError, match="encoded word"):
        COMPOSER.notification(message, "=?utf-8?q?victim=40x.example=2c?=@example.org")
