"""What is known of handlers, over all processes: each answers for itself when it is asked on one subject."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from nats.aio.msg import Msg

from services.chassis import handler_stage
from services.chassis.errors import Unavailable
from services.chassis.handler_stage import HandlerReport
from services.chassis.nats.connection import NatsConnection
from services.chassis.nats.topology import HANDLERS_SUBJECT
from tocsin.calls.v1.handlers_pb2 import HandlerReports

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_QUIET = 0.15
"""Seconds without another answer after which nobody else is awaited."""


@asynccontextmanager
async def answering(connection: NatsConnection, service: str) -> AsyncGenerator[None]:
    """Answers for this process during the block; outlives reconnects."""
    process = f"{service}@{socket.gethostname()}:{os.getpid()}"

    async def answer(message: Msg) -> None:
        reports = [_encoded(one) for one in handler_stage.reports()]
        try:
            await message.respond(HandlerReports(process=process, reports=reports).SerializeToString())
        except nats.errors.Error as error:
            # Whoever asks hears nothing of this process then.
            log.warning("handlers.unanswered", error=repr(error))

    subscription = await connection.nc.subscribe(connection.names.subject(HANDLERS_SUBJECT), cb=answer)
    try:
        yield
    finally:
        if not connection.nc.is_closed:
            try:
                await subscription.unsubscribe()
            except nats.errors.Error as error:
                log.debug("handlers.unsubscribe_failed", error=repr(error))


async def ask_all(
    connection: NatsConnection, *, patience: timedelta = timedelta(seconds=1)
) -> dict[str, Sequence[HandlerReport]]:
    """The reports of every process that answers, by process. Raises Unavailable when nobody does."""
    nc, inbox = connection.nc, connection.nc.new_inbox()
    found: dict[str, Sequence[HandlerReport]] = {}
    try:
        subscription = await nc.subscribe(inbox)
        try:
            await nc.publish(connection.names.subject(HANDLERS_SUBJECT), b"", reply=inbox)
            end = asyncio.get_running_loop().time() + patience.total_seconds()
            while (left := end - asyncio.get_running_loop().time()) > 0:
                message = await subscription.next_msg(timeout=min(left, _QUIET) if found else left)
                answer = HandlerReports.FromString(message.data)
                found[answer.process] = [_decoded(one) for one in answer.reports]
        except TimeoutError:
            pass  # all have answered who will
        finally:
            await subscription.unsubscribe()
    except (nats.errors.Error, OSError, DecodeError) as error:
        raise Unavailable("the message broker cannot be reached") from error
    if not found:
        raise Unavailable("no process has answered")
    return found


def _encoded(report: HandlerReport) -> HandlerReports.Report:
    return HandlerReports.Report(
        handler=report.handler,
        since=_timestamp(report.since),
        processed=report.processed,
        failed=report.failed,
        calls=report.calls,
        seconds=report.seconds,
        slowest=report.slowest,
        classes=report.classes,
        last_error=report.last_error,
        last_error_time=None if report.last_error_at is None else _timestamp(report.last_error_at),
    )


def _decoded(report: HandlerReports.Report) -> HandlerReport:
    return HandlerReport(
        handler=report.handler,
        since=report.since.ToDatetime(UTC),
        processed=report.processed,
        failed=report.failed,
        calls=report.calls,
        seconds=report.seconds,
        slowest=report.slowest,
        classes=dict(report.classes),
        last_error=report.last_error,
        last_error_at=report.last_error_time.ToDatetime(UTC) if report.HasField("last_error_time") else None,
    )


def _timestamp(at: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(at)
    return message
