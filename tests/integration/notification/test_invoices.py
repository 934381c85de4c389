"""From debts to PDFs and e-mails: one of each for a debt, whatever is repeated, refused or killed."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pypdf
import pytest

from services.chassis.errors import FailedPrecondition, NotFound
from services.chassis.nats import Event, NatsConnection, Publisher
from services.chassis.nats.topology import DEBT_DECIDED_SUBJECT, DEBTS_REGISTERED_SUBJECT
from services.chassis.settings import Refused
from tests.integration.notification.conftest import OpenService
from tests.support.eventually import eventually
from tests.support.mailbox import Mailbox, mail_text, open_mailbox
from tests.support.notification import ManualClock, Service, invoice_pb, letter_pb
from tests.support.ports import free_port
from tocsin.events.v1 import debts_pb2


def batch(ids: Sequence[str], *, debt_file: str = "f1", email: str = "") -> debts_pb2.DebtsRegistered:
    return debts_pb2.DebtsRegistered(
        debt_file=debt_file,
        debts=[
            debts_pb2.DebtsRegistered.Debt(
                id=id_,
                name="José (Zé) da Silva",
                government_id="123.456.789-00",
                email=email or f"{id_}@example.org",
                amount="1234.50",
                due_date="2026-12-24",
            )
            for id_ in ids
        ],
    )


async def register(publisher: Publisher, message: debts_pb2.DebtsRegistered, *, id_: str = "b1") -> None:
    await publisher.publish(Event(DEBTS_REGISTERED_SUBJECT, message, id=id_))


def in_state(service: Service, state: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        found = await service.rows("SELECT state, attempts, count(*) FROM invoices GROUP BY state, attempts")
        assert sum(row["count"] for row in found if row["state"] == state) == count, found
        return True

    return look


async def test_debts_become_pdfs_and_mails(open_service: OpenService, publisher: Publisher, mailbox: Mailbox) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        ids = [f"d{n:03d}" for n in range(120)]
        await register(publisher, batch(ids))
        await eventually(in_state(service, "MAILED", 120), timeout=30)
        assert sorted(mailbox.recipients) == [f"{id_}@example.org" for id_ in ids]
        assert sorted(mailbox.ids) == [f"<invoice.{id_}@tocsin.test>" for id_ in ids]
        mail = next(message for message in mailbox.messages if "d007" in message["Message-ID"])
        assert mail["Subject"] == "Invoice d007"
        assert str(mail["From"]) == "Tocsin <bell@tocsin.test>"
        [attachment] = mail.iter_attachments()
        assert attachment.get_content_type() == "application/pdf"
        assert attachment.get_filename() == "invoice-d007.pdf"
        content = attachment.get_content()
        text = pypdf.PdfReader(io.BytesIO(content), strict=True).pages[0].extract_text()
        for expected in ("José (Zé) da Silva", "123.456.789-00", "d007", "1,234.50", "December 24, 2026", "Tocsin"):
            assert expected in text
        downloaded = await service.invoices.DownloadInvoice(invoice_pb.DownloadInvoiceRequest(debt="d007"))
        assert downloaded.content_type == "application/pdf"
        assert downloaded.data == content
        found = await service.invoices.GetInvoice(invoice_pb.GetInvoiceRequest(debt="d007"))
        assert found.state == invoice_pb.Invoice.MAILED
        assert (found.attempts, found.email, found.amount) == (1, "d007@example.org", "1234.50")
        assert found.HasField("mail_time")
        assert mailbox.connections <= 16


async def test_redelivered_and_repeated_debts_are_invoiced_once(
    open_service: OpenService, publisher: Publisher, nats_connection: NatsConnection, mailbox: Mailbox
) -> None:
    clock = ManualClock()
    options = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port}
    async with open_service(clock, **options) as service, open_service(clock, **options):
        message = batch([f"d{n}" for n in range(50)])
        payload = message.SerializeToString()
        headers = {"ce-id": "b1", "ce-type": "tocsin.events.v1.DebtsRegistered"}
        for copy in range(4):
            await nats_connection.js.publish(
                DEBTS_REGISTERED_SUBJECT, payload, headers={**headers, "Nats-Msg-Id": f"copy-{copy}"}
            )
        await register(publisher, batch([f"d{n}" for n in range(25, 75)], debt_file="f2"), id_="b2")
        await eventually(in_state(service, "MAILED", 75), timeout=30)
        assert sorted(mailbox.ids) == sorted(f"<invoice.d{n}@tocsin.test>" for n in range(75))


async def test_without_a_mail_server_invoices_wait(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    clock = ManualClock()
    async with open_service(clock) as service:
        await register(publisher, batch(["d1", "d2"]))
        await eventually(in_state(service, "STORED", 2))
        downloaded = await service.invoices.DownloadInvoice(invoice_pb.DownloadInvoiceRequest(debt="d1"))
        assert downloaded.data.startswith(b"%PDF-")
    async with open_service(clock, smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await eventually(in_state(service, "MAILED", 2))
        assert len(mailbox.messages) == 2


async def test_what_is_closed_is_not_mailed_before_it_is_open_again(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        message = batch(["d1", "d2"])

        async def decide(status: str, version: int) -> None:
            told = debts_pb2.DebtDecided(debt_file="f1", debt=message.debts[0], status=status, version=version)
            await publisher.publish(Event(DEBT_DECIDED_SUBJECT, told, id=f"d1-{version}"))

        await decide("PAID", 2)
        await eventually(in_state(service, "CANCELLED", 1))
        await register(publisher, message)
        await eventually(in_state(service, "MAILED", 1))
        assert mailbox.ids == ["<invoice.d2@tocsin.test>"]
        await decide("REGISTERED", 3)
        await eventually(in_state(service, "MAILED", 2))
        assert sorted(mailbox.ids) == ["<invoice.d1@tocsin.test>", "<invoice.d2@tocsin.test>"]


async def test_refusals_are_retried_then_dead_and_may_be_sent_back(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    schedule = {"invoice_retry_schedule": "2s,4s,8s", "invoice_give_up_after": timedelta(seconds=14)}
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port, **schedule) as service:
        mailbox.data.extend(["451 4.3.0 try later", "452 4.3.1 full", "421 4.3.2 going", "450 4.2.1 busy"])
        await register(publisher, batch(["d1"]))
        for attempt, wait in ((1, 2), (2, 4), (3, 8)):
            await eventually(_attempts(service, attempt))
            assert mailbox.attempts == attempt
            await service.advance(timedelta(seconds=wait))
        await eventually(in_state(service, "FAILED", 1))
        found = await service.invoices.GetInvoice(invoice_pb.GetInvoiceRequest(debt="d1"))
        assert found.error.startswith("SMTP_450_4.2.1")
        letters = await eventually(lambda: _letters(service))
        assert letters[0].type == "tocsin.events.v1.DebtsRegistered"
        assert len(letters[0].history) == 4
        await service.letters.RetryDeadLetter(letter_pb.RetryDeadLetterRequest(id=letters[0].id))
        await eventually(in_state(service, "MAILED", 1))
        assert mailbox.ids == ["<invoice.d1@tocsin.test>"]


def _attempts(service: Service, count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await service.value("SELECT attempts FROM invoices WHERE lease IS NULL") == count

    return look


async def _letters(service: Service) -> list[letter_pb.DeadLetter]:
    return list((await service.letters.ListDeadLetters(letter_pb.ListDeadLettersRequest())).dead_letters)


async def test_permanent_refusals_are_not_retried(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        mailbox.rcpt.append("550 5.1.1 no such user")
        await register(publisher, batch(["d1"]))
        await eventually(in_state(service, "FAILED", 1))
        assert mailbox.attempts == 1


async def test_an_outcome_nobody_knows_is_sent_again_with_the_same_id(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        mailbox.data.append("drop")
        await register(publisher, batch(["d1"]))
        await eventually(_attempts(service, 1))
        await service.advance(timedelta(minutes=10))
        await eventually(in_state(service, "MAILED", 1))
        assert mailbox.ids == ["<invoice.d1@tocsin.test>"] * 2


async def test_lists_page_and_filter(open_service: OpenService, publisher: Publisher) -> None:
    async with open_service() as service:
        await register(publisher, batch([f"a{n}" for n in range(5)], debt_file="fa"), id_="a")
        await register(publisher, batch([f"b{n}" for n in range(5)], debt_file="fb"), id_="b")
        await eventually(in_state(service, "STORED", 10))
        found: list[str] = []
        token = ""
        while True:
            answer = await service.invoices.ListInvoices(
                invoice_pb.ListInvoicesRequest(page_size=3, page_token=token, debt_file="fa")
            )
            found += [invoice.debt for invoice in answer.invoices]
            if not (token := answer.next_page_token):
                break
        assert sorted(found) == [f"a{n}" for n in range(5)]
        none = await service.invoices.ListInvoices(invoice_pb.ListInvoicesRequest(state=invoice_pb.Invoice.MAILED))
        assert not none.invoices
        for call, request in (
            (service.invoices.ListInvoices, invoice_pb.ListInvoicesRequest(debt_file="nonsense")),
            (service.invoices.GetInvoice, invoice_pb.GetInvoiceRequest(debt="nothing")),
            (service.invoices.DownloadInvoice, invoice_pb.DownloadInvoiceRequest(debt="nothing")),
        ):
            with pytest.raises(NotFound):
                await call(request)


async def test_a_mail_server_that_is_away_uses_up_no_attempt(open_service: OpenService, publisher: Publisher) -> None:
    port = free_port()
    async with open_service(smtp_host="127.0.0.1", smtp_port=port, invoice_lease=timedelta(days=1)) as service:
        await register(publisher, batch([f"d{n}" for n in range(60)]))

        async def away() -> bool:
            found = await service.rows("SELECT DISTINCT state, attempts, split_part(error, ':', 1) AS e FROM invoices")
            return [tuple(row) for row in found] == [("STORED", 0, "MAIL_SERVER_AWAY")]

        await eventually(away, timeout=20)
        async with open_mailbox(port=port) as mailbox:

            async def mailed() -> bool:
                await service.advance(timedelta(seconds=30))
                return await in_state(service, "MAILED", 60)()

            await eventually(mailed, timeout=20, interval=0.2)
            assert sorted(mailbox.ids) == sorted(f"<invoice.d{n}@tocsin.test>" for n in range(60))
            assert await service.value("SELECT max(attempts) FROM invoices") == 1


async def test_a_mail_server_may_look_into_a_message_for_minutes(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    taken, scanned = asyncio.Event(), asyncio.Event()

    async def scan() -> None:
        taken.set()
        await scanned.wait()

    mailbox.before_answer = scan
    steps = {"invoice_smtp_timeouts": "connect=500ms,mail=500ms,rcpt=500ms,data=1m", "smtp_timeout": "500ms"}
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port, invoice_lease="1s", **steps) as service:
        await register(publisher, batch(["d1"]))
        await asyncio.wait_for(taken.wait(), 10)
        # The lease is renewed meanwhile, as the clock goes on: nobody sends it a second time.
        for _ in range(5):
            lease_end = await service.value("SELECT next_attempt_at FROM invoices")
            await service.advance(timedelta(seconds=0.5))

            async def renewed(before: datetime = lease_end) -> bool:
                return await service.value("SELECT next_attempt_at FROM invoices") > before

            await eventually(renewed)
        scanned.set()
        await eventually(in_state(service, "MAILED", 1))
        assert mailbox.ids == ["<invoice.d1@tocsin.test>"]
        assert await service.value("SELECT attempts FROM invoices") == 1


async def test_what_failed_is_retried_by_hand_one_by_one_or_by_file(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        mailbox.rcpt.extend(["550 5.1.1 no such user"] * 6)
        await register(publisher, batch([f"a{n}" for n in range(4)], debt_file="fa"), id_="a")
        await register(publisher, batch([f"b{n}" for n in range(2)], debt_file="fb"), id_="b")
        await eventually(in_state(service, "FAILED", 6))
        letters = "SELECT count(*) FROM dead_letters WHERE state = 'OPEN'"

        async def open_letters(count: int) -> bool:
            return await service.value(letters) == count

        await eventually(lambda: open_letters(6))
        retry = service.invoices.RetryInvoices
        dry = invoice_pb.RetryInvoicesRequest(filter=invoice_pb.InvoiceFilter(code="SMTP_550"), limit=5, dry_run=True)
        assert await retry(dry) == invoice_pb.RetryInvoicesResponse(retried=5, more=True)
        of_file = invoice_pb.InvoiceFilter(debt_file="fa", code="SMTP_550")
        assert (await retry(invoice_pb.RetryInvoicesRequest(filter=of_file))).retried == 4
        await eventually(in_state(service, "MAILED", 4))
        assert await service.value(letters) == 2
        assert await service.value("SELECT count(*) FROM dead_letters WHERE state = 'RETRIED'") == 4
        one = await service.invoices.RetryInvoice(invoice_pb.RetryInvoiceRequest(debt="b1"))
        assert one.debt == "b1"
        assert one.attempts <= 1  # it may have been mailed already
        await eventually(in_state(service, "MAILED", 5))
        with pytest.raises(FailedPrecondition):
            await service.invoices.RetryInvoice(invoice_pb.RetryInvoiceRequest(debt="b1"))
        for call, request in (
            (service.invoices.RetryInvoice, invoice_pb.RetryInvoiceRequest(debt="nothing")),
            (retry, invoice_pb.RetryInvoicesRequest(filter=invoice_pb.InvoiceFilter(debt_file="nonsense"))),
        ):
            with pytest.raises(NotFound):
                await call(request)


async def test_a_name_that_cannot_be_drawn_goes_to_a_person_and_the_others_out(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox
) -> None:
    message = batch(["d1", "d2"])
    message.debts[0].name = "\U00020bb7野家"
    message.debts[1].name, message.debts[1].language, message.debts[1].currency = "Łukasz Żółć", "fr", "EUR"
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port) as service:
        await register(publisher, message)
        await eventually(in_state(service, "MAILED", 1), timeout=20)
        await eventually(in_state(service, "FAILED", 1))
        found = await service.invoices.GetInvoice(invoice_pb.GetInvoiceRequest(debt="d1"))
        assert found.error == "RENDER_FAILED: no font has U+20BB7 CJK UNIFIED IDEOGRAPH-20BB7"
        [mail] = mailbox.messages
        assert mail["Subject"] == "Facture d2"
        [attachment] = mail.iter_attachments()
        text = pypdf.PdfReader(io.BytesIO(attachment.get_content()), strict=True).pages[0].extract_text()
        assert "Łukasz Żółć" in text
        assert "1\u202f234,50\xa0€" in text


async def test_invoices_are_from_the_issuer_that_their_file_names(
    open_service: OpenService, publisher: Publisher, mailbox: Mailbox, tmp_path: Path
) -> None:
    file = tmp_path / "issuers.toml"
    beta = '[issuer.beta]\nname = "Beta Ltda."\nlanguage = "pt"\nsender = "oi@beta.example"\nsender_name = "Beta"\n'
    file.write_text(f'name = "ACME"\n{beta}', encoding="utf-8")
    async with open_service(smtp_host="127.0.0.1", smtp_port=mailbox.port, invoice_issuer_file=file) as service:
        for number, issuer in enumerate(("", "beta", "gamma")):
            message = batch([f"d{number}"], debt_file=f"f{number}")
            message.issuer = issuer
            await register(publisher, message, id_=f"b{number}")
        await eventually(in_state(service, "MAILED", 2))
        await eventually(in_state(service, "FAILED", 1))
        unknown = await service.invoices.GetInvoice(invoice_pb.GetInvoiceRequest(debt="d2"))
        assert (unknown.issuer, unknown.error.split(":")[0]) == ("gamma", "RENDER_FAILED")
    mails = {str(mail["Message-ID"]): mail for mail in mailbox.messages}
    first, other = mails["<invoice.d0@tocsin.test>"], mails["<invoice.d1@beta.example>"]
    assert "ACME" in mail_text(first, "plain")
    assert "Beta Ltda." in mail_text(other, "plain")
    assert (other["From"], other["Subject"]) == ("Beta <oi@beta.example>", "Fatura d1")
    assert sorted(mailbox.senders) == ["bell@tocsin.test", "oi@beta.example"]


async def test_an_issuer_that_cannot_be_drawn_is_refused_at_the_start(open_service: OpenService) -> None:
    with pytest.raises(Refused, match=r"INVOICE_ISSUER.*no font has U.1F514 BELL"):
        async with open_service(invoice_issuer="ACME 🔔"):
            pass
