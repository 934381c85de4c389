"""What a receiver says can be stored, whatever its bytes are."""

import pytest

from services.notification.domain.delivery import Failure, FailureKind
from services.notification.domain.smtp_replies import classify_smtp


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"5.1.1 inconnu \xe9".decode("ascii", "surrogateescape"), "5.1.1 inconnu �"),
        ("no \0 such", "no � such"),
        ("half \ud83d of a character", "half � of a character"),
        ("\x1b[31mred", "�[31mred"),
        ("Benutzer unbekannt: Müller", "Benutzer unbekannt: Müller"),
    ],
)
def test_bytes_that_are_no_text_are_shown_as_such(said: str, kept: str) -> None:
    assert Failure(kind=FailureKind.PERMANENT, code="X", message=said).message == kept
    assert classify_smtp(550, said).message == kept
    assert classify_smtp(550, said).text.encode()
