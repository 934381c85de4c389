"""Invoices as they are seen: all that is owed, in any script, within the page."""

import io
from pathlib import Path

import numpy as np
import pypdf
import pypdfium2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from services.chassis.settings import Refused
from services.notification.adapters.rendering.invoice_page import DoesNotFit, InvoiceDrawer, bars
from services.notification.adapters.rendering.typesetting import NoLetter, TooManyMarks
from services.notification.domain.issuer import LANGUAGES, Issuer, load_issuers
from services.notification.settings import NotificationSettings
from tests.support.invoices import IDS, debt, text_of

PAGES = Path(__file__).parent / "pages"
ISSUER = Issuer(
    name="Zażółć Gęślą AG",
    address=("ul. Długa 12", "00-238 Warszawa"),
    contact=("billing@example.test",),
    tax_id="PL 123-456-78-90",
    bank=("Bank Example S.A.", "IBAN PL61 1090 1014 0000 0712 1981 2874"),
)
DRAWER = InvoiceDrawer(ISSUER, currency="EUR")


def seen(pdf: bytes, scale: float = 1.0) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """The page as a picture, gray."""
    document = pypdfium2.PdfDocument(pdf)
    try:
        picture = document[0].render(scale=scale, grayscale=True)  # pyright: ignore[reportArgumentType]
        return np.asarray(picture.to_pil().convert("L"))
    finally:
        document.close()


def test_an_invoice_says_what_is_owed_to_whom_and_when() -> None:
    text = text_of(DRAWER.draw(debt()).content)
    for expected in ("Invoice", "José (Zé) \\ da Silva", "123.456.789-00", "d1", "€1,234.50", "December 24, 2026"):
        assert expected in text
    for expected in ("Zażółć Gęślą AG", "ul. Długa 12", "PL 123-456-78-90", "PL61 1090", "November 30, 2026"):
        assert expected in text


def test_the_file_says_what_it_is() -> None:
    reader = pypdf.PdfReader(io.BytesIO(DRAWER.draw(debt(language="fr")).content), strict=True)
    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.author) == ("Facture d1", "Zażółć Gęślą AG")
    assert str(reader.metadata.creation_date).startswith("2026-11-30")
    assert reader.trailer["/Root"]["/Lang"] == "fr"


@pytest.mark.parametrize(
    ("language", "currency", "amount", "due"),
    [
        ("", "", "€1,234.50", "December 24, 2026"),
        ("fr", "EUR", "1\u202f234,50\xa0€", "24 décembre 2026"),
        ("de-DE", "EUR", "1.234,50\xa0€", "24. Dezember 2026"),
        ("pt-BR", "BRL", "R$\xa01.234,50", "24 de dezembro de 2026"),
        ("xx", "USD", "$1,234.50", "December 24, 2026"),  # there are no texts for it
    ],
)
def test_amounts_and_dates_are_written_as_people_there_do(language: str, currency: str, amount: str, due: str) -> None:
    text = text_of(DRAWER.draw(debt(language=language, currency=currency)).content)
    assert amount in text
    assert due in text


@pytest.mark.parametrize(
    "name",
    [
        "Łukasz Żółć",
        "Ștefan Őrsi Ūdrė",
        "Ελένη Παπαδοπούλου",
        "Иван Жуков",
        "张伟",
        "かな カナ",
        "김철수",
        "ก้อง",
        "a\nb",
    ],
)
def test_every_letter_of_a_name_is_there(name: str) -> None:
    pdf = DRAWER.draw(debt(name=name)).content
    assert name in text_of(pdf).replace("\u200b", "")
    assert pdf == InvoiceDrawer(ISSUER, currency="EUR").draw(debt(name=name)).content


@pytest.mark.parametrize(
    ("name", "joins"), [("محمد علي", True), ("דוד כהן", False), ("नरेंद्र कुमार", True), ("(Ali) محمد علي", True)]
)
def test_scripts_that_join_or_read_from_the_right_are_shaped(name: str, joins: bool) -> None:
    pdf = DRAWER.draw(debt(name=name)).content
    assert name[0] == "न" or name in text_of(pdf).replace("\u200b", "")
    apart = DRAWER.draw(debt(name="\u200c".join(name))).content
    assert not joins or (seen(pdf) != seen(apart)).any()


