"""The renderer's process: debts come in on standard input, PDFs go out on standard output, until the input ends.

A frame is a length (4 bytes, big-endian) and that many bytes. A request is one frame, JSON: a list of debts. The answer
is a frame for each of them: `!` and why there is no PDF, or `#`, the number (a byte) of the beginning that it shares,
and the rest of it. A beginning comes before the first that shares it, behind `=`. Its argument is JSON: the issuers,
and the language and currency of debts that name none.
"""

import json
import struct
import sys
from functools import cache
from typing import BinaryIO

from services.notification.domain.invoice import Debt
from services.notification.domain.issuer import Issuer

HEADER = struct.Struct(">I")
FAILED, DRAWN, SHARED = b"!", b"#", b"="


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the input (also in the middle of a frame: whoever wrote it is gone)."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    (length,) = HEADER.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return HEADER.pack(len(body)) + body


class IssuerUnknown(Exception):
    """The file of issuers does not have it."""


def main() -> None:
    """Serves until the parent closes the pipe, or is gone."""
    from services.notification.adapters.rendering.invoice_page import DoesNotFit, InvoiceDrawer
    from services.notification.adapters.rendering.typesetting import NoLetter, TooManyMarks
    from services.notification.domain.payment_codes import CodeImpossible

    for_people = (NoLetter, TooManyMarks, DoesNotFit, CodeImpossible, IssuerUnknown)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    given = json.loads(sys.argv[1])

    @cache
    def drawer(issuer: str) -> InvoiceDrawer:
        if issuer not in given["issuers"]:
            raise IssuerUnknown(f"there is no issuer {issuer} in the deployment's file of issuers")
        known = Issuer(**given["issuers"][issuer])
        return InvoiceDrawer(known, known.language or given["language"], given["currency"])

    while (request := read_frame(source)) is not None:
        answer, shared = list[bytes](), dict[bytes, int]()
        for one in json.loads(request):
            try:
                debt = Debt(**one)
                pdf = drawer(debt.issuer).draw(debt)
            except MemoryError:
                raise  # which is no fault of the debt
            except Exception as error:  # whatever is wrong with one debt, the others are drawn
                why = str(error) if isinstance(error, for_people) else f"{type(error).__name__}: {error}"
                answer.append(frame(FAILED + why.encode("utf-8", "backslashreplace")[:1000]))
                continue
            if pdf.shared not in shared:
                shared[pdf.shared] = len(shared)
                answer.append(frame(SHARED + pdf.shared))
            answer.append(frame(bytes((*DRAWN, shared[pdf.shared])) + pdf.own))
        sink.write(b"".join(answer))
        sink.flush()


if __name__ == "__main__":
    main()
