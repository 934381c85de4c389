"""Payment codes: as published examples have them, and as a reader of bar codes sees them on the page."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from services.notification.adapters.rendering.invoice_page import InvoiceDrawer
from services.notification.domain.boleto import Boleto, bar_code, due_factor, modulo_10, modulo_11, typed_line
from services.notification.domain.issuer import Issuer, load_issuers
from services.notification.domain.payment_codes import Bill, CodeImpossible, Epc, Pix, load_code
from tests.support.invoices import debt

EPC = {"code": "epc", "name": "Red Cross of Belgium", "iban": "BE72 0000 0000 1616", "bic": "BPOTBEB1"}
PIX = {"code": "pix", "key": "123e4567-e12b-12d1-a456-426655440000", "name": "Fulano de Tal", "city": "BRASILIA"}
BOLETO = {"code": "boleto", "bank": "237", "free_field": "123409{number:11}00123450"}
ISSUER = Issuer(name="ACME", payment=(EPC, PIX, BOLETO))
DIGITS = st.text("0123456789", min_size=25, max_size=25)


def read(pdf: bytes) -> dict[str, str]:
    """What a reader of bar codes finds on the page, by kind."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        picture = document[0].render(scale=3).to_pil().convert("L")  # pyright: ignore[reportArgumentType]
    finally:
        document.close()
    return {str(found.format): found.text for found in zxingcpp.read_barcodes(picture)}


def test_a_boleto_is_as_the_bank_of_brazil_has_published_it() -> None:
    digits = bar_code("001", date(2007, 12, 31), 100, "0500940144816060680935031")
    assert digits == "00193373700000001000500940144816060680935031"
    assert typed_line(digits) == "00190.50095 40144.816069 06809.350314 3 37370000000100"


def test_due_factors_go_on_with_1000_after_9999() -> None:
    assert [due_factor(date(2025, 2, day)) for day in (21, 22, 23)] == [9999, 1000, 1001]
    assert due_factor(date(2000, 7, 3)) == 1000
    with pytest.raises(ValueError, match="2000-07-03"):
        due_factor(date(2000, 7, 2))


@given(st.dates(date(2000, 7, 3), date(2049, 1, 1)), st.integers(1, 10**10 - 1), DIGITS)
def test_every_check_digit_of_a_boleto_holds(due: date, cents: int, free: str) -> None:
    digits = bar_code("341", due, cents, free)
    assert len(digits) == 44
    assert int(digits[4]) == modulo_11(digits[:4] + digits[5:])
    typed = typed_line(digits).replace(".", "").replace(" ", "")
    assert len(typed) == 47
    for start, end in ((0, 9), (10, 20), (21, 31)):
        assert int(typed[end]) == modulo_10(typed[start:end])
    # The line holds the same digits.
    assert typed[:4] + typed[32:33] + typed[33:] + typed[4:9] + typed[10:20] + typed[21:31] == digits


def test_pix_is_as_the_central_bank_has_published_it() -> None:
    pix = Pix(key="123e4567-e12b-12d1-a456-426655440000", name="Fulano de Tal", city="BRASILIA")
    assert pix.code("", "***") == (
        "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-4266554400005204000053039865802BR"
        "5913Fulano de Tal6008BRASILIA62070503***63041D3D"
    )
    bill = Bill(reference="D-1", amount=Decimal("10.00"), due=date(2026, 12, 24))
    assert "540510.00" in pix.payload(bill)
    assert "0503***6304" in pix.payload(bill)  # the reference has a sign that a txid may not have


def test_letters_that_are_none_with_an_accent_stay_letters() -> None:
    assert "5907Strauss6004Lodz" in Pix(key="+5561912345678", name="Strauß", city="Łódź").code("", "***")


@pytest.mark.parametrize("due", [date(2018, 9, 12), date(2041, 12, 22), date(2076, 1, 31)])
def test_a_due_date_that_banks_would_read_as_another_has_no_boleto(due: date) -> None:
    boleto = Boleto(bank="237", free_field="123409{number:11}00123450")
    with pytest.raises(ValueError, match="banks read another date"):
        boleto.digits("1", Decimal(1), due, date(2026, 11, 30))
    for good in (date(2018, 9, 13), date(2041, 12, 21)):
        assert boleto.digits("1", Decimal(1), good, date(2026, 11, 30))


def test_a_sepa_code_holds_no_more_than_the_guideline_says() -> None:
    epc = Epc(name="张" * 70, iban="MT84MALT011000012345MTLCAST001S", bic="BPOTBEB1XXX")
    with pytest.raises(CodeImpossible, match="331 bytes"):
        epc.payload(Bill(reference="D" * 63, amount=Decimal("999999999.99"), due=date(2026, 12, 24)))


def test_a_sepa_code_has_the_lines_of_the_guideline() -> None:
    epc = Epc(name="Red Cross of Belgium", iban="BE72 0000 0000 1616", bic="BPOTBEB1")
    payload = epc.payload(Bill(reference="D-1", amount=Decimal("1.00"), due=date(2026, 12, 24)))
    assert payload.split("\n") == [
        "BCD",
        "002",
        "1",
        "SCT",
        "BPOTBEB1",
        "Red Cross of Belgium",
        "BE72000000001616",
        "EUR1.00",
        "",
        "",
        "D-1",
    ]
    with pytest.raises(CodeImpossible):
        epc.payload(Bill(reference="D-1", amount=Decimal(10**9), due=date(2026, 12, 24)))


