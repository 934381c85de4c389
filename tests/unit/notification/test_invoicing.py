"""From debts to e-mails on the stores in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from services.chassis.errors import Unavailable
from services.chassis.group_commit import GroupCommit
from services.notification.adapters.memory.documents import InMemoryDocuments
from services.notification.adapters.memory.invoices import InMemoryInvoices
from services.notification.application.claimed_delivery import InvoiceChange, Sending
from services.notification.application.invoice_mailing import InvoiceMailing, MailingOptions
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.application.invoice_work import InvoiceWork
from services.notification.application.invoicing import Invoicing, InvoicingOptions
from services.notification.application.ports.invoices import Mail, RendererEnded, RenderFailed
from services.notification.domain.delivery import Failure, FailureKind, Outcome, Sent, UnknownOutcome
from services.notification.domain.errors import DebtFileUnknown, InvoiceNotFound
from services.notification.domain.invoice import Debt, Invoice, InvoiceState, Pdf
from services.notification.domain.retry_schedule import RetrySchedule
from tests.support.eventually import eventually
from tests.support.notification import ManualClock

CUT = Failure(kind=FailureKind.TRANSIENT, code="CUT", message="the line went dead", unknown=True)
LATER = Failure(kind=FailureKind.TRANSIENT, code="SMTP_450_4.7.1", message="greylisted", floor=timedelta(minutes=5))
AWAY = Failure(kind=FailureKind.TRANSIENT, code="SMTP_SMTPConnectError", message="no way", away=True)
MONTH = timedelta(days=30)
SCHEDULE = RetrySchedule(delays=(timedelta(minutes=1),)).lasting(timedelta(hours=1))
UNKNOWN_WAIT = timedelta(minutes=10)


def debt(id_: str, *, email: str = "") -> Debt:
    return Debt(
        id=id_,
        debt_file="f1",
        name="Ada",
        government_id="1",
        email=email or f"{id_}@example.org",
        amount="1.00",
        due_date="2026-12-24",
    )


class NoMeter:
    """Measures nothing."""

    def observe(self, handler: str, seconds: float, *, error: str = "") -> None:
        """See Meter."""

    def repeated(self, handler: str) -> None:
        """See Meter."""


@dataclass
class Office:
    """The invoicing of one process, its printer and its mail server."""

    clock: ManualClock
    store: InMemoryInvoices
    documents: InMemoryDocuments
    outcomes: list[Outcome | Exception] = field(default_factory=list[Outcome | Exception])
    mailed: list[str] = field(default_factory=list[str])
    rendered: list[int] = field(default_factory=list[int])
    lost: list[Exception] = field(default_factory=list[Exception])
    no_room: bool = False
    """Whether nothing can be drawn at all."""
    held: asyncio.Event | None = None
    """What the mail server waits for before its word."""

    async def render(self, debts: Sequence[Debt]) -> Sequence[Pdf | RenderFailed]:
        """See Renderer."""
        if self.no_room or any(one.id.startswith("deadly") for one in debts):
            raise RendererEnded("the renderer ended")
        self.rendered.append(len(debts))
        return [
            RenderFailed("no such letter") if one.id.startswith("bad") else Pdf(b"%PDF ", one.id.encode())
            for one in debts
        ]

    async def send_all(self, mails: Iterator[Mail], told: Callable[[Outcome], None]) -> None:
        """See BulkMailer."""
        for mail in mails:
            self.mailed.append(mail.content.decode())
            if self.held is not None:
                await self.held.wait()
            await asyncio.sleep(0)
            outcome = self.outcomes.pop(0) if self.outcomes else Sent()
            if isinstance(outcome, Exception):
                raise outcome
            told(outcome)
            if isinstance(outcome, Failure) and outcome.away:
                return

    async def change(self, groups: Sequence[Sequence[InvoiceChange]]) -> Sequence[Sequence[bool]]:
        """The store's, once it is back."""
        if self.lost and not any(isinstance(change, Sending) for group in groups for change in group):
            raise self.lost.pop()
        return [await self.store.change(group) for group in groups]

    async def states(self) -> dict[str, InvoiceState]:
        """Every invoice's state."""
        found = await self.store.page(debt_file="", state=None, limit=99, after=None)
        return {one.debt.id: one.state for one in found}

    async def becomes(self, id_: str, state: InvoiceState, attempts: int = 1) -> Invoice:
        """The invoice once it stands so."""

        async def look() -> Invoice:
            found = await self.store.get(id_)
            assert (found.state, found.attempts) == (state, attempts)
            return found

        return await eventually(look, interval=0.001)

    @asynccontextmanager
    async def open(
        self,
        *,
        unknown: UnknownOutcome = UnknownOutcome.RESEND,
        mailer: bool = True,
        lease: timedelta = timedelta(minutes=2),
        mailers: int = 16,
    ) -> AsyncGenerator[Invoicing]:
        """Works during the block."""
        stop = asyncio.Event()
        async with GroupCommit("invoices", self.change) as changing:
            work = InvoiceWork(self.store, changing, lease)
            options = MailingOptions(
                schedule=SCHEDULE,
                unknown=unknown,
                unknown_wait=UNKNOWN_WAIT,
                mailers=mailers,
                pause=timedelta(milliseconds=50),
            )
            mailing = InvoiceMailing(
                self,
                lambda debt, content: Mail(recipient=debt.email, content=content),
                work,
                options,
                NoMeter(),
                randomness=lambda: 0.0,
            )
            invoicing = Invoicing(
                work, self.documents, self, mailing if mailer else None, InvoicingOptions(), NoMeter()
            )
            running = asyncio.create_task(invoicing.run(stop))
            try:
                yield invoicing
            finally:
                stop.set()
                await running