@pytest.mark.parametrize(
    ("name", "letter"),
    [
        ("😀😀", "U\\+1F600 GRINNING FACE"),
        ("Ann \U00012000", "U\\+12000 CUNEIFORM SIGN A"),
        ("\U00020bb7野家", "U\\+20BB7"),
    ],
)
def test_what_no_font_has_is_refused(name: str, letter: str) -> None:
    with pytest.raises(NoLetter, match=letter):
        DRAWER.draw(debt(name=name))


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("😀 Ann 👨‍👩‍👧 Bee 🇧🇷", "Ann Bee"),
        ("Ann👍🏽", "Ann"),
        ("葛\U000e0100城", "葛城"),
        ("Ann ✓", "Ann ✓"),
    ],
)
def test_pictures_beside_a_name_are_left_out_and_variants_of_letters_are_the_letters(name: str, drawn: str) -> None:
    pdf = DRAWER.draw(debt(name=name)).content
    assert pdf == DRAWER.draw(debt(name=drawn)).content
    assert drawn in text_of(pdf)


def test_what_is_shared_tells_nothing_of_a_debt() -> None:
    ann, bob = DRAWER.draw(debt(name="Ann")), DRAWER.draw(debt(name="Bob", id="d2", amount="7.00"))
    assert ann.shared == bob.shared
    assert len(ann.own) < 3000 < len(ann.shared)
    sizes = [len(DRAWER.draw(debt(name=name)).shared) for name in ("Ann", "José Müller", "Łukasz Żółć")]
    assert sizes == sorted(set(sizes))
    assert DRAWER.draw(debt(name="José")).shared == DRAWER.draw(debt(name="Müller")).shared
    assert DRAWER.draw(debt(name="Łukasz")).shared == DRAWER.draw(debt(name="Żółć")).shared
    assert DRAWER.draw(debt(name="Борис")).shared == b""  # the letters of its fonts would tell


def test_piles_of_marks_are_refused() -> None:
    pile = "\u0316\u0317\u0318\u0319"
    DRAWER.draw(debt(name=f"Ann {pile}"))
    with pytest.raises(TooManyMarks, match="the letter n carries 40 marks; 4 at most"):
        DRAWER.draw(debt(name=f"Ann{pile * 10}"))
    DRAWER.draw(debt(name="Nguyễn Thị Ánh בְּרֵאשִׁ֖ית क्षत्रिय"))


@given(IDS, st.text(st.characters(exclude_categories=("Cs",)), max_size=200), st.sampled_from(LANGUAGES))
@example("W" * 63, "W" * 200, "fr")
@example("Z" * 46, "\ufdfd" * 200, "en")
@example("1", "א(" * 100, "en")
@example("1", "", "en")
@settings(max_examples=40, deadline=None)
def test_nothing_is_ever_off_the_page(id_: str, name: str, language: str) -> None:
    try:
        pdf = DRAWER.draw(debt(id=id_, name=name, language=language)).content
    except (NoLetter, TooManyMarks, DoesNotFit):
        return  # a person looks at it
    page = seen(pdf, 0.5)
    height, width = page.shape
    assert (height, width) == (421, 298)
    margin = 20
    inside = np.zeros(page.shape, dtype=bool)
    inside[margin : height - margin, margin : width - margin] = True
    assert (page[~inside] == 255).all()
    reader = pypdf.PdfReader(io.BytesIO(pdf), strict=True)
    assert len(reader.pages) == 1


@pytest.mark.parametrize(
    ("picture", "more"),
    [
        ("latin", {"name": "Łukasz Żółć-Ștefănescu"}),
        ("long", {"name": "W" * 200, "id": "Z" * 63, "language": "fr", "amount": "12345678901234.50"}),
        ("scripts", {"name": "محمد علي (Ali) דוד 张伟 김철수 नरेंद्र ก้อง", "language": "pt"}),
    ],
)
def test_a_page_looks_as_it_did(picture: str, more: dict[str, str]) -> None:
    """Beside a kept picture that was looked at. A page that shall look otherwise is kept anew by saving `seen(...)`."""
    kept = np.asarray(Image.open(PAGES / f"{picture}.png").convert("L")).astype(int)
    now = seen(DRAWER.draw(debt(**more)).content).astype(int)
    assert kept.shape == now.shape
    assert np.abs(kept - now).mean() < 0.05


