"""Debt files through the edge: stored once, rejects listed, one invoice and one e-mail each."""

import csv
import io
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Edge, until
from tests.support.workbooks import workbook

COLUMNS = ["name", "governmentId", "email", "debtAmount", "debtDueDate", "debtId"]


def rows(prefix: str, count: int) -> list[dict[str, str]]:
    return [
        {
            "name": f"Debtor {index}",
            "governmentId": f"{1_000_000 + index}",
            "email": f"{prefix}-{index}@example.test",
            "debtAmount": f"{100 + index}.50",
            "debtDueDate": "2027-01-31",
            "debtId": f"{prefix}-{index}",
        }
        for index in range(count)
    ]


def as_csv(content: list[dict[str, str]], columns: list[str] = COLUMNS, **dialect: Any) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, **dialect)
    writer.writeheader()
    writer.writerows(content)
    return text.getvalue().encode()


def mails_to(edge: Edge, prefix: str) -> list[Any]:
    return [mail for mail in edge.world.mails if mail.recipient.startswith(f"{prefix}-")]


def test_good_rows_become_invoices_and_bad_ones_are_listed(
    edge: Edge, rest: httpx.Client, anonymous: httpx.Client, unique: Callable[[str], str]
) -> None:
    prefix = unique("d")
    content = rows(prefix, 30)
    content[3]["debtAmount"] = "-1"
    content[7]["email"] = "nobody"
    content[11]["debtDueDate"] = "2027-02-30"
    content.append(dict(content[0]))
    body = as_csv(content)
    answer = rest.post("/v1/debtFiles", files={"csv": ("debts.csv", body, "text/csv")})
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert result["state"] == "COMPLETED_WITH_REJECTS"
    counts = [int(result[name]) for name in ("rows", "accepted", "duplicates", "rejected")]
    assert counts == [31, 27, 1, 3]
    rejects = rest.get(f"/v1/debtFiles/{result['id']}/rejects").json()["rejects"]
    assert [(int(r["line"]), r["reason"], r["column"]) for r in rejects] == [
        (5, "DEBT_AMOUNT_INVALID", "debtAmount"),
        (9, "EMAIL_INVALID", "email"),
        (13, "DUE_DATE_INVALID", "debtDueDate"),
    ]
    download = rest.get(f"/v1/debtFiles/{result['id']}/rejects:download")
    assert download.status_code == 200
    assert len(list(csv.reader(io.StringIO(download.text)))) == 4
    until(lambda: len(mails_to(edge, prefix)) >= 27, what="27 e-mails")
    assert len({mail.recipient for mail in mails_to(edge, prefix)}) == len(mails_to(edge, prefix)) == 27
    assert all(len(mail.attachments) == 1 and mail.attachment_bytes > 500 for mail in mails_to(edge, prefix))
    assert rest.get(f"/v1/debts/{prefix}-0").json()["amount"] == "100.50"
    pdf = rest.get(f"/v1/debts/{prefix}-0/invoice")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.content.rstrip().endswith(b"%%EOF")

    def mailed() -> Any:
        return rest.get(f"/v1/invoices/{prefix}-0").json()["state"] == "MAILED"

    until(mailed, what="the invoice's state MAILED")
    until(lambda: rest.get(f"/v1/debts/{prefix}-0").json()["status"] == "MAILED", what="the debt's status MAILED")
    url = rest.post(f"/v1/invoices/{prefix}-0:link", json={}).json()["url"]
    path = url[url.index("/v1/") :]  # behind the public address that this mesh says it has
    opened = anonymous.get(path)
    assert (opened.status_code, opened.content) == (200, pdf.content)
    assert opened.headers["content-disposition"] == f'inline; filename="invoice-{prefix}-0.pdf"'
    assert opened.headers["cache-control"] == "private, no-cache"
    assert anonymous.get(path[:-1]).status_code == 404
    changes = rest.get(f"/v1/debts/{prefix}-0/history").json()["changes"]
    assert [one["event"] for one in changes] == ["REGISTERED", "INVOICE_STORED", "INVOICE_MAILED"]
    stale = rest.patch(f"/v1/debts/{prefix}-0", json={"status": "PAID"}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["reason"]) == (409, "VERSION_CONFLICT")
    paid = rest.patch(f"/v1/debts/{prefix}-0", json={"status": "PAID", "note": "by transfer"})
    assert (paid.status_code, paid.json()["status"]) == (200, "PAID")
    # Nothing personal is left of a debtor who asks for that.
    record = rest.post("/v1/debts:erase", json={"email": f"{prefix}-0@example.test".upper()}).json()
    until(lambda: rest.get(f"/v1/debtErasures/{record['id']}").json()["state"] == "COMPLETED", what="the erasure")
    record = rest.get(f"/v1/debtErasures/{record['id']}").json()
    assert [record[name] for name in ("kind", "debts", "invoices", "documents")] == ["EMAIL", "1", "1", "1"]
    erased = rest.get(f"/v1/debts/{prefix}-0").json()
    assert (erased["name"], erased["email"], erased["erased"], erased["status"]) == ("", "", True, "PAID")
    assert rest.get(f"/v1/debts/{prefix}-0/invoice").status_code == 404
    assert rest.get(f"/v1/debts/{prefix}-1/invoice").content.startswith(b"%PDF-")


