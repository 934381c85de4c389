"""What a service asks of the message broker to know whether it works: never a state of the client, always an answer.

A connection that stands says little: a server that hangs, or a network that swallows everything, goes unnoticed until
the client's own pings time out, which takes half a minute.
"""

import json
from datetime import datetime, timedelta

import nats.errors
from nats.js.errors import NotFoundError

from services.chassis.errors import Unavailable
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import HEALTH, health_subject

_WITHIN = timedelta(seconds=2)


async def round_trip(connection: NatsConnection, within: timedelta = _WITHIN) -> None:
    """Raises `Unavailable` unless the server answers a ping in time."""
    if not connection.healthy:
        raise Unavailable("the message broker is away")
    try:
        # The client counts in whole seconds here and takes fractions all the same.
        await connection.nc.flush(timeout=within.total_seconds())  # pyright: ignore[reportArgumentType]
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable("the message broker does not answer") from error


async def durable_write(connection: NatsConnection, service: str, within: timedelta = _WITHIN) -> None:
    """Raises `Unavailable` unless the broker stores a message on disk and says so in time."""
    if not connection.healthy:
        raise Unavailable("the message broker is away")
    subject = connection.names.subject(health_subject(service))
    try:
        answer = await connection.nc.request(subject, b"", timeout=within.total_seconds())
    except nats.errors.NoRespondersError as error:
        raise Unavailable("the message broker stores no messages") from error
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable("the message broker does not store messages in time") from error
    if problem := json.loads(answer.data).get("error"):
        raise Unavailable(f"the message broker refuses messages: {problem.get('description', problem)}")


async def leave_mark(connection: NatsConnection, name: str) -> None:
    """Has the broker store when this was called, for `last_write`; nobody waits for it, and it may be refused. Raises
    `Unavailable`."""
    try:
        await connection.nc.publish(connection.names.subject(health_subject(name)), b"")
    except (nats.errors.Error, OSError) as error:
        raise Unavailable("the message broker is away") from error


async def last_write(connection: NatsConnection, service: str) -> datetime | None:
    """When a `durable_write` or a mark of that name was stored last; a service makes one a second as long as it works.
    None: never. Raises `Unavailable`."""
    names = connection.names
    try:
        found = await connection.js.get_last_msg(names.stream(HEALTH), names.subject(health_subject(service)))
    except NotFoundError:
        return None
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise Unavailable("the message broker cannot be reached") from error
    return found.time
