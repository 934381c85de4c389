"""The renderer's processes: started on demand, replaced when they die, ended when idle, never left behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import cast

import psutil

from services.notification.adapters.rendering.renderer import SubprocessRenderer
from services.notification.application.ports.invoices import RenderFailed
from services.notification.domain.invoice import Debt, Pdf
from services.notification.domain.issuer import Issuer
from tests.support.eventually import eventually
from tests.support.invoices import text_of

ISSUERS = {"": Issuer(name="Tocsin"), "beta": Issuer(name="Beta Ltda.", language="pt")}


def debt(number: int) -> Debt:
    return Debt(
        id=f"d{number}",
        debt_file="f",
        name="Ada",
        government_id="1",
        email="a@b.c",
        amount="1.00",
        due_date="2026-12-24",
    )


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "services.notification.adapters.rendering.worker" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def told(pdf: Pdf | RenderFailed) -> str:
    """What a reader finds in it."""
    assert isinstance(pdf, Pdf)
    return text_of(pdf.content)


async def test_each_debt_gets_its_own_pdf() -> None:
    async with SubprocessRenderer(ISSUERS, processes=2) as renderer:
        assert workers() == []
        rounds = await asyncio.gather(*(renderer.render([debt(n) for n in range(r, r + 120)]) for r in range(3)))
        for start, pdfs in enumerate(rounds):
            assert len(pdfs) == 120
            for place in (0, 49, 50, 119):
                assert f"d{start + place}\n" in told(pdfs[place])
        assert len(workers()) == 2
    assert workers() == []


async def test_a_renderer_that_dies_is_replaced() -> None:
    async with SubprocessRenderer(ISSUERS) as renderer:
        await renderer.render([debt(1)])
        [worker] = workers()
        worker.kill()
        await eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        assert len(await renderer.render([debt(2)])) == 1


async def test_an_idle_renderer_ends() -> None:
    async with SubprocessRenderer(ISSUERS, idle=timedelta(milliseconds=200)) as renderer:
        await renderer.render([debt(1)])
        await eventually(lambda: workers() == [])
        assert len(await renderer.render([debt(2)])) == 1


async def test_what_cannot_be_rendered_is_told_and_harms_nobody() -> None:
    broken = replace(debt(1), amount=cast(str, None))
    nameless = replace(debt(1), name="Ann \U00020bb7")
    async with SubprocessRenderer(ISSUERS) as renderer:
        good, refused, unknown, also_good = await renderer.render([debt(1), broken, nameless, debt(2)])
        assert isinstance(refused, RenderFailed)
        assert "no font has U+20BB7 CJK UNIFIED IDEOGRAPH-20BB7" in str(unknown)
        assert [good, also_good] == await renderer.render([debt(1), debt(2)])
        assert isinstance(good, Pdf)
        assert isinstance(also_good, Pdf)
        assert good.shared == also_good.shared
        assert len(good.own) < 3000 < len(good.shared)


async def test_each_debt_is_drawn_for_its_issuer() -> None:
    async with SubprocessRenderer(ISSUERS) as renderer:
        first, beta, unknown = await renderer.render([replace(debt(1), issuer=name) for name in ("", "beta", "gamma")])
    assert "Bill to" in told(first)
    assert "Beta Ltda." in told(beta)
    assert "Vencimento" in told(beta)
    assert "there is no issuer gamma" in str(unknown)
