"""What is being accepted: a notification, its route, and the deliveries that it begins with."""

from dataclasses import dataclass
from datetime import datetime

from services.chassis.ids import new_id
from services.notification.adapters.postgres.legs import LegRow
from services.notification.adapters.postgres.rate_limit import User
from services.notification.domain.channel_plan import Route
from services.notification.domain.lane import priority_of
from services.notification.domain.notification import Draft, Notification, Status


@dataclass(frozen=True, slots=True)
class New:
    """A notification to be accepted."""

    id: str
    """Of the notification, and of its first delivery."""
    draft: Draft
    route: Route

    @property
    def user(self) -> User:
        """Whom it is for."""
        return self.draft.tenant, self.draft.user

    def legs(self, now: datetime) -> list[LegRow]:
        """Its deliveries; the first has its id."""
        return [
            LegRow(
                id=new_id() if place else self.id,
                notification=self.id,
                user=self.draft.user,
                leg=leg,
                priority=priority_of(self.draft),
                accepted=now,
            )
            for place, leg in enumerate(self.route.legs)
        ]

    def notification(self, now: datetime) -> Notification:
        """As it is when it is accepted."""
        return Notification(
            id=self.id,
            tenant=self.draft.tenant,
            user=self.draft.user,
            type=self.draft.type,
            title=self.draft.title,
            body=self.draft.body,
            data=self.draft.data,
            link=self.draft.link,
            channel=self.route.channel,
            status=Status.PENDING,
            attempts=0,
            error="",
            created_at=now,
        )