def test_the_reference_is_a_code_128_that_fits() -> None:
    """Decodes the bars by the widths of Code 128: start, symbols and stop must fit the reference."""
    drawn = bars("AB1", 0, 0, 500, 10)
    widths: list[int] = []
    for (at, _, width, _), following in zip(drawn, [*drawn[1:], (0.0, 0.0, 0.0, 0.0)], strict=True):
        widths.append(round(width / 1.1))
        if following[2]:
            widths.append(round((following[0] - at - width) / 1.1))
    symbols = ["".join(map(str, widths[at : at + 6])) for at in range(0, len(widths) - 7, 6)]
    assert symbols[0] == "211214"  # start in code B
    assert symbols[1:4] == ["111323", "131123", "123221"]  # A, B, 1
    assert "".join(map(str, widths[-7:])) == "2331112"  # stop
    last = bars("a" * 63, 56, 0, 483, 10)[-1]
    assert last[0] + last[2] <= 539 + 1e-6


def test_an_issuer_comes_from_a_file(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 100), (200, 30, 30, 128)).save(tmp_path / "logo.png")
    file = tmp_path / "issuer.toml"
    file.write_text('name = "ACME"\naddress = ["Street 1"]\ntax_id = "1"\nlogo = "logo.png"\n', encoding="utf-8")
    issuer = load_issuers(file)[""]
    with_logo, without = (
        InvoiceDrawer(issuer).draw(debt()).content,
        InvoiceDrawer(Issuer(name="ACME")).draw(debt()).content,
    )
    there = slice(50, 110), slice(56, 236)
    assert seen(with_logo)[there].mean() < 220 < seen(without)[there].mean()
    for wrong, why in (
        ('address = ["Street 1"]', "has no name"),
        ('name = "ACME"\nlogo = "none.png"', "there is no"),
        ('name = "ACME"\nadress = "x"', "has adress; it may have name, address"),
        ('name = "ACME"\nbank = ' + str(["x"] * 9), "at most 8 lines"),
        ("name", "is no TOML"),
        ('name = "ACME"\naddress = ["Street\\u20281"]', "lines of text"),
        ('name = "AC\\u0000ME"', "name is a line of text"),
        ('name = "ACME"\nlogo = "."', "there is no"),
        ('name = "ACME"\nlanguage = "nl"', "de, en, fr or pt"),
        ('name = "ACME"\nsender = "billing"', "no e-mail address"),
        ('name = "ACME"\nissuer = "beta"', "are tables"),
        ('name = "ACME"\n[issuer."b c"]\nname = "B"', "issuer 'b c': a name has"),
        ('name = "ACME"\n[issuer.beta]\nlanguage = "pt"', "issuer beta: .* has no name"),
    ):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValueError, match=why):
            load_issuers(file)
    settings = NotificationSettings.model_construct(invoice_issuer_file=file)
    with pytest.raises(Refused, match="INVOICE_ISSUER_FILE"):
        settings.issuers()


def test_other_issuers_stand_in_the_same_file_which_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "issuer.toml"
    told = 'name = "ACME"\n[issuer.beta]\nname = "Beta Ltda."\nlanguage = "pt-BR"\nsender = "cobranca@beta.example"\n'
    file.write_text("\ufeff" + told, encoding="utf-8")
    beta = Issuer(name="Beta Ltda.", language="pt-BR", sender="cobranca@beta.example")
    assert load_issuers(file) == {"": Issuer(name="ACME"), "beta": beta}
    file.write_text('name = "Müller"', encoding="latin-1")
    with pytest.raises(ValueError, match=r"not UTF-8.*save it as UTF-8"):
        load_issuers(file)


def test_an_issuer_that_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(NoLetter):
        InvoiceDrawer(Issuer(name="ACME 🔔"))
    with pytest.raises(DoesNotFit):
        InvoiceDrawer(Issuer(name="ACME", address=("W" * 100,) * 8))
