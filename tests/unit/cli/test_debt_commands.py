"""`tocsin upload` and `tocsin debts`: what they ask, what people read, and the exit codes."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from services.cli import debt_files, debt_status_commands
from services.cli.commands import upload
from services.cli.debt_file_progress import DebtFileProgress
from services.cli.main import run
from tests.unit.cli.test_question_commands import Put, edge

__all__ = ["edge"]
ID = "0197c0de-0000-7000-8000-000000000001"


def told(**file: Any) -> dict[str, Any]:
    return {"id": ID, "filename": "debts.csv", "state": "COMPLETED", "rows": "3", "accepted": "3", **file}


class Desk:
    """Answers like the service: how the file ends, and its rejects."""

    def __init__(self, end: dict[str, Any], rejects: list[dict[str, Any]] | None = None) -> None:
        self.end, self.rejects = end, rejects or []
        self.counts = [{"state": "MAILED", "invoices": "2"}, {"state": "FAILED", "invoices": "1"}]

    def __call__(self, request: httpx.Request) -> Any:
        match request.method, request.url.path:
            case "POST", "/v1/debtFiles":
                assert request.read() == b"name\nAnn\n"
                return self.end
            case "GET", path if path.endswith(":watch"):
                going = self.end | {"state": "PROCESSING", "rows": "1"}
                lines = [f"data: {json.dumps(file)}\n\n" for file in (going, self.end)]
                return httpx.Response(200, text="".join(lines), headers={"content-type": "text/event-stream"})
            case "GET", path if path.endswith("/rejects"):
                reasons = [{"reason": "EMAIL_INVALID", "rows": str(len(self.rejects))}]
                return {"rejects": self.rejects[:10], "reasons": reasons}
            case "GET", "/v1/invoices:count":
                return {"counts": self.counts}
            case "POST", path if path.endswith((":rollback", ":cancel")):
                return self.end
            case _:
                return httpx.Response(404, json={"detail": f"no {request.url.path}"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "debts.csv"
    path.write_text("name\nAnn\n")
    return path


def test_an_upload_shows_its_id_its_phases_and_its_end(
    edge: Put, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    fake = edge(Desk(told()))
    assert run(["upload", str(file), "--follow"]) == 1
    said = capsys.readouterr()
    shown = said.out
    sent = next(one for one in fake.asked if one.method == "POST")
    made = sent.url.params["id"]
    assert f"debt file {made}: debts.csv" in shown
    assert any(one.url.path == f"/v1/debtFiles/{made}:watch" for one in fake.asked)
    assert "COMPLETED" in shown
    assert "9 B of 9 B" in shown
    assert "2 of 3, 1 failed" in shown
    assert "1 invoice failed: tocsin invoices list --file" in said.err


def test_rejects_are_told_by_reason_and_where_the_others_are(
    edge: Put, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    rejects = [{"line": str(n), "brokenRules": [{"column": "email", "message": "is no address"}]} for n in range(2, 14)]
    edge(Desk(told(state="COMPLETED_WITH_REJECTS", rows="15", rejected="12"), rejects))
    assert run(["upload", str(file)]) == 1
    said = capsys.readouterr()
    assert "EMAIL_INVALID" in said.out
    assert f"tocsin debts rejects {ID}" in said.out
    assert "12 of 15 rows were rejected" in said.err


def test_a_dry_run_says_that_nothing_was_registered(edge: Put, capsys: pytest.CaptureFixture[str], file: Path) -> None:
    edge(Desk(told(dryRun=True)))
    assert run(["upload", str(file), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "nothing was registered" in shown
    assert "would be accepted" in shown


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "ROLLED_BACK"])
def test_a_file_that_did_not_go_through_ends_with_an_exit_code(
    edge: Put, capsys: pytest.CaptureFixture[str], file: Path, state: str
) -> None:
    edge(Desk(told(state=state, error="why it was")))
    assert run(["upload", str(file), "--json"]) == 1
    said = capsys.readouterr()
    assert f"{state}: why it was" in said.err
    assert json.loads(said.out)["debtFile"]["state"] == state


def test_a_connection_that_breaks_after_the_last_byte_is_no_failure(
    edge: Put, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    desk = Desk(told())

    def answer(request: httpx.Request) -> Any:
        if request.method == "POST":
            request.read()
            raise httpx.ReadError("cut")
        return desk(request)

    edge(answer)
    assert run(["upload", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["debtFile"]["state"] == "COMPLETED"


def test_a_service_that_dies_goes_on_with_the_file_and_is_waited_for(
    edge: Put, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    desk, begun = Desk(told()), threading.Event()

    def answer(request: httpx.Request) -> Any:
        if request.method == "POST":
            request.read()
            assert begun.wait(10)
            return httpx.Response(503, json={"detail": "processing broke off"})
        if not begun.is_set():
            return httpx.Response(
                200,
                stream=_Until(begun, f"data: {json.dumps(told(state='PROCESSING'))}\n\n"),
                headers={"content-type": "text/event-stream"},
            )
        return desk(request)

    edge(answer)
    assert run(["upload", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["debtFile"]["state"] == "COMPLETED"


class _Until(httpx.SyncByteStream):
    """One event, and that it has been read."""

    def __init__(self, read: threading.Event, event: str) -> None:
        self._read, self._event = read, event

    def __iter__(self) -> Iterator[bytes]:
        yield self._event.encode()
        self._read.set()


@pytest.mark.parametrize(("sent", "said"), [(True, "tocsin debts show"), (False, "nothing was registered")])
def test_who_interrupts_hears_what_goes_on(
    edge: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: Path, sent: bool, said: str
) -> None:
    edge(Desk(told()))

    def counted(progress: DebtFileProgress, chunks: Iterator[bytes]) -> Iterator[bytes]:
        progress.sent = sent
        raise KeyboardInterrupt
        yield b""

    monkeypatch.setattr(DebtFileProgress, "counted", counted)
    assert run(["upload", str(file)]) == 130
    assert said in capsys.readouterr().err
    assert upload.upload.__doc__


@pytest.mark.parametrize(("size", "told"), [(4000, "2.0 kB of 4.0 kB"), (0, "2.0 kB")])
def test_of_a_pipe_nobody_says_how_much_is_to_come(size: int, told: str) -> None:
    progress = DebtFileProgress(cast(httpx.Client, None), ID, size, quiet=True)
    assert list(progress.counted(iter([b"x" * 2000]))) == [b"x" * 2000]
    assert progress._progress.tasks[0].fields["told"].startswith(told)
    assert progress._progress.tasks[0].total == (size or None)


def test_a_rollback_that_leaves_debts_says_so(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(Desk(told(state="ROLLED_BACK", rolledBack="1", kept="2")))
    assert run(["debts", "rollback", ID]) == 1
    said = capsys.readouterr()
    assert "2 debts stay, because their invoices are out" in said.err
    assert "rolled back" in said.out
    going = iter([told(state="ROLLING_BACK"), told(state="ROLLED_BACK", rolledBack="3")])
    edge(lambda request: next(going))
    assert run(["debts", "rollback", ID]) == 0


def test_lists_ask_for_what_is_given(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    file = told(createTime="2026-11-30T10:00:00Z", rejected="1")
    fake = edge(lambda request: {"debtFiles": [file], "totalSize": "7"})
    assert run(["debts", "files", "--state", "completed", "--name", "deb", "--limit", "1"]) == 0
    assert dict(fake.asked[0].url.params) == {"states": "COMPLETED", "filename": "deb", "pageSize": "1"}
    assert "1 of 7" in capsys.readouterr().out
    assert run(["debts", "files", "--state", "done"]) == 2
    debt = {"id": "D1", "name": "Ann", "email": "a@example.test", "amount": "1.50", "dueDate": "2027-01-31"}
    debt |= {"status": "REGISTERED"}
    fake = edge(lambda request: {"debts": [debt | {"currency": "EUR"}]})
    assert run(["debts", "list", "--file", ID, "--due-to", "2027-12-31", "--status", "paid"]) == 0
    assert dict(fake.asked[0].url.params) == {
        "debtFile": ID,
        "statuses": "PAID",
        "dueTo": "2027-12-31",
        "pageSize": "50",
    }
    assert "1.50 EUR" in capsys.readouterr().out


def test_one_is_shown_by_the_kind_of_its_id(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/v1/debts/D1":
            return {"id": "D1", "name": "Ann"}
        if request.url.path == "/v1/invoices/D1":
            return {"debt": "D1", "state": "MAILED"}
        if request.url.path == f"/v1/debtFiles/{ID}":
            return told()
        return {"counts": [{"state": "STORED", "invoices": "1200"}]}

    edge(answer)
    assert run(["debts", "show", "D1"]) == 0
    assert "MAILED" in capsys.readouterr().out
    assert run(["debts", "show", ID]) == 0
    assert "1,200" in capsys.readouterr().out


def test_failed_invoices_of_a_file_are_retried_until_none_is_left(
    edge: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([{"retried": 10000, "more": True}, {"retried": 5}])
    fake = edge(lambda request: next(answers))
    assert run(["debts", "retry", ID]) == 0
    assert "10,005 invoices are tried again" in capsys.readouterr().out
    assert json.loads(fake.asked[0].content) == {"filter": {"debtFile": ID}, "dryRun": False}


def test_rejects_are_written_as_they_come(edge: Put, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    edge(lambda request: httpx.Response(200, content=b"\xef\xbb\xbfname,reason\n"))
    target = tmp_path / "rejects.csv"
    assert run(["debts", "rejects", ID, "--output", str(target)]) == 0
    assert target.read_bytes() == b"\xef\xbb\xbfname,reason\n"


def test_a_reject_limit_that_is_none_is_refused_before_anything_is_sent(edge: Put, file: Path) -> None:
    fake = edge(Desk(told()))
    for wrong in ("abc", "5 %", "-1", "%"):
        assert run(["upload", str(file), f"--reject-limit={wrong}"]) == 2
    assert fake.asked == []
    assert run(["upload", str(file), "--reject-limit", "0"]) == 0
    assert next(one for one in fake.asked if one.method == "POST").url.params["rejectLimit"] == "0"


def test_people_say_what_has_become_of_a_debt(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: {"id": "D-1", "version": "3", **json.loads(request.read())})
    for command, status in (("pay", "PAID"), ("cancel-debt", "CANCELLED"), ("reopen", "REGISTERED")):
        assert run(["debts", command, "D-1", "--note", "by transfer", "--version", "2"]) == 0
        assert f"debt D-1: {status}" in capsys.readouterr().out
    assert {(one.method, one.url.path, one.headers["If-Match"]) for one in fake.asked} == {
        ("PATCH", "/v1/debts/D-1", '"2"')
    }
    assert json.loads(fake.asked[0].read()) == {"status": "PAID", "note": "by transfer"}


def test_a_history_says_who_or_what(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    time = "2026-11-30T10:00:00.5Z"
    changes = [
        {"status": "REGISTERED", "changeTime": time, "event": "REGISTERED"},
        {"status": "PAID", "changeTime": time, "by": "ann", "note": "by transfer"},
        {"status": "PAID", "changeTime": time, "by": "eve", "event": "ERASED"},
    ]
    edge(lambda _: {"changes": changes})
    assert run(["debts", "history", "D-1"]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("2026-11-30 10:00:00", "PAID", "ann", "by transfer", "ERASED by eve"))
    assert run(["debts", "history", "D-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == changes


def test_an_erasure_is_waited_for(
    edge: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debt_status_commands, "_LOOK_SECONDS", 0.0)
    states = iter(["RUNNING", "RUNNING", "COMPLETED"])
    fake = edge(lambda _: {"id": ID, "state": next(states), "debts": "2"})
    assert run(["debts", "erase", "--email", "ann@example.org", "--note", "in writing"]) == 0
    assert f"erasure {ID}: COMPLETED" in capsys.readouterr().out
    assert [(one.method, one.url.path) for one in fake.asked] == [
        ("POST", "/v1/debts:erase"),
        *[("GET", f"/v1/debtErasures/{ID}")] * 2,
    ]
    body = {"debts": [], "governmentId": "", "email": "ann@example.org", "note": "in writing"}
    assert json.loads(fake.asked[0].read()) == body
    for wrong in ([], ["D-1", "--email", "x@example.org"]):
        assert run(["debts", "erase", *wrong]) == 2


@pytest.mark.parametrize(
    "command",
    [
        ["debts", "cancel", "jan.csv"],
        ["debts", "rejects", "jan.csv"],
        ["debts", "list", "--file", "jan.csv"],
        ["invoices", "list", "--file", "jan.csv"],
        ["invoices", "retry", "--all", "--file", "jan.csv"],
    ],
)
def test_the_name_of_a_file_is_no_id(edge: Put, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    fake = edge(lambda _: {})
    assert run(command) == 2
    assert "'jan.csv' is no id of a debt file; 'tocsin debts files' lists them" in capsys.readouterr().err
    assert fake.asked == []


def test_an_erasure_that_finds_nothing_says_so(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    edge(lambda _: {"id": ID, "state": "COMPLETED", "debts": "0", "rejects": "0", "deadLetters": "0"})
    assert run(["debts", "erase", "--email", "nobody@example.org"]) == 0
    assert "nothing is there of such a debtor" in capsys.readouterr().out


def test_invoices_that_wait_are_told_where_to_look_at(
    edge: Put, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debt_files, "_LOOK_SECONDS", 0.0)
    desk, looks = Desk(told()), itertools.count()

    def answer(request: httpx.Request) -> Any:
        if request.url.path == "/v1/invoices:count":
            state = "STORED" if next(looks) < 20 else "MAILED"
            return {"counts": [{"state": "PENDING", "invoices": "2"}, {"state": state, "invoices": "3"}]}
        return told() if request.url.path == f"/v1/debtFiles/{ID}" else desk(request)

    edge(answer)
    assert run(["debts", "show", ID, "--follow"]) == 0
    shown = capsys.readouterr().out
    assert shown.count(f"the others wait, why and until when: tocsin invoices list --file {ID} --state STORED") == 1
