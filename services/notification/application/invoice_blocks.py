"""Many PDFs in one object of the store."""

from collections.abc import Sequence

from services.notification.domain.invoice import Pdf, Place


def block(name: str, pdfs: Sequence[Pdf]) -> tuple[bytes, list[Place]]:
    """The object's content, and where each PDF is in it. What several share, most of each, is in it once. (An object of
    its own for each PDF would cost two durable writes each.)"""
    parts: list[bytes] = []
    at, shared = 0, dict[bytes, int]()
    for pdf in pdfs:
        if pdf.shared not in shared:
            shared[pdf.shared] = at
            parts.append(pdf.shared)
            at += len(pdf.shared)
    places: list[Place] = []
    for pdf in pdfs:
        length = len(pdf.own)
        start, common = shared[pdf.shared], len(pdf.shared)
        places.append(Place(object=name, offset=at, length=length, shared_offset=start, shared_length=common))
        parts.append(pdf.own)
        at += length
    return b"".join(parts), places
