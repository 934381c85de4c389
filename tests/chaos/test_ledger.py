"""Whatever is killed on the way from a debt file to the mail server, each debt has one invoice and one e-mail. One goes
out twice only where nobody could know whether it had been taken; then it is the same, and the invoice says so.

`TOCSIN_CHAOS_DEBTS` sets how many debts the file has.
"""

import os
import signal
import threading
from collections.abc import Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.chassis.ids import new_id
from tests.chaos.conftest import Parts
from tests.e2e.conftest import running_mesh, until
from tests.support.mail_ledger import MailLedger, mail_ledger
from tests.support.rest import trust

DEBTS = int(os.environ.get("TOCSIN_CHAOS_DEBTS", "12000"))
KILLED = ("notification", "nats", "postgres", "ingestion", "notification", "nats", "postgres", "notification")
IN_DOUBT = 16 * 2
"""E-mails that are in dialogue at a time: groups of two on each connection."""


@pytest.fixture(scope="module")
def ledger() -> Generator[MailLedger]:
    with mail_ledger(pause=0.02) as opened:
        yield opened


@pytest.fixture(scope="module")
def billing(ledger: MailLedger, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Generator[Parts]:
    """A mesh whose invoices go to the ledger."""
    environment = {
        "TOCSIN_NOTIFICATION_SMTP_HOST": "127.0.0.1",
        "TOCSIN_NOTIFICATION_SMTP_PORT": str(ledger.port),
        "TOCSIN_NOTIFICATION_INVOICE_LEASE": "3s",
        "TOCSIN_NOTIFICATION_INVOICE_UNKNOWN_WAIT": "5s",
        "TOCSIN_NOTIFICATION_INVOICE_RETRY_SCHEDULE": "1s",
        "TOCSIN_INGESTION_DEBT_BLOCK": "64KiB",
    }
    with running_mesh(repository, tmp_path_factory.mktemp("billing") / "state", environment) as (mesh, _):
        yield Parts(mesh)


@pytest.fixture
def client(billing: Parts) -> Generator[httpx.Client]:
    headers = {"authorization": f"Bearer {billing.mesh.token()}"}
    with httpx.Client(base_url=billing.mesh.instance.edge_url, headers=headers, timeout=60, verify=trust()) as opened:
        yield opened


def answer(client: httpx.Client, path: str) -> Any:
    """Of the mesh, which may be without one of its parts."""
    with suppress(httpx.HTTPError):
        found = client.get(path)
        if found.status_code == 200:
            return found.json()
    return {}


def in_states(client: httpx.Client, file: str) -> Mapping[str, int]:
    found = answer(client, f"/v1/invoices:count?debtFile={file}")
    return {one["state"]: int(one["invoices"]) for one in found.get("counts", [])}


def doubtful(client: httpx.Client, file: str) -> set[str]:
    """Debts whose e-mail may have gone out twice, as their invoices say."""
    found, token = set[str](), ""
    while True:
        page = client.get(f"/v1/invoices?debtFile={file}&pageSize=1000&pageToken={token}").raise_for_status().json()
        found |= {one["debt"] for one in page["invoices"] if one.get("doubtful")}
        if not (token := page.get("nextPageToken", "")):
            return found


@pytest.mark.timeout(600)
def test_each_debt_has_one_invoice_and_one_email_whatever_is_killed(
    billing: Parts, client: httpx.Client, ledger: MailLedger
) -> None:
    file = new_id()
    rows = [f"Ann {n},{n},d{n}@example.test,{n + 1}.50,2027-01-31,L{n}\n" for n in range(DEBTS)]
    content = ("name,governmentId,email,debtAmount,debtDueDate,debtId\n" + "".join(rows)).encode()

    def upload() -> None:
        with suppress(httpx.HTTPError):  # its answer is lost with the process
            client.post(f"/v1/debtFiles?id={file}", content=content, headers={"content-type": "text/csv"})

    sending = threading.Thread(target=upload)
    sending.start()
    path = f"/v1/debtFiles/{file}"
    begun = until(lambda: int(answer(client, path).get("accepted", 0)), 60, "the first debts")
    billing.send("ingestion", signal.SIGKILL)
    sending.join()
    assert begun < DEBTS, "it was killed too late to tell anything"
    done = until(lambda: (found := answer(client, path)).get("state") == "COMPLETED" and found, 120, "the whole file")
    assert (int(done["rows"]), int(done["accepted"]) + int(done["duplicates"])) == (DEBTS, DEBTS)
    for part in KILLED:
        before = ledger.taken
        until(lambda before=before: ledger.taken > before + DEBTS // 20, 120, "e-mails that go on")
        billing.send(part, signal.SIGKILL)
    assert ledger.taken < DEBTS, "the last one was killed too late to tell anything"
    until(lambda: in_states(client, file) == {"MAILED": DEBTS}, 300, "every invoice MAILED")
    billing.all_healthy()

    assert set(ledger.entries) == {f"<invoice.L{n}@localhost>" for n in range(DEBTS)}
    twice = {id_: entries for id_, entries in ledger.entries.items() if len(entries) > 1}
    in_doubt = doubtful(client, file)
    print(f"{DEBTS} debts, {len(KILLED) + 1} kills: {len(in_doubt)} in doubt, {len(twice)} went out twice")
    assert {id_.removeprefix("<invoice.").partition("@")[0] for id_ in twice} <= in_doubt
    assert len(in_doubt) <= IN_DOUBT * len(KILLED)
    for id_, entries in ledger.entries.items():
        number = id_.removeprefix("<invoice.L").partition("@")[0]
        assert {one.recipient for one in entries} == {f"d{number}@example.test"}
        assert len({one.digest for one in entries}) == 1, "what went out twice is not the same"
        assert len(entries) <= 2

    def told() -> bool:
        """What became of the invoices has reached the debts."""
        return client.get(f"/v1/debts?debtFile={file}&statuses=REGISTERED&statuses=INVOICED").json().get("debts") == []

    until(told, 60, "every debt MAILED")
