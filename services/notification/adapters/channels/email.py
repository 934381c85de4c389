"""The e-mail channel."""

from services.notification.adapters.channels.mails import Composer
from services.notification.application.claimed_delivery import EventMessage
from services.notification.application.ports.invoices import Mailer
from services.notification.domain.delivery import Endpoint, Failure, FailureKind, Outcome, Outgoing


class EmailChannel:
    """Sends notifications over SMTP."""

    def __init__(self, mailer: Mailer, composer: Composer) -> None:
        self._mailer = mailer
        self._composer = composer

    async def send(self, message: Outgoing | EventMessage, endpoint: Endpoint) -> Outcome:
        """One attempt; every attempt carries the same Message-ID."""
        if isinstance(message, EventMessage):
            return Failure(kind=FailureKind.PERMANENT, code="NOT_FOR_EMAIL", message="events go to webhooks only")
        try:
            mail = self._composer.notification(message, endpoint.address)
        except ValueError as error:  # it will not be composed the next time, either
            return Failure(kind=FailureKind.PERMANENT, code="NO_EMAIL", message=f"no e-mail can be made of it: {error}")
        return await self._mailer.send(mail)
