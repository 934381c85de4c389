"""`tocsin profiles`: what they ask, and what people read."""

import json
from typing import Any

import httpx
import pytest

from services.cli.main import run
from tests.unit.cli.test_question_commands import Put, edge

__all__ = ["edge"]
ERP: dict[str, Any] = {
    "id": "erp",
    "columns": {"Betrag": "debtAmount", "Nr.=": "debtId"},
    "otherColumns": True,
    "charset": "windows-1252",
    "locale": "de-DE",
    "currency": "EUR",
    "language": "",
    "issuer": "",
}


def test_a_profile_is_added(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda _: ERP | {"createTime": "2026-11-30T10:00:00Z"})
    columns = ["--column", "Betrag=debtAmount", "--column", "Nr.==debtId", "--other-columns"]
    said = ["--charset", "windows-1252", "--locale", "de-DE", "--currency", "EUR"]
    assert run(["profiles", "add", "erp", *columns, *said]) == 0
    assert (fake.asked[0].method, fake.asked[0].url.path) == ("POST", "/v1/debtFileProfiles")
    assert json.loads(fake.asked[0].content) == ERP
    shown = capsys.readouterr().out
    assert "Betrag=debtAmount, Nr.==debtId, and others" in shown
    assert "de-DE" in shown


@pytest.mark.parametrize("columns", [["Betrag"], ["=debtAmount"], ["Betrag="], ["Betrag=debtAmount", "Betrag=debtId"]])
def test_what_is_no_column_is_refused(edge: Put, capsys: pytest.CaptureFixture[str], columns: list[str]) -> None:
    fake = edge(lambda _: ERP)
    assert run(["profiles", "add", "erp", *[part for one in columns for part in ("--column", one)]]) == 2
    assert "--column" in capsys.readouterr().err
    assert fake.asked == []


def test_profiles_of_all_pages_are_listed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(request: httpx.Request) -> Any:
        if "pageToken" in request.url.params:
            return {"profiles": [ERP | {"id": "zulu"}], "nextPageToken": ""}
        return {"profiles": [ERP], "nextPageToken": "next"}

    edge(answer)
    assert run(["profiles", "list"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("erp") < shown.index("zulu")
    assert run(["profiles", "list", "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["erp", "zulu"]
    edge(lambda _: {"profiles": []})
    assert run(["profiles", "list"]) == 0
    assert capsys.readouterr().out == "no profiles\n"


def test_a_profile_is_shown_and_removed(edge: Put, capsys: pytest.CaptureFixture[str]) -> None:
    fake = edge(lambda request: ERP if request.method == "GET" else {})
    assert run(["profiles", "show", "erp", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ERP
    assert run(["profiles", "remove", "erp"]) == 0
    assert "profile erp is removed" in capsys.readouterr().out
    assert [(one.method, one.url.path) for one in fake.asked] == [
        ("GET", "/v1/debtFileProfiles/erp"),
        ("DELETE", "/v1/debtFileProfiles/erp"),
    ]
