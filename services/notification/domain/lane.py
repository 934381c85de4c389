"""Lanes: a queue of its own for each kind of receiver, so that none of them waits for another; and who is first in
one."""

import enum
from urllib.parse import urlsplit

from services.notification.domain.notification import ChannelName, Draft, Type


class Lane(enum.StrEnum):
    """Events to subscribers, and each channel to people."""

    EVENT = "EVENT"
    FCM = "FCM"
    EMAIL = "EMAIL"
    WEBHOOK = "WEBHOOK"
    CONSOLE = "CONSOLE"


OF_MANY_RECEIVERS = frozenset({Lane.EVENT, Lane.WEBHOOK})
"""Lanes to servers of others, each of which has a share. The others lead to one server of the deployment's own
choice."""


class Priority(enum.IntEnum):
    """Who goes first, of a tenant and a receiver."""

    URGENT = 0
    ALERT = 1
    REMINDER = 2
    INFO = 3


def priority_of(draft: Draft) -> Priority:
    """By its type; what is urgent goes before all."""
    return Priority.URGENT if draft.urgent else priority_of_type(draft.type)


def priority_of_type(type_: Type) -> Priority:
    """ALERT before REMINDER before INFO."""
    return Priority[type_.value]


def receiver_of(channel: ChannelName, address: str) -> str:
    """The server behind an address, `host:port`; empty where all addresses of the channel have the same."""
    if channel is not ChannelName.WEBHOOK:
        return ""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:  # refused when it was registered; kept by an earlier version
        port = None
    return f"{(parts.hostname or '').lower()}:{port or (443 if parts.scheme == 'https' else 80)}"