def test_a_reader_sees_what_is_to_be_paid() -> None:
    drawer = InvoiceDrawer(ISSUER, currency="BRL")
    found = read(drawer.draw(debt(id="4711", language="pt-BR")).content)
    assert found["ITF"] == bar_code("237", date(2026, 12, 24), 123450, "1234090000000471100123450")
    assert found["Code 128"] == "4711"
    assert found["QR Code"].startswith("000201")
    assert "54071234.50" in found["QR Code"]
    assert "05044711" in found["QR Code"]
    found = read(drawer.draw(debt(id="D-1", currency="EUR")).content)
    assert set(found) == {"QR Code", "Code 128"}
    assert found["QR Code"].split("\n")[7:] == ["EUR1234.50", "", "", "D-1"]


@pytest.mark.parametrize(
    "more", [{"currency": "USD"}, {"currency": "BRL", "id": "D-1"}, {"currency": "BRL", "id": "1" * 12}]
)
def test_a_debt_that_no_code_can_say_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(CodeImpossible):
        InvoiceDrawer(ISSUER).draw(debt(**more))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"code": "giro"}, "one of epc, pix, boleto"),
        ({**EPC, "iban": "BE73000000001616"}, "wrong check digits"),
        ({**EPC, "bic": "X"}, "bic X is none"),
        ({"code": "epc", "name": "ACME"}, "payment epc has no iban$"),
        ({"code": "pix", "name": "ACME"}, "payment pix has no key, city$"),
        ({**PIX, "town": "X"}, "payment pix has town; it may have code, key, name, city$"),
        ({**EPC, "iban": "BE7200000000161"}, "has 15 characters; those of BE have 16"),
        ({**EPC, "iban": "DE54000000001616"}, "has 16 characters; those of DE have 22"),
        ({**EPC, "iban": "BR15 0000 0000 0000 1093 2840 814P 2"}, "its country is not in SEPA"),
        ({**EPC, "name": "Red Cross\nof Belgium"}, "on one line"),
        ({**EPC, "name": "Red Cross\u2028of Belgium"}, "on one line"),
        ({**PIX, "key": ""}, "key is a Pix key"),
        ({**PIX, "key": "anything"}, "key is a Pix key"),
        ({**PIX, "key": "123.456.789-09"}, "key is a Pix key"),
        ({**PIX, "key": "12345678900"}, "wrong check digits for a CPF"),
        ({**PIX, "key": "11222333000180"}, "wrong check digits for a CNPJ"),
        ({**PIX, "key": "12ABC34501DE36"}, "wrong check digits for a CNPJ"),
        ({**PIX, "key": "11111111111"}, "wrong check digits for a CPF"),
        ({**PIX, "key": "00000000000000"}, "wrong check digits for a CNPJ"),
        ({**PIX, "key": "ann..lee@example.com"}, "key is a Pix key"),
        ({**PIX, "key": ".ann@example.com"}, "key is a Pix key"),
        ({**PIX, "name": "---"}, "name and city"),
        ({**EPC, "name": " "}, "1 to 70 characters"),
        ({**EPC, "iban": "DE99370400440000000024"}, "wrong check digits"),  # 02 are the right ones
        ({**PIX, "city": "北京"}, "name and city"),
        ({**BOLETO, "bank": "23"}, "three digits"),
        ({**BOLETO, "free_field": "1" * 25}, "25 digits, with"),
        ({**BOLETO, "free_field": "123409{number:11}0012345"}, "25 digits, with"),
        ({**PIX, "currency": "EUR"}, "payment pix has currency; it may have code, key"),
    ],
)
def test_what_is_no_payment_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        load_code(given)


@pytest.mark.parametrize(
    "key",
    [
        "12345678909",
        "11222333000181",
        "12ABC34501DE35",  # as the tax office has published it
        "+5561912345678",
        "fulano_da_silva.recebedor@example.com",
        "123e4567-e12b-12d1-a456-426655440000",
    ],
)
def test_a_pix_key_has_one_of_five_forms(key: str) -> None:
    assert isinstance(load_code({**PIX, "key": key}), Pix)


def test_payments_come_from_the_issuers_file(tmp_path: Path) -> None:
    file = tmp_path / "issuer.toml"
    table = "\n".join(["[[payment]]", *(f'{name} = "{value}"' for name, value in PIX.items())])
    file.write_text(f'name = "ACME"\n{table}\n', encoding="utf-8")
    assert load_issuers(file)[""].payment == (PIX,)
    file.write_text(f'name = "ACME"\n{table}\n{table}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="one table for each code"):
        load_issuers(file)


def test_a_boleto_says_only_what_it_can() -> None:
    boleto = Boleto(bank="237", free_field="123409{number:11}00123450")
    with pytest.raises(ValueError, match=r"0\.01 to"):
        boleto.digits("1", Decimal(10**8), date(2026, 12, 24))
