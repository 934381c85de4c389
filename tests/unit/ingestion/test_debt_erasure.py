"""Which rejected rows hold the personal data of a debtor."""

import pytest

from services.ingestion.domain.debts.erasure import holds, trace

EMAIL, NUMBER, ODD, MARKED = "ann@example.org", "111.222", 'a"12"b', "Ré-77"


@pytest.mark.parametrize(
    ("raw", "sign", "held"),
    [
        ("Ann,1,Ann@Example.org,x", EMAIL, True),
        ('Ann,1,"ann@example.org" x,10', EMAIL, True),
        ('"Ann,1;ann@example.org,10', EMAIL, True),
        ("Ann <ann@example.org>,1,10", EMAIL, True),
        ("Jo,1,joann@example.org,10", EMAIL, False),
        ("Jo,1,jo.ann@example.org,10", EMAIL, False),
        ("Jo,1,ann@example.org.uk,10", EMAIL, False),
        ("Ann,111.222,x,10", NUMBER, True),
        ("Ann,111.2223,x,10", NUMBER, False),
        ('Ann,"a""12""b",x', ODD, True),
        ("Ann,RE\u0301-77,x", MARKED, True),
        ("Ann,\u00a0r\u00e9-77\u3000,x", MARKED, True),
    ],
)
def test_a_row_holds_what_is_looked_for_however_it_is_written(raw: str, sign: str, held: bool) -> None:
    assert holds(raw, ",", frozenset({sign.casefold()})) is held
    if held:
        assert trace(sign) in raw.lower()
