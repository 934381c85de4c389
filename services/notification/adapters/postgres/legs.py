"""The deliveries of notifications, one to each address: how rows of them are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.notification.domain.channel_plan import Leg
from services.notification.domain.lane import Priority, receiver_of

LEG_ARRAYS = """
    ${0}::uuid[], ${1}::uuid[], ${2}::text[], ${3}::text[], ${4}::uuid[], ${5}::text[], ${6}::smallint[],
    ${7}::smallint[], ${8}::boolean[], ${9}::timestamptz[]
"""
LEG_COLUMNS = "id, reference, recipient, channel, endpoint, receiver, priority, step, standby, due"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRow:
    """A delivery to be made."""

    id: str
    notification: str
    user: str
    leg: Leg
    priority: Priority
    accepted: datetime

    @property
    def receiver(self) -> str:
        """Whose server it goes to."""
        return "" if self.leg.endpoint is None else receiver_of(self.leg.channel, self.leg.endpoint.address)

    @property
    def due(self) -> datetime:
        """When it is to be attempted."""
        return self.accepted + self.leg.after


def leg_arrays(first: int) -> str:
    """The arguments of `unnest`, from the number `first` on."""
    return LEG_ARRAYS.format(*range(first, first + 10))


def leg_values(legs: Sequence[LegRow]) -> list[object]:
    """What goes into `leg_arrays`."""
    return [
        [one.id for one in legs],
        [one.notification for one in legs],
        [one.user for one in legs],
        [one.leg.channel for one in legs],
        [one.leg.endpoint.id or None if one.leg.endpoint else None for one in legs],
        [one.receiver for one in legs],
        [int(one.priority) for one in legs],
        [one.leg.step for one in legs],
        [one.leg.standby for one in legs],
        [one.due for one in legs],
    ]


INSERT_LEGS = f"""
    WITH legs AS (SELECT * FROM unnest({leg_arrays(1)}) AS l ({LEG_COLUMNS}))
    INSERT INTO deliveries
        (id, kind, tenant, recipient, channel, endpoint, receiver, priority, step, standby, reference, created_at,
        next_attempt_at)
    SELECT id, 'NOTIFICATION', $11, recipient, channel, endpoint, receiver, priority, step, standby, reference, $12, due
    FROM legs
"""
"""Arguments: `leg_values`, the tenant, the time."""