def pdf(id_: str) -> bytes:
    return f"%PDF {id_}".encode()


@pytest.fixture
def office() -> Office:
    clock = ManualClock()
    return Office(clock, InMemoryInvoices(lambda: clock.time), InMemoryDocuments(lambda: clock.time, ttl=MONTH))


async def test_a_batch_is_one_object_and_an_email_each(office: Office) -> None:
    ids = [f"d{n}" for n in range(5)]
    await office.store.register("e1", [debt(id_) for id_ in ids])
    async with office.open():
        for id_ in ids:
            await office.becomes(id_, InvoiceState.MAILED)
    assert office.rendered == [5]
    assert sorted(office.mailed) == [pdf(id_).decode() for id_ in ids]
    reader = InvoiceQueries(office.store, office.documents, office)
    places = [(await reader.get(id_)).place for id_ in ids]
    assert len({place.object for place in places if place is not None}) == 1
    assert [await reader.download(id_) for id_ in ids] == [pdf(id_) for id_ in ids]
    office.clock.time += MONTH
    office.rendered.clear()
    assert await reader.download("d0") == pdf("d0")
    assert office.rendered == [1]  # it had expired
    await office.store.register("e2", [debt("bad")])
    with pytest.raises(InvoiceNotFound, match="not made yet"):
        await reader.download("bad")


async def test_mails_wait_for_a_mail_server_and_their_pdfs_are_made_anew(office: Office) -> None:
    await office.store.register("e1", [debt("d1")])
    async with office.open(mailer=False):
        await office.becomes("d1", InvoiceState.STORED, 0)
    office.clock.time += MONTH
    async with office.open():
        await office.becomes("d1", InvoiceState.MAILED)
    assert office.rendered == [1, 1]
    assert office.mailed == ["%PDF d1"]


async def test_a_bad_debt_does_not_hold_up_the_others(office: Office) -> None:
    bad = ("nobody", "a@b>\r\nRCPT TO:<c@d", "a b@c.d", "ü@example.org", "a@b@c")
    await office.store.register("e1", [debt(f"x{n}", email=email) for n, email in enumerate(bad)])
    await office.store.register("e2", [debt("bad"), debt("good"), debt("bad2")])
    await office.store.register("e3", [debt("deadly")])
    async with office.open():
        await office.becomes("good", InvoiceState.MAILED)
        for id_ in ("bad", "bad2", "deadly", *(f"x{n}" for n in range(len(bad)))):
            await office.becomes(id_, InvoiceState.FAILED)
    assert office.mailed == ["%PDF good"]
    codes = {letter.about: [attempt.code for attempt in letter.history] for letter in office.store.letters}
    assert [codes.pop(f"invoice/{id_}") for id_ in ("bad", "bad2", "deadly")] == [["RENDER_FAILED"]] * 3
    assert codes == {f"invoice/x{n}": ["ADDRESS_INVALID"] for n in range(len(bad))}


