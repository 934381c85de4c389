"""Composes e-mails as the bytes that go over the wire. The Message-ID follows from what the mail is about."""

import html
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from services.notification.adapters.channels.tracked import TrackedLinks
from services.notification.application.ports.invoices import Mail
from services.notification.domain.delivery import Outgoing

_LONGEST_PLAIN = 76 - len("Subject: ")
_POLICY = SMTP.clone(cte_type="7bit", utf8=False)


class Composer:
    """E-mails from one sender. `sender` is an address, `sender_name` may be empty. With `tracked` the HTML of
    notifications tells when it is displayed, and when its link is followed; the text never does."""

    def __init__(self, sender: str, sender_name: str = "", tracked: TrackedLinks | None = None) -> None:
        self._tracked = tracked
        self._domain = sender.rpartition("@")[2] or "localhost"
        message = EmailMessage(policy=_POLICY)
        from email.headerregistry import Address

        message["From"] = Address(sender_name, addr_spec=sender)
        self.from_line = message.as_bytes().split(b"\r\n\r\n")[0]
        self._from = message["From"]

    def message_id(self, about: str) -> str:
        """The Message-ID of the mail about something: always the same one."""
        return f"<{about}@{self._domain}>"

    def notification(self, message: Outgoing, recipient: str) -> Mail:
        """A notification as text and HTML. Raises ValueError for an address that no header can hold as it is."""
        if "=?" in recipient:
            raise ValueError("the address looks like an encoded word")
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._from
        mail["To"] = recipient
        mail["Date"] = format_datetime(message.created_at)
        mail["Message-ID"] = self.message_id(message.id)
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Tocsin-Type"] = message.type
        text = message.body or message.title
        mail.set_content(f"{text}\n\n{message.link}" if message.link else text)
        mail.add_alternative(self._page(message), subtype="html")
        return Mail(recipient=recipient, content=subject_line(message.title) + mail.as_bytes())

    def _page(self, message: Outgoing) -> str:
        body = "<br>\n".join(html.escape(line) for line in message.body.splitlines())
        link = pixel = ""
        if message.link:
            address = self._tracked.link(message) if self._tracked else message.link
            link = f'<p><a href="{html.escape(address)}">{html.escape(message.link)}</a></p>\n'
        if self._tracked:
            address = html.escape(self._tracked.pixel(message))
            pixel = f'<img src="{address}" width="1" height="1" border="0" alt="">\n'
        return (
            '<!doctype html>\n<html><body style="font-family:sans-serif">\n'
            f"<h2>{html.escape(message.title)}</h2>\n<p>{body}</p>\n{link}{pixel}</body></html>\n"
        )


def subject_line(title: str) -> bytes:
    """The line of the header that says exactly the title. EmailMessage would take what looks like an encoded word
    (RFC 2047) for one, and put what it stands for into the header."""
    # What would be folded is encoded, too: where a line is folded blanks are lost, and an unbroken one begins empty.
    plain = title.isascii() and title.isprintable() and "=?" not in title
    plain = plain and title == title.strip() and len(title) <= _LONGEST_PLAIN
    if plain:
        return f"Subject: {title}\r\n".encode("ascii")
    header = Header(title, "utf-8", header_name="Subject", maxlinelen=76)
    return b"Subject: " + header.encode(linesep="\r\n").encode("ascii") + b"\r\n"
