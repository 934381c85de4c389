"""What the console shows of a notification."""

import json
from datetime import UTC, datetime

import pytest

from services.notification.adapters.channels.console import pretty
from services.notification.domain.delivery import Outgoing
from services.notification.domain.notification import Type


@pytest.mark.parametrize("text", ["\x9b2J", "\x85", "\x7f", "\u202egnp.exe", "\u2028", "\u2066"])
def test_neither_text_nor_data_steers_a_terminal(text: str) -> None:
    data = json.dumps({"a" + text: text + "\u00e4"}, ensure_ascii=False)
    message = Outgoing(
        id="n1",
        tenant="t",
        user="u",
        type=Type.INFO,
        title="x",
        body=f"a\t{text}",
        data=data,
        created_at=datetime.now(UTC),
    )
    shown = pretty(message, colours=False)
    assert not set(text) & set(shown) - set("2Jgnp.exe")
    assert "\u00e4" in shown
    assert json.loads(shown.splitlines()[-2][2:]) == json.loads(data)
    assert "a\t" in shown