async def test_a_renderer_that_can_draw_nothing_costs_no_invoice(office: Office) -> None:
    office.no_room = True
    await office.store.register("e1", [debt("d1"), debt("d2")])
    async with office.open() as invoicing:
        await asyncio.sleep(0)
        await office.becomes("d1", InvoiceState.PENDING, 0)
        reader = InvoiceQueries(office.store, office.documents, office)
        office.no_room = False
        invoicing.poke()
        await office.becomes("d1", InvoiceState.MAILED)
        await office.becomes("d2", InvoiceState.MAILED)
        office.clock.time += MONTH
        office.no_room = True
        with pytest.raises(Unavailable):
            await reader.download("d1")
    assert not office.store.letters


async def test_a_defect_of_the_mailer_costs_those_in_dialogue_one_attempt(office: Office) -> None:
    office.outcomes = [Sent(), RuntimeError("no idea")]
    await office.store.register("e1", [debt(f"d{n}") for n in range(9)])
    async with office.open(mailers=1) as invoicing:

        async def settled() -> Sequence[Invoice]:
            found = await office.store.page(debt_file="", state=None, limit=99, after=None)
            assert Counter(one.state for one in found) == {InvoiceState.MAILED: 8, InvoiceState.STORED: 1}
            return found

        [waits] = [one for one in await eventually(settled, interval=0.001) if one.state is InvoiceState.STORED]
        assert (waits.attempts, waits.error, waits.doubtful) == (1, "DEFECT: RuntimeError", False)
        office.clock.time += timedelta(minutes=1)
        invoicing.poke()
        await office.becomes(waits.debt.id, InvoiceState.MAILED, 2)


async def test_at_a_stop_the_email_in_dialogue_is_finished_and_those_behind_it_are_handed_back(office: Office) -> None:
    office.held = asyncio.Event()
    await office.store.register("e1", [debt(f"d{n}") for n in range(9)])
    async with office.open(mailers=1):
        await eventually(lambda: len(office.mailed) == 1, interval=0.001)
        asyncio.get_running_loop().call_later(0.05, office.held.set)
    assert len(office.mailed) == 1
    assert Counter((await office.states()).values()) == {InvoiceState.MAILED: 1, InvoiceState.STORED: 8}
    claimed = (await office.store.claim(9, mail=True)).claimed
    assert [(one.attempts, one.crashed) for one in claimed] == [(0, False)] * 8


async def test_greylisting_is_waited_out(office: Office) -> None:
    office.outcomes = [LATER]
    await office.store.register("e1", [debt("d1")])
    async with office.open() as invoicing:
        await office.becomes("d1", InvoiceState.STORED)
        assert (await office.store.claim(9, mail=True)).next_due == timedelta(minutes=5)
        office.clock.time += timedelta(minutes=5)
        invoicing.poke()
        await office.becomes("d1", InvoiceState.MAILED, 2)


@pytest.mark.parametrize("unknown", UnknownOutcome)
async def test_an_outcome_nobody_knows_is_sent_again_or_held(office: Office, unknown: UnknownOutcome) -> None:
    office.outcomes = [CUT]
    await office.store.register("e1", [debt("d1")])
    async with office.open(unknown=unknown) as invoicing:
        if unknown is UnknownOutcome.HOLD:
            await office.becomes("d1", InvoiceState.FAILED)
        else:
            await office.becomes("d1", InvoiceState.STORED)
            # The mail server may still be at it.
            assert (await office.store.claim(9, mail=True)).next_due == UNKNOWN_WAIT
            office.clock.time += UNKNOWN_WAIT
            invoicing.poke()
            assert (await office.becomes("d1", InvoiceState.MAILED, 2)).doubtful
    assert len(office.mailed) == (1 if unknown is UnknownOutcome.HOLD else 2)


@pytest.mark.parametrize("unknown", UnknownOutcome)
async def test_a_dialogue_that_a_crash_cut_is_in_doubt(office: Office, unknown: UnknownOutcome) -> None:
    await office.store.register("e1", [debt("d1"), debt("d2")])
    async with office.open(mailer=False):
        await office.becomes("d2", InvoiceState.STORED, 0)
    claimed = {one.debt.id: one for one in (await office.store.claim(9, mail=True)).claimed}
    assert await office.store.change([Sending(claimed["d1"])]) == [True]
    office.clock.time += timedelta(minutes=2)
    async with office.open(unknown=unknown) as invoicing:
        await office.becomes("d2", InvoiceState.MAILED)
        held = unknown is UnknownOutcome.HOLD
        found = await office.becomes("d1", InvoiceState.FAILED if held else InvoiceState.STORED)
        assert found.error.startswith("OUTCOME_UNKNOWN")
        if not held:
            office.clock.time += UNKNOWN_WAIT
            invoicing.poke()
            await office.becomes("d1", InvoiceState.MAILED, 2)
    assert sorted(office.mailed) == (["%PDF d2"] if held else ["%PDF d1", "%PDF d2"])