def test_an_issuer_that_a_profile_names_reaches_the_invoice(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    prefix = unique("d")
    assert rest.post("/v1/debtFileProfiles", json={"id": prefix, "issuer": "nobody"}).status_code == 200
    body = as_csv(rows(prefix, 1))
    query = {"profile": prefix}
    answer = rest.post("/v1/debtFiles", params=query, content=body, headers={"content-type": "text/csv"})
    assert answer.status_code == 200, answer.text

    def failed() -> Any:
        return rest.get(f"/v1/invoices/{prefix}-0").json().get("state") == "FAILED"

    until(failed, what="an invoice of nobody")
    invoice = rest.get(f"/v1/invoices/{prefix}-0").json()
    assert invoice["issuer"] == "nobody"
    assert "there is no issuer nobody" in invoice["error"]


def test_the_same_file_again_creates_nothing_twice(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    prefix = unique("d")
    body = as_csv(rows(prefix, 5))
    first = rest.post("/v1/debtFiles", content=body, headers={"content-type": "text/csv"}).json()
    again = rest.post("/upload", files={"file": ("again.csv", body, "text/csv")}).json()
    assert again["identicalTo"] == first["id"]
    # The same debts in another file, with columns turned around and another delimiter.
    other = as_csv(rows(prefix, 5), list(reversed(COLUMNS)), delimiter=";", lineterminator="\n")
    third = rest.post("/v1/debtFiles", content=b"\xef\xbb\xbf" + other, headers={"content-type": "text/csv"}).json()
    assert (int(third["accepted"]), int(third["duplicates"])) == (0, 5), third
    until(lambda: len(mails_to(edge, prefix)) >= 5, what="5 e-mails")
    assert len(mails_to(edge, prefix)) == 5
    history = rest.get("/history", params={"page": 1, "pageSize": 3}).json()
    assert {first["id"], third["id"]} <= {entry["id"] for entry in history["debtFiles"]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"name,email\nA,a@example.test\n", "HEADER_INVALID"),
        (",".join(COLUMNS).encode() + b"\nA,1,a@example.test,1,2027-01-31,x\xff1\n", "ENCODING_INVALID"),
        (b"", "HEADER_INVALID"),
        (b"\x00\x01\x02", "HEADER_INVALID"),
    ],
)
def test_a_file_that_is_none_is_refused(rest: httpx.Client, body: bytes, reason: str) -> None:
    answer = rest.post("/v1/debtFiles", content=body, headers={"content-type": "text/csv"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == reason


def test_a_dry_run_registers_nothing(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    prefix = unique("d")
    answer = rest.post(
        "/v1/debtFiles",
        params={"dryRun": "true"},
        content=as_csv(rows(prefix, 3)),
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["dryRun"] is True
    assert rest.get(f"/v1/debts/{prefix}-0").status_code == 404


def test_progress_is_streamed(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    upload = rest.post("/v1/debtFiles", content=as_csv(rows(unique("d"), 3)), headers={"content-type": "text/csv"})
    path = f"/v1/debtFiles/{upload.json()['id']}:watch"
    with rest.stream("GET", path, headers={"accept": "text/event-stream"}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        data = [line for line in response.iter_lines() if line.startswith("data:")]
    assert '"COMPLETED"' in [line for line in data if "state" in line][-1]


def test_the_files_of_a_sender_are_read_by_its_profile(
    edge: Edge, rest: httpx.Client, unique: Callable[[str], str]
) -> None:
    prefix, profile = unique("d"), unique("p")
    said = {
        "id": profile,
        "columns": {"Cliente": "name", "CPF": "governmentId", "Valor": "debtAmount", "Vencimento": "debtDueDate"},
        "otherColumns": True,
        "charset": "windows-1252",
        "locale": "pt-BR",
        "currency": "BRL",
    }
    assert rest.post("/v1/debtFileProfiles", json=said).status_code == 200
    assert rest.post("/v1/debtFileProfiles", json=said).status_code == 200
    assert rest.post("/v1/debtFileProfiles", json={**said, "locale": "de-DE"}).status_code == 409
    assert rest.get(f"/v1/debtFileProfiles/{profile}").json()["columns"]["Valor"] == "debtAmount"
    file = "Cliente;CPF;email;Valor;Vencimento;debtId;Loja\r\n"
    file += f"José;1;{prefix}-0@example.test;1.234,50;31/01/2027;{prefix}-0;x\r\n"
    file += f"Ana;2;nobody;10.5;2027-01-31;{prefix}-1;x\r\n"
    name = "factura-ção.csv".encode("latin-1")
    body = b"--x\r\nContent-Disposition: form-data; name=profile\r\n\r\n" + profile.encode()
    body += b'\r\n--x\r\nContent-Disposition: form-data; name=csv; filename="' + name + b'"\r\n\r\n'
    body += file.encode("windows-1252") + b"\r\n--x--\r\n"
    answer = rest.post("/upload", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 200, answer.text
    result = answer.json()
    assert (result["accepted"], result["rejected"], result["filename"]) == ("1", "1", "factura-\ufffdo.csv")
    debt = rest.get(f"/v1/debts/{prefix}-0").json()
    assert (debt["name"], debt["amount"], debt["currency"], debt["dueDate"]) == ("José", "1234.50", "BRL", "2027-01-31")
    (reject,) = rest.get(f"/v1/debtFiles/{result['id']}/rejects").json()["rejects"]
    assert [(rule["reason"], rule["column"]) for rule in reject["brokenRules"]] == [
        ("EMAIL_INVALID", "email"),
        ("DEBT_AMOUNT_INVALID", "debtAmount"),
    ]
    download = rest.get(f"/v1/debtFiles/{result['id']}/rejects:download").content
    mended = download.replace(b"nobody", f"{prefix}-1@example.test".encode()).replace(b"10.5", b"10,5")
    again = rest.post(
        "/v1/debtFiles", params={"profile": profile}, content=mended, headers={"content-type": "text/csv"}
    )
    assert again.json()["accepted"] == "1", again.text
    until(lambda: len(mails_to(edge, prefix)) >= 2, what="2 e-mails")
    assert rest.delete(f"/v1/debtFileProfiles/{profile}").status_code == 200
    gone = rest.post("/v1/debtFiles", params={"profile": profile}, content=mended, headers={"content-type": "text/csv"})
    assert gone.status_code == 404


def test_a_workbook_is_taken_as_it_is(rest: httpx.Client, unique: Callable[[str], str]) -> None:
    prefix = unique("d")
    rows: list[list[str | float | date | None]] = [
        [
            f"Debtor {number}",
            1_000_000 + number,
            f"{prefix}@example.test",
            10.5,
            date(2027, 1, 31),
            f"{prefix}-{number}",
        ]
        for number in range(3)
    ]
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    answer = rest.post(
        "/v1/debtFiles", content=workbook([COLUMNS, *rows]), params={"dryRun": "true"}, headers={"content-type": kind}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == "3"


def test_an_announced_file_needs_its_url_alone(edge: Edge, rest: httpx.Client, unique: Callable[[str], str]) -> None:
    body = as_csv(rows(unique("u"), 3))
    answer = rest.post("/v1/debtFiles:createUpload", json={"filename": "sent.csv", "size": len(body)})
    assert answer.status_code == 200, answer.text
    upload = answer.json()
    assert rest.get(f"/v1/debtFiles/{upload['id']}").json()["state"] == "EXPECTED"
    sent = httpx.put(edge.url + upload["url"], content=body)
    assert sent.status_code == 200, sent.text
    assert (sent.json()["id"], sent.json()["accepted"]) == (upload["id"], "3")
    again = httpx.put(edge.url + upload["url"], content=body)
    assert (again.status_code, again.json()["reason"]) == (410, "UPLOAD_ENDED")
