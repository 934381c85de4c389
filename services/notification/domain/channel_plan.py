"""Channel plans: in which order the channels of a user are tried, until one of them has a notification."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.notification.domain.delivery import CONSOLE, Endpoint
from services.notification.domain.errors import ChannelNotConfigured, NoEndpoint
from services.notification.domain.notification import ChannelName, Draft, Planned, Type

LONGEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Step:
    """A channel, and how long it has before the next one is tried beside it; None: until it has failed for good."""

    channel: ChannelName
    after: timedelta | None = None


Plan = tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One address of a notification, `after` its acceptance. Without an `endpoint` nobody is reached: the user has
    none."""

    channel: ChannelName
    endpoint: Endpoint | None
    step: int = 0
    after: timedelta = timedelta(0)

    @property
    def standby(self) -> bool:
        """Whether it is needed only if nobody has been reached until then."""
        return self.after > timedelta(0)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a notification goes: to its legs, and then by what is left of its plan."""

    plan: Plan
    legs: tuple[Leg, ...]

    @property
    def step(self) -> int:
        """The last step of the plan that has legs."""
        return max(leg.step for leg in self.legs)

    @property
    def channel(self) -> ChannelName:
        """The channel that is tried first."""
        return self.legs[0].channel


Addresses = Mapping[ChannelName, Sequence[Endpoint]]


def legs_from(plan: Plan, step: int, addresses: Addresses) -> tuple[Leg, ...]:
    """The legs of the first step, from `step` on, that has addresses; and, where it has only some time, those of the
    steps that follow when it is over. None where no step has any."""
    legs: list[Leg] = []
    after = timedelta(0)
    for place in range(step, len(plan)):
        channel = plan[place].channel
        points = (CONSOLE,) if channel is ChannelName.CONSOLE else addresses.get(channel, ())
        if not points:
            continue
        legs += [Leg(channel=channel, endpoint=point, step=place, after=after) for point in points]
        given = plan[place].after
        if given is None:
            break
        after += given
    return tuple(legs)


def planned(plan: Plan, addresses: Addresses) -> tuple[Planned, ...]:
    """All addresses that the plan may lead to, in the order in which they are tried."""
    found: list[Planned] = []
    after: timedelta | None = timedelta(0)
    for step in plan:
        points = (CONSOLE,) if step.channel is ChannelName.CONSOLE else addresses.get(step.channel, ())
        if points:
            found += [Planned(step.channel, point.masked, after) for point in points]
            after = None if after is None or step.after is None else after + step.after
    return tuple(found)


def lost(plan: Plan) -> Route:
    """The route of what somebody must be told who has no address: it fails, and is kept."""
    return Route(plan, (Leg(channel=plan[0].channel, endpoint=None),))


@dataclass(frozen=True, slots=True)
class Contacts:
    """How a user can be reached: the addresses by channel, and the plans of the user's own by type."""

    addresses: Addresses
    plans: Mapping[Type, Plan]


NOBODY = Contacts({}, {})


class Plans:
    """The plans of a deployment: `default`, and those of tenants. Channels that it does not have are passed over."""

    def __init__(self, configured: Collection[ChannelName], default: Plan, tenants: Mapping[str, Plan]) -> None:
        self._configured = frozenset(configured)
        self._default = default
        self._tenants = tenants

    def of_tenant(self, tenant: str) -> Plan:
        """What counts where a user has no plan, all of its steps."""
        return self._tenants.get(tenant, self._default)

    def plan(self, tenant: str, type_: Type, contacts: Contacts) -> Plan:
        """What counts for a user, of the channels that there are. At least one step."""
        plan = contacts.plans.get(type_) or self.of_tenant(tenant)
        return self.usable(plan) or plan

    def usable(self, plan: Plan) -> Plan:
        """The steps by channels that there are."""
        return tuple(step for step in plan if step.channel in self._configured)

    def route(self, draft: Draft, contacts: Contacts) -> Route:
        """Where a notification goes; a channel that is asked for is a plan of one step. Raises ChannelNotConfigured and
        NoEndpoint."""
        if draft.channel is None:
            plan = self.plan(draft.tenant, draft.type, contacts)
        elif draft.channel in self._configured:
            plan = (Step(draft.channel),)
        else:
            raise ChannelNotConfigured(draft.channel)
        if legs := legs_from(self.usable(plan), 0, contacts.addresses):
            return Route(plan, legs)
        raise NoEndpoint(draft.user, " ".join(step.channel for step in plan))

    def route_or_lost(self, draft: Draft, contacts: Contacts) -> Route:
        """The same for what must be told, and fails where the user has no address. Raises ChannelNotConfigured."""
        try:
            return self.route(draft, contacts)
        except NoEndpoint:
            return lost(self.plan(draft.tenant, draft.type, contacts))


def dump_plan(plan: Plan) -> str:
    """As text, in the form that `load_plan` reads: `FCM:30s,EMAIL`."""
    return ",".join(
        step.channel if step.after is None else f"{step.channel}:{step.after.total_seconds():.10g}s" for step in plan
    )


def load_plan(text: str) -> Plan:
    """The plan of `dump_plan`. Raises ValueError."""
    steps: list[Step] = []
    for part in text.split(","):
        name, _, after = part.strip().partition(":")
        if name not in ChannelName.__members__:
            raise ValueError(f"{name!r} is no channel: {', '.join(ChannelName)}")
        steps.append(Step(ChannelName(name), _duration(after) if after else None))
    check_plan(tuple(steps))
    return tuple(steps)


def check_plan(plan: Plan) -> None:
    """Raises ValueError for a plan that names a channel twice or has a time outside of the bounds."""
    if len({step.channel for step in plan}) < len(plan):
        raise ValueError("names a channel twice")
    for step in plan:
        if step.after is not None and not timedelta(seconds=1) <= step.after <= LONGEST:
            raise ValueError("has a time that is not from 1s to 7d")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1]
    try:
        return timedelta(seconds=float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time such as 30s, 5m, 2h, 1d") from None
