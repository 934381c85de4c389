"""E-mails that parsers understand, whatever they are about."""

import email
import email.message
import email.policy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.chassis.signed_urls import SignedUrls
from services.notification.adapters.channels.invoice_mails import InvoiceComposer
from services.notification.adapters.channels.mails import Composer
from services.notification.adapters.texts import language
from services.notification.domain.delivery import Outgoing
from services.notification.domain.invoice_urls import PATH, InvoiceUrls, MailedLinks
from services.notification.domain.notification import Type
from tests.support.invoices import IDS, debt
from tests.support.mailbox import mail_text

COMPOSER = Composer("bell@tocsin.test", "The Bell, Inc.")
INVOICES = InvoiceComposer(COMPOSER, issuer="ACME & Söhne", currency="EUR")


@example("a", "Ann", "en")
@given(
    IDS, st.text(st.characters(exclude_categories=("Cs",)), max_size=100), st.sampled_from(["", "fr", "pt-BR", "xx"])
)
def test_any_invoice_mail_can_be_parsed(id_: str, name: str, language: str) -> None:
    mail = INVOICES(debt(id=id_, name=name, language=language), b"%PDF-1.3 content")
    message = email.message_from_bytes(mail.content, policy=email.policy.SMTP)
    assert message["To"] == "a@example.org"
    assert message["Message-ID"] == f"<invoice.{id_}@tocsin.test>" == f"<{mail.envelope_id}>"
    assert id_ in message["Subject"]
    assert not message.defects
    outer, inner = message.get_boundary() or "", next(message.iter_parts()).get_boundary() or ""
    assert not inner.startswith(outer)
    assert len(list(message.keys())) == len(set(message.keys())) == 8
    [attachment] = message.iter_attachments()
    assert attachment.get_content() == b"%PDF-1.3 content"
    word = {"fr": "facture", "pt-BR": "fatura"}.get(language, "invoice")
    assert attachment.get_filename() == f"{word}-{id_}.pdf"
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert b"\n" not in mail.content.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("language", "subject", "text"),
    [
        ("", "Invoice d1", "the invoice d1 over \u20ac1,234.50, due on December 24, 2026."),
        (
            "fr",
            "Facture d1",
            "d\u2019un montant de 1\u202f234,50\xa0\u20ac, payable le 24 d\xe9cembre 2026 au plus tard.",
        ),
        ("pt-BR", "Fatura d1", "no valor de \u20ac\xa01.234,50, com vencimento em 24 de dezembro de 2026."),
    ],
)
def test_an_invoice_mail_says_the_same_in_text_and_html(language: str, subject: str, text: str) -> None:
    mail = INVOICES(debt(name="Ann <b>", language=language), b"%PDF")
    message = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    assert message["Subject"] == subject
    assert text in mail_text(message, "plain")
    assert "ACME & Söhne" in mail_text(message, "plain")
    page = mail_text(message, "html")
    assert text in page
    assert "Ann &lt;b&gt;" in page
    assert "ACME &amp; Söhne" in page


@pytest.mark.parametrize("language", ["de", "en", "fr", "pt-BR"])
def test_an_invoice_mail_may_have_a_link_in_place_of_the_pdf(language: str) -> None:
    links = MailedLinks(InvoiceUrls(SignedUrls([b"k" * 32], "GET", PATH), "https://pay.example"), timedelta(days=90))
    compose = InvoiceComposer(COMPOSER, issuer="ACME", currency="EUR", links=links)
    about = debt(name="Ann <b>", language=language)
    mail = compose(about, b"%PDF")
    message = email.message_from_bytes(mail.content, policy=email.policy.default)
    assert isinstance(message, email.message.EmailMessage)
    assert not message.defects
    assert message.get_content_type() == "multipart/alternative"
    assert list(message.iter_attachments()) == []
    url = links.url(about)
    assert url in mail_text(message, "plain").split()
    assert f'<a href="{url}">' in mail_text(message, "html")
    assert "d1" in mail_text(message, "plain")
    assert "Ann &lt;b&gt;" in mail_text(message, "html")


def test_people_are_told_where_to_unsubscribe_where_that_is_asked_for() -> None:
    compose = InvoiceComposer(COMPOSER, issuer="ACME", unsubscribe="mailto:no@acme.example?subject=d")
    message = email.message_from_bytes(compose(debt(), b"%PDF").content, policy=email.policy.SMTP)
    assert message["List-Unsubscribe"] == "<mailto:no@acme.example?subject=d>"
    assert not message.defects


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


@pytest.mark.parametrize(
    ("tag", "amount", "currency", "written"),
    [
        ("en", "123456.00", "JPY", "¥123,456"),
        ("fr", "1.500", "TND", "1,500 TND"),
        ("en", "1500", "ISK", "ISK1,500"),
        ("en", "1234.567", "KWD", "KWD1,234.567"),
        ("pt-BR", "1234567.5", "BRL", "R$ 1.234.567,50"),
        ("en", "10.5", "", "10.50"),
    ],
)
def test_an_amount_has_the_places_of_its_currency(tag: str, amount: str, currency: str, written: str) -> None:
    assert language(tag).amount(amount, currency).replace("\xa0", " ").replace("\u202f", " ") == written
