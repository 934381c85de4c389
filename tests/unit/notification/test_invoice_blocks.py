"""Many PDFs in one object."""

from hypothesis import given
from hypothesis import strategies as st

from services.notification.application.invoice_blocks import block
from services.notification.domain.invoice import Pdf, Place

PARTS = st.binary(max_size=6)


@given(st.lists(st.builds(Pdf, st.sampled_from([b"", b"%PDF form one ", b"%PDF form two "]), PARTS), max_size=9))
def test_each_pdf_is_cut_out_of_the_object_as_it_was(pdfs: list[Pdf]) -> None:
    content, places = block("o", pdfs)
    assert [place.cut(content) for place in places] == [pdf.content for pdf in pdfs]
    assert len(content) == sum(len(pdf.own) for pdf in pdfs) + sum(map(len, {pdf.shared for pdf in pdfs}))


def test_what_was_kept_before_parts_were_shared_is_read_as_it_was() -> None:
    assert Place(object="o", offset=2, length=3).cut(b"0123456") == b"234"


def test_what_is_blanked_of_one_is_nothing_of_another() -> None:
    pdfs = [Pdf(b"form ", b"Ann"), Pdf(b"form ", b"Bob")]
    content, (ann, bob) = block("o", pdfs)
    blank = bytearray(content)
    blank[ann.offset : ann.offset + ann.length] = bytes(ann.length)
    assert ann.cut(bytes(blank)) == b"form \0\0\0"
    assert bob.cut(bytes(blank)) == b"form Bob"
