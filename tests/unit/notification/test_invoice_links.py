"""Links that open one invoice, and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.chassis.signed_urls import SignedUrls, TokenInvalid
from services.notification.adapters.memory.documents import InMemoryDocuments
from services.notification.adapters.memory.invoices import InMemoryInvoices
from services.notification.application.invoice_links import InvoiceLinks
from services.notification.application.invoice_queries import InvoiceQueries
from services.notification.domain.errors import InvoiceNotFound, LinkExpired, LinkKeyMissing, LinkUnknown
from services.notification.domain.invoice import Pdf, Place
from services.notification.domain.invoice_urls import PATH, InvoiceUrls, MailedLinks
from tests.support.invoices import debt
from tests.support.notification import ManualClock

OLD, NEW = b"o" * 32, b"n" * 32
BASE = "https://pay.example"
TTL = timedelta(days=1)


def urls(*keys: bytes) -> InvoiceUrls:
    return InvoiceUrls(SignedUrls(keys, "GET", PATH), BASE)


def token(url: str) -> str:
    start = f"{BASE}{PATH}?token="
    assert url.startswith(start)
    return url.removeprefix(start)


class Rig:
    """Invoices in memory; `links` are made and opened with keys."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = InMemoryInvoices(lambda: self.clock.time)
        self.documents = InMemoryDocuments(lambda: self.clock.time, ttl=timedelta(days=90))

    def links(self, *keys: bytes) -> InvoiceLinks:
        queries = InvoiceQueries(self.store, self.documents, self)
        return InvoiceLinks(queries, urls(*keys) if keys else None, TTL, now=lambda: self.clock.time)

    async def render(self, debts: object) -> list[Pdf]:
        """See Renderer."""
        raise AssertionError("nothing has expired")

    async def keep(self, id_: str, content: bytes, debt_file: str = "f1") -> None:
        """The invoice of a debt, with its PDF."""
        await self.store.register(f"{id_} of {debt_file}", [debt(id=id_, debt_file=debt_file)])
        [claimed] = (await self.store.claim(9, mail=False)).claimed
        await self.documents.put(f"{id_} of {debt_file}", content)
        place = Place(object=f"{id_} of {debt_file}", offset=0, length=len(content))
        await self.store.stored([(claimed, place)])
        await self.store.release([claimed])


async def test_a_link_opens_its_invoice_until_it_expires() -> None:
    rig = Rig()
    await rig.keep("d1", b"%PDF one")
    await rig.keep("d2", b"%PDF two")
    links = rig.links(NEW)
    one, expires_at = await links.create("d1")
    two, _ = await links.create("d2")
    assert expires_at == rig.clock.time.replace(microsecond=0) + TTL
    assert await links.open(token(one)) == ("d1", b"%PDF one")
    assert await links.open(token(two)) == ("d2", b"%PDF two")
    rig.clock.time = expires_at - timedelta(seconds=1)
    assert await links.open(token(one)) == ("d1", b"%PDF one")
    rig.clock.time = expires_at
    with pytest.raises(LinkExpired):
        await links.open(token(one))


async def test_what_is_no_link_of_ours_opens_nothing() -> None:
    rig = Rig()
    await rig.keep("d1", b"%PDF one")
    links = rig.links(NEW)
    url, _ = await links.create("d1")
    good = token(url)
    other_path = SignedUrls([NEW], "GET", "/v1/debts").mint(b"d1\0f1", rig.clock.time + TTL).partition("token=")[2]
    unnamed = SignedUrls([NEW], "GET", PATH).mint(b"d1", rig.clock.time + TTL).partition("token=")[2]
    for bad in ("", "x", good[:-1], good + "A", "B" + good[1:], good.swapcase(), other_path, unnamed):
        with pytest.raises(LinkUnknown):
            await links.open(bad)
    with pytest.raises(LinkUnknown):
        await rig.links().open(good)
    with pytest.raises(LinkKeyMissing):
        await rig.links().create("d1")


async def test_keys_are_rotated_and_taken_back() -> None:
    rig = Rig()
    await rig.keep("d1", b"%PDF one")
    url, _ = await rig.links(OLD).create("d1")
    assert await rig.links(NEW, OLD).open(token(url)) == ("d1", b"%PDF one")
    with pytest.raises(LinkUnknown):
        await rig.links(NEW).open(token(url))


async def test_a_link_does_not_open_the_invoice_of_a_later_debt_with_the_same_id() -> None:
    rig = Rig()
    await rig.keep("d1", b"%PDF of Ann")
    links = rig.links(NEW)
    url, _ = await links.create("d1")
    await rig.store.cancel("f1", "", 9)
    for make in (links.open(token(url)), links.open(token(url))):
        with pytest.raises(LinkExpired):
            await make
    with pytest.raises(InvoiceNotFound):
        await links.create("d1")
    await rig.keep("d1", b"%PDF of Bob", debt_file="f2")
    with pytest.raises(LinkExpired):
        await links.open(token(url))
    later, _ = await links.create("d1")
    assert await links.open(token(later)) == ("d1", b"%PDF of Bob")


async def test_there_is_no_link_before_there_is_a_pdf() -> None:
    rig = Rig()
    await rig.store.register("e1", [debt(id="d1")])
    for id_, why in (("d1", "there is no PDF of it: it is PENDING"), ("nothing", "There is no invoice")):
        with pytest.raises(InvoiceNotFound, match=why):
            await rig.links(NEW).create(id_)


def test_links_in_emails_are_the_same_whenever_they_are_sent() -> None:
    made = MailedLinks(urls(NEW), timedelta(days=90))
    about = debt(issued="2026-11-30")
    url = made.url(about)
    assert url == made.url(replace(about, name="somebody else"))
    last = datetime(2026, 12, 1, tzinfo=UTC) + timedelta(days=90, seconds=-1)
    assert urls(NEW, OLD).read(token(url), last) == ("d1", "f1")
    with pytest.raises(TokenInvalid):
        urls(OLD).read(token(url), last)
