"""Takes back dead letters of this service's own work: what was given up becomes due again, with attempts from zero."""

from services.chassis.nats import ConsumerOptions, Delivery, Permanent
from services.chassis.nats.topology import NOTIFICATIONS
from services.notification.adapters.nats import events
from services.notification.adapters.nats.public_feed import public_event
from services.notification.application.ports.invoices import InvoiceStore
from services.notification.application.ports.notifications import NotificationStore
from services.notification.application.ports.webhooks import SubscriptionStore
from services.notification.application.tenants import Tenants
from services.notification.domain.invoice import InvoiceFilter

OPTIONS = ConsumerOptions(
    service=events.SERVICE,
    name=events.RETRY_CONSUMER,
    stream=NOTIFICATIONS,
    subjects=(events.RETRY_SUBJECT,),
    max_in_flight=8,
)


class Redelivery:
    """The handler of what was sent back. Each kind is idempotent: only what is given up is taken up again."""

    def __init__(
        self,
        notifications: NotificationStore,
        subscriptions: SubscriptionStore,
        invoices: InvoiceStore,
        tenants: Tenants,
    ) -> None:
        self._notifications = notifications
        self._subscriptions = subscriptions
        self._invoices = invoices
        self._tenants = tenants

    async def __call__(self, delivery: Delivery) -> None:
        """Raises Permanent for what names nothing of ours."""
        match delivery.headers.get(events.DELIVERY_HEADER, "").split("/"):
            case ["notification", tenant, id_] if tenant in self._tenants.names:
                await self._notifications.retry_abandoned(tenant, [id_])
            case ["event", subscription, _]:
                if not await self._subscriptions.resend(public_event(delivery), subscription):
                    raise Permanent("the subscription is gone or disabled")
            case ["invoice", debt]:
                await self._invoices.retry(InvoiceFilter(debt=debt), 1, events.SOURCE)
            case _:
                raise Permanent("no work of this service")
