"""Debts whose invoices are drawn and mailed."""

import io

import pypdf
from hypothesis import strategies as st

from services.notification.domain.invoice import Debt

IDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", fullmatch=True)


def debt(**more: str) -> Debt:
    """A debt; some of it may be given."""
    given = {
        "id": "d1",
        "debt_file": "f1",
        "name": "José (Zé) \\ da Silva",
        "government_id": "123.456.789-00",
        "email": "a@example.org",
        "amount": "1234.50",
        "due_date": "2026-12-24",
        "issued": "2026-11-30",
        **more,
    }
    return Debt(**given)


def text_of(pdf: bytes) -> str:
    """What a reader finds on the page."""
    return pypdf.PdfReader(io.BytesIO(pdf), strict=True).pages[0].extract_text()