async def test_an_email_that_was_taken_is_written_down_however_often_it_takes(office: Office) -> None:
    office.lost = [Unavailable("away")]
    await office.store.register("e1", [debt("d1")])
    async with office.open():
        await office.becomes("d1", InvoiceState.MAILED)
    assert office.mailed == ["%PDF d1"]
    assert await office.states() == {"d1": InvoiceState.MAILED}


async def test_a_mail_server_that_is_away_uses_up_no_attempt(office: Office) -> None:
    office.outcomes = [AWAY] * 2
    ids = [f"d{n}" for n in range(50)]
    await office.store.register("e1", [debt(id_) for id_ in ids])
    async with office.open(mailers=2) as invoicing:

        async def all_deferred() -> bool:
            for id_ in ids:
                found = await office.store.get(id_)
                assert (found.state, found.attempts) == (InvoiceState.STORED, 0)
                assert found.error.startswith("MAIL_SERVER_AWAY")
                assert found.next_attempt_at is not None
            return True

        await eventually(all_deferred, interval=0.001)
        tried = len(office.mailed)
        assert tried <= 2  # nobody else has tried
        # What is new is rendered meanwhile, and its e-mail waits.
        await office.store.register("e2", [debt("late")])
        invoicing.poke()
        await office.becomes("late", InvoiceState.STORED, 0)

        async def look_after_a_while() -> bool:
            office.clock.time += timedelta(seconds=30)
            invoicing.poke()
            return set((await office.states()).values()) == {InvoiceState.MAILED}

        await eventually(look_after_a_while, interval=0.05)
    assert len(office.mailed) == len(ids) + 1 + 2
    assert office.store.letters == []


async def test_a_refusal_for_now_is_tried_until_the_schedule_ends(office: Office) -> None:
    refusal = Failure(kind=FailureKind.TRANSIENT, code="SMTP_450_4.2.0", message="Greylisted, see the help")
    office.outcomes = [refusal] * 61
    await office.store.register("e1", [debt("d1")])
    async with office.open() as invoicing:
        for attempt in range(1, 61):
            await office.becomes("d1", InvoiceState.STORED, attempt)
            office.clock.time += timedelta(minutes=1)
            invoicing.poke()
        await office.becomes("d1", InvoiceState.FAILED, 61)


async def test_the_lease_of_an_email_goes_on_while_the_mail_server_takes_its_time(office: Office) -> None:
    office.held = asyncio.Event()
    await office.store.register("e1", [debt("d1")])
    async with office.open(lease=timedelta(seconds=0.03)):
        await eventually(lambda: len(office.mailed) == 1, interval=0.001)
        # More than the store's lease goes by, in steps; each is renewed before the next.
        for _ in range(4):
            office.clock.time += timedelta(minutes=1)

            async def renewed() -> bool:
                return (await office.store.claim(9, mail=True)).next_due == timedelta(minutes=2)

            await eventually(renewed, interval=0.001)
        office.held.set()
        await office.becomes("d1", InvoiceState.MAILED)
    assert office.mailed == ["%PDF d1"]


async def test_a_file_that_nobody_knows_is_an_error(office: Office) -> None:
    await office.store.register("e1", [debt("d1")])
    reader = InvoiceQueries(office.store, office.documents, office)
    assert await reader.page(debt_file="f1", state=InvoiceState.MAILED, limit=9, after=None) == []
    with pytest.raises(DebtFileUnknown):
        await reader.page(debt_file="nonsense", state=None, limit=9, after=None)
    # A file may be known before its debts are.
    assert await reader.counts("0197c0de-0000-7000-8000-000000000001") == {}
    assert await reader.counts("f1") == {InvoiceState.PENDING: 1}
    with pytest.raises(DebtFileUnknown):
        await reader.counts("nonsense")
